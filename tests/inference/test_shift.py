"""The same cell at 50 positions relative to the lattice, clicked at the same place: the masks agree (bundled model)."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.data.synthetic import synthetic_sample
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.picture import Picture
from napari_sam.inference.predictor import Predictor
from napari_sam.model.load import load_model
from napari_sam.ops.points import inner_point
from napari_sam.types import Prediction

POSITIONS = 50
FIELD = 520  # side of the image that is cut out around the cell
NEAR = 150  # pixels around the click in which masks are compared


@pytest.fixture(scope="module")
def cells():
    return load_model("cells", device="cpu")


def place(seed, kind):
    """Return a wide scene and a click (row, col) into the cell nearest to its middle."""
    sample = synthetic_sample(np.random.default_rng(seed), (400, 400), kind)
    labels = sample.labels
    middle = labels[150:250, 150:250]
    counts = np.bincount(middle.ravel(), minlength=labels.max() + 1)
    counts[0] = 0
    click = np.array(inner_point(labels == counts.argmax())).astype(int) + 300
    return np.pad(sample.image, ((300, 300), (300, 300), (0, 0)), "reflect"), click


@pytest.fixture
def looks(monkeypatch):
    """The windows that were looked at, click by click."""
    seen = []
    look = Picture.look

    def noting(self, model, window, *rest):
        seen.append(window)
        return look(self, model, window, *rest)

    monkeypatch.setattr(Picture, "look", noting)
    return seen


@pytest.mark.parametrize(("seed", "kind"), [(0, "fluorescence"), (1, "cells"), (9, "tissue")])
def test_masks_of_a_click_do_not_depend_on_where_the_lattice_lies(cells, looks, seed, kind):
    wide, click = place(seed, kind)
    rng = np.random.default_rng(seed)
    masks, before, cache = [], len(looks), EmbeddingCache()
    for number, shift in enumerate(rng.integers(-64, 64, (POSITIONS, 2))):
        origin = click - FIELD // 2 + shift
        # encoding is slow: it is enough to encode anew for ten, if the others look at the same pixels
        predictor = Predictor(cells, cache=EmbeddingCache() if number < 10 else cache)
        predictor.set_image(wide[origin[0] : origin[0] + FIELD, origin[1] : origin[1] + FIELD])
        found = predictor.predict(points=[tuple(click - origin)])
        full = np.zeros(wide.shape[:2], bool)
        full[origin[0] : origin[0] + FIELD, origin[1] : origin[1] + FIELD] = found.masks[0]
        masks.append(full[click[0] - NEAR : click[0] + NEAR, click[1] - NEAR : click[1] + NEAR])
    flat = np.array(masks).reshape(POSITIONS, -1).astype(np.float32)
    shared, sizes = flat @ flat.T, flat.sum(axis=1)
    assert sizes.min() > 20
    iou = shared / (sizes[:, None] + sizes[None] - shared)
    assert iou.min() >= 0.95
    assert len(looks) - before <= 2 * POSITIONS  # two encodings a click


def test_further_clicks_on_an_object_stay_in_the_windows_of_the_first(cells, looks):
    wide, click = place(0, "fluorescence")
    predictor = Predictor(cells)
    predictor.set_image(wide)
    row, col = click
    predictor.predict(points=[(row, col)])
    predictor.predict(points=[(row, col), (row + 3, col + 4), (row + 20, col)], point_labels=[1, 1, 0])
    predictor.predict(points=[(row, col), (row + 3, col + 4), (row, col - 20)], point_labels=[1, 1, 0])
    assert len(looks) > 3
    assert len(set(looks)) <= 2  # at the image's own scale and at twice that, both around the first click


class Oracle(Predictor):
    """A predictor whose model sees exactly what of one object lies in the window, and takes note of the windows."""

    def __init__(self, model, truth):
        super().__init__(model)
        self.truth, self.windows = truth, []

    def _predict_in(self, window, prompts, mask_window, multimask, progress, text):
        self.windows.append(window)
        seen = self.truth[window.slices][None]
        logits = np.zeros((1, 4, 4), np.float32)
        scores = np.ones(1, np.float32)
        return Prediction(logits=logits, scores=scores, patches=seen, window=window, image_shape=self.truth.shape)


@pytest.mark.parametrize("windowed", [True, False])
def test_an_object_of_any_size_comes_out_whole_wherever_it_lies(tiny_cell_model, tiny_vit_model, windowed):
    """Tiny models have windows of 64 pixels."""
    rng = np.random.default_rng(0)
    for height, width in ((3, 3), (10, 14), (30, 50), (60, 62), (100, 20), (5, 250), (300, 280), (400, 400)):
        for _ in range(6):
            truth = np.zeros((420, 500), bool)
            row, col = rng.integers(0, 420 - height + 1), rng.integers(0, 500 - width + 1)
            truth[row : row + height, col : col + width] = True
            predictor = Oracle(tiny_cell_model if windowed else tiny_vit_model, truth)
            predictor.set_image(np.zeros(truth.shape, np.uint8), normalization="none")
            click = row + rng.integers(height), col + rng.integers(width)
            for prompt in ({"points": [click]}, {"box": (row, col, row + height, col + width)}):
                predictor.windows.clear()
                found = predictor.predict(**prompt)
                np.testing.assert_array_equal(found.masks[0], truth)
                if max(height, width) < 28:  # most objects are small
                    assert len(predictor.windows) <= 2


def test_nothing_but_the_click_decides_where_a_windowed_model_looks(tiny_cell_model):
    """The object's own pixels are the same at every position, so the windows are, too, up to the shift."""
    rng = np.random.default_rng(1)
    for height, width in ((4, 6), (12, 13), (30, 25), (80, 60)):
        around = set()
        for _ in range(20):
            truth = np.zeros((900, 900), bool)
            row, col = rng.integers(300, 500, 2)
            truth[row : row + height, col : col + width] = True
            predictor = Oracle(tiny_cell_model, truth)
            predictor.set_image(np.zeros(truth.shape, np.uint8), normalization="none")
            predictor.predict(points=[(row + 1, col + 2)])
            around.add(tuple((w.row - row, w.col - col, w.height, w.width, w.scale) for w in predictor.windows))
        assert len(around) == 1
