"""What may come as an image, and how little is read of a large one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zarr

from napari_sam.errors import InputError
from napari_sam.inference.normalization import MAX_READ, as_image, resolve_normalization
from napari_sam.inference.predictor import Predictor


class Slide:
    """A large array that makes its pixels when they are read and counts them."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape):
        self.shape = shape
        self.ndim = len(shape)
        self.read = 0

    def __getitem__(self, index):
        rows, cols = (np.arange(*i.indices(n)) for i, n in zip(index, self.shape[:2], strict=True))
        self.read += len(rows) * len(cols)
        pixels = (rows[:, None] * 7919 + cols[None, :] * 104729) % 4001
        return pixels.astype(self.dtype)


@pytest.mark.parametrize("shape", [(100_000, 100_000), (2_000_000, 64), (40, 3_000_000), (20_000, 90_000)])
def test_of_a_large_image_a_sample_is_read(shape):
    assert shape[0] * shape[1] > MAX_READ
    slide = Slide(shape)
    recorded = resolve_normalization(slide)
    assert slide.read < 3_000_000
    assert recorded.low[0] == pytest.approx(4, abs=25)
    assert recorded.high[0] == pytest.approx(3996, abs=25)
    assert resolve_normalization(Slide(shape)) == recorded


def test_a_click_on_a_large_image_reads_little_even_if_the_mask_runs_out_of_every_window(tiny_cell_model, monkeypatch):
    monkeypatch.setattr("napari_sam.inference.predictor.MAX_GROWN", 512**2)
    monkeypatch.setattr("napari_sam.inference.predictor.touches_inner_edge", lambda *_: True)
    slide = Slide((100_000, 100_000))
    predictor = Predictor(tiny_cell_model)
    predictor.set_image(slide, normalization=(0, 4000))
    before = slide.read
    window = predictor.predict(points=[(70_000, 123)], multimask=False).window
    assert window.height == window.width == 512
    assert slide.read - before == 64**2 + 128**2 + 256**2 + 512**2


def test_what_no_memory_holds_is_refused(tiny_cell_model, tiny_vit_model):
    slide = Slide((100_000, 100_000))
    predictor = Predictor(tiny_cell_model)
    predictor.set_image(slide)
    with pytest.raises(InputError, match="100000 x 100000 pixels at once"):
        predictor.predict(box=(0, 0, 90_000, 90_000))
    predictor = Predictor(tiny_vit_model)
    predictor.set_image(slide)  # models that are not windowed, too, see so large an image in parts
    assert predictor.predict(points=[(70_000, 123)], multimask=False).window.height <= 4096
    with pytest.raises(InputError, match="smaller part"):
        predictor.predict(box=(0, 0, 90_000, 90_000))


def test_zarr_numpy_and_lists_agree():
    image = np.random.default_rng(0).integers(0, 4000, (60, 70, 5)).astype(np.uint16)
    stored = zarr.create_array({}, shape=image.shape, dtype=image.dtype, chunks=(16, 16, 1))
    stored[:] = image
    want = resolve_normalization(image, channels=(4, 1))
    assert resolve_normalization(stored, channels=(4, 1)) == want
    assert resolve_normalization(as_image(image.tolist()), channels=(4, 1)) == want


def test_what_is_no_array_of_numpy_types_becomes_one():
    assert isinstance(as_image([[1, 2], [3, 4]]), np.ndarray)
    assert isinstance(as_image(torch.zeros(3, 4)), np.ndarray)
    image = np.zeros((3, 4))
    assert as_image(image) is image


@pytest.mark.parametrize("thing", [[[1, 2], [3]], torch.zeros(3, 4, dtype=torch.bfloat16), "picture.png", None, 7])
def test_other_things_get_one_sentence(thing, tiny_vit_model):
    with pytest.raises(InputError, match=r"give (one plane|an array|booleans)"):
        Predictor(tiny_vit_model).set_image(thing)
