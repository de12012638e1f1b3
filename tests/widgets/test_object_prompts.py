from __future__ import annotations

import numpy as np
import pytest

from napari_sam.widgets.object_prompts import MaskSeed, PointPrompt, ShapePrompt, group_objects

SHAPE = (40, 50)


def point(row: float, col: float, positive: bool = True, number: int = 0) -> PointPrompt:
    return PointPrompt((row, col), positive, number)


def rectangle(
    row0: float, col0: float, row1: float, col1: float, number: int = 0, kind: str = "rectangle"
) -> ShapePrompt:
    corners = ((row0, col0), (row0, col1), (row1, col1), (row1, col0))
    return ShapePrompt(kind, tuple((r - 0.5, c - 0.5) for r, c in corners), True, number)


def group(points=(), shapes=(), **options):  # type: ignore[no-untyped-def]
    return group_objects(points, shapes, shape=SHAPE, **({"one_per_shape": False} | options))


def test_a_drawn_rectangle_covers_whole_pixels() -> None:
    (prompts,) = group(shapes=[rectangle(3, 4, 10, 12)])
    assert prompts.box == (3, 4, 10, 12)
    assert (prompts.points, prompts.outlines) == ((), ())


def test_a_box_is_clipped_to_the_image_and_none_is_left_outside() -> None:
    assert group(shapes=[rectangle(-5, 30, 20, 90)])[0].box == (0, 30, 20, 50)
    assert group(shapes=[rectangle(-9, 3, -2, 8)]) == []
    assert group(shapes=[rectangle(4, 4, 4.3, 9)]) == []


def test_points_of_both_kinds_and_those_outside() -> None:
    (prompts,) = group([point(1, 2), point(3, 4, False), point(40, 3), point(39.4, 3)])
    assert prompts.points == ((1, 2), (3, 4), (39.4, 3))
    assert prompts.labels == (1, 0, 1)


def test_negative_points_alone_say_of_no_object() -> None:
    assert group([point(1, 2, False)]) == []


def test_a_scribble_becomes_points_along_it() -> None:
    path = ShapePrompt("path", ((10, 10), (10, 26), (26, 26)), True, 0)
    (prompts,) = group(shapes=[path])
    assert prompts.points == ((10, 18), (18, 26))
    assert prompts.labels == (1, 1)
    (short,) = group(shapes=[ShapePrompt("line", ((10, 10), (10, 14)), True, 0)])
    assert short.points == ((10, 11), (10, 13))


def test_a_long_scribble_gives_few_points_and_a_negative_one_negative_points() -> None:
    path = ShapePrompt("path", ((0, 0), (0, 49), (39, 49)), False, 0)
    (prompts,) = group([point(20, 20)], [path])
    assert prompts.labels == (0, 0, 0, 0, 1)


def test_a_polygon_is_a_mask_and_a_box() -> None:
    polygon = ShapePrompt("polygon", ((5, 5), (5, 15), (15, 10)), True, 0)
    (prompts,) = group(shapes=[polygon])
    mask = prompts.render(SHAPE).mask
    assert mask is not None
    assert mask.shape == SHAPE
    assert mask[6, 10]
    assert not mask[14, 6]
    assert prompts.box == (5.5, 5.5, 15.5, 15.5)


def test_an_outline_too_thin_for_the_middle_of_a_pixel_marks_what_it_crosses() -> None:
    begun = ShapePrompt("polygon", ((5.3, 5.2), (10.3, 10.2), (15.3, 15.2)), True, 0)  # as in the middle of drawing it
    (prompts,) = group(shapes=[begun])
    mask = prompts.render(SHAPE).mask
    assert mask is not None
    assert mask[10, 10]
    assert mask.sum() < 40


def test_an_ellipse_fills_its_box() -> None:
    (prompts,) = group(shapes=[rectangle(10, 10, 30, 20, kind="ellipse")])
    mask = prompts.render(SHAPE).mask
    assert mask is not None
    assert abs(mask.sum() - np.pi * 10 * 5) < 12
    assert np.flatnonzero(mask.any(axis=1)).tolist()[0] in (10, 11)
    assert not mask[10, 10]


def test_all_shapes_together_are_one_object() -> None:
    (prompts,) = group([point(5, 5)], [rectangle(3, 3, 9, 9, 0), rectangle(20, 20, 30, 31, 1)])
    assert prompts.box == (3, 3, 30, 31)
    assert prompts.shape_rows == (0, 1)


def test_each_shape_is_an_object_with_the_points_inside_it() -> None:
    shapes = [rectangle(0, 0, 20, 20, 0), rectangle(5, 5, 10, 10, 1), rectangle(25, 25, 35, 35, 2)]
    points = [point(7, 7, True, 0), point(15, 15, False, 1), point(38, 3, True, 2)]
    outer, inner, other, free = group(points, shapes, one_per_shape=True)
    assert (outer.points, outer.labels) == (((15, 15),), (0,))
    assert inner.points == ((7, 7),)
    assert other.points == ()
    assert (free.points, free.box) == (((38, 3),), None)
    assert [each.shape_rows for each in (outer, inner, other, free)] == [(0,), (1,), (2,), ()]
    assert [each.point_rows for each in (outer, inner, other, free)] == [(1,), (0,), (), (2,)]


def test_a_seed_is_part_of_the_mask() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:9, 11:13] = True
    seed = MaskSeed.of(mask, 7)
    assert (seed.origin, seed.patch.shape) == ((4, 11), (5, 2))
    (prompts,) = group(seed=seed)
    assert prompts.box == (4, 11, 9, 13)
    rendered = prompts.render(SHAPE).mask
    assert rendered is not None
    np.testing.assert_array_equal(rendered, mask)


@pytest.mark.parametrize("change", ["moved", "removed", "relabelled", "box"])
def test_only_added_points_extend(change: str) -> None:
    (before,) = group([point(1, 1), point(2, 2)])
    (added,) = group([point(1, 1), point(2, 2), point(3, 3)])
    assert added.extends(before)
    assert not before.extends(before)
    (after,) = {
        "moved": group([point(1, 1), point(2, 5), point(3, 3)]),
        "removed": group([point(1, 1)]),
        "relabelled": group([point(1, 1), point(2, 2, False), point(3, 3)]),
        "box": group([point(1, 1), point(2, 2), point(3, 3)], [rectangle(0, 0, 9, 9)]),
    }[change]
    assert not after.extends(before)
