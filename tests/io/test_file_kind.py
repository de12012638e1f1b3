"""What a file is, told by its beginning."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.io.file_kind import is_image, kind_of

BYTES = {
    "tiff": [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"],
    "picture": [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM1234", b"RIFF\0\0\0\0WEBPVP8 "],
    "npy": [b"\x93NUMPY\1\0"],
    "nifti": [b"\x5c\1\0\0" + bytes(340) + b"n+1\0", b"\x1c\2\0\0n+2\0\r\n\x1a\n"],
    "dicom": [bytes(128) + b"DICM"],
    "microscope": [b"ZISRAWFILE", b"\xda\xce\xbe\x0a", b"\x70\0\0\0\x2a"],
    "": [b"", b"text", b"%PDF-1.4", b"PK\3\4"],
}


@pytest.mark.parametrize(("kind", "head"), [(kind, head) for kind, heads in BYTES.items() for head in heads])
def test_by_the_first_bytes_whatever_the_name(tmp_path, kind, head):
    for name in ("a", "a.png", "a.tif"):
        (tmp_path / name).write_bytes(head)
        assert kind_of(tmp_path / name) == kind
        assert is_image(tmp_path / name) == bool(kind)


def test_packed_nifti_and_other_packed_files(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(BYTES["nifti"][0]))
    assert kind_of(tmp_path / "a") == "nifti"
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"text"))
    assert kind_of(tmp_path / "b.gz") == ""
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(BYTES["nifti"][0])[:15])
    with pytest.raises(InputError, match=r"c\.nii\.gz"):
        kind_of(tmp_path / "c.nii.gz")
    assert not is_image(tmp_path / "c.nii.gz")


def test_relatives_of_tiff_by_any_name(tmp_path):
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30)
    for name in ("a.svs", "a.ndpi", "a.lsm", "a.qptiff", "a.scn", "a"):
        tifffile.imwrite(tmp_path / name, pixels)
        assert kind_of(tmp_path / name) == "tiff"


def test_folders(tmp_path):
    zarr.create_array(str(tmp_path / "well_A1"), shape=(4, 4), dtype="u1")
    zarr.create_array(str(tmp_path / "well_A2"), shape=(4, 4), dtype="u1", zarr_format=2)
    assert kind_of(tmp_path / "well_A1") == kind_of(tmp_path / "well_A2") == "zarr"
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1").write_bytes(BYTES["dicom"][0])
    assert kind_of(tmp_path / "series") == "dicom"
    (tmp_path / "pictures").mkdir()
    Image.new("L", (3, 3)).save(tmp_path / "pictures" / "a.png")
    assert kind_of(tmp_path / "pictures") == ""


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no file .*gone\.png"):
        kind_of(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"no Zarr .*gone\.zarr"):
        kind_of(tmp_path / "gone.zarr")
    assert kind_of("https://example.org/a.zarr") == "zarr"
