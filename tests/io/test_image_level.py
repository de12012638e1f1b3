"""Axes guessed from shapes and names; levels chosen by the size of their pixels."""

from __future__ import annotations

import pytest

from napari_sam.errors import InputError
from napari_sam.io.image_level import ImageLevel, check_axes, guess_axes, nearest_level


@pytest.mark.parametrize(
    ("shape", "names", "axes"),
    [
        ((40, 50), None, "yx"),
        ((40, 50, 3), None, "yxc"),
        ((7, 40, 50), None, "zyx"),
        ((3, 3, 3), None, "zyx"),
        ((7, 40, 50, 4), None, "zyxc"),
        ((2, 7, 40, 50), None, "tzyx"),
        ((2, 3, 7, 40, 50), None, "tczyx"),
        ((2, 40, 50), ("c", "y", "x"), "cyx"),
        ((2, 40, 50), ("Time", "Y", "X"), "tyx"),
        ((2, 40, 50), ("a", "y", "x"), "zyx"),
        ((2, 40, 50), ("c", None, None), "zyx"),
        ((40, 50, 3), ("z", "z", "x"), "yxc"),
        ((9,), None, ""),
        ((1,) * 6, None, ""),
    ],
)
def test_guess(shape, names, axes):
    assert guess_axes(shape, names) == tuple(axes)


@pytest.mark.parametrize("axes", ["", "yy", "zx", "qyx", "tyx"])
def test_axes_that_no_image_has(axes):
    with pytest.raises(InputError, match=r"a\.zarr has shape \(40, 50\)"):
        check_axes(tuple(axes), [(40, 50)], "a.zarr")


def level(size: float, unit: str = "micrometer") -> ImageLevel:
    return ImageLevel(None, (size, size), (0.0, 0.0), (unit, unit))


def test_nearest_level_is_nearest_in_ratio():
    levels = [level(0.25), level(0.5), level(1.0), level(2.0)]
    assert [nearest_level(levels, 0, size) for size in (0.01, 0.34, 0.37, 1.4, 1.45, 50.0)] == [0, 0, 1, 2, 3, 3]
    assert nearest_level([level(250, "nanometer"), level(0.5, "micrometer")], 0, 0.5) == 1
    assert nearest_level([level(1, ""), level(2, "")], 0, 2) == 1
