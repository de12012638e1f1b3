"""Label images as records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_sam.errors import InputError
from napari_sam.ops.label_records import labels_to_records


@settings(max_examples=80, deadline=None)
@given(
    labels=arrays(
        np.int32,
        array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.sampled_from([0, 0, 1, 2, 5, 70, 2_000_000_000]),
    )
)
def test_each_label_is_a_record_in_order(labels):
    records = labels_to_records(labels)
    numbers = np.unique(labels[labels > 0])
    assert len(records) == len(numbers)
    for record, number in zip(records, numbers, strict=True):
        np.testing.assert_array_equal(record.mask, labels == number)
        assert record.image_shape == labels.shape
        assert record.area == (labels == number).sum()


def test_labels_of_any_whole_type_and_read_only():
    labels = np.zeros((4, 5), np.uint64)
    labels[1, 2] = 3
    labels.flags.writeable = False
    (record,) = labels_to_records(labels)
    assert record.box == (1, 2, 2, 3)
    assert labels_to_records(np.zeros((0, 5), int)) == []


def test_what_is_no_label_image_is_refused():
    with pytest.raises(InputError, match="float64"):
        labels_to_records(np.zeros((3, 3)))
    with pytest.raises(InputError, match="shape"):
        labels_to_records(np.zeros((3, 3, 3), int))
    with pytest.raises(InputError, match="-2"):
        labels_to_records(np.array([[0, -2]]))
