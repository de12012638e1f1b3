"""The TinyViT layout against outputs of MobileSAM's own code, for weights and an image that anyone can make again.

The recorded outputs are those of weights loaded after `eval()`. MobileSAM's attention looks its biases up once, when
`eval()` is called, so the recording knows only the zeros of construction, not the biases of the recipe (its README
calls `eval()` again after loading, which brings them in; ours are always in). The comparison therefore sets the biases
to zero; that ours are applied as MobileSAM's are is tested in
tests/model/test_tiny_vit.py.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from napari_sam.inference.predictor import Predictor
from napari_sam.model.build import build_model
from napari_sam.model.sam import Sam

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
KEYS: dict[str, tuple[list[int], str]] = json.loads((GOLDEN / "mobile_sam_keys.json").read_text())


def recipe(key: str, shape: list[int], dtype: str) -> torch.Tensor:
    """Make one tensor as the reference's README says."""
    if dtype.startswith("int"):
        return torch.zeros(shape, dtype=torch.int64)
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    value = torch.randn(shape, generator=generator) * 0.05
    if key.endswith("running_var"):
        return value.abs() + 1
    if key.endswith("positional_encoding_gaussian_matrix"):
        return value / 0.05
    return value + 1 if len(shape) == 1 and key.endswith("weight") else value


@pytest.fixture(scope="module")
def model() -> Sam:
    sam = build_model("vit_t")
    sam.load_state_dict({key: recipe(key, shape, dtype) for key, (shape, dtype) in KEYS.items()}, strict=True)
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if name.endswith("attention_biases"):
                parameter.zero_()
    return sam


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "mobile_sam_outputs.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def predictor(model: Sam) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(data.astronaut()[:384])
    return predictor


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(np.float64) - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_keys_shapes_and_types():
    ours = {key: (list(value.shape), str(value.dtype).split(".")[1]) for key, value in
            build_model("vit_t").state_dict().items()}  # fmt: skip
    assert ours == {key: (shape, dtype) for key, (shape, dtype) in KEYS.items()}


def test_embedding(predictor, outputs):
    (embedding,) = (predictor.cache.get(key) for key in predictor._picture.keys.values())
    features = embedding.embedding.features.numpy()
    close(features.mean(axis=(2, 3)), outputs["embedding_mean"])
    close(features.std(axis=(2, 3)), outputs["embedding_std"].reshape(1, 256))
    close(features[0, :8], outputs["embedding_8"].reshape(8, 64, 64))


@pytest.mark.parametrize("kind", ["point", "box", "refine"])
def test_prompts(predictor, outputs, kind):
    box = predictor.predict(box=(80, 100, 350, 300), multimask=False)
    if kind == "point":
        result = predictor.predict(points=[(150, 200), (40, 30)], point_labels=[1, 0], multimask=True)
    elif kind == "box":
        result = box
    else:
        result = predictor.predict(points=[(150, 200)], point_labels=[1], mask=box.logits[0], multimask=False)
    names = {name for name in outputs if name.startswith(kind)}
    scores = outputs[next(name for name in names if "score" in name or "iou" in name)].ravel()
    logits = outputs[next(name for name in names if "logit" in name)].reshape(-1, 256, 256)
    order = np.argsort(-scores, kind="stable")
    close(result.scores, scores[order])
    close(result.logits, logits[order])
