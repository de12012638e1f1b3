"""Candidates are sifted in the authors' order: scores, duplicates within and between crops, small regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from segment_anything.automatic_mask_generator import SamAutomaticMaskGenerator
from segment_anything.utils.amg import MaskData, mask_to_rle_pytorch, rle_to_mask
from torchvision.ops import batched_nms

from napari_sam.config.auto import AutoSettings
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import passes, select_records

SHAPE = (40, 40)
CROPS = ((0, 0, 40, 40), (0, 0, 25, 25), (15, 15, 40, 40), (0, 15, 25, 40))
LOOSE = AutoSettings(pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0, crop_nms_thresh=1.0)


def rectangle(row, col, height, width, *, iou=0.9, stability=0.9, group=0, hole=False):
    patch = np.ones((height, width), bool)
    if hole:
        patch[height // 2, width // 2] = False
    return MaskRecord.from_patch(
        patch,
        (row, col),
        image_shape=SHAPE,
        predicted_iou=iou,
        stability_score=stability,
        crop_box=CROPS[group],
        group=group,
    )


@st.composite
def candidates(draw):
    corner, side, share = st.integers(0, 20), st.integers(1, 19), st.sampled_from([0.1, 0.5, 0.7, 0.8, 0.95])
    kinds = st.tuples(corner, corner, side, side, share, share, st.integers(0, 3), st.booleans())
    # every crop's candidates come one after another, as from the generator
    made = sorted(draw(st.lists(kinds, max_size=14)), key=lambda kind: kind[6])
    return [rectangle(*m[:4], iou=m[4], stability=m[5], group=m[6], hole=m[7]) for m in made]


def boxes_xyxy(records):
    return torch.tensor([(r.box[1], r.box[0], r.box[3] - 1, r.box[2] - 1) for r in records]).reshape(-1, 4).float()


def nms(records, scores, threshold):
    if not records:
        return []
    scores = torch.tensor(scores, dtype=torch.float32)
    return [records[i] for i in batched_nms(boxes_xyxy(records), scores, torch.zeros(len(records)), threshold)]


def authors(records, settings):
    """The authors' steps with their functions."""
    kept = []
    for group in sorted({record.group for record in records}):
        good = [r for r in records if r.group == group]
        if settings.pred_iou_thresh > 0:
            good = [r for r in good if torch.tensor(r.predicted_iou) > settings.pred_iou_thresh]
        if settings.stability_score_thresh > 0:
            good = [r for r in good if torch.tensor(r.stability_score) >= settings.stability_score_thresh]
        kept += nms(good, [r.predicted_iou for r in good], settings.box_nms_thresh)
    areas = [(r.crop_box[2] - r.crop_box[0]) * (r.crop_box[3] - r.crop_box[1]) for r in kept]
    kept = nms(kept, [1 / area for area in areas], settings.crop_nms_thresh)
    if settings.min_mask_region_area and kept:
        data = MaskData(
            rles=mask_to_rle_pytorch(torch.from_numpy(np.stack([r.mask for r in kept]))),
            boxes=boxes_xyxy(kept),
            numbers=list(range(len(kept))),
        )
        threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
        SamAutomaticMaskGenerator.postprocess_small_regions(data, settings.min_mask_region_area, threshold)
        masks = [rle_to_mask(rle) for rle in data["rles"]]
        return [(kept[i].predicted_iou, mask.tolist()) for i, mask in zip(data["numbers"], masks, strict=True)]
    return [(r.predicted_iou, r.mask.tolist()) for r in kept]


@given(
    candidates(),
    st.sampled_from([0.0, 0.5, 0.7]),
    st.sampled_from([0.0, 0.5, 0.8]),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    st.sampled_from([0.2, 0.7, 1.0]),
    st.sampled_from([0, 2, 30]),
)
def test_what_stays_is_what_the_authors_keep(records, iou, stability, box, crop, area):
    settings = AutoSettings(
        pred_iou_thresh=iou,
        stability_score_thresh=stability,
        box_nms_thresh=box,
        crop_nms_thresh=crop,
        min_mask_region_area=area,
        crop_n_layers=1,
    )
    found = select_records(records, settings)
    assert [(r.predicted_iou, r.mask.tolist()) for r in found] == authors(records, settings)


@given(candidates(), st.sampled_from([0.5, 0.7]), st.sampled_from([0.3, 1.0]))
def test_selecting_again_changes_nothing_and_the_input_stays(records, iou, box):
    settings = AutoSettings(pred_iou_thresh=iou, stability_score_thresh=0.5, box_nms_thresh=box, crop_n_layers=1)
    before = list(records)
    once = select_records(records, settings)
    assert records == before
    assert {id(r) for r in once} <= {id(r) for r in records}
    assert sorted(map(id, select_records(once, settings))) == sorted(map(id, once))


def test_no_candidates_no_records():
    assert select_records([], AutoSettings(crop_n_layers=2, min_mask_region_area=5)) == []


def test_scores_are_compared_as_the_float32_they_are():
    on_the_line = float(np.float32(0.88))  # below 0.88 as a double
    record = rectangle(0, 0, 5, 5, iou=on_the_line, stability=float(np.float32(0.95)))
    assert not passes(record, LOOSE.changed(pred_iou_thresh=0.88))  # has to be above
    assert passes(record, LOOSE.changed(stability_score_thresh=0.95))  # may be equal
    assert not passes(record, LOOSE.changed(stability_score_thresh=0.951))


@pytest.mark.parametrize("iou", [-0.2, 0.0])
def test_zero_keeps_all(iou):
    record = rectangle(0, 0, 5, 5, iou=iou, stability=0.0)
    assert select_records([record], LOOSE) == [record]


def test_a_smaller_crop_wins_between_crops_whatever_its_score():
    far = rectangle(5, 5, 10, 10, iou=0.95)
    near = rectangle(5, 5, 10, 10, iou=0.7, group=1)
    assert select_records([far, near], LOOSE.changed(crop_nms_thresh=0.7)) == [near]
    assert select_records([far, replace(near, group=0)], LOOSE.changed(box_nms_thresh=0.7)) == [far]


def test_the_better_one_is_the_one_that_the_setting_says():
    sure, stable = rectangle(5, 5, 10, 10, iou=0.9, stability=0.6), rectangle(5, 5, 10, 10, iou=0.6, stability=0.9)
    settings = LOOSE.changed(box_nms_thresh=0.7)
    assert select_records([sure, stable], settings) == [sure]
    assert select_records([sure, stable], settings.changed(rank_by="stability_score")) == [stable]


def test_masks_that_needed_no_cleaning_win():
    clean = rectangle(5, 5, 10, 10, iou=0.7)
    holed = rectangle(5, 5, 10, 11, iou=0.9, hole=True)
    settings = LOOSE.changed(box_nms_thresh=0.95, crop_nms_thresh=0.95, min_mask_region_area=5)
    assert select_records([holed, clean], settings.changed(box_nms_thresh=0.5, crop_nms_thresh=0.85)) == [holed_(holed)]
    both = select_records([holed, clean], settings)
    assert both == [clean, holed_(holed)]


def holed_(record):
    """The record with its hole filled."""
    return record.with_patch(np.ones(record.patch.shape, bool), record.box[:2])
