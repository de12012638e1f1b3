"""Masks by two small matrix products are the authors' two interpolations, for windows of every shape."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from segment_anything.modeling import Sam as AuthorsSam
from segment_anything.utils.amg import calculate_stability_score

from napari_sam.inference import mask_upsampler
from napari_sam.inference.mask_upsampler import MaskUpsampler
from napari_sam.inference.windows import whole_window
from napari_sam.types import Window

IMG = 64
SHAPES = [
    (64, 64),
    (64, 40),
    (30, 64),
    (20, 13),
    (200, 150),
    (97, 301),
    (1, 1),
    (1, 64),
    (64, 1),
    (1, 500),
    (700, 2),
    (3, 3),
]


@pytest.fixture(autouse=True, scope="module", params=[2, mask_upsampler.STEP])
def step(request):
    """Parts as small as they get with these tiny logits, and as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_upsampler, "STEP", request.param)
        yield request.param


def authors(logits, window, img_size=IMG):
    """The authors' (n, height, width) float masks."""
    stand_in = SimpleNamespace(image_encoder=SimpleNamespace(img_size=img_size))
    sizes = (window.input_height, window.input_width), (window.height, window.width)
    return AuthorsSam.postprocess_masks(stand_in, logits[:, None], *sizes)[:, 0]


def smooth(seed, size, level=0.0):
    """Logits with structure of a few pixels, shifted by `level`."""
    noise = torch.randn(1, 1, size // 4 + 3, size // 4 + 3, generator=torch.Generator().manual_seed(seed))
    return 5 * torch.nn.functional.interpolate(noise, (size, size), mode="bicubic")[0, 0] + level


def full(mask, window):
    whole = np.zeros((window.height, window.width), bool)
    row, col = mask.origin
    assert 0 <= row <= row + mask.patch.shape[0] <= window.height or mask.patch.size == 0
    assert 0 <= col <= col + mask.patch.shape[1] <= window.width or mask.patch.size == 0
    whole[row : row + mask.patch.shape[0], col : col + mask.patch.shape[1]] = mask.patch
    return whole


def check(logits, window, *, img_size=IMG, threshold=0.0, offset=1.0):
    up = authors(logits[None], window, img_size)[0]
    upsampler = MaskUpsampler(window, len(logits), img_size, threshold=threshold, offset=offset)
    mask = upsampler(logits)
    clear = ((up - threshold).abs() > 1e-4).numpy()
    np.testing.assert_array_equal(full(mask, window)[clear], (up > threshold).numpy()[clear])
    expected = float(calculate_stability_score(up[None], threshold, offset)[0])
    near_a_cut = int(((up - threshold).abs() - offset).abs().le(1e-4).sum())
    if np.isnan(expected):
        assert mask.stability == 0.0
    elif near_a_cut == 0:
        assert mask.stability == np.float32(expected)
    return mask, up


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mask_size", [16, 32], ids=["stride 16", "stride 8"])
def test_logits_and_pixels_are_the_authors(shape, mask_size):
    window = whole_window(shape, IMG)
    upsampler = MaskUpsampler(window, mask_size, IMG)
    for seed in range(3):
        logits = smooth(seed, mask_size)
        _, up = check(logits, window)
        ours = upsampler._rows @ logits @ upsampler._cols.T
        assert ours.shape == shape
        assert (ours - up).abs().max() <= 1e-5 * up.abs().max()


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(*[st.integers(1, 150)] * 2),
    st.tuples(*[st.integers(1, IMG)] * 2),
    st.integers(0, 1000),
    st.sampled_from([-12.0, -6.0, 0.0, 6.0]),
    st.sampled_from([(0.0, 1.0), (0.0, 0.0), (0.5, 3.0), (-2.0, 0.25)]),
)
def test_any_window_level_and_cut(shape, input_shape, seed, level, cut):
    window = Window(
        row=7, col=3, height=shape[0], width=shape[1], input_height=input_shape[0], input_width=input_shape[1]
    )
    check(smooth(seed, 16, level), window, threshold=cut[0], offset=cut[1])


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(*[st.integers(1, 200)] * 2),
    st.tuples(*[st.integers(0, 15)] * 2),
    st.tuples(*[st.integers(1, 6)] * 2),
)
def test_a_small_mask_is_made_where_it_is_and_nothing_is_lost(step, shape, corner, side):
    logits = torch.full((16, 16), -30.0)
    logits[corner[0] : corner[0] + side[0], corner[1] : corner[1] + side[1]] = 20.0
    mask, _ = check(logits, whole_window(shape, IMG))
    if step == 2 and min(shape) >= 60 and max(corner) <= 8 and max(side) <= 3:
        assert mask.patch.shape[0] * mask.patch.shape[1] < 0.4 * shape[0] * shape[1]


@pytest.mark.parametrize(("img_size", "mask_size"), [(1024, 256), (256, 128), (128, 32)])
def test_the_sizes_of_the_real_models(img_size, mask_size):
    for shape in ((300, 450), (40, 1100)):
        logits = smooth(1, mask_size, -1.0)
        mask, _ = check(logits, whole_window(shape, img_size), img_size=img_size)
        assert mask.patch.any()


@pytest.mark.parametrize("level", [-30.0, -1.0])
def test_empty_masks(level):
    window = whole_window((50, 60), IMG)
    mask = MaskUpsampler(window, 16, IMG)(torch.full((16, 16), level))
    assert not mask.patch.any()
    assert mask.stability == 0.0


def test_a_mask_in_the_padding_only_is_empty():
    logits = torch.full((16, 16), -30.0)
    logits[12:, :] = 20.0
    window = whole_window((20, 64), IMG)  # the model sees nothing in rows 20 and on
    mask, _ = check(logits, window)
    assert not mask.patch.any()
    assert mask.stability == 0.0


def test_a_full_mask_is_stable():
    window = whole_window((50, 60), IMG)
    mask = MaskUpsampler(window, 16, IMG)(torch.full((16, 16), 20.0))
    assert mask.patch.shape == (50, 60)
    assert mask.patch.all()
    assert mask.stability == 1.0


def test_whole_masks_are_the_same_pasted_and_the_logits_stay():
    window = whole_window((80, 33), IMG)
    upsampler = MaskUpsampler(window, 16, IMG)
    logits = torch.stack([smooth(0, 16), smooth(1, 16, -8.0), torch.full((16, 16), -9.0)])
    before = logits.clone()
    whole = upsampler.whole(logits)
    assert whole.shape == (3, 80, 33)
    for one, pasted in zip(logits, whole, strict=True):
        np.testing.assert_array_equal(full(upsampler(one), window), pasted)
    assert torch.equal(logits, before)
    assert upsampler.whole(logits[:0]).shape == (0, 80, 33)


@pytest.mark.parametrize("shape", [(80, 33), (1, 90), (20, 20)], ids=str)
def test_all_together_as_on_a_gpu_are_the_same(shape):
    window = whole_window(shape, IMG)
    upsampler = MaskUpsampler(window, 16, IMG)
    logits = torch.stack([smooth(seed, 16, level) for seed in range(4) for level in (-9.0, -3.0, 0.0)])
    alone = [upsampler(one) for one in logits]
    for least in (0.0, 0.6):
        together, many = upsampler.together(logits, least), upsampler.many(logits, least)
        assert len(together) == len(many) == len(logits)
        for one, *others in zip(alone, together, many, strict=True):
            for other in others:
                assert (other is None) == (one.stability < least)
                if other is not None:
                    assert other.stability == pytest.approx(one.stability, abs=0.01)
                    assert np.count_nonzero(full(other, window) != full(one, window)) <= 1
    assert upsampler.together(logits[:0]) == upsampler.many(logits[:0]) == []
