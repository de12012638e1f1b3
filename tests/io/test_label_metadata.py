"""Metadata of label images that the tests of the store do not reach."""

from __future__ import annotations

import pytest
import zarr

from napari_sam.io.label_metadata import describe_image, describe_labels, level_count, set_colors
from napari_sam.io.label_pyramid import LevelPlan

LEVELS = [LevelPlan((4, 4), (1.0, 1.0), (0.0, 0.0)), LevelPlan((2, 2), (2.0, 2.0), (0.5, 0.5))]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_colours_are_listed_for_few_labels_only(zarr_format):
    group = zarr.create_group(store={}, zarr_format=zarr_format)
    describe_image(group, "cells", "yx", ("", ""), LEVELS)
    for count, listed in ((1000, 1000), (1001, 0), (2, 2), (0, 0)):  # a list that is too short hides labels
        set_colors(group, count)
        label = group.attrs.asdict().get("ome", group.attrs.asdict())["image-label"]
        assert len(label.get("colors", [])) == listed
        assert label["version"] == ("0.4" if zarr_format == 2 else "0.5")
    set_colors(group, 300)
    colors = group.attrs.asdict().get("ome", group.attrs.asdict())["image-label"]["colors"]
    assert len({tuple(color["rgba"]) for color in colors}) > 250
    assert all(0 <= part <= 255 for color in colors for part in color["rgba"])


def test_only_an_image_fixes_the_number_of_levels():
    group = zarr.create_group(store={}, zarr_format=3)
    group.create_group("labels/cells")
    group.create_group("labels/nuclei")
    assert level_count(group) is None
    for name in ("cells", "nuclei", "cells"):
        describe_labels(group, name, "yx", ("", ""), LEVELS)
    assert level_count(group) is None
    assert [entry["name"] for entry in group.attrs["ome"]["multiscales"]] == ["cells"]
    assert group["labels"].attrs["ome"]["labels"] == ["cells", "nuclei"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": [{"path": "0"}, {"path": "labels/1"}]}]}
    assert level_count(group) == 2
