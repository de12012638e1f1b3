"""Objects that go on over planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_sam.batch.link import link, overlaps, sum_overlaps
from napari_sam.errors import InputError


def linked(planes, *, along_z=False, **settings):
    """Link label images, and return them with the new ids."""
    planes = [np.asarray(plane) for plane in planes]
    areas = [np.bincount(plane.ravel()) for plane in planes]
    centres = None
    if along_z:
        places = [np.indices(plane.shape).reshape(2, -1) for plane in planes]
        centres = [
            np.stack([np.bincount(plane.ravel(), side) for side in place], axis=1) / np.maximum(area, 1)[:, None]
            for plane, place, area in zip(planes, places, areas, strict=True)
        ]
    lookup = link(areas, lambda p, q: overlaps(planes[p], planes[q]), centres=centres, **settings)
    return [ids[plane] for ids, plane in zip(lookup, planes, strict=True)]


def sections(bodies, step, start=0.0):
    """Cut bodies, (z, row, col, radius) each, into planes of (64, 64) pixels, in each plane with other numbers."""
    last = max(z + radius for z, _, _, radius in bodies)
    rows, cols = np.indices((64, 64))
    planes = []
    for k, height in enumerate(np.arange(start, last, step)):
        plane = np.zeros((64, 64), np.int32)
        order = np.random.default_rng(k).permutation(len(bodies)) + 1
        for label, (z, row, col, radius) in zip(order, bodies, strict=True):
            plane[(rows - row) ** 2 + (cols - col) ** 2 < radius**2 - (height - z) ** 2] = label
        planes.append(plane)
    return planes


def one_row(*runs, length=30):
    """A row of labels from (label, begin, end)."""
    row = np.zeros((1, length), np.int32)
    for label, begin, end in runs:
        row[0, begin:end] = label
    return row


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 12))
def test_overlaps_add_up_over_blocks_in_any_order(seed, cut):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, (2, 12, 9)).astype(np.int32) * rng.choice([1, 400_000_000])
    pairs, counts = overlaps(a, b)
    wanted = [(i, j, n) for i in np.unique(a) for j in np.unique(b) if i and j and (n := ((a == i) & (b == j)).sum())]
    assert [(*pair, n) for pair, n in zip(pairs.tolist(), counts.tolist(), strict=True)] == wanted
    blocks = [overlaps(a[cut:], b[cut:]), overlaps(a[:cut], b[:cut])]
    for parts in (blocks, blocks[::-1], iter(blocks)):
        summed = sum_overlaps(parts)
        np.testing.assert_array_equal(summed[0], pairs)
        np.testing.assert_array_equal(summed[1], counts)
    assert sum_overlaps([])[0].shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.05, 0.2, 0.5]))
def test_pairs_are_those_of_one_after_another(seed, threshold):
    """The rounds pair as the rule says it: the best overlap first, of equals the lower labels, each label once."""
    rng = np.random.default_rng(seed)
    a, b = np.repeat(rng.integers(0, 7, (2, 15)), 2, axis=1)[..., None].astype(np.int32)
    candidates = []
    for i in range(1, a.max() + 1):
        for j in range(1, b.max() + 1):
            shared, union = ((a == i) & (b == j)).sum(), ((a == i) | (b == j)).sum()
            if shared and shared / union >= threshold:
                candidates.append((-shared / union, i, j))
    wanted: dict[int, int] = {}
    for _, i, j in sorted(candidates):
        if i not in wanted and j not in wanted.values():
            wanted[i] = j
    first, second = linked([a, b], threshold=threshold)
    found = {
        int(i): int(j) for i in np.unique(a) for j in np.unique(b) if i and j and first[a == i][0] == second[b == j][0]
    }
    assert found == wanted
    both = np.union1d(first, second)
    np.testing.assert_array_equal(both[both > 0], np.arange(1, (both > 0).sum() + 1))


def test_a_tube_keeps_its_id_and_ids_rise_with_the_plane_of_birth():
    planes = [one_row((1, 10, 20)), one_row((1, 0, 5), (2, 11, 21)), one_row((1, 12, 22), (2, 0, 5))]
    ids = linked(planes)
    assert [np.unique(plane[0, 12:20]).tolist() for plane in ids] == [[1], [1], [1]]
    assert ids[1][0, 0] == ids[2][0, 0] == 2


def test_gaps_are_closed_up_to_their_length_only():
    there, gone, other = one_row((1, 5, 15)), one_row((1, 20, 25)), one_row()
    first, _, third = linked([there, gone, there])
    np.testing.assert_array_equal(first, third)
    first, _, third = linked([there, gone, there], gap=0)
    assert first.max() != third.max()
    first, *_, last = linked([there, other, other, there], gap=1)
    assert (first.max(), last.max()) == (1, 2)
    first, *_, last = linked([there, other, other, there], gap=2)
    np.testing.assert_array_equal(first, last)


def test_a_gap_takes_only_what_neighbours_left():
    # label 1 goes on into plane 1 and 2; what begins in plane 2 at its place of plane 0 is another object
    planes = [one_row((1, 0, 10)), one_row((1, 4, 14)), one_row((1, 8, 18), (2, 0, 8))]
    first, second, third = linked(planes, threshold=0.4)
    assert first.max() == second.max() == third[0, 9] == 1
    assert third[0, 0] == 2
    # what goes on from plane 1 is not free for plane 0, though it lies as near
    first, second, third = linked([one_row((1, 0, 10)), one_row((1, 6, 16)), one_row((1, 3, 13))], threshold=0.4)
    assert (first.max(), second.max(), third.max()) == (1, 2, 2)


def test_a_division_goes_on_in_the_larger_part_and_ties_in_the_lower_label():
    whole, parts = one_row((3, 0, 20)), one_row((1, 0, 8), (2, 8, 20))
    first, second = linked([whole, parts], threshold=0.3)
    assert first.max() == second[0, 10] == 1
    assert second[0, 0] == 2
    first, second = linked([whole, one_row((2, 0, 10), (5, 10, 20))], threshold=0.3)
    assert first.max() == second[0, 0] == 1


def test_the_threshold_itself_links():
    planes = [one_row((1, 0, 10)), one_row((1, 5, 10))]
    assert linked(planes, threshold=0.5)[1].max() == 1
    assert linked(planes, threshold=0.51)[1].max() == 2


def test_empty_planes_and_unusable_settings():
    assert link([], lambda p, q: pytest.fail("nothing to ask for")) == []
    assert [plane.max() for plane in linked([one_row(), one_row((4, 0, 3)), one_row()])] == [0, 1, 0]
    with pytest.raises(InputError, match=r"threshold of linking is 1\.5"):
        linked([one_row()], threshold=1.5)
    with pytest.raises(InputError, match="gap of linking is -1"):
        linked([one_row()], gap=-1)


@settings(max_examples=60, deadline=None)
@given(
    radius=st.floats(3, 28), step=st.floats(0.05, 0.9), start=st.floats(0, 1), shift=st.tuples(*[st.floats(-2, 2)] * 2)
)
def test_a_sphere_is_one_object_at_any_distance_of_planes(radius, step, start, shift):
    sphere = (radius, 32 + shift[0], 32 + shift[1], radius)
    planes = sections([sphere], step * radius, start * step * radius)
    ids = np.stack(linked(planes, along_z=True))
    np.testing.assert_array_equal(ids, np.stack(planes) > 0)


@settings(max_examples=60, deadline=None)
@given(
    radii=st.tuples(st.floats(7, 13), st.floats(7, 13)),
    tilt=st.floats(0, np.pi / 2),
    turn=st.floats(0, 2 * np.pi),
    step=st.floats(0.1, 0.3),
    start=st.floats(0, 1),
)
def test_two_touching_spheres_are_two(radii, tilt, turn, step, start):
    """Side by side, one on top of the other, and all between."""
    one, other = radii
    away = (one + other + 1) * np.array([np.cos(tilt), np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn)])
    step *= min(radii)
    bodies = [(30.0, 32.0, 32.0, one), (30 + away[0], 32 + away[1], 32 + away[2], other)]
    low = 30 - max(radii)
    planes = sections(bodies, step, low + start * step)
    ids = np.stack(linked(planes, along_z=True))
    heights = low + start * step + step * np.arange(len(planes))
    place = np.stack(np.meshgrid(heights, np.arange(64), np.arange(64), indexing="ij"), axis=-1)
    of = [((place - body[:3]) ** 2).sum(-1) < body[3] ** 2 for body in bodies]
    found = [np.unique(ids[inside], return_counts=True) for inside in of]
    main = [numbers[counts.argmax()] for numbers, counts in found]
    assert main[0] != main[1]
    for (_, counts), inside in zip(found, of, strict=True):
        assert counts.max() > 0.85 * inside.sum()  # a section at the waist may go with the other one


def test_a_rod_that_bends_is_followed_by_its_motion():
    rows, cols = np.indices((20, 60))
    at = 6 + np.cumsum([0, 0, 2, 3, 4, 5, 5, 5])
    planes = [((rows - 10) ** 2 + (cols - col) ** 2 < 25).astype(np.int32) for col in at]
    assert [plane.max() for plane in linked(planes, along_z=True, threshold=0.3)] == [1] * 8
    assert linked(planes, threshold=0.3)[-1].max() > 1  # overlap alone loses it
    sudden = [planes[0], planes[1], np.roll(planes[1], 5, axis=1)]  # so near, but it came from nowhere
    assert [plane.max() for plane in linked(sudden, along_z=True, threshold=0.3)] == [1, 1, 2]


def test_one_poor_section_parts_nothing_and_times_know_no_waists():
    wide, narrow = one_row((1, 0, 20)), one_row((1, 5, 13))
    stack = [wide, wide, narrow, wide, wide]
    assert [plane.max() for plane in linked(stack, along_z=True)] == [1] * 5
    assert [plane.max() for plane in linked([wide, one_row(), wide], along_z=True)] == [1, 0, 1]
    waist = [wide, one_row((1, 4, 16)), one_row((1, 6, 12)), one_row((1, 6, 12)), one_row((1, 4, 16)), wide]
    assert [plane.max() for plane in linked(waist)] == [1] * 6
    assert [plane.max() for plane in linked(waist, along_z=True)] == [1, 1, 1, 2, 2, 2]


def test_a_speck_in_the_shadow_of_a_cell_is_not_its_pole_while_the_cell_goes_on():
    cell = one_row((1, 0, 20))
    ids = linked([cell, one_row((1, 0, 20), (2, 24, 27)), cell, one_row((3, 8, 11))], along_z=True)
    assert [plane.max() for plane in ids] == [1, 2, 1, 1]
