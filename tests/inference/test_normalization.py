"""Every kind of pixel becomes the picture that the eye sees; what cannot is answered with one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.inference.normalization import (
    Normalization,
    apply_normalization,
    missing_pixels,
    resolve_normalization,
)

RNG = np.random.default_rng(0)
GRAY = (RNG.random((40, 50)) * 200 + 20).astype(np.uint8)


def look(image, normalization="auto", channels=None):
    return apply_normalization(image, resolve_normalization(image, normalization, channels), channels)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float16, np.float32, np.float64]
)
def test_the_same_scene_looks_the_same_in_every_type(dtype):
    scene = (GRAY.astype(np.float64) - 20) / 2
    rgb = look(scene.astype(dtype))
    assert rgb.shape == (40, 50, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - look(scene.astype(np.uint8)).astype(int)).max() <= 3


def test_12_bits_in_16_look_like_their_8_bit_twin():
    twelve = GRAY.astype(np.uint16) * 16
    assert np.abs(look(twelve).astype(int) - look(GRAY).astype(int)).max() <= 1


def test_booleans_become_black_and_white():
    image = np.zeros((10, 10), bool)
    image[2:5, 2:5] = True
    rgb = look(image)
    assert set(np.unique(rgb)) == {0, 255}
    assert (rgb[2:5, 2:5] == 255).all()


def test_8_bit_colour_is_taken_as_it_is_and_alpha_dropped():
    rgb = RNG.integers(50, 100, (20, 20, 3)).astype(np.uint8)
    np.testing.assert_array_equal(look(rgb), rgb)
    rgba = np.concatenate([rgb, np.full((20, 20, 1), 9, np.uint8)], axis=-1)
    np.testing.assert_array_equal(look(rgba), rgb)


def test_16_bit_colour_is_stretched_together():
    image = np.zeros((30, 30, 3), np.uint16)
    image[..., 0] = np.linspace(0, 4000, 900).reshape(30, 30)
    image[..., 1] = image[..., 0] // 2
    rgb = look(image)
    assert rgb[..., 0].max() == 255
    assert 120 <= rgb[..., 1].max() <= 135


def test_two_chosen_channels_are_stretched_each_and_averaged():
    image = np.stack([GRAY.astype(np.float32), GRAY.astype(np.float32) * 1000], axis=-1)
    rgb = look(image, channels=(0, 1))
    assert np.abs(rgb.astype(int) - look(GRAY).astype(int)).max() <= 1
    recorded = resolve_normalization(image, channels=(0, 1))
    assert len(recorded.low) == 2


@pytest.mark.parametrize("count", [2, 4, 5])
@pytest.mark.parametrize("where", [0, -1])
def test_of_other_channels_the_one_with_most_signal_is_looked_at_and_said(count, where):
    rows, cols = np.mgrid[:120, :150]
    spots = 3000 * np.exp(-((rows % 30 - 15) ** 2 + (cols % 30 - 15) ** 2) / 30)
    image = RNG.normal(500, 100, (120, 150, count))
    image[..., :] += np.linspace(0, 200, 150)[:, None]  # uneven light is no signal
    image[..., where] = spots + RNG.normal(500, 60, rows.shape)
    image = image.clip(0).astype(np.uint16)
    with pytest.warns(UserWarning, match="most signal"):
        recorded = resolve_normalization(image)
    assert recorded.channels == (where % count,)
    np.testing.assert_array_equal(apply_normalization(image, recorded), look(image[..., where]))


def test_a_fourth_channel_that_is_the_same_everywhere_is_left_out():
    image = np.dstack([RNG.integers(0, 4000, (20, 30, 3)), np.full((20, 30), 65535)]).astype(np.uint16)
    np.testing.assert_array_equal(look(image), look(image[..., :3]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_missing_values_are_black_and_do_not_decide_the_brightness(value, dtype):
    image = GRAY.astype(dtype)
    want = look(image[:, :40])
    image[:, 40:] = value
    with pytest.warns(UserWarning, match="NaN or infinite"):
        rgb = look(image)
    np.testing.assert_array_equal(rgb[:, :40], want)
    assert not rgb[:, 40:].any()
    missing = missing_pixels(image)
    assert missing is not None
    assert (missing == (np.arange(50) >= 40)).all()


def test_an_image_without_any_value_is_black():
    with pytest.warns(UserWarning, match="NaN or infinite"):
        assert not look(np.full((4, 4), np.nan)).any()


def test_a_pixel_is_missing_where_no_channel_that_is_looked_at_has_a_value():
    image = np.ones((2, 2, 2))
    image[0, 0, 0] = image[1] = np.nan
    missing = missing_pixels(image)
    assert missing is not None
    assert missing.tolist() == [[False, False], [True, True]]
    missing = missing_pixels(image, (0,))
    assert missing is not None
    assert missing.tolist() == [[True, False], [True, True]]
    assert missing_pixels(np.ones((2, 2))) is None


def test_channels_can_be_chosen():
    image = RNG.integers(0, 255, (20, 20, 5)).astype(np.uint16)
    np.testing.assert_array_equal(look(image, channels=(2,)), look(image[..., 2]))
    np.testing.assert_array_equal(look(image, (0.0, 255.0), (3, 0, 1)), image[..., [3, 0, 1]].astype(np.uint8))
    with pytest.raises(InputError, match="no channel 7"):
        look(image, channels=(7,))
    with pytest.raises(InputError, match="4 channels"):
        look(image, channels=(0, 1, 2, 3))


def test_given_ranges_and_none():
    image = np.array([[0.0, 50.0, 100.0, 300.0]])
    np.testing.assert_array_equal(look(image, (50, 100))[0, :, 0], [0, 0, 255, 255])
    np.testing.assert_array_equal(look(image, "none")[0, :, 0], [0, 50, 100, 255])


def test_the_recorded_range_is_the_percentiles():
    image = np.arange(10001, dtype=np.float64).reshape(1, -1).repeat(2, axis=0)
    recorded = resolve_normalization(image)
    assert recorded.low[0] == pytest.approx(10, abs=2)
    assert recorded.high[0] == pytest.approx(9990, abs=2)
    assert resolve_normalization(image, recorded_range := (3.0, 4.0)) == Normalization(low=(3.0,), high=(4.0,))
    assert recorded_range


def test_a_few_bright_pixels_on_an_even_ground_stay_visible():
    image = np.zeros((200, 200), np.uint16)
    image[100, 100:105] = 900
    rgb = look(image)
    assert rgb[100, 102, 0] == 255
    assert rgb[0, 0, 0] == 0


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_constant_images_work(value):
    rgb = look(np.full((8, 9), value, np.uint16))
    assert rgb.shape == (8, 9, 3)
    assert len(np.unique(rgb)) == 1


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((0, 5)), "empty"),
        (np.zeros((4, 4, 0)), "empty"),
        (np.zeros(7), "shape"),
        (np.zeros((2, 3, 4, 5)), "stack"),
        (np.zeros((4, 4), complex), "complex"),
        (np.array([["a", "b"]]), "type"),
    ],
)
def test_unusable_images_get_one_sentence(image, says):
    with pytest.raises(InputError, match=says) as caught:
        look(image)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["percentile", (5, 5), (9, 3), (0, np.nan), (1, 2, 3), 7, ("a", "b")])
def test_unusable_ranges_get_one_sentence(wrong):
    with pytest.raises(InputError):
        resolve_normalization(GRAY, wrong)
