"""Loose arguments become records, or one sentence that says what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from napari_sam.errors import InputError
from napari_sam.inference.prompt_check import check_prompts

SHAPE = (40, 50)
M = 16


def check(points=None, labels=None, box=None, mask=None):
    return check_prompts(points, labels, box, mask, SHAPE, M)


def test_everything_at_once():
    mask = np.zeros(SHAPE, np.uint8)
    mask[3, 4] = 7
    prompts = check([(1, 2), (3.5, 4)], [True, False], [0, 1, 20, 30], mask)
    assert prompts.points == ((1.0, 2.0), (3.5, 4.0))
    assert prompts.labels == (1, 0)
    assert prompts.box == (0.0, 1.0, 20.0, 30.0)
    assert prompts.mask.dtype == bool
    assert prompts.mask.sum() == 1


def test_points_are_positive_unless_said():
    assert check(np.array([[1, 2], [3, 4]])).labels == (1, 1)


@given(st.floats(-0.5, 39.5), st.floats(-0.5, 49.5))
def test_any_place_on_a_pixel_is_inside(row, col):
    assert check([(row, col)]).points == ((row, col),)


@given(
    st.floats(allow_nan=True, allow_infinity=True).filter(lambda v: not -0.5 <= v <= 39.5),
    st.floats(0, 49),
)
def test_no_place_off_the_image_is_taken(row, col):
    with pytest.raises(InputError, match="outside of the image of 40 rows and 50 columns"):
        check([(row, col)])


def test_a_box_is_clipped_to_the_image():
    assert check(box=(-5, 10, 500, 20)).box == (0.0, 10.0, 40.0, 20.0)


def test_logits_may_carry_a_leading_one():
    logits = np.random.default_rng(0).normal(size=(1, M, M))
    mask = check(mask=logits).mask
    assert mask.shape == (M, M)
    assert mask.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "No prompt given"),
        ({"points": []}, "No prompt given"),
        ({"points": [(1, 2, 3)]}, r"shape \(1, 3\)"),
        ({"points": (1, 2)}, r"shape \(2,\)"),
        ({"points": 5}, r"shape \(\)"),
        ({"points": "ab"}, "Cannot read the points"),
        ({"points": [(1, 2), (3,)]}, "Cannot read the points"),
        ({"points": [(1, 50)]}, r"\(1, 50\) lies outside"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "1 points but 2 point labels"),
        ({"points": [(1, 2), (1, 3)], "labels": [1]}, "2 points but 1 point labels"),
        ({"labels": [1], "box": (0, 0, 5, 5)}, "0 points but 1 point labels"),
        ({"points": [(1, 2)], "labels": [2]}, "only 1"),
        ({"points": [(1, 2)], "labels": ["a"]}, "only 1"),
        ({"points": [(1, 2), (1, 3)], "labels": [[1], [1, 0]]}, "Cannot read the point labels"),
        ({"box": (1, 2, 3)}, "four numbers"),
        ({"box": "abcd"}, "Cannot read the box"),
        ({"box": (0, 0, np.nan, 5)}, "four numbers"),
        ({"box": (5, 5, 5, 9)}, "no area"),
        ({"box": (9, 5, 5, 9)}, "no area"),
        ({"box": (50, 5, 60, 9)}, "outside"),
        ({"mask": np.zeros(SHAPE, bool)}, "empty"),
        ({"mask": np.ones((50, 40), bool)}, r"booleans of shape \(40, 50\)"),
        ({"mask": np.ones(SHAPE, np.float32)}, "logits"),
        ({"mask": np.full((M, M), np.inf)}, "infinite"),
        ({"mask": "x"}, "type"),
        ({"mask": np.ones(SHAPE, complex)}, "type complex"),
    ],
)
def test_each_mistake_gets_one_sentence(arguments, says):
    with pytest.raises(InputError, match=says) as caught:
        check(**arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert ":" in message  # what was found: what to do
