"""The folded decoder answers as `Sam.decode` does, for every kind of prompt and any number at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_sam.model.build import build_from_spec
from napari_sam.model.folded_decoder import FoldedDecoder

KINDS = ("one point", "three points", "box", "box and points", "mask", "mask and point", "mask and box")


@pytest.fixture(scope="module", params=["vit", "cell", "drawing"])
def model(request):
    """A small model none of whose weights is zero or one."""
    model = build_from_spec(request.getfixturevalue(f"tiny_{request.param}_model").spec)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in (model.prompt_encoder, model.mask_decoder):
            for weight in part.parameters():
                weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def embedding(model):
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        return model.encode(pixels)


def make_prompts(kind, n, mask_size):
    generator = torch.Generator().manual_seed(n)
    prompts = {}
    if "point" in kind:
        k = 3 if "points" in kind else 1
        labels = torch.tensor([[1, 0, -1]]).expand(n, -1)[:, :k]
        prompts["points"] = torch.rand(n, k, 2, generator=generator) * 64, labels
    if "box" in kind:
        corner = torch.rand(n, 2, generator=generator) * 30
        prompts["boxes"] = torch.cat([corner, corner + 20], 1)
    if "mask" in kind:
        prompts["masks"] = 5 * torch.randn(n, 1, mask_size, mask_size, generator=generator)
    return prompts


def one_of(prompts, i):
    cut = slice(i, i + 1)
    return {
        kind: tuple(part[cut] for part in value) if kind == "points" else value[cut] for kind, value in prompts.items()
    }


def near(found, expected, tolerance):
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() <= tolerance * max(0.1, float(expected.abs().max()))


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace(" ", "-"))
def test_masks_and_scores_are_those_of_the_model(kind, n, model, embedding):
    prompts = make_prompts(kind, n, model.mask_size)
    folded = FoldedDecoder(model, embedding)
    attended = folded.attend(**prompts)
    for multimask in (True, False):
        with torch.no_grad():
            logits, iou = model.decode(embedding, **prompts, multimask=multimask)
        masks, scores = folded.masks(attended, multimask=multimask)
        near(masks, logits, 1e-5)
        near(scores, iou, 1e-5)
        assert logits.shape[1] == (3 if multimask else 1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace(" ", "-"))
def test_bfloat16_stays_near(kind, model, embedding):
    prompts = make_prompts(kind, 4, model.mask_size)
    folded = FoldedDecoder(model, embedding, torch.bfloat16)
    attended = folded.attend(**prompts)
    with torch.no_grad():
        logits, iou = model.decode(embedding, **prompts, multimask=True)
    found, scores = folded.masks(attended, multimask=True)
    assert found.dtype == attended.iou.dtype == scores.dtype == torch.float32
    assert (found - logits).abs().mean() <= 0.05 * logits.abs().mean()
    assert (scores - iou).abs().max() <= 0.05 * iou.abs().max()


def test_the_precision_of_the_model_decides(model, embedding):
    assert FoldedDecoder(model, embedding).dtype == torch.float32
    reduced = build_from_spec(model.spec)
    reduced.precision = "bfloat16"
    assert FoldedDecoder(reduced, embedding).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace(" ", "-"))
def test_prompts_at_once_are_prompts_one_by_one(kind, model, embedding):
    prompts = make_prompts(kind, 4, model.mask_size)
    folded = FoldedDecoder(model, embedding)
    together = folded.attend(**prompts)
    masks, scores = folded.masks(together, multimask=True)
    for i in range(4):
        alone = folded.attend(**one_of(prompts, i))
        near(alone.iou, together.iou[i : i + 1], 1e-5)
        mask, score = folded.masks(alone, multimask=True)
        near(mask, masks[i : i + 1], 1e-5)
        near(score, scores[i : i + 1], 1e-5)


def test_masks_of_some_prompts_only(model, embedding):
    folded = FoldedDecoder(model, embedding)
    attended = folded.attend(**make_prompts("one point", 6, model.mask_size))
    every, scores = folded.masks(attended, multimask=True)
    for chosen in (torch.tensor([4, 1]), slice(2, 5)):
        some, their_scores = folded.masks(attended, chosen, multimask=True)
        torch.testing.assert_close(some, every[chosen], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(their_scores, scores[chosen], rtol=1e-5, atol=1e-5)


def test_nothing_is_changed_by_asking(model, embedding):
    features, skips = embedding.features.clone(), [skip.clone() for skip in embedding.skips]
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    folded = FoldedDecoder(model, embedding)
    prompts = make_prompts("mask and box", 2, model.mask_size) | make_prompts("one point", 2, model.mask_size)
    given = [t.clone() for t in (*prompts["points"], prompts["boxes"], prompts["masks"])]
    first = folded.attend(**prompts)
    logits, _ = folded.masks(first, multimask=True)
    folded.masks(folded.attend(**make_prompts("three points", 3, model.mask_size)), multimask=False)
    again = folded.attend(**prompts)
    assert torch.equal(first.iou, again.iou)
    assert torch.equal(folded.masks(again, multimask=True)[0], logits)
    assert torch.equal(folded.masks(first, multimask=True)[0], logits)
    assert torch.equal(embedding.features, features)
    assert all(torch.equal(a, b) for a, b in zip(embedding.skips, skips, strict=True))
    left = (*prompts["points"], prompts["boxes"], prompts["masks"])
    assert all(torch.equal(a, b) for a, b in zip(left, given, strict=True))
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_grids_and_depths_of_other_sizes(model):
    spec = replace(model.spec, img_size=96, decoder_depth=3, decoder_heads=2)
    other = build_from_spec(spec)
    pixels = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        embedding = other.encode(pixels)
    prompts = make_prompts("three points", 3, other.mask_size)
    with torch.no_grad():
        logits, _ = other.decode(embedding, **prompts, multimask=True)
    folded = FoldedDecoder(other, embedding)
    near(folded.masks(folded.attend(**prompts), multimask=True)[0], logits, 1e-5)


def test_bytes_count_more_than_the_embedding(model, embedding):
    folded = FoldedDecoder(model, embedding)
    assert embedding.nbytes < folded.nbytes < 40 * embedding.nbytes
    assert FoldedDecoder(model, embedding, torch.bfloat16).nbytes < folded.nbytes


def test_without_gradients_whoever_asks(model, embedding):
    with torch.enable_grad():
        folded = FoldedDecoder(model, embedding)
        attended = folded.attend(**make_prompts("one point", 2, model.mask_size))
        logits, _ = folded.masks(attended, multimask=True)
    assert not logits.requires_grad
    assert not attended.iou.requires_grad
