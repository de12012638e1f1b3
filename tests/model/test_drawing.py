"""Convolutions that draw: nothing at first, and what they add comes from where the prompts are."""

from __future__ import annotations

import dataclasses

import torch

from napari_sam.model.build import build_from_spec
from napari_sam.training.initialization import start_from

POINTS = (torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1, dtype=torch.long))


def pixels(count=1):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255


def test_a_model_that_gets_them_answers_as_before(tiny_cell_model, tiny_spec_drawing, tmp_path):
    torch.save(tiny_cell_model.state_dict(), tmp_path / "plain.pt")
    grown = build_from_spec(tiny_spec_drawing, seed=3)
    missing = start_from(grown, str(tmp_path / "plain.pt"))
    assert {key.split(".")[1] for key in missing} == {"lite", "joins", "drawing", "quality"}
    with torch.inference_mode():
        for multimask in (True, False):
            before = tiny_cell_model.decode(tiny_cell_model.encode(pixels()), points=POINTS, multimask=multimask)
            after = grown.decode(grown.encode(pixels()), points=POINTS, multimask=multimask)
            torch.testing.assert_close(after, before)


def test_gradients_reach_every_part(tiny_drawing_model):
    model = build_from_spec(tiny_drawing_model.spec).train()
    model.load_state_dict(tiny_drawing_model.state_dict())
    masks = torch.rand(2, 1, model.mask_size, model.mask_size)
    boxes = torch.tensor([[4.0, 4.0, 30.0, 40.0]]).repeat(2, 1)
    points = (torch.full((2, 2, 2), 20.0), torch.tensor([[1, 0], [1, -1]]))
    total = torch.zeros(())
    for arguments in ({"points": points}, {"points": points, "boxes": boxes, "masks": masks}):
        for multimask in (True, False):
            logits, iou = model.decode(model.encode(pixels(2)), multimask=multimask, **arguments)
            total = total + logits.square().mean() + iou.square().mean()
    maps = model.find_objects(model.encode(pixels(2)))
    total = total + sum(m.square().mean() for m in (maps.foreground, maps.middle, maps.diameter))
    total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_masks_learn_nothing_from_their_quality(tiny_drawing_model):
    decoder = tiny_drawing_model.mask_decoder
    masks = torch.randn(2, 4, 32, 32, requires_grad=True)
    features = torch.randn(2, 4, 32, 32, requires_grad=True)
    iou = torch.rand(2, 4, requires_grad=True)
    decoder.quality(iou, masks, features).sum().backward()
    assert masks.grad is None
    assert features.grad is None
    torch.testing.assert_close(iou.grad, torch.ones(2, 4))


def test_the_quality_depends_on_the_mask(tiny_drawing_model):
    iou, features = torch.full((1, 2), 0.5), torch.rand(1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    logits = torch.full((1, 2, 32, 32), -8.0)
    logits[:, :, 8:24, 8:24] = 8
    logits[:, 1] /= 20  # the same mask, unsure
    with torch.inference_mode():
        sure, unsure = tiny_drawing_model.mask_decoder.quality(iou, logits, features)[0]
    assert abs(float(sure - unsure)) > 1e-3


def test_a_point_elsewhere_draws_elsewhere(tiny_drawing_model):
    model = tiny_drawing_model
    with torch.inference_mode():
        embedding = model.encode(pixels())
        dense = model.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, 8, 8)
        drawn = []
        for x in (8.0, 56.0):
            point = (torch.tensor([[[x, 32.0]]]), torch.ones(1, 1, dtype=torch.long))
            maps = model.prompt_encoder.maps(point, None, None, count=1)
            drawn.append(model.mask_decoder.upscale(embedding.features + dense, embedding.skips, maps)[0])
    apart = (drawn[0] - drawn[1]).abs().mean(0)  # [h, w]
    assert float(apart[:, :10].mean()) > 1.3 * float(apart[:, 14:18].mean())


def test_without_pretrained_features_there_are_none(tiny_spec_drawing):
    model = build_from_spec(dataclasses.replace(tiny_spec_drawing, cell_pretrained=False))
    assert model.image_encoder.lite is None
    assert len(model.image_encoder.joins) == 0
