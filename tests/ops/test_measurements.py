"""Tables of objects: against scikit-image, hand counts, and in micrometres."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops_table

import napari_sam as ns
from napari_sam.errors import InputError
from napari_sam.ops.measurements import add_micrometres, measure

LABELS = np.zeros((40, 50), np.int32)
LABELS[5:15, 5:20], LABELS[15:25, 10:20], LABELS[30:34, 40:50], LABELS[20, 45] = 7, 300, 12, 9


def test_shapes_are_those_of_scikit_image():
    table = measure(LABELS)
    assert table.label.tolist() == [7, 9, 12, 300]
    names = ("area", "centroid", "bbox", "perimeter", "eccentricity", "solidity", "orientation", "axis_major_length")
    theirs = pd.DataFrame(regionprops_table(LABELS, properties=("label", *names)))
    np.testing.assert_allclose(table[theirs.columns].to_numpy(float), theirs.to_numpy(float))
    assert not any("um" in name or "intensity" in name for name in table.columns)


def test_neighbours_touch_and_borders_are_known():
    table = measure(LABELS).set_index("label")
    assert table.neighbours.tolist() == [1, 0, 0, 1]
    assert table.touches_border.tolist() == [False, False, True, False]
    assert table.nearest_distance[7] == pytest.approx(np.hypot(9.5 - 19.5, 12 - 14.5))
    corners = np.zeros((8, 8), np.int32)
    corners[1:3, 1:3], corners[3:5, 3:5], corners[1:3, 4:6] = 1, 2, 3  # 1 and 2 share a corner, so do 2 and 3
    assert measure(corners).neighbours.tolist() == [1, 2, 1]
    alone = measure(np.eye(3, dtype=np.uint8))
    assert alone.neighbours.tolist() == [0]
    assert np.isnan(alone.nearest_distance[0])


def test_micrometres_stand_beside_pixels():
    table = measure(LABELS, pixel_size=0.5).set_index("label")
    plain = measure(LABELS).set_index("label")
    np.testing.assert_allclose(table.area_um2, plain.area / 4)
    for name in ("perimeter", "axis_major_length", "equivalent_diameter_area", "centroid-1", "nearest_distance"):
        np.testing.assert_allclose(table[f"{name}_um"], plain[name] / 2)
    pd.testing.assert_frame_equal(table[plain.columns], plain)
    oblong = measure(LABELS, pixel_size=(1, 0.25)).set_index("label")
    assert oblong.area_um2[7] == 150 / 4
    assert oblong["centroid-0_um"][7] == 9.5
    assert oblong["centroid-1_um"][7] == 3
    assert oblong.nearest_distance_um[7] == pytest.approx(np.hypot(10, 2.5 / 4))
    assert "perimeter_um" not in oblong  # of pixels that are not square nobody knows it


def test_brightness_of_each_channel_by_name_without_missing_pixels():
    image = np.stack([np.full((40, 50), 3.0), np.arange(2000.0).reshape(40, 50)], axis=-1)
    image[5, 5, 0], image[20, 45, 1] = np.nan, np.inf
    table = measure(LABELS, image, channels=["DAPI", "GFP"]).set_index("label")
    assert table.intensity_mean_DAPI.tolist() == [3, 3, 3, 3]
    assert table.intensity_sum_DAPI[7] == 3 * 149
    inside = image[..., 1][LABELS == 12]
    for name in ("mean", "min", "max", "std", "sum"):
        assert table[f"intensity_{name}_GFP"][12] == pytest.approx(getattr(inside, name)())
        assert np.isnan(table[f"intensity_{name}_GFP"][9])  # its only pixel is missing
    single = measure(LABELS, image[..., 1])
    assert "intensity_mean" in single
    assert "intensity_mean_1" in measure(LABELS, image)


def test_planes_one_by_one_and_objects_in_3d():
    stack = np.zeros((2, 6, 20, 20), np.uint16)
    stack[0, 1:4, 3:9, 3:9] = 5
    stack[0, 4, 12:18, 12:18] = 8
    stack[1, 0, 2, 2] = 5
    planes = measure(stack, axes=("t", "z"))
    assert planes[["label", "t", "z", "area"]].to_numpy().tolist() == [
        [5, 0, 1, 36], [5, 0, 2, 36], [5, 0, 3, 36], [8, 0, 4, 36], [5, 1, 0, 1],
    ]  # fmt: skip
    bodies = measure(stack, stack * 2.0, axes=("t",), volume=True, pixel_size=(2, 0.5, 0.5))
    assert bodies[["label", "t", "volume"]].to_numpy().tolist() == [[5, 0, 108], [8, 0, 36], [5, 1, 1]]
    assert bodies.volume_um3.tolist() == [54, 18, 0.5]
    assert bodies["centroid-0_um"].tolist() == [4, 8, 0]
    assert bodies.intensity_mean.tolist() == [10, 16, 10]
    assert bodies.neighbours.tolist() == [0, 0, 0]
    assert np.isnan(bodies.solidity[1])  # flat
    assert not any(name.startswith("area") for name in bodies.columns)


def test_numbers_of_any_size_and_no_objects():
    large = LABELS.astype(np.uint64) * 2**40
    assert measure(large).label.tolist() == [label * 2**40 for label in (7, 9, 12, 300)]
    empty = measure(np.zeros((9, 9), np.uint8), np.zeros((9, 9, 2)), channels="ab", pixel_size=2)
    assert len(empty) == 0
    assert set(empty.columns) == set(measure(LABELS, np.zeros((40, 50, 2)), channels="ab", pixel_size=2).columns)


def test_what_does_not_fit_is_one_sentence():
    for arguments, says in (
        (({"labels": LABELS[0]}), "has two"),
        (({"labels": LABELS, "volume": True}), "three axes"),
        (({"labels": LABELS * 1.5}), "whole numbers"),
        (({"labels": LABELS, "image": LABELS[1:]}), "labels of the image"),
        (({"labels": LABELS, "image": LABELS, "channels": ["a", "b"]}), "2 names for 1"),
        (({"labels": LABELS, "pixel_size": (1, 2, 3)}), "give 2 numbers"),
        (({"labels": LABELS, "pixel_size": 0}), "above 0"),
        (({"labels": LABELS[None], "axes": ("t", "z")}), "2 names for 1 leading"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            measure(**arguments)
        assert "\n" not in str(caught.value)


def test_features_tables_get_micrometres():
    values = {"label": 1, "area": 4, "perimeter": 6.0, "centroid-1": 3.0}
    columns = {name: np.array([value]) for name, value in values.items()}
    found = add_micrometres(columns, (0.5, 0.5))
    assert list(found) == ["label", "area", "area_um2", "perimeter", "perimeter_um", "centroid-1", "centroid-1_um"]
    assert [found[name][0] for name in ("area_um2", "perimeter_um", "centroid-1_um")] == [1, 3, 1.5]
    assert "perimeter_um" not in add_micrometres(columns, (0.5, 1))
    assert add_micrometres(columns, None) == columns


def test_it_is_public():
    assert ns.measure is measure
