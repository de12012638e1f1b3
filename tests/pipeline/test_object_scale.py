"""All tiles of an image look at one scale, which a few of them settle; a single tile settles it as `auto` does."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_sam.batch import segment_zarr, segmenters
from napari_sam.batch.segmenters import ModelChoice
from napari_sam.batch.size_survey import survey_object_size
from napari_sam.batch.tiles import plan_tiles
from napari_sam.config.auto import AutoSettings
from napari_sam.inference import mask_generator
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import AS_IT_IS
from napari_sam.inference.survey import Survey
from napari_sam.io.large_image import LazyPlane, open_large_image
from napari_sam.model.object_head import ObjectMaps
from napari_sam.model.sam import Sam
from napari_sam.ops.label_image import masks_to_labels
from napari_sam.pipeline import object_scale
from napari_sam.pipeline.object_scale import usual_object_size
from threshold_segmenter import read_labels, run, write_zarr


def found(size: float) -> Iterator[float]:
    """Stand in for the search, which yields how far it is and returns the size."""
    return (yield 1.0) or size


AUTO = AutoSettings(points="objects", pred_iou_thresh=0.0, stability_score_thresh=0.0, min_area=1, overlap="score")
SMALL, LARGE = 120, 240  # brightness of objects that the head takes for small and for large ones
SIZES = {SMALL: 6.0, LARGE: 40.0}


@pytest.fixture
def model(tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sam]:
    """A model whose object head sees an object in each bright spot; how bright it is says how large."""
    seen: list[torch.Tensor] = []
    encode = Sam.encode

    def keep(self: Sam, pixels: Any) -> Any:
        several = [pixels] if isinstance(pixels, torch.Tensor) else pixels
        seen[:] = [F.pad(p, (0, 64 - p.shape[-1], 0, 64 - p.shape[-2])) for p in several]
        return encode(self, pixels)

    def find(self: Sam, embedding: Any) -> ObjectMaps:
        bright = F.max_pool2d(torch.cat(seen)[:, 0], 2)
        there = torch.where(bright > SMALL / 2, 6.0, -6.0)
        size = torch.where(bright > (SMALL + LARGE) / 2, SIZES[LARGE], SIZES[SMALL])
        return ObjectMaps(foreground=there, middle=there + bright / 100, diameter=size.log2())

    monkeypatch.setattr(Sam, "encode", keep)
    monkeypatch.setattr(Sam, "find_objects", find)
    monkeypatch.setattr(segmenters, "load_model", lambda name, **_: tiny_cell_model)
    monkeypatch.setattr(segment_zarr, "fitting_threads", lambda threads: 1)  # `seen` is of one thread
    segmenters._load.cache_clear()
    yield tiny_cell_model
    segmenters._load.cache_clear()


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The level of each look at a tile."""
    looked: list[int] = []

    class Watched(Survey):
        def views(self, *arguments: Any) -> Any:
            looked.append(self.level)
            return super().views(*arguments)

    monkeypatch.setattr(mask_generator, "Survey", Watched)
    return looked


def spots(shape: tuple[int, int], brightness: int, step: int = 16) -> np.ndarray:
    image = np.zeros(shape, np.uint8)
    for row in range(step // 2, shape[0], step):
        for col in range(step // 2, shape[1], step):
            image[row : row + 3, col : col + 3] = brightness
    return image


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Small objects everywhere, but in one corner a few that the head takes for large ones."""
    image = spots((160, 160), SMALL)
    image[96:, 96:] = spots((64, 64), LARGE, 32)
    return write_zarr(tmp_path / "in.zarr", image, chunks=32)


def job(source: Path, output: Path, **settings: Any) -> Any:
    chosen = {"tile": 64, "overlap": 16, "normalization": "none", "auto": AUTO, "segmenter": None} | settings
    return run(source, output, **chosen)


def recorded(output: Path) -> float:
    return json.loads((output.with_name(f"{output.name}-cells.job") / "job.json").read_text())["object_size"]


def test_all_tiles_look_at_the_scale_that_most_objects_ask_for(
    model: Sam, mixed: Path, tmp_path: Path, levels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # each for itself: what this is about
        patch.setattr(segment_zarr, "survey_object_size", lambda *_, **__: found(0.0))
        job(mixed, tmp_path / "each.zarr")
    assert set(levels) == {-2, 0}
    levels.clear()
    job(mixed, tmp_path / "out.zarr")
    assert set(levels) == {-2}
    assert recorded(tmp_path / "out.zarr") == pytest.approx(SIZES[SMALL], rel=0.01)


def test_a_job_that_goes_on_keeps_the_size_on_record(
    model: Sam, mixed: Path, tmp_path: Path, levels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_zarr, "survey_object_size", lambda *_, **__: found(50.0))
    job(mixed, tmp_path / "out.zarr")
    (tmp_path / "out.zarr-cells.job" / "tiles" / "0-0.npz").unlink()
    levels.clear()
    monkeypatch.setattr(segment_zarr, "survey_object_size", lambda *_, **__: found(6.0))
    job(mixed, tmp_path / "out.zarr")
    assert levels == [0]
    job(mixed, tmp_path / "out.zarr", restart=True)
    assert recorded(tmp_path / "out.zarr") == 6.0


def test_a_size_that_the_user_gives_holds(
    model: Sam, mixed: Path, tmp_path: Path, levels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_zarr, "survey_object_size", None)  # not asked
    job(mixed, tmp_path / "out.zarr", auto={"object_size": 50.0})
    assert set(levels) == {0}


def test_a_single_tile_is_what_auto_gives(model: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_zarr, "survey_object_size", None)
    image = spots((30, 30), LARGE, 15)
    job(write_zarr(tmp_path / "in.zarr", image), tmp_path / "out.zarr")
    records = AutomaticMaskGenerator(model, AUTO).generate(image, normalization="none")
    expected = masks_to_labels(records, image.shape, AUTO, image=image)
    assert expected.max() > 0
    np.testing.assert_array_equal(read_labels(tmp_path / "out.zarr"), expected)


def test_few_places_are_looked_at_and_damaged_ones_left_out(
    model: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_scale, "SIDE", 48)
    image = np.zeros((200, 900), np.uint8)
    image[:, 600:] = spots((200, 300), LARGE)
    image[0, 0] = 9  # a tile with next to nothing
    source = write_zarr(tmp_path / "in.zarr", image, chunks=50)
    plane, tiles = open_large_image(source).plane(), plan_tiles(image.shape, 64, 16)
    shapes = []
    real = AutomaticMaskGenerator.object_diameters

    def spy(self: Any, pixels: Any, **named: Any) -> Any:
        shapes.append(pixels.shape)
        return real(self, pixels, **named)

    monkeypatch.setattr(AutomaticMaskGenerator, "object_diameters", spy)
    choice = ModelChoice(name="cells", checkpoint="", device="cpu", precision="", fingerprint=model.fingerprint)

    def size(*planes: LazyPlane, auto: AutoSettings = AUTO) -> float:
        looking = survey_object_size(choice, auto, AS_IT_IS, planes, tiles)
        shares = []
        while True:
            try:
                shares.append(next(looking))
            except StopIteration as end:
                end_value: float = end.value
                break
        assert shares == sorted(shares)
        assert end_value == usual_object_size(choice.load, auto, AS_IT_IS, planes, [tile.box for tile in tiles])
        return end_value

    assert size(plane) == pytest.approx(SIZES[LARGE], rel=0.01)
    assert 0 < len(shapes) <= 2 * 5  # in both ways
    assert set(shapes) == {(48, 48)}
    assert size(plane, plane) == size(plane)
    assert size(plane, auto=AutoSettings(points="grid")) == 0
    for chunk in (source / "c" / "0").iterdir():
        chunk.write_bytes(b"damaged")
    assert size(open_large_image(source).plane()) == pytest.approx(SIZES[LARGE], rel=0.01)
    empty = open_large_image(write_zarr(tmp_path / "empty.zarr", np.full_like(image, 7))).plane()
    assert size(empty) == 0


def test_models_without_an_object_head_see_no_sizes(tiny_vit_model: Sam) -> None:
    found = AutomaticMaskGenerator(tiny_vit_model).object_diameters(spots((64, 64), LARGE), normalization="none")
    assert found.shape == (0,)


@pytest.mark.parametrize("at_once", [1, 2])
def test_it_stops_in_the_same_place_however_many_are_looked_at_at_once(
    model: Sam, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.concatenate([spots((64, 64), SMALL if place in (1, 3) else LARGE, 8) for place in range(5)])
    tiles = plan_tiles(image.shape, 64, 0)
    looked: list[int] = []

    def look(self: AutomaticMaskGenerator, pixels: Any, **options: Any) -> Any:
        looked.append(int(pixels.max()))
        if len(looked) == 1:  # the first takes longest
            time.sleep(0.3 * (at_once - 1))
        return np.full(30, SIZES[int(pixels.max())])

    monkeypatch.setattr(AutomaticMaskGenerator, "object_diameters", look)
    choice = ModelChoice(name="cells", checkpoint="", device="cpu", precision="float32", fingerprint=model.fingerprint)
    assert answer(survey_object_size(choice, AUTO, AS_IT_IS, [image], tiles, at_once=at_once)) == SIZES[SMALL]
    assert looked[:2] == [SMALL, SMALL]
    assert at_once > 1 or len(looked) == 2


def answer(search: Generator[float, None, float]) -> float:
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value
