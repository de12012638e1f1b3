"""Which images of a data set are judged, and folders that are none."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.data.sources import list_images
from napari_sam.errors import InputError
from napari_sam.evaluation.auto_protocol import evaluate_auto
from napari_sam.evaluation.baselines import BaselinePlayer, BaselineSegmenter
from napari_sam.evaluation.box_protocol import evaluate_boxes
from napari_sam.evaluation.point_protocol import evaluate_points
from napari_sam.evaluation.scores import choose_items
from napari_sam.evaluation.text_protocol import image_objects
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


def test_every_protocol_tells_which_stack_a_plane_is_of(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        planes = np.zeros((3, 40, 50), np.uint8)
        planes[:, 4:18, 5:19], planes[:, 22:36, 20:30] = 100, 200
        tifffile.imwrite(tmp_path / part / "stack.tif", planes, photometric="minisblack")
    data = read_dataset(tmp_path)
    players = [BaselinePlayer("otsu")]
    results = [
        *evaluate_points(players, data, rounds=2),
        *evaluate_boxes(players, data),
        *evaluate_auto([BaselineSegmenter("otsu")], data),
    ]
    assert len(results) == 9
    assert {score.origin for result in results for score in result.scores} == {"stack"}
    images, problems = list_images([tmp_path])
    assert not problems
    assert {found.origin for _, found in image_objects(images)} == {f"{tmp_path}/stack"}
