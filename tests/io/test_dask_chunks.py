from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_sam.io.dask_chunks import DaskChunks, is_dask

VALUES = np.arange(3 * 23 * 31).reshape(3, 23, 31)


def lazy() -> Any:
    return da.from_array(VALUES, chunks=(1, (5, 1, 10, 7), 8))


def parts(side: int) -> st.SearchStrategy[Any]:
    bound = st.one_of(st.none(), st.integers(-side - 2, side + 2))
    slices = st.builds(slice, bound, bound, st.one_of(st.none(), st.integers(1, 9)))
    return st.one_of(st.integers(0, side - 1), slices)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.tuples(*map(parts, VALUES.shape)))
def test_any_part_is_as_in_the_array(index: Any) -> None:
    found = DaskChunks(lazy())[index]
    assert found.dtype == VALUES.dtype
    np.testing.assert_array_equal(found, VALUES[index])


@pytest.mark.parametrize("how", ["sliced", "computed", "rechunked"])
def test_whatever_the_array_was_made_of(how: str) -> None:
    array = {"sliced": lazy()[1], "computed": lazy()[1] * 2 + 1, "rechunked": lazy()[1].rechunk((4, 9))}[how]
    np.testing.assert_array_equal(DaskChunks(array)[3:20, 5:29:2], np.asarray(array)[3:20, 5:29:2])


def test_only_the_chunks_of_the_part_are_computed() -> None:
    read: list[Any] = []

    def note(block: Any, block_info: Any = None) -> Any:
        if block_info and block.size:
            read.append(block_info[0]["chunk-location"])
        return block

    array = lazy().map_blocks(note, dtype=VALUES.dtype, meta=np.empty((0, 0, 0), VALUES.dtype))
    chunks = DaskChunks(array)
    read.clear()
    chunks[1, 4:6, 7:9]
    assert sorted(read) == [(1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)]


def test_dask_arrays_are_told_from_others() -> None:
    assert is_dask(lazy())
    assert not is_dask(VALUES)
