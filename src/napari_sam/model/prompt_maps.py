"""Where the prompts of an object are, as maps that convolutions can read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MAP_CHANNELS", "box_maps", "prompt_maps"]

SIGMAS = (3.0, 8.0, 20.0)  # model pixels: how far around a point its maps reach
EDGE = 3.0  # model pixels: how far around a box's edge its map reaches
MAP_CHANNELS = 2 * len(SIGMAS) + 4


def prompt_maps(
    points: tuple[Tensor, Tensor] | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    *,
    count: int,
    img_size: int,
    size: int,
    device: torch.device,
) -> Tensor:
    """Draw the prompts of n objects.

    Parameters
    ----------
    points
        (n, k, 2) coordinates (x, y) in model pixels and (n, k) labels: 1 positive, 0 negative; others do not count.
    boxes
        (n, 4) or (n, 1, 4) x0, y0, x1, y1 in model pixels.
    masks
        (n, 1, m, m) logits.
    count
        n; what is not given is left empty.
    img_size, size
        Side of the model's input and of the maps in pixels.

    Returns
    -------
    (n, MAP_CHANNELS, size, size) float32: nearness of the positive points at three widths, of the negative ones, the
    inside and the edge of the box, the mask from -1 to 1, and whether there is a mask.
    """
    step = img_size / size
    at = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * step - 0.5  # pixel centres at integers
    empty = torch.zeros(count, size, size, device=device)
    maps = [empty] * MAP_CHANNELS
    if points is not None:
        coords, labels = points
        square = (at - coords[..., None].to(torch.float32)).square()  # [n, k, 2, s]
        for first, kind in ((0, 1), (len(SIGMAS), 0)):
            given = (labels == kind).to(torch.float32)[..., None]  # [n, k, 1]
            for number, sigma in enumerate(SIGMAS, start=first):
                near = torch.exp(square / (-2 * sigma**2))
                columns, rows = near[:, :, 0] * given, near[:, :, 1]
                maps[number] = (rows[..., :, None] * columns[..., None, :]).amax(1)
    if boxes is not None:
        maps[-4:-2] = box_maps(at, boxes.reshape(-1, 4).to(torch.float32))
    if masks is not None:
        maps[-2:] = torch.tanh(F.adaptive_avg_pool2d(masks.float(), size)[:, 0] / 2), torch.ones_like(empty)
    return torch.stack(maps, 1)


def box_maps(at: Tensor, corners: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inside and the edge of (n, 4) boxes x0, y0, x1, y1, each (n, s, s), at the model pixels (s,)."""
    x0, y0, x1, y1 = (c[:, None] for c in corners.unbind(1))
    columns, rows = torch.minimum(at - x0, x1 - at), torch.minimum(at - y0, y1 - at)  # [n, s], above 0 inside
    inward = torch.minimum(rows[:, :, None], columns[:, None, :])  # distance to the nearest edge, inside
    return torch.sigmoid(inward), torch.exp(inward.square() / (-2 * EDGE**2))
