"""Low-rank adapters on the image encoder (LoRA, Hu et al. 2021): few numbers to learn, merged into plain weights.

An adapter is a parametrisation of a layer's weight: whoever reads `layer.weight` reads the adapted weight, so every
path through the encoder, the one for CPUs included, sees it without knowing of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from napari_sam.errors import InputError
from napari_sam.model.sam import Sam

__all__ = ["LowRank", "adapted_layers", "add_adapters", "merge_adapters"]


class LowRank(nn.Module):
    """Add `scale * up @ down` to a weight; zero at the start.

    Parameters
    ----------
    weight
        (out, ...) of a linear layer or an ungrouped convolution; all axes but the first count as inputs.
    rank
        Rows of `down`; at most the smaller side of the weight is taken.
    scale
        Factor of the product.
    generator
        Source of the random start of `down`.
    """

    def __init__(self, weight: Tensor, *, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, inputs)
        down = torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs)
        self.down = nn.Parameter(down.to(weight.device, weight.dtype))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=weight.device, dtype=weight.dtype))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight, in the shape of the given one."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def adapted_layers(model: Sam) -> dict[str, nn.Module]:
    """Return the layers of the image encoder that take adapters, by name.

    A ViT and a TinyViT: the linear layers of their blocks (attention and MLP). The cell encoder, which is mostly
    convolutions: its linear layers and all convolutions but the first, whose three input channels leave nothing to
    factorise.
    """
    kinds: tuple[type[nn.Module], ...] = (nn.Linear,)
    if model.spec.encoder == "cell":
        kinds = (nn.Linear, nn.Conv2d)
    left_out = ("head", "stem")  # MobileSAM's classifier is never called
    return {
        name: layer
        for name, layer in model.image_encoder.named_modules()
        if isinstance(layer, kinds) and name not in left_out and getattr(layer, "groups", 1) == 1
    }


def add_adapters(model: Sam, *, rank: int = 8, scale: float = 1.0, seed: int = 0) -> list[nn.Parameter]:
    """Freeze the image encoder and put adapters on its layers.

    The model computes what it did before until the adapters are trained.

    Returns
    -------
    list of Parameter
        What is to be trained of the encoder.

    Raises
    ------
    InputError
        If the rank is no positive number, or the encoder has adapters already.
    """
    if rank < 1:
        raise InputError(f"The rank of the adapters is {rank}: give a whole number of at least 1, 8 is usual.")
    layers = adapted_layers(model)
    if any(parametrize.is_parametrized(layer) for layer in layers.values()):
        raise InputError("The encoder has adapters already: merge them first.")
    model.image_encoder.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    learnt: list[nn.Parameter] = []
    for layer in layers.values():
        weight = layer.weight
        assert isinstance(weight, Tensor)  # noqa: S101 - linear layers and convolutions have one
        adapter = LowRank(weight.detach(), rank=rank, scale=scale, generator=generator)
        parametrize.register_parametrization(layer, "weight", adapter)
        learnt += [adapter.down, adapter.up]
    return learnt


def merge_adapters(model: Sam) -> None:
    """Write what the adapters learnt into the plain weights and take the adapters away; without any, do nothing."""
    for layer in adapted_layers(model).values():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
            bias = layer._parameters.pop("bias", None)  # so that the weight comes first again, as in any such layer
            layer.register_parameter("bias", bias)
