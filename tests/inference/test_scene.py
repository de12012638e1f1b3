"""One view at work."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.sample_data import nuclei

EVERYTHING = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0, "min_mask_region_area": 0}


def test_masks_of_a_windowed_model_are_the_piece_at_the_point_or_the_largest(tiny_cell_model, monkeypatch):
    image = nuclei((96, 130), seed=2).image
    generator = AutomaticMaskGenerator(tiny_cell_model, points="grid", points_per_side=6, **EVERYTHING)
    kept = generator.generate(image)
    monkeypatch.setattr("napari_sam.inference.scene.keep_pieces", lambda patch, points: patch)
    whole = generator.generate(image)

    assert kept
    assert any(_pieces(record) > 1 for record in whole)
    # two pieces may both lie at the point
    assert all(_pieces(record) in (1, _pieces_at(record)) for record in kept)


def _pieces(record):
    return ndimage.label(record.patch, np.ones((3, 3)))[1]


def _pieces_at(record):
    pieces, _ = ndimage.label(record.patch, np.ones((3, 3)))
    row, col = round(record.point[0]) - record.box[0], round(record.point[1]) - record.box[1]
    near = pieces[max(0, row - 1) : max(0, row + 2), max(0, col - 1) : max(0, col + 2)]
    return len(np.unique(near[near > 0]))
