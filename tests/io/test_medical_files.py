"""NIfTI and DICOM: values with slope and intercept, spacing, slices in their order; labels as NIfTI for NIfTI."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_sam.errors import InputError
from napari_sam.io.images import read_image, write_labels
from napari_sam.io.large_image import open_large_image

VOLUME = np.random.default_rng(0).integers(0, 2000, (4, 20, 30)).astype(np.int16)  # z, y, x
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.25, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1.0]])


def write_series(
    folder: Path, *, slope: float = 2.0, intercept: float = -1000.0, order: tuple[int, ...] = (2, 0, 3, 1)
):
    """One slice a file, named in another order than they lie in."""
    folder.mkdir()
    series = generate_uid()
    for name, number in enumerate((2, 0, 3, 1)):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header = pydicom.Dataset()
        header.file_meta = meta
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        header.SeriesInstanceUID = series
        header.Rows, header.Columns = VOLUME.shape[1:]
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit, header.PixelRepresentation = 15, 1
        header.PixelSpacing, header.SliceThickness = [0.5, 0.25], 9.0
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.ImagePositionPatient = [0, 0, 3.0 * number]
        header.RescaleSlope, header.RescaleIntercept = slope, intercept
        header.PixelData = VOLUME[number].tobytes()
        header.save_as(folder / f"{name}", enforce_file_format=True)
    (folder / "notes.txt").write_text("a text beside the slices")
    return folder


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path, suffix):
    path = tmp_path / f"brain{suffix}"
    image = nibabel.Nifti1Image(VOLUME.T, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    opened = open_large_image(path)
    assert opened.axes == ("z", "y", "x")
    assert opened.dtype == np.int16
    assert opened.levels[0].scale == pytest.approx((2, 0.25, 0.5))
    assert opened.place.micrometres("z") == 2000
    np.testing.assert_array_equal(read_image(path, (3,)), VOLUME[3])
    np.testing.assert_array_equal(opened.plane({"z": 1})[5:9, 3:20:2], VOLUME[1, 5:9, 3:20:2])
    write_labels(tmp_path / f"labels{suffix}", np.abs(VOLUME), opened.place)
    labels = nibabel.load(tmp_path / f"labels{suffix}")
    np.testing.assert_allclose(labels.affine, AFFINE)
    np.testing.assert_array_equal(np.asarray(labels.dataobj).T, np.abs(VOLUME))


def test_nifti_values_have_slope_and_intercept(tmp_path):
    image = nibabel.Nifti1Image(VOLUME.T, AFFINE)
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "a.nii")
    values = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj).T
    opened = open_large_image(tmp_path / "a.nii")
    assert opened.dtype == np.float32
    np.testing.assert_allclose(read_image(tmp_path / "a.nii", (2,)), values[2], rtol=1e-6)


def test_a_dicom_series(tmp_path):
    folder = write_series(tmp_path / "series")
    opened = open_large_image(folder)
    assert opened.axes == ("z", "y", "x")
    assert opened.levels[0].scale == pytest.approx((3.0, 0.5, 0.25))  # by positions, not by thickness
    assert opened.levels[0].units == ("millimeter",) * 3
    for z in range(4):
        np.testing.assert_allclose(read_image(folder, (z,)), VOLUME[z] * 2.0 - 1000)
    np.testing.assert_allclose(opened.plane({"z": 2})[3:7, 2:5], VOLUME[2, 3:7, 2:5] * 2.0 - 1000)
    assert opened.signature((0, 0, 5, 5), {"z": 0}) == open_large_image(folder).signature((0, 0, 5, 5), {"z": 0})


def test_a_single_slice_without_rescaling_stays_whole_numbers(tmp_path):
    folder = write_series(tmp_path / "series", slope=1.0, intercept=0.0)
    opened = open_large_image(folder / "1")
    assert (opened.axes, opened.dtype) == (("y", "x"), np.int16)
    np.testing.assert_array_equal(read_image(folder / "1"), VOLUME[0])


def test_two_series_are_told_apart(tmp_path):
    one, other = write_series(tmp_path / "one"), write_series(tmp_path / "other")
    (other / "0").rename(one / "from_other")
    with pytest.raises(InputError, match="2 series"):
        open_large_image(one)


@pytest.mark.parametrize("package", ["nibabel", "pydicom"])
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, package):
    path = write_series(tmp_path / "series")
    if package == "nibabel":
        path = tmp_path / "a.nii"
        nibabel.Nifti1Image(VOLUME.T, AFFINE).to_filename(path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs the package {package}: .*\[medical\]"):
        read_image(path, (0,))


def test_damaged_files_are_one_sentence(tmp_path):
    nibabel.Nifti1Image(VOLUME.T, AFFINE).to_filename(tmp_path / "a.nii")
    (tmp_path / "a.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:1000])
    folder = write_series(tmp_path / "series")
    (folder / "1").write_bytes((folder / "1").read_bytes()[:600])
    for place, plane in ((tmp_path / "a.nii", (3,)), (folder, (0,))):
        with pytest.raises(InputError) as caught:
            read_image(place, plane)
        assert "\n" not in str(caught.value)
