"""Adapters start as nothing, are seen on every path, and vanish into plain weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from napari_sam.errors import InputError
from napari_sam.model.build import SamSpec, build_from_spec
from napari_sam.model.lora import adapted_layers, add_adapters, merge_adapters
from napari_sam.model.sam import Sam


@pytest.fixture(params=["vit", "cell"])
def model(request, tiny_spec_vit, tiny_spec_cell) -> Sam:
    return build_from_spec({"vit": tiny_spec_vit, "cell": tiny_spec_cell}[request.param])


def encode(model: Sam) -> torch.Tensor:
    pixels = torch.rand(1, 3, model.img_size, model.img_size, generator=torch.Generator().manual_seed(0)) * 255
    found = model.encode(pixels)
    return torch.cat([tensor.flatten() for tensor in (found.features, *found.skips)])


def train_a_little(learnt: list[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in learnt:
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)


def test_adapters_change_nothing_until_trained_and_merge_to_what_they_computed(model):
    keys = list(model.state_dict())
    with torch.no_grad():
        plain = encode(model)
        learnt = add_adapters(model, rank=3)
        torch.testing.assert_close(encode(model), plain)
        train_a_little(learnt)
        adapted = encode(model)  # without gradients: the ViT's own path for CPUs reads the weights itself
        assert (adapted - plain).abs().max() > 1e-2
        merge_adapters(model)
        torch.testing.assert_close(encode(model), adapted)
    assert list(model.state_dict()) == keys
    assert not any(parametrize.is_parametrized(layer) for layer in model.modules())


def test_only_the_adapters_of_the_encoder_get_gradients(model):
    learnt = add_adapters(model, rank=2)
    encode(model).square().sum().backward()
    learning = [p for p in model.image_encoder.parameters() if p.requires_grad]
    assert {id(p) for p in learning} == {id(p) for p in learnt}
    ups = [p for p in learnt if p.shape[1] == 2]  # `down` has no gradient as long as `up` is zero
    assert ups
    assert sum(bool(p.grad is not None and p.grad.abs().max() > 0) for p in ups) >= len(ups) - 2
    assert sum(p.numel() for p in learnt) < 0.5 * sum(p.numel() for p in model.image_encoder.parameters())


def test_a_path_with_and_without_gradients_agree(tiny_spec_vit):
    model = build_from_spec(tiny_spec_vit)
    train_a_little(add_adapters(model, rank=4))
    with torch.no_grad():
        without = encode(model)
    torch.testing.assert_close(encode(model).detach(), without, rtol=1e-4, atol=1e-4)


def test_every_encoder_has_layers_to_adapt(tiny_spec_vit, tiny_spec_cell):
    vit = adapted_layers(build_from_spec(tiny_spec_vit))
    assert {name.rsplit(".", 1)[-1] for name in vit} == {"qkv", "proj", "lin1", "lin2"}
    assert "patch_embed.proj" not in vit  # a convolution
    cell = adapted_layers(build_from_spec(tiny_spec_cell))
    assert "stem" not in cell
    assert any(isinstance(layer, nn.Conv2d) for layer in cell.values())
    assert any(isinstance(layer, nn.Linear) for layer in cell.values())
    tiny = adapted_layers(build_from_spec(SamSpec(architecture="vit_t", encoder="tiny_vit", img_size=64)))
    assert "head" not in tiny
    assert len(tiny) == 4 * (2 + 6 + 2)  # qkv, proj, fc1, fc2 of each block with attention


def test_what_makes_no_sense_is_refused(tiny_spec_cell):
    model = build_from_spec(tiny_spec_cell)
    merge_adapters(model)  # none yet: nothing happens
    with pytest.raises(InputError, match="rank of the adapters is 0"):
        add_adapters(model, rank=0)
    add_adapters(model)
    with pytest.raises(InputError, match="already"):
        add_adapters(model)
