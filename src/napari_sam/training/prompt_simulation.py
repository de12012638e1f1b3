"""The paper's simulated user: a first point or box, then corrections where the mask was wrong (SAM, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Chance", "PromptState", "Round", "plan_rounds", "sample_point"]

BOX_NOISE = 0.1  # standard deviation as a fraction of the side
BOX_NOISE_LIMIT = 20.0  # pixels


@dataclass(frozen=True, kw_only=True)
class Chance:
    """Draw numbers for a part of a batch so that all parts together draw what the whole would.

    Parameters
    ----------
    generator
        The source; every part starts from the same state.
    start, total
        Of the batch's objects: which one is the part's first, and how many there are; 0: the part is the whole.
    """

    generator: torch.Generator
    start: int = 0
    total: int = 0

    def rand(self, n: int, *shape: int) -> Tensor:
        """Return (n, *shape) numbers, even from 0 to 1."""
        return torch.rand((self.total or n, *shape), generator=self.generator)[self.start : self.start + n]

    def randn(self, n: int, *shape: int) -> Tensor:
        """Return (n, *shape) numbers, normal."""
        return torch.randn((self.total or n, *shape), generator=self.generator)[self.start : self.start + n]

    def once(self) -> float:
        """Return a number from 0 to 1 that counts for the whole batch."""
        return float(torch.rand(1, generator=self.generator))


@dataclass(frozen=True, kw_only=True)
class Round:
    """Tell what a round adds: "first", "point" or "none" (the last mask alone is refined)."""

    kind: str


def plan_rounds(total: int, generator: torch.Generator) -> list[Round]:
    """Lay out the rounds of one training step.

    One first prompt, then corrective points; from three rounds on the last round adds no prompt, and from four rounds
    on one more round somewhere between does not either. 11 rounds are the paper's: 1 + 8 points + 2 without.
    """
    kinds = ["first"] + ["point"] * (total - 1)
    if total >= 3:
        kinds[-1] = "none"
    if total >= 4:
        kinds[int(torch.randint(1, total - 1, (1,), generator=generator))] = "none"
    return [Round(kind=kind) for kind in kinds]


def sample_point(region: Tensor, chance: Chance, deep: float = 0.0) -> tuple[Tensor, Tensor]:
    """Draw one pixel of each region.

    Parameters
    ----------
    region
        (n, h, w) bool.
    chance
        The source of random numbers.
    deep
        How often the pixel is drawn from the region's inner parts, as people click; else all pixels are alike, as in
        the paper.

    Returns
    -------
    xy
        (n, 2) float pixel coordinates (x, y); (0, 0) where the region is empty.
    found
        (n,) bool, False where the region is empty.
    """
    n, _, w = region.shape
    found = region.flatten(1).any(dim=1)
    if deep:
        inner = (chance.rand(n) < deep).to(region.device)
        region = torch.where(inner[:, None, None], _inner_part(region), region)
    flat = region.flatten(1)
    rank = flat.cumsum(1, dtype=torch.int32)  # of each pixel among those of its region, from 1
    wanted = (chance.rand(n).to(region.device) * rank[:, -1]).floor().to(torch.int32) + 1
    index = torch.searchsorted(rank, wanted.clamp(max=rank[:, -1])[:, None])[:, 0]
    xy = torch.stack([index % w, index // w], dim=1).float()
    return torch.where(found[:, None], xy, torch.zeros(n, 2, device=region.device)), found


def _inner_part(region: Tensor) -> Tensor:
    """Return of each (n, h, w) region the pixels around which most of it lies, near and far."""
    inside = region[:, None].float()
    depth = sum(F.avg_pool2d(inside, k, stride=1, padding=k // 2)[:, 0] for k in (3, 7, 15, 31))
    depth = torch.where(region, cast("Tensor", depth), -1.0)
    highest = depth.flatten(1).amax(1)[:, None, None]
    return region & (depth >= 0.9 * highest)


@dataclass(kw_only=True)
class PromptState:
    """Collect the prompts of n objects over the rounds, in model pixels, (x, y) order.

    Parameters
    ----------
    target
        (n, m, m) float masks at the decoder's resolution, in [0, 1].
    img_size
        Side of the model's input.
    chance
        The source of random numbers.
    deep
        How often points are drawn from inner parts, see `sample_point`.
    """

    target: Tensor
    img_size: int
    chance: Chance
    deep: float = 0.0
    boxes: Tensor | None = None
    coords: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None

    @property
    def truth(self) -> Tensor:
        """(n, m, m) bool target."""
        return self.target > 0.5

    def add_first(self, *, box: bool) -> None:
        """Add the first prompt of every object: a random foreground point or a noisy box."""
        if box:
            self.boxes = self._noisy_boxes()
        else:
            xy, _ = sample_point(self.truth, self.chance, self.deep)
            self._add(xy, torch.ones(len(xy), dtype=torch.long, device=xy.device))

    def add_correction(self) -> None:
        """Add one point of the error region: positive in a false negative, negative in a false positive.

        An object without errors gets one more positive point of its own.
        """
        if self.logits is None:
            raise RuntimeError("a correction needs the mask of an earlier round")
        truth, mask = self.truth, self.logits[:, 0] > 0
        wrong = truth ^ mask
        region = torch.where(wrong.flatten(1).any(1)[:, None, None], wrong, truth)
        xy, _ = sample_point(region, self.chance, self.deep)
        at = xy.long()
        positive = truth[torch.arange(len(xy), device=xy.device), at[:, 1], at[:, 0]]
        self._add(xy, positive.long())

    def feed_back(self, logits: Tensor, predicted_iou: Tensor) -> None:
        """Keep the mask of the highest predicted IoU of (n, c, m, m) as the next round's mask prompt."""
        best = predicted_iou.argmax(dim=1)
        self.logits = logits.detach()[torch.arange(len(best), device=best.device), best][:, None].float()

    def prompts(self) -> dict[str, Tensor | tuple[Tensor, Tensor] | None]:
        """Return the arguments `points`, `boxes` and `masks` of `Sam.decode`."""
        points = (torch.stack(self.coords, 1), torch.stack(self.labels, 1)) if self.coords else None
        return {"points": points, "boxes": self.boxes, "masks": self.logits}

    def _add(self, xy: Tensor, labels: Tensor) -> None:
        step = self.img_size / self.target.shape[-1]
        within = self.chance.rand(*xy.shape).to(xy.device)
        self.coords.append((xy + within) * step - 0.5)  # pixel centres at integers
        self.labels.append(labels)

    def _noisy_boxes(self) -> Tensor:
        step = self.img_size / self.target.shape[-1]
        boxes = tight_boxes(self.truth) * step
        side = boxes[:, 2:] - boxes[:, :2]
        noise = self.chance.randn(len(boxes), 4).to(boxes.device)
        noise = noise * BOX_NOISE * side.repeat(1, 2)
        noise = noise.clamp(-BOX_NOISE_LIMIT, BOX_NOISE_LIMIT)
        return (boxes + noise).clamp(0, self.img_size)


def tight_boxes(masks: Tensor) -> Tensor:
    """Return the (n, 4) boxes x0, y0, x1, y1 (exclusive ends) of (n, h, w) bool masks; zeros for empty ones."""
    n, h, w = masks.shape
    columns, rows = masks.any(dim=1), masks.any(dim=2)  # [n, w], [n, h]
    x0, y0 = columns.float().argmax(1), rows.float().argmax(1)
    x1, y1 = w - columns.flip(1).float().argmax(1), h - rows.flip(1).float().argmax(1)
    boxes = torch.stack([x0, y0, x1, y1], dim=1).float()
    return torch.where(masks.flatten(1).any(1)[:, None], boxes, torch.zeros(n, 4, device=masks.device))
