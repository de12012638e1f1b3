"""Our predictor gives the authors' masks, scores and logits, sorted by score."""

from __future__ import annotations

import numpy as np
import pytest
from segment_anything import SamPredictor
from skimage.data import astronaut

from napari_sam.inference.predictor import Predictor
from napari_sam.model.build import SPECS

IMAGES = {
    "square": astronaut()[:300, :300],
    "wide": astronaut()[100:220],
    "tall": astronaut()[:, 200:333],
    "small": astronaut()[100:150, 200:240],
}


def compare(theirs: SamPredictor, ours: Predictor, close, *, points=None, labels=None, box=None, mask=None, multimask):
    """Give both the same prompt, theirs in (x, y) order, and compare all outcomes; return ours."""
    got = ours.predict(points, labels, box, mask, multimask=multimask)
    masks, scores, logits = theirs.predict(
        point_coords=None if points is None else np.asarray(points, float)[:, ::-1],
        point_labels=None if labels is None else np.asarray(labels),
        box=None if box is None else np.asarray(box, float)[[1, 0, 3, 2]],
        mask_input=None if mask is None else mask[None],
        multimask_output=multimask,
    )
    order = np.argsort(-scores, kind="stable")
    close(got.scores, scores[order])
    close(got.logits, logits[order])
    assert got.masks.shape == masks.shape
    # rounding may flip a pixel that lies on the threshold, no more
    assert (got.masks != masks[order]).mean() < 2e-4
    return got


@pytest.mark.parametrize("name", IMAGES)
def test_predictor(models, close, name):
    image = IMAGES[name]
    height, width = image.shape[:2]
    theirs, ours = SamPredictor(models[0]), Predictor(models[1])
    theirs.set_image(image)
    ours.set_image(image)
    point = (height * 0.4, width * 0.7)
    box = (height * 0.1, width * 0.3, height * 0.8, width * 0.9)
    first = compare(theirs, ours, close, points=[point], labels=[1], multimask=True)
    assert (np.diff(first.scores) <= 0).all()
    assert first.masks.any()
    assert not first.masks.all()
    compare(theirs, ours, close, points=[point, (1, 2)], labels=[1, 0], multimask=False)
    compare(theirs, ours, close, box=box, multimask=False)
    compare(theirs, ours, close, points=[point], labels=[0], box=box, multimask=True)
    compare(theirs, ours, close, points=[point], labels=[1], mask=first.logits[0], multimask=False)
    compare(theirs, ours, close, points=[point], labels=[1], box=box, mask=first.logits[1], multimask=True)


def test_full_size_vit_b(make_pair, close):
    """The one test with all of ViT-B; the image is wide, so that padding takes part."""
    theirs, model = make_pair(SPECS["vit_b"], seed=3)
    image = np.ascontiguousarray(astronaut()[:384])
    reference, ours = SamPredictor(theirs), Predictor(model)
    reference.set_image(image)
    ours.set_image(image)
    (embedding,) = (ours.cache.get(key) for key in ours._picture.keys.values())
    close(embedding.embedding.features, reference.get_image_embedding())
    first = compare(reference, ours, close, points=[(150, 200), (40, 30)], labels=[1, 0], multimask=True)
    compare(reference, ours, close, box=(80, 100, 350, 300), multimask=False)
    compare(reference, ours, close, points=[(150, 200)], labels=[1], mask=first.logits[0], multimask=False)
