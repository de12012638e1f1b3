"""Objects of known looks are described as anyone would."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.config.caption_words import FACETS
from napari_sam.data.captions import UNKNOWN
from napari_sam.data.object_attributes import describe, equal_diameter
from napari_sam.ops.mask_record import MaskRecord

SHAPE = (100, 100)
ROWS, COLS = np.mgrid[:100, :100]
DISC = np.hypot(ROWS - 50, COLS - 50) < 18
BAR = (abs(ROWS - 50) < 6) & (abs(COLS - 50) < 30)
CROSS = BAR | BAR.T
ANGLE = np.arctan2(ROWS - 50, COLS - 50)
THREAD = abs(ROWS - 50 - 18 * np.sin(COLS / 12)) < 2


def record(mask: np.ndarray) -> MaskRecord:
    return MaskRecord.from_patch(mask, image_shape=SHAPE)


def said(mask: np.ndarray = DISC, image: np.ndarray | None = None, **known) -> dict[str, str]:
    if image is None:
        image = np.where(mask[..., None], 200, 20).astype(np.uint8).repeat(3, axis=-1)
    codes = describe(image, record(mask), **known)
    return {facet: values[code] for code, (facet, values) in zip(codes, FACETS.items(), strict=True) if code != UNKNOWN}


def paint(inside, outside) -> np.ndarray:
    return np.where(DISC[..., None], np.array(inside), np.array(outside)).astype(np.uint8)


@pytest.mark.parametrize(
    ("mask", "shape"), [(DISC, "round"), (BAR, "elongated"), (CROSS, "irregular"), (THREAD, "elongated")]
)
def test_shape(mask, shape):
    assert said(mask)["shape"] == shape


def test_shape_of_the_undecided_and_the_tiny_is_left_open():
    oval = np.hypot((ROWS - 50) / 0.7, COLS - 50) < 20
    assert "shape" not in said(oval)
    assert "shape" not in said(np.hypot(ROWS - 50, COLS - 50) < 2.5)


@pytest.mark.parametrize(("usual", "size"), [(20, "large"), (36, None), (60, "small"), (0, None)])
def test_size_is_relative(usual, size):
    assert said(usual=float(usual)).get("size") == size


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        (200, 20, "bright"),
        (50, 5, "dark"),
        (120, 220, "dark"),  # a shade on bright ground
        (110, 100, None),
        (180, 250, None),  # light itself, yet darker than its ground
    ],
)
def test_brightness(inside, outside, expected):
    assert said(image=paint([inside] * 3, [outside] * 3)).get("brightness") == expected


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((120, 60, 150), "purple"),
        ((140, 90, 50), "brown"),
        ((40, 180, 60), "green"),
        ((60, 90, 200), "blue"),
        ((230, 120, 160), "pink"),
        ((128, 128, 128), "gray"),
        ((128, 128, 145), None),
    ],
)
def test_colour(colour, expected):
    assert said(image=paint(colour, (255, 255, 255))).get("colour") == expected


def test_texture():
    rng = np.random.default_rng(0)
    smooth = paint([120] * 3, [0] * 3)
    coarse = np.kron(rng.normal(0, 50, (50, 50, 1)), np.ones((2, 2, 1)))
    rough = np.clip(smooth + coarse, 0, 255).astype(np.uint8)
    assert said(image=smooth)["texture"] == "smooth"
    assert said(image=rough)["texture"] == "textured"
    tiny = np.hypot(ROWS - 50, COLS - 50) < 4
    assert "texture" not in said(tiny)


def test_crowding():
    labels = DISC.astype(np.int32)
    assert said(taken=labels)["crowding"] == "isolated"
    ring = np.hypot(ROWS - 50, COLS - 50)
    touched = np.where((ring >= 18) & (ring < 26) & (COLS > 40), 2, labels)
    assert said(taken=touched)["crowding"] == "crowded"
    beside = np.where((ring >= 24) & (ring < 28), 2, labels)
    assert "crowding" not in said(taken=beside)


def test_background_has_neither_size_nor_shape():
    known = said(usual=10.0, taken=DISC.astype(np.int32), kind="background", modality="brightfield")
    assert known == {"colour": "gray", "kind": "background", "modality": "brightfield"}


def test_an_object_at_the_border_is_described():
    corner = np.hypot(ROWS, COLS) < 20
    assert said(corner)["brightness"] == "bright"
    everything = np.ones(SHAPE, bool)
    assert said(everything)["brightness"] == "bright"


def test_usual_diameter_needs_a_few_objects():
    assert equal_diameter([record(DISC)] * 3) == 0
    assert equal_diameter([record(DISC)] * 4) == pytest.approx(36, abs=1)
