"""How good a model is on fixed windows around objects: quick and many at a time, for comparisons on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from napari_sam.data.sample import PAD_COLOUR, Sample
from napari_sam.losses.masks import mask_iou
from napari_sam.model.sam import Sam
from napari_sam.ops.points import inner_point
from napari_sam.training.prompt_simulation import tight_boxes

__all__ = ["WindowScores", "Windows", "cut_windows", "score_windows"]

SHARE = 0.35  # of a window's side that its object takes
SMALLEST = 40  # pixels of an object in its window: smaller ones are not asked for


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Hold n windows, each with one object.

    Parameters
    ----------
    images
        (n, S, S, 3) uint8.
    masks
        (n, S, S) bool.
    points
        (n, 2) float32 x, y of a click in the middle of the object.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    points: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WindowScores:
    """Mean IoU over the objects of what one click, the best of its three masks and a box give; and rank correlation."""

    one_click: float
    best_of_three: float
    box: float
    score_correlation: float


def cut_windows(samples: Sequence[Sample], size: int, *, objects: int = 10, seed: int = 0) -> Windows:
    """Cut a window around some objects of each sample, such that the object takes `SHARE` of its side."""
    images, masks, points = [], [], []
    for number, sample in enumerate(samples):
        rng = np.random.default_rng([seed, number])
        for label, top, left, bottom, right in rng.permutation(sample.boxes)[:objects].tolist():
            side = round(max(bottom - top, right - left, 8) / SHARE)
            row, col = (top + bottom - side) // 2, (left + right - side) // 2
            part = np.s_[max(row, 0) : row + side, max(col, 0) : col + side]
            before = (max(-row, 0), max(-col, 0))
            picture, truth = np.empty((side, side, 3), np.uint8), np.zeros((side, side), bool)
            picture[:] = PAD_COLOUR
            found = sample.labels[part] == label
            at = np.s_[before[0] : before[0] + found.shape[0], before[1] : before[1] + found.shape[1]]
            picture[at], truth[at] = sample.image[part], found
            shrunk = np.asarray(Image.fromarray(truth).resize((size, size), Image.Resampling.NEAREST))
            if np.count_nonzero(shrunk) < SMALLEST:
                continue
            images.append(np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR)))
            masks.append(shrunk)
            points.append(inner_point(shrunk)[::-1])
    return Windows(
        images=np.array(images, np.uint8).reshape(-1, size, size, 3),
        masks=np.array(masks, bool).reshape(-1, size, size),
        points=np.array(points, np.float32).reshape(-1, 2),
    )


@torch.inference_mode()
def score_windows(model: Sam, windows: Windows, *, batch: int = 32) -> WindowScores:
    """Ask for each object by one click and by its box.

    Parameters
    ----------
    model
        In evaluation mode.
    windows
        At least one.
    batch
        Windows at a time.
    """
    found: list[torch.Tensor] = []
    predicted: list[torch.Tensor] = []
    for start in range(0, len(windows.images), batch):
        some = slice(start, start + batch)
        images = torch.from_numpy(windows.images[some]).to(model.device).permute(0, 3, 1, 2)
        truth = torch.from_numpy(windows.masks[some]).to(model.device)
        points = torch.from_numpy(windows.points[some]).to(model.device)[:, None]
        embedding = model.encode(images)
        labels = torch.ones(len(images), 1, dtype=torch.int, device=model.device)
        logits, iou = model.decode(embedding, points=(points, labels), multimask=True)
        boxed, _ = model.decode(embedding, boxes=tight_boxes(truth), multimask=False)
        logits = F.interpolate(torch.cat([logits, boxed], 1).float(), truth.shape[-2:], mode="bilinear")
        real = mask_iou(logits, truth[:, None].float().expand_as(logits))  # [b, 4]
        best = iou.argmax(1, keepdim=True)
        chosen = real.gather(1, best)
        found.append(torch.cat([chosen, real[:, :3].amax(1, keepdim=True), real[:, 3:]], 1))
        predicted.append(iou.gather(1, best)[:, 0])
    ious, scores = torch.cat(found).float().cpu().numpy(), torch.cat(predicted).float().cpu().numpy()
    one, best_of_three, box = ious.mean(0).tolist()
    return WindowScores(
        one_click=one, best_of_three=best_of_three, box=box, score_correlation=_rank_correlation(scores, ious[:, 0])
    )


def _rank_correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    from scipy.stats import spearmanr

    return float(np.nan_to_num(spearmanr(a, b).statistic)) if len(a) > 2 else 0.0
