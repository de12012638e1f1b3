"""Which images of a data set are judged, and folders that are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.evaluation.scores import choose_items
from napari_sam.io.dataset import read_dataset


@pytest.mark.parametrize(("limit", "names"), [(None, "123"), (9, "123"), (3, "123"), (2, "13"), (1, "1")])
def test_a_limit_spreads_over_the_data_set(limit, names, known):
    assert [item.name for item in choose_items(read_dataset(known[0]), limit)] == list(names)


def test_data_sets_that_do_not_fit_are_named(known):
    folder, _ = known
    Image.fromarray(np.zeros((3, 3), np.uint16)).save(folder / "labels" / "2.png")
    with pytest.raises(InputError, match=r"2\.png"):
        read_dataset(folder).items[1].read()
    (folder / "labels" / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png"):
        read_dataset(folder)
    with pytest.raises(InputError, match="images"):
        read_dataset(folder / "nowhere")
