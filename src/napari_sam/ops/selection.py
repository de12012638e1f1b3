"""From all candidates to the records that stay: thresholds, duplicates, small regions (SAM, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_sam.config.auto import AutoSettings
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.nms import box_nms
from napari_sam.ops.regions import clean_record

__all__ = ["passes", "select_records"]


def select_records(candidates: Sequence[MaskRecord], settings: AutoSettings) -> list[MaskRecord]:
    """Filter candidates by score and stability, and remove duplicates, as the authors do.

    Pure and quick: moving a threshold needs no model.

    Parameters
    ----------
    candidates
        Of one image, in any groups.
    settings
        Of which the thresholds, `rank_by` and `min_mask_region_area` count.

    Returns
    -------
    list[MaskRecord]
        By group, within it the best by `rank_by` first; with several groups those of the smallest crops first.
    """
    good = [record for record in candidates if passes(record, settings)]
    records: list[MaskRecord] = []
    groups = sorted({record.group for record in candidates})
    for group in groups:
        mine = [record for record in good if record.group == group]
        records += _without_duplicates(mine, [getattr(r, settings.rank_by) for r in mine], settings.box_nms_thresh)
    if settings.crop_n_layers > 0 or len(groups) > 1:
        records = _without_duplicates(records, [1 / _crop_area(r) for r in records], settings.crop_nms_thresh)
    if settings.min_mask_region_area > 0:
        cleaned = [clean_record(record, settings.min_mask_region_area) for record in records]
        # masks that needed no cleaning are preferred
        untouched = [float(not changed) for _, changed in cleaned]
        threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
        records = _without_duplicates([record for record, _ in cleaned], untouched, threshold)
    return records


def passes(record: MaskRecord, settings: AutoSettings) -> bool:
    """Tell whether a mask is good and stable enough."""
    # scores are float32, and so are the thresholds they meet in the authors' code
    iou, stability = np.float32(settings.pred_iou_thresh), np.float32(settings.stability_score_thresh)
    likely = iou == 0 or np.float32(record.predicted_iou) > iou
    return bool(likely and (stability == 0 or np.float32(record.stability_score) >= stability))


def _without_duplicates(records: Sequence[MaskRecord], scores: list[float], threshold: float) -> list[MaskRecord]:
    if len(records) < 2:
        return list(records)
    return [records[i] for i in box_nms([record.box for record in records], scores, threshold)]


def _crop_area(record: MaskRecord) -> int:
    row0, col0, row1, col1 = record.crop_box
    return (row1 - row0) * (col1 - col0)
