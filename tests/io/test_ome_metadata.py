"""Metadata of OME-Zarr groups: both versions, transformations in their order, what is wrong in one sentence."""

from __future__ import annotations

from typing import Any

import pytest
import zarr

from napari_sam.errors import InputError
from napari_sam.io.ome_metadata import is_plate, read_ome_image, well_paths

AXES = [
    {"name": "c", "type": "channel"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def group_of(version: str = "0.5", *, axes: Any = AXES, shape: tuple[int, ...] = (2, 8, 8), **more: Any) -> zarr.Group:
    group = zarr.open_group({}, mode="w", zarr_format=2 if version == "0.4" else 3)
    image: dict[str, Any] = {"datasets": more.pop("datasets", [{"path": "a/0"}, {"path": "a/1"}])}
    if axes:
        image["axes"] = axes
    for dataset in image["datasets"]:
        group.create_array(dataset["path"], shape=shape, dtype="u1")
    image |= {key: more.pop(key) for key in list(more) if key == "coordinateTransformations"}
    attributes = {"multiscales": [image], **more}
    group.attrs.update(attributes if version == "0.4" else {"ome": {"version": version, **attributes}})
    return group


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_with_their_transformations(version):
    datasets = [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5, 0.25]}]},
        {
            "path": "1",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 0.5]},
                {"type": "translation", "translation": [0, 0.25, 0.125]},
            ],
        },
    ]
    whole = [{"type": "scale", "scale": [1, 2, 2]}, {"type": "translation", "translation": [0, 10, 20]}]
    omero = {"channels": [{"label": "DAPI"}, {"color": "FF0000"}]}
    image = read_ome_image(group_of(version, datasets=datasets, coordinateTransformations=whole, omero=omero), "a.zarr")
    assert image.version == version
    assert image.axes == ("c", "y", "x")
    assert [level.scale for level in image.levels] == [(1, 1, 0.5), (1, 2, 1)]
    assert [level.translation for level in image.levels] == [(0, 10, 20), (0, 10.5, 20.25)]
    assert image.levels[0].units == ("", "micrometer", "micrometer")
    assert image.channel_names == ("DAPI", "")


def test_earlier_versions_name_axes_by_letters_or_not_at_all():
    assert read_ome_image(group_of("0.4", axes=["t", "y", "x"]), "a").axes == ("t", "y", "x")
    image = read_ome_image(group_of("0.4", axes=None, shape=(1, 1, 2, 8, 8)), "a")
    assert image.axes == ("t", "c", "z", "y", "x")
    assert image.levels[1].scale == (1.0,) * 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": ["q", "y", "x"]}, "axes q, y, x"),
        ({"axes": ["y", "x"]}, r"shape \(2, 8, 8\)"),
        ({"axes": [{"type": "space"}] * 3}, "metadata of a.zarr"),
        ({"datasets": []}, "metadata of a.zarr"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}, "metadata of a.zarr"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, 0, 1]}]}, "not positive"),
        ({"coordinateTransformations": [{"type": "scale", "path": "0"}]}, "metadata of a.zarr"),
    ],
)
def test_broken_metadata_is_one_sentence(changes, words):
    with pytest.raises(InputError, match=words):
        read_ome_image(group_of(**changes), "a.zarr")


def test_a_level_that_is_missing():
    group = group_of()
    del group["a/1"]
    with pytest.raises(InputError, match="a/1"):
        read_ome_image(group, "a.zarr")


def test_plates():
    group = zarr.open_group({}, mode="w")
    assert not is_plate(group)
    group.attrs["ome"] = {"plate": {"wells": [{"path": "B/2"}, {"path": "A/1"}]}}
    assert is_plate(group)
    assert well_paths(group) == ["B/2", "A/1"]
