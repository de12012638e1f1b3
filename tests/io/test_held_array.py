"""Arrays of files read like those of Zarr: slices, numbers and lists of channels, and no more than asked for."""

from __future__ import annotations

import numpy as np

from napari_sam.io.held_array import HeldArray

VALUES = np.arange(2 * 6 * 7 * 4).reshape(2, 6, 7, 4)


def test_pieces_are_those_of_the_array():
    asked = []

    def read(key):
        asked.append(key)
        return VALUES[key]

    array = HeldArray(VALUES.shape, VALUES.dtype, read)
    assert (array.shape, array.ndim, array.dtype, array.chunks) == (VALUES.shape, 4, VALUES.dtype, VALUES.shape)
    assert asked == []
    np.testing.assert_array_equal(array[1, 2:5], VALUES[1, 2:5])
    assert asked[0][:2] == (1, slice(2, 5))
    np.testing.assert_array_equal(array[..., 0], VALUES[..., 0])
    np.testing.assert_array_equal(array.oindex[0, 1:3, :, np.array([3, 1])], VALUES[0, 1:3][..., [3, 1]])


def test_what_must_be_decoded_whole_is_decoded_once():
    times = []

    def decode():
        times.append(1)
        return VALUES

    array = HeldArray.of_whole(VALUES.shape, VALUES.dtype, decode)
    assert times == []
    for _ in range(2):
        np.testing.assert_array_equal(array[0, ..., 1], VALUES[0, ..., 1])
    assert times == [1]
