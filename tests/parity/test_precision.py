"""The gate of precision="auto": masks in reduced precision agree with those in float32 (IoU of at least 0.98)."""

import numpy as np
import pytest

from napari_sam.data.synthetic import synthetic_sample
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.windows import whole_window
from napari_sam.model.build import build_from_spec
from napari_sam.model.load import load_model
from napari_sam.ops.points import inner_point
from napari_sam.sample_data import nuclei


def agreement(exact, reduced, samples):
    """Return the mean IoU of the masks that both make of one click on each object, the whole image seen at once.

    Many processors emulate bfloat16, which takes 10 s a window.
    """
    ious = []
    for image, labels in samples:
        predictors = [Predictor(exact), Predictor(reduced)]
        for predictor in predictors:
            predictor.set_image(image, normalization="none")
        whole = whole_window(image.shape[:2], exact.img_size)
        for label in np.unique(labels)[1:]:
            click = inner_point(labels == label)
            first, second = (p.predict([click], multimask=False, window=whole) for p in predictors)
            either = np.count_nonzero(first.masks | second.masks)
            ious.append(np.count_nonzero(first.masks & second.masks) / either if either else 1.0)
    assert len(ious) > 20
    return np.mean(ious)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_trained_vit_keeps_its_masks(precision, tiny_trained_model):
    reduced = build_from_spec(tiny_trained_model.spec)
    reduced.load_state_dict(tiny_trained_model.state_dict())
    reduced.precision = precision
    samples = [synthetic_sample(np.random.default_rng(seed), (128, 128)) for seed in range(6)]
    assert agreement(tiny_trained_model, reduced, [(s.image, s.labels) for s in samples]) >= 0.98


def test_the_bundled_model_keeps_its_masks():
    samples = [nuclei((256, 256), seed=seed) for seed in (5, 6)]
    exact, reduced = (load_model("cells", device="cpu", precision=how) for how in ("float32", "bfloat16"))
    assert agreement(exact, reduced, [(s.image, s.labels) for s in samples]) >= 0.98
