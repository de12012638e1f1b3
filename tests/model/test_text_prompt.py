"""Text tokens: they change the output, learn, belong to one CLIP, and are an optional part of the weights."""

from __future__ import annotations

import copy

import pytest
import torch

from napari_sam.errors import CheckpointError, InputError
from napari_sam.model.build import build_from_spec
from napari_sam.model.checkpoint import load_weights
from napari_sam.model.folded_decoder import FoldedDecoder, decoder_for_texts
from napari_sam.model.sam import Sam
from napari_sam.model.text_prompt import TextPrompt

MARK = "0123456789abcdef" * 2


@pytest.fixture
def model(tiny_vit_model: Sam) -> Sam:
    own = copy.deepcopy(tiny_vit_model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own.add_text_head(12).belong_to(MARK)
    return own


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    found = torch.randn(n, 12, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(found, dim=-1)


POINTS = torch.tensor([[[20.0, 30.0]], [[40.0, 10.0]]]), torch.ones(2, 1, dtype=torch.long)
BOXES = torch.tensor([[5.0, 6.0, 30.0, 40.0]] * 2)


@pytest.mark.parametrize(
    "prompts", [{}, {"points": POINTS}, {"boxes": BOXES}, {"points": POINTS, "boxes": BOXES}], ids=len
)
def test_the_text_changes_the_masks_and_gradients_reach_its_head(model, prompts):
    embedding = model.encode(torch.full((1, 3, 64, 64), 90.0))
    tokens = model.text_head(vectors(2))
    one, _ = model.decode(embedding, texts=tokens, multimask=True, **prompts)
    other, _ = model.decode(embedding, texts=model.text_head(vectors(2, 1)), multimask=True, **prompts)
    assert not torch.allclose(one, other, atol=1e-5)
    one.square().mean().backward()
    for name, parameter in model.text_head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("prompts", [{}, {"points": POINTS}], ids=["alone", "with points"])
def test_the_fast_decoder_agrees(model, prompts):
    embedding = model.encode(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255)
    with torch.inference_mode():
        tokens = model.text_head(vectors(2))
        folded = FoldedDecoder(model, embedding)
        attended = folded.attend(texts=tokens, **prompts)
        logits, iou = model.decode(embedding, texts=tokens, multimask=True, **prompts)
        torch.testing.assert_close(folded.masks(attended, multimask=True)[0], logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(attended.offered(True), iou, atol=1e-5, rtol=1e-5)


def test_texts_have_a_decoder_of_their_own_that_points_never_see(model):
    """Changing it changes what texts give, by the fast way as by the plain one, and nothing else."""
    model.add_text_head(12, decoder=True).belong_to(MARK)
    embedding = model.encode(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255)
    with torch.inference_mode():
        tokens = model.text_head(vectors(2))
        same, _ = model.decode(embedding, texts=tokens, points=POINTS, multimask=True)
        point, _ = model.decode(embedding, points=POINTS, multimask=True)
        for weights in model.text_decoder.parameters():
            weights.mul_(1.1)
        logits, iou = model.decode(embedding, texts=tokens, points=POINTS, multimask=True)
        assert not torch.allclose(logits, same, atol=1e-4)
        assert torch.equal(point, model.decode(embedding, points=POINTS, multimask=True)[0])
        plain = FoldedDecoder(model, embedding)
        folded = decoder_for_texts(model, plain)
        attended = folded.attend(texts=tokens, points=POINTS)
        torch.testing.assert_close(folded.masks(attended, multimask=True)[0], logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(attended.offered(True), iou, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            plain.masks(plain.attend(points=POINTS), multimask=True)[0], point, atol=1e-5, rtol=1e-5
        )


def test_the_hash_of_the_weights_for_texts_is_one_of_its_own(tiny_vit_model):
    """Embeddings and recorded prompts know their model by its fingerprint: a text head must not make it another one."""
    own = copy.deepcopy(tiny_vit_model)
    before = own.fingerprint
    assert own.text_fingerprint == ""
    own.add_text_head(12, decoder=True)
    first = own.text_fingerprint
    own.text_decoder.iou_token.weight.data.add_(1)
    assert own.text_fingerprint != first
    other = build_from_spec(own.spec, seed=7)
    load_weights(other, own.state_dict(), "file")
    assert (other.fingerprint, other.text_fingerprint) == (before, own.text_fingerprint)


def test_images_and_texts_are_centred_each_by_their_own_mean():
    head = TextPrompt(12, 8)
    found = vectors(4)
    apart = vectors(1, 9)[0]
    head.belong_to(MARK, apart, -apart)
    which = torch.tensor([True, True, False, False])
    mixed = head(torch.cat([found[:2] + apart, found[:2] - apart]), of_images=which)
    torch.testing.assert_close(mixed[:2], mixed[2:])  # what tells them apart is taken away


def test_weights_with_a_head_bring_it_along_and_those_without_take_it_away(model, tiny_vit_model):
    other = build_from_spec(model.spec, seed=5)
    load_weights(other, {key: value.half() if value.is_floating_point() else value
                         for key, value in model.state_dict().items()}, "file")  # fmt: skip
    assert other.text_head is not None
    assert other.text_head.clip_fingerprint == MARK
    load_weights(other, tiny_vit_model.state_dict(), "file")
    assert other.text_head is None
    assert other.fingerprint == tiny_vit_model.fingerprint


@pytest.mark.parametrize("lost", ["text_mean", "clip_mark", "projection.0.weight"])
def test_half_a_head_is_refused(model, tiny_spec_vit, lost):
    state = {key: value for key, value in model.state_dict().items() if key != f"text_head.{lost}"}
    with pytest.raises(CheckpointError, match=lost.replace(".", r"\.")):
        load_weights(build_from_spec(tiny_spec_vit), state, "file")


def test_another_clip_is_refused(model):
    model.text_head.check_clip(MARK, "mine")
    with pytest.raises(InputError, match="not trained with the CLIP 'other'"):
        model.text_head.check_clip(MARK[::-1], "other")
    assert TextPrompt(12, 8).clip_fingerprint == ""
