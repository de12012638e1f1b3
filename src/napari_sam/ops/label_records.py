"""Records of the objects of a label image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["labels_to_records"]


def labels_to_records(labels: npt.NDArray[Any]) -> list[MaskRecord]:
    """Return one record for each label of a (H, W) label image, 0 background, in order of label.

    Scores are 1; the record of the k-th smallest label is the k-th, also where numbers are left out.

    Raises
    ------
    InputError
        If the array is not two-dimensional, not of whole numbers, or has negative ones.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise InputError(f"The labels have shape {labels.shape} and type {labels.dtype}: give (H, W) integers.")
    if labels.size and labels.min() < 0:
        raise InputError(f"The labels start at {labels.min()}: give 0 for background and positive numbers.")
    if labels.size and labels.max() > labels.size:  # sparse numbers: find_objects makes a place for each in between
        values, numbers = np.unique(labels, return_inverse=True)
        labels = numbers.reshape(labels.shape) + (values[0] > 0)
    labels = np.ascontiguousarray(labels, np.intp)
    shape = (labels.shape[0], labels.shape[1])
    if labels.size == 0:  # find_objects cannot do with none
        return []
    return [
        MaskRecord.from_patch(labels[where] == number, (where[0].start, where[1].start), image_shape=shape)
        for number, where in enumerate(ndimage.find_objects(labels), start=1)
        if where is not None
    ]
