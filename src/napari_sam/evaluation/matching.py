"""How well two label images agree, object by object (the measures of DSB2018, StarDist and Cellpose)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_sam.errors import InputError

__all__ = ["MSA_THRESHOLDS", "LabelMatch", "match_labels"]

MSA_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # 0.5 to 0.95


@dataclass(frozen=True, kw_only=True)
class LabelMatch:
    """Hold the overlap of every true with every predicted object; two empty images agree wholly.

    Parameters
    ----------
    iou
        (n_true, n_predicted) sparse IoU; pairs that share no pixel are not stored.
    """

    iou: sparse.csr_array

    @property
    def n_true(self) -> int:
        """Objects there are."""
        return int(self.iou.shape[0])

    @property
    def n_predicted(self) -> int:
        """Objects that were found."""
        return int(self.iou.shape[1])

    def true_positives(self, threshold: float = 0.5) -> int:
        """Count the objects that can be matched one to one with an IoU of at least `threshold` (above 0)."""
        good = self.iou.copy()
        good.data = (good.data >= threshold).astype(np.int8)
        good.eliminate_zeros()
        if good.nnz == 0:
            return 0
        return int((maximum_bipartite_matching(good, perm_type="column") >= 0).sum())

    def average_precision(self, threshold: float = 0.5) -> float:
        """Return TP / (TP + FP + FN) at an IoU threshold."""
        matched = self.true_positives(threshold)
        return _ratio(matched, self.n_true + self.n_predicted - matched)

    def precision(self, threshold: float = 0.5) -> float:
        """Return the share of the predicted objects that are true; 0 without predictions where objects are."""
        return self._share(threshold, self.n_predicted)

    def recall(self, threshold: float = 0.5) -> float:
        """Return the share of the true objects that were found; 0 if all predictions are false ones."""
        return self._share(threshold, self.n_true)

    @property
    def mean_segmentation_accuracy(self) -> float:
        """Mean of the average precision over IoU thresholds from 0.5 to 0.95 (mSA)."""
        return float(np.mean([self.average_precision(threshold) for threshold in MSA_THRESHOLDS]))

    @property
    def mean_best_iou(self) -> float:
        """Mean over the true objects of the IoU with the predicted object that fits best, 0 where none overlaps."""
        if self.n_true == 0:
            return _ratio(0, self.n_predicted)
        if self.iou.nnz == 0:
            return 0.0
        return float(self.iou.max(axis=1).toarray().mean())

    def _share(self, threshold: float, count: int) -> float:
        if self.n_true + self.n_predicted == 0:
            return 1.0
        return self.true_positives(threshold) / count if count else 0.0


def match_labels(predicted: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> LabelMatch:
    """Compare two label images of the same shape, 0 background; other labels may have any positive numbers.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise InputError(f"The labels have shape {predicted.shape}, the truth {truth.shape}: give the same shape.")
    true_index, true_areas = _dense(truth)
    found_index, found_areas = _dense(predicted)
    both = (true_index >= 0) & (found_index >= 0)
    size = len(true_areas), len(found_areas)
    pairs = true_index[both] * size[1] + found_index[both]
    cells, shared = np.unique(pairs, return_counts=True)
    rows, cols = np.divmod(cells, size[1]) if len(cells) else (cells, cells)
    iou = shared / (true_areas[rows] + found_areas[cols] - shared)
    return LabelMatch(iou=sparse.csr_array((iou, (rows, cols)), shape=size))


def _dense(labels: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return flat object numbers from 0 (background -1) and the area of each."""
    flat = labels.ravel()
    numbers = np.full(flat.shape, -1, np.int64)
    inside = flat > 0
    _, numbers[inside], areas = np.unique(flat[inside], return_inverse=True, return_counts=True)
    return numbers, areas


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
