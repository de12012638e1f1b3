"""One interface for OME-Zarr, plain Zarr and TIFF: planes, levels, channels, plates, signatures, pickles."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from data_folders import write_ome_zarr
from napari_sam.errors import InputError
from napari_sam.io.images import read_image
from napari_sam.io.large_image import list_wells, open_large_image
from napari_sam.io.stacks import open_stack
from zarr_servers import http_server

IMAGE = np.random.default_rng(0).integers(0, 4000, (2, 3, 4, 40, 50)).astype(np.uint16)  # t, c, z, y, x


@pytest.fixture(params=["0.4", "0.5"])
def stack(request, tmp_path) -> Path:
    path = write_ome_zarr(tmp_path / "a.zarr", IMAGE, {}, "tczyx", "", version=request.param)
    group = zarr.open_group(str(path), mode="r+")
    omero = {"channels": [{"label": "DAPI"}, {"label": "GFP"}, {"label": "GFP"}]}
    group.attrs.update({"omero": omero} if request.param == "0.4" else {"ome": {**group.attrs["ome"], "omero": omero}})
    return path


def test_what_is_known_of_a_stack(stack):
    image = open_large_image(stack)
    assert image.location == str(stack)
    assert image.version in ("0.4", "0.5")
    assert image.sizes == {"t": 2, "c": 3, "z": 4, "y": 40, "x": 50}
    assert (image.shape, image.dtype, image.stacked) == ((40, 50), np.uint16, ("t", "z"))
    assert [plane["t"] * 4 + plane["z"] for plane in image.planes()] == list(range(8))
    for index in image.planes():
        np.testing.assert_array_equal(image.plane(index), np.moveaxis(IMAGE[index["t"], :, index["z"]], 0, -1))
    coarse = open_large_image(stack, level=1)
    np.testing.assert_array_equal(coarse.plane({"t": 1, "z": 3})[...], np.moveaxis(IMAGE[1, :, 3, ::2, ::2], 0, -1))


def test_levels_by_pixel_size(stack):
    assert [open_large_image(stack, pixel_size=size).level for size in (0.1, 1.4, 1.5, 9)] == [0, 0, 1, 1]
    with pytest.raises(InputError, match="no level 2"):
        open_large_image(stack, level=2)
    with pytest.raises(InputError, match="pixel size of 0"):
        open_large_image(stack, pixel_size=0)


def test_channels_by_number_and_name(stack):
    image = open_large_image(stack)
    assert image.channels([2, "DAPI", "1"]) == (2, 0, 1)
    picked = image.plane({"t": 0, "z": 1}, channels=image.channels([2, 0]))
    np.testing.assert_array_equal(picked[3:5], np.moveaxis(IMAGE[0, [2, 0], 1, 3:5], 0, -1))
    with pytest.raises(InputError, match=r"no channel RFP: choose by number among 0 \(DAPI\), 1 \(GFP\), 2 \(GFP\)"):
        image.channels(["RFP"])
    with pytest.raises(InputError, match="several channels GFP"):
        image.channels(["GFP"])
    for wrong in (3, -1):
        with pytest.raises(InputError, match=f"no channel {wrong}"):
            image.channels([wrong])


@pytest.mark.parametrize("index", [{}, {"t": 0}, {"t": 2, "z": 0}, {"t": 0, "z": -1}, {"t": 0, "z": 0, "c": 0}])
def test_planes_that_are_not_there(stack, index):
    with pytest.raises(InputError, match="it has t 0 to 1, z 0 to 3"):
        open_large_image(stack).plane(index)


def test_only_the_chunks_of_a_piece_are_read(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(3, 256, 256), dtype="u2", chunks=(1, 64, 64))
    array[...] = np.broadcast_to(np.arange(256), array.shape)
    with http_server(tmp_path) as (address, asked):
        image = open_large_image(f"{address}/a.zarr")
        asked.clear()
        plane = image.plane({"z": 2})
        assert asked == []
        np.testing.assert_array_equal(plane[60:70, 130:140][0], np.arange(130, 140))
        assert sorted(asked) == ["GET /a.zarr/c/2/0/2", "GET /a.zarr/c/2/1/2"]


def test_plain_arrays(tmp_path):
    values = np.arange(2 * 6 * 7, dtype=np.float32).reshape(2, 6, 7)
    path = str(tmp_path / "a.zarr")
    zarr.create_array(path, data=values, dimension_names=("c", "y", "x"))
    image = open_large_image(path)
    assert (image.version, image.axes, image.channel_names, image.level) == ("", ("c", "y", "x"), ("0", "1"), 0)
    np.testing.assert_array_equal(image.plane()[...], np.moveaxis(values, 0, -1))
    again = open_large_image(path, axes="zyx")
    np.testing.assert_array_equal(again.plane({"z": 1})[...], values[1])
    assert again.channel_names == ()
    with pytest.raises(InputError, match="axes y, x"):
        open_large_image(path, axes="yx")
    old = zarr.open_group(str(tmp_path / "b.zarr"), mode="w", zarr_format=2).create_array("a", data=values)
    old.attrs["_ARRAY_DIMENSIONS"] = ["time", "y", "x"]
    assert open_large_image(tmp_path / "b.zarr" / "a").stacked == ("t",)


def test_tiff(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, IMAGE[0], ome=True, metadata={"axes": "CZYX", "Channel": {"Name": ["a", "b", "c"]}})
    image = open_large_image(path)
    assert (image.version, image.stacked, image.channels(["c"])) == ("", ("z",), (2,))
    np.testing.assert_array_equal(image.plane({"z": 3})[5:8], np.moveaxis(IMAGE[0, :, 3, 5:8], 0, -1))
    assert list_wells(path) == []
    before = image.signature((0, 0, 8, 8), {"z": 0})
    os.utime(path, ns=(1, 1))
    assert image.signature((0, 0, 8, 8), {"z": 0}) != before


def test_signature_is_of_the_planes_own_chunks(stack):
    image = open_large_image(stack)
    planes = [{"t": 0, "z": 1}, {"t": 1, "z": 2}]
    before = [image.signature((0, 0, 10, 10), plane) for plane in planes]
    assert before[0] == open_large_image(stack).signature((0, 0, 10, 10), planes[0])
    values = zarr.open_array(str(stack / "0"), mode="r+")
    chunks = values.chunks
    values[1, :, 2] = 9
    changed = [image.signature((0, 0, 10, 10), plane) for plane in planes]
    assert changed[1] != before[1]
    if chunks[0] == 1 and chunks[2] == 1:
        assert changed[0] == before[0]


@pytest.mark.parametrize("kind", ["ome", "plain", "tiff"])
def test_a_pickle_opens_the_same_place(tmp_path, kind):
    path = tmp_path / {"ome": "a.zarr", "plain": "b.zarr", "tiff": "c.tif"}[kind]
    given: dict[str, Any] = {"level": 1}
    if kind == "ome":
        write_ome_zarr(path, IMAGE, {}, "tczyx", "")
    elif kind == "plain":
        zarr.create_array(str(path), data=IMAGE[0])
        given = {"axes": "czyx"}
    else:
        tifffile.imwrite(path, IMAGE[0], photometric="minisblack")
        given = {"axes": "czyx"}
    image = open_large_image(path, **given)
    again = pickle.loads(pickle.dumps(image))
    assert (again.location, again.level, again.axes) == (image.location, image.level, image.axes)
    np.testing.assert_array_equal(again.plane(image.planes()[-1]), image.plane(image.planes()[-1]))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_plates(tmp_path, version):
    plate = zarr.open_group(str(tmp_path / "p.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    about = {"plate": {"wells": [{"path": "B/2"}, {"path": "A/1"}]}}
    plate.attrs.update(about if version == "0.4" else {"ome": {"version": version, **about}})
    for number, well in enumerate(("B/2", "A/1")):
        fields = {"well": {"images": [{"path": "0"}, {"path": "1"}][: number + 1]}}
        group = plate.create_group(well)
        group.attrs.update(fields if version == "0.4" else {"ome": {"version": version, **fields}})
        for field in range(number + 1):
            write_ome_zarr(
                tmp_path / "p.zarr" / well / str(field), IMAGE[0, field], {}, "zyx", "", version=version, levels=1
            )
    wells = list_wells(tmp_path / "p.zarr")
    assert wells == [f"{tmp_path}/p.zarr/{path}" for path in ("B/2/0", "A/1/0", "A/1/1")]
    np.testing.assert_array_equal(open_large_image(wells[2]).plane({"z": 3})[...], IMAGE[0, 1, 3])
    assert list_wells(wells[0]) == []
    with http_server(tmp_path) as (address, _):
        assert list_wells(f"{address}/p.zarr")[2] == f"{address}/p.zarr/A/1/1"
    with pytest.raises(InputError, match="plate of 2 wells: name an image in it, such as B/2/0"):
        open_large_image(tmp_path / "p.zarr")
    del plate["A/1"]
    with pytest.raises(InputError, match=r"plate .* damaged"):
        list_wells(tmp_path / "p.zarr")


def test_groups_without_an_image(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(InputError, match="group without an image"):
        open_large_image(tmp_path / "a.zarr")
    group.attrs["ome"] = {"bioformats2raw.layout": 3}
    with pytest.raises(InputError, match=r"such as .*a\.zarr/0"):
        open_large_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("dtype", ["complex64", "S3"])
def test_pixels_that_are_no_real_numbers(tmp_path, dtype):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(4, 4), dtype=dtype, zarr_format=2)
    with pytest.raises(InputError, match="real numbers"):
        open_large_image(tmp_path / "a.zarr")


def test_no_pixels(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(0, 4), dtype="u1")
    with pytest.raises(InputError, match="an image has pixels"):
        open_large_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("axes", ["CZYX", "zcyx", "ZYXC", "XYZC"])
@pytest.mark.parametrize("kind", ["ome", "plain"])
def test_axes_in_any_case_and_order_and_null_transformations(tmp_path, axes, kind):
    values = IMAGE[0].transpose(["czyx".index(axis) for axis in axes.lower()])
    place = tmp_path / "well_A1"  # no .zarr in its name
    if kind == "ome":
        group = zarr.open_group(str(place), mode="w", zarr_format=2)
        group.create_array("0", data=values)
        dataset = {"path": "0", "coordinateTransformations": [None, {"type": "identity"}]}
        entry = {"axes": [{"name": axis} for axis in axes], "datasets": [dataset], "coordinateTransformations": None}
        group.attrs.update({"multiscales": [entry], "omero": {"channels": [None]}})
    else:
        zarr.create_array(str(place), data=values, dimension_names=tuple(axes))
    with zipfile.ZipFile(tmp_path / "packed.ZIP", "w") as archive:
        for file in sorted(place.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(place))
    for location in (place, tmp_path / "packed.ZIP"):
        assert open_large_image(location).stacked == ("z",)
        np.testing.assert_array_equal(read_image(location, (2,)), np.moveaxis(IMAGE[0, :, 2], 0, -1))
        assert open_stack(location).planes == [(z,) for z in range(4)]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("kind", ["ome.tif", "imagej", "npy", "planar"])
def test_channels_are_channels_in_every_kind_of_file(tmp_path, kind, count):
    pixels = np.random.default_rng(0).integers(0, 4000, (20, 30, count)).astype(np.uint16)
    path = tmp_path / "a.tif"
    first = np.moveaxis(pixels, -1, 0)
    if kind == "npy":
        path = tmp_path / "a.npy"
        np.save(path, pixels)
    elif kind == "imagej":
        tifffile.imwrite(path, first, imagej=True, metadata={"axes": "CYX"})
    elif kind == "planar":
        how = {"extrasamples": ["unspecified"] * (count - 3)} if count > 3 else {}
        colours = "rgb" if count >= 3 else "minisblack"
        tifffile.imwrite(path, first, photometric=colours, planarconfig="separate", **how)
    else:
        tifffile.imwrite(path, first, ome=True, metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image(path), pixels)
    assert open_stack(path, one=True).planes == [()]
    np.testing.assert_array_equal(open_large_image(path).plane(channels=(1,))[..., 0], pixels[..., 1])
