"""EfficientNet-Lite0 with its normalisation folded in computes what the published layers do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_sam.model.lite_net import LITE_WIDTHS, MEAN, NORM_EPS, STD, LiteNet, fold_lite_weights


def published(seed=0):
    """Random weights in the order of tf_efficientnet_lite0, each convolution followed by its normalisation."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, module in LiteNet().named_modules():
        if isinstance(module, nn.Conv2d):
            width, fan = len(module.weight), module.weight[0].numel()
            state[f"{name}.conv"] = torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5
            state[f"{name}.weight"] = 0.5 + torch.rand(width, generator=generator)
            state[f"{name}.bias"] = 0.1 * torch.randn(width, generator=generator)
            state[f"{name}.mean"] = 0.1 * torch.randn(width, generator=generator)
            state[f"{name}.var"] = 0.5 + torch.rand(width, generator=generator)
            state[f"{name}.count"] = torch.tensor(7)
    state["head"] = torch.randn(1280, 320, 1, 1, generator=generator)
    return state


def test_five_strides():
    features = LiteNet()(torch.zeros(2, 3, 64, 64))
    assert [tuple(f.shape) for f in features] == [
        (2, width, 64 // stride, 64 // stride) for width, stride in zip(LITE_WIDTHS, (2, 4, 8, 16, 32), strict=True)
    ]


def test_folded_layers_are_the_published_ones():
    state = published()
    net = LiteNet()
    net.load_state_dict(fold_lite_weights(state))
    image = torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(1)) * 255
    normalised = (image - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)

    def layer(x, name, **options):
        x = F.conv2d(x, state[f"{name}.conv"], **options)
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in ("mean", "var", "weight", "bias")), eps=NORM_EPS)

    with torch.no_grad():
        x = F.pad(image / 127.5 - 1, (1, 1, 1, 1))  # TensorFlow's SAME: odd sides are padded by one on both sides
        x = F.relu6(layer(x, "stem", stride=2))
        x = F.relu6(layer(x, "stages.0.0.depthwise", padding=1, groups=32))
        expected = layer(x, "stages.0.0.narrow")
        torch.testing.assert_close(net(normalised)[0], expected, atol=1e-4, rtol=1e-4)


def test_other_weights_are_refused():
    state = published()
    state["stages.1.0.widen.conv"] = torch.zeros(96, 16, 3, 3)
    with pytest.raises(ValueError, match=r"stages\.1\.0\.widen.*tf_efficientnet_lite0"):
        fold_lite_weights(state)
