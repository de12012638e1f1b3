"""Texts in jobs: tile by tile what `segment_text` finds, each object with its text, whatever the seams and planes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from clip_helpers import ColourClip
from napari_sam.batch import segmenters, text_segmenter
from napari_sam.batch.segmenters import Found
from napari_sam.config.auto import AutoSettings
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.model.sam import Sam
from napari_sam.pipeline.text_segment import text_segment
from threshold_segmenter import ThresholdSegmenter, blobs, read_labels, run, write_zarr

AUTO = AutoSettings(points_per_side=5, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=0.3, min_area=4)
RANKING = {"threshold": 0.3, "views": ["keep"]}
TEXTS = ("red things", "green things")


class HalfSegmenter(ThresholdSegmenter):
    """Call objects "left" whose middle lies left of column 60, the others "right"."""

    def segment(self, plane: Any, tile: Any, prompts: Any) -> Found:
        found = super().segment(plane, tile, prompts)
        right = [record.box[1] + record.box[3] > 120 for record in found.records]
        return Found(records=found.records, texts=np.array(right, np.int32))


@pytest.fixture(autouse=True)
def models(tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(segmenters, "load_model", lambda name, **_: tiny_cell_model)
    monkeypatch.setattr(text_segmenter, "load_clip", lambda name, **_: ColourClip(vocabulary=["red", "green"]))
    for cache in (segmenters._load, text_segmenter._load):
        cache.cache_clear()
    yield
    for cache in (segmenters._load, text_segmenter._load):
        cache.cache_clear()


def coloured(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return (3, H, W): red blobs on the left, green ones on the right."""
    image = np.zeros((3, *shape), np.uint8)
    found = blobs(shape, 3, 14)
    image[0, :, : shape[1] // 2], image[1, :, shape[1] // 2 :] = found[:, : shape[1] // 2], found[:, shape[1] // 2 :]
    return image


def job(source: Path, output: Path, **settings: Any) -> Any:
    given = {"mode": "text", "text": TEXTS, "auto": AUTO, "ranking": RANKING, "tile": 128, "overlap": 16}
    return run(source, output, segmenter=None, **(given | settings))


def properties(output: Path) -> dict[int, str]:
    attributes = dict(zarr.open_group(output, mode="r")["labels/cells"].attrs)
    entries = attributes.get("ome", attributes)["image-label"]["properties"]
    return {entry["label-value"]: entry["text"] for entry in entries}


def test_one_tile_equals_segment_text_and_each_object_has_its_text(tiny_cell_model: Sam, tmp_path: Path) -> None:
    image = coloured((90, 100))
    job(write_zarr(tmp_path / "in.zarr", image, ("c", "y", "x")), tmp_path / "out.zarr")
    ranker = TextRanker(ColourClip(vocabulary=["red", "green"]), **RANKING)
    result = text_segment(AutomaticMaskGenerator(tiny_cell_model, AUTO), ranker, np.moveaxis(image, 0, -1), TEXTS)
    labels, columns = result.combined()
    assert {*columns["text"]} == {*TEXTS}
    made, texts = read_labels(tmp_path / "out.zarr"), properties(tmp_path / "out.zarr")
    np.testing.assert_array_equal(made > 0, labels > 0)
    assert sorted(texts) == (np.unique(made)[1:]).tolist()
    for label, text in zip(columns["label"], columns["text"], strict=True):
        assert {texts[number] for number in np.unique(made[labels == label]).tolist()} == {text}


def test_objects_of_many_tiles_and_planes_keep_their_text(tmp_path: Path) -> None:
    image = np.stack([blobs((150, 140), 2, 20)] * 2)
    source = write_zarr(tmp_path / "in.zarr", image, ("z", "y", "x"))
    given = {"mode": "text", "text": ("left", "right"), "tile": 64, "overlap": 32}
    run(source, tmp_path / "out.zarr", segmenter=HalfSegmenter(), link="z", **given)
    labels, texts = read_labels(tmp_path / "out.zarr"), properties(tmp_path / "out.zarr")
    assert sorted(texts) == (np.unique(labels)[1:]).tolist()
    assert {*texts.values()} == {"left", "right"}
    for label, text in texts.items():
        cols = np.nonzero(labels[0] == label)[1]
        if cols.max() - cols.min() < 32:  # not the bar
            assert text == ("left" if cols.min() + cols.max() + 1 <= 120 else "right")


def test_words_that_are_not_known_are_told_before_the_job(tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "in.zarr", coloured((60, 60)), ("c", "y", "x"))
    with pytest.warns(UserWarning, match="'blorps'"):
        job(source, tmp_path / "out.zarr", text=("red blorps",))
    assert not read_labels(tmp_path / "out.zarr").any()


def test_other_weights_of_the_clip_are_refused() -> None:
    settings = BatchSettings(mode="text", text=("red",))
    choice = text_segmenter.choose_clip(settings)
    other = text_segmenter.ClipChoice(**(choice.__dict__ | {"fingerprint": "0" * 32}))
    assert choice.load().fingerprint == choice.fingerprint
    with pytest.raises(InputError, match="weights of the CLIP bundled are others here"):
        other.load()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "text"}, "nothing to look for"),
        ({"mode": "auto", "text": ("red",)}, "the mode is auto"),
        ({"mode": "text", "text": ("red", "red")}, "given twice"),
    ],
)
def test_texts_and_mode_belong_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        BatchSettings(**given)
