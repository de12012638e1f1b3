"""EfficientNet-Lite0's features (Tan and Le 2019; Liu 2020), whose ImageNet weights give the bundled encoder a start.

Batch normalisation is folded into the convolutions: the network is used with its recorded statistics, in training, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LITE_WIDTHS", "LiteNet", "fold_lite_weights"]

# kernel, stride, expansion, channels, repeats of each stage
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
LITE_WIDTHS = (16, 24, 40, 112, 320)  # channels at strides 2, 4, 8, 16, 32
ENDS = (0, 1, 2, 4, 6)  # the last stage of each stride
NORM_EPS = 1e-3
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # as the bundled model's input is normalised


class LiteNet(nn.Module):
    """Return features at five strides of an image that is normalised as for the bundled model."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, stride=2)
        self.stages = nn.ModuleList()
        width = 32
        for kernel, stride, expansion, channels, repeats in STAGES:
            blocks = []
            for number in range(repeats):
                blocks.append(Inverted(width, channels, kernel, stride if number == 0 else 1, expansion))
                width = channels
            self.stages.append(nn.Sequential(*blocks))
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self.register_buffer("scale", (std / 127.5).view(-1, 1, 1), persistent=False)  # to its own -1 to 1
        self.register_buffer("shift", ((mean - 127.5) / 127.5).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return (B, c, S / s, S / s) for the five strides s and `LITE_WIDTHS` c of a (B, 3, S, S) image."""
        x = F.relu6(self.stem(x * self.scale + self.shift))
        features = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in ENDS:
                features.append(x)
        return features


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME" does: with a stride, more at the end than at the start."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            inputs, outputs, kernel, stride=stride, groups=groups, padding=(kernel // 2 if stride == 1 else 0)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            pads: list[int] = []
            for side in (x.shape[-1], x.shape[-2]):
                total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
                pads += [total // 2, total - total // 2]
            x = F.pad(x, pads)
        return super().forward(x)


class Inverted(nn.Module):
    """Widen, filter each channel, narrow; add the input where sizes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.widen = SameConv(inputs, width, 1) if expansion > 1 else None
        self.depthwise = SameConv(width, width, kernel, stride=stride, groups=width)
        self.narrow = SameConv(width, outputs, 1)
        self.adds = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        y = x if self.widen is None else F.relu6(self.widen(x))
        y = self.narrow(F.relu6(self.depthwise(y)))
        return x + y if self.adds else y


def fold_lite_weights(state: Mapping[str, Tensor] | Sequence[Tensor]) -> dict[str, Tensor]:
    """Fold the batch normalisation of published weights into the convolutions of a `LiteNet`.

    Parameters
    ----------
    state
        Weights in the order of timm's `tf_efficientnet_lite0`: each convolution without bias, then its normalisation's
        weight, bias, mean, variance and (where kept) count of batches. What follows the last stage is left out.

    Returns
    -------
    The state of a `LiteNet`.

    Raises
    ------
    ValueError
        If shapes do not follow the network's.
    """
    tensors = [t for t in (state.values() if isinstance(state, Mapping) else state) if t.ndim > 0]
    net = LiteNet()
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    own = dict(net.named_parameters())
    folded: dict[str, Tensor] = {}
    for number, name in enumerate(names):
        conv, weight, bias, mean, variance = (t.float() for t in tensors[5 * number : 5 * number + 5])
        if conv.shape != own[f"{name}.weight"].shape or any(t.shape != (len(conv),) for t in (weight, bias, mean)):
            raise ValueError(
                f"The weights of {name} have the shape {tuple(conv.shape)}, not {tuple(own[f'{name}.weight'].shape)}: "
                "give those of tf_efficientnet_lite0."
            )
        gain = weight / torch.sqrt(variance + NORM_EPS)
        folded[f"{name}.weight"] = conv * gain[:, None, None, None]
        folded[f"{name}.bias"] = bias - mean * gain
    return folded
