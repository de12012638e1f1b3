"""COCO and SA-1B files become label images, the smaller of overlapping masks on top."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from data_folders import picture
from napari_sam.data.data_check import check_data
from napari_sam.data.json_source import paint_masks
from napari_sam.data.sample_store import load_samples
from napari_sam.data.sources import list_images
from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord


def rle(mask: np.ndarray) -> dict[str, Any]:
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


def runs(mask: np.ndarray) -> dict[str, Any]:
    flat = np.concatenate([[0], mask.T.ravel(), [0]]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    return {"size": list(mask.shape), "counts": counts}


def disc(row: float, col: float, radius: float, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]]
    return np.hypot(rows - row, cols - col) <= radius


def write_coco(folder: Path, annotations: list[dict[str, Any]], where: str = "") -> Path:
    (folder / where).mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture()[0]).save(folder / where / "a.png")
    rows = [{"id": 7, "file_name": "a.png", "height": 40, "width": 50}]
    content = {"images": rows, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder / "instances.json"


@pytest.mark.parametrize("where", ["", "images"])
def test_run_lengths_of_both_kinds_and_polygons(tmp_path, where):
    first, second = disc(12, 12, 6), disc(25, 35, 8)
    square = [5.0, 25.0, 15.0, 25.0, 15.0, 35.0, 5.0, 35.0]  # x, y
    annotations: list[dict[str, Any]] = [
        {"id": 1, "image_id": 7, "segmentation": rle(first), "area": int(first.sum())},
        {"id": 2, "image_id": 7, "segmentation": runs(second), "area": int(second.sum())},
        {"id": 3, "image_id": 7, "segmentation": [square], "bbox": [5, 25, 10, 10], "iscrowd": 0},
        {"id": 4, "image_id": 7, "segmentation": runs(np.ones((40, 50))), "area": 2000, "iscrowd": 1},
    ]
    samples, weights = load_samples([write_coco(tmp_path, annotations, where)])
    labels = samples[0].labels
    third = np.zeros((40, 50), bool)
    third[25:35, 5:15] = True
    for mask in (first, second, third):
        (number,) = np.unique(labels[mask])
        np.testing.assert_array_equal(labels == number, mask)
    assert labels.max() == 3
    assert samples.facts[0].objects == 3
    assert samples.facts[0].diameter == pytest.approx(samples[0].diameter)
    np.testing.assert_allclose(weights, [1])


def test_a_polygon_is_what_pycocotools_makes_of_it(tmp_path):
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    outline = np.stack([25 + 12 * np.cos(angle), 20 + 9 * np.sin(angle)], axis=1).ravel().tolist()
    theirs = coco.decode(coco.frPyObjects([outline], 40, 50))[..., 0].astype(bool)
    path = write_coco(tmp_path, [{"id": 1, "image_id": 7, "segmentation": [outline], "area": 1}])
    ours = load_samples([path])[0][0].labels > 0
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95


def test_the_smaller_mask_lies_on_top_and_hidden_ones_go():
    shape = (40, 50)
    cell, nucleus, speck = disc(20, 20, 12), disc(20, 20, 5), disc(20, 20, 2)
    hidden = disc(20, 20, 5.4)  # nearly all below the nucleus
    records = [MaskRecord.from_patch(mask, image_shape=shape) for mask in (nucleus, speck, hidden, cell)]
    labels = paint_masks(records, shape)
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]
    np.testing.assert_array_equal(labels == labels[20, 20], speck)
    np.testing.assert_array_equal(labels == labels[20, 24], nucleus & ~speck)
    np.testing.assert_array_equal(labels == labels[20, 30], cell & ~hidden)
    assert not paint_masks([], shape).any()


def write_sa1b(folder: Path, name: str, masks: list[np.ndarray]) -> None:
    image = Image.fromarray(picture()[0])
    image.save(folder / f"{name}.jpg")
    row = {"image_id": 1, "width": 50, "height": 40, "file_name": f"{name}.jpg"}
    annotations = [{"id": i, "segmentation": rle(mask), "area": int(mask.sum())} for i, mask in enumerate(masks)]
    (folder / f"{name}.json").write_text(json.dumps({"image": row, "annotations": annotations}))


def test_sa1b_folder_and_file(tmp_path):
    write_sa1b(tmp_path, "sa_1", [disc(12, 12, 6), disc(25, 35, 8)])
    write_sa1b(tmp_path, "sa_2", [])
    samples, weights = load_samples([tmp_path])
    assert [facts.objects for facts in samples.facts] == [2, 0]
    np.testing.assert_allclose(weights, [1, 0])
    np.testing.assert_array_equal(samples[0].labels > 0, disc(12, 12, 6) | disc(25, 35, 8))
    one, _ = load_samples([tmp_path / "sa_1.json"])
    np.testing.assert_array_equal(one[0].labels, samples[0].labels)
    (tmp_path / "sa_2.jpg").unlink()
    (tmp_path / "sa_3.json").write_text("{")
    _, problems = list_images([tmp_path])
    assert len(problems) == 2
    assert "sa_2.jpg" in problems[0]
    assert "sa_3.json" in problems[1]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [40, 50], "counts": [3, 5]}, "do not add up"),
        ({"size": [41, 50], "counts": [2050]}, "41"),
        ([[100.0, 0.0, 500.0, 0.0, 500.0, 500.0]], "leaves the image"),
        ([[1.0, 2.0, 3.0]], "a.png"),
    ],
)
def test_damaged_masks_are_named(tmp_path, segmentation, message):
    path = write_coco(tmp_path, [{"id": 1, "image_id": 7, "segmentation": segmentation, "area": 8}])
    samples, _ = load_samples([path])
    with pytest.raises(InputError, match=message) as caught:
        samples[0]
    assert "\n" not in str(caught.value)


def test_files_that_do_not_fit_are_named(tmp_path):
    mask = {"id": 1, "image_id": 7, "segmentation": rle(disc(12, 12, 6)), "area": 100}
    path = write_coco(tmp_path, [mask, {**mask, "image_id": 8}])
    assert "id 8" in list_images([path])[1][0]
    (tmp_path / "a.png").unlink()
    assert "images=FOLDER" in list_images([path])[1][0]
    elsewhere = tmp_path / "pictures"
    elsewhere.mkdir()
    Image.fromarray(picture()[0]).save(elsewhere / "a.png")
    assert len(list_images([f"{path}?images={elsewhere}"])[0]) == 1
    path.write_text(json.dumps({"images": [{"id": 1}], "annotations": []}))
    assert "no COCO JSON" in list_images([path])[1][0]


def test_one_odd_annotation_never_loses_a_picture(tmp_path):
    good = {"id": 1, "image_id": 7, "segmentation": rle(disc(12, 12, 6)), "area": 113}
    odd = [
        {"id": 2, "image_id": 7, "segmentation": None, "area": 8},
        {"id": 3, "image_id": 7, "bbox": None},
        {"id": 4, "image_id": 7, "segmentation": [[100.0, 0.0, 500.0, 0.0, 500.0, 500.0]], "area": 8},
    ]
    path = write_coco(tmp_path, [good, *odd])
    samples, _ = load_samples([path])
    np.testing.assert_array_equal(samples[0].labels > 0, disc(12, 12, 6))
    (warning,) = check_data([path])
    assert "3 entries" in warning
    assert "annotation 2: it has no segmentation" in warning
    assert "a.png" in warning
    with pytest.raises(InputError, match="object"):  # nothing is left to learn from
        load_samples([write_coco(tmp_path, odd[:2])])
