"""Automatic masks: records that hold together, events, both modes, cancelling, mistakes, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.load import load_model
from napari_sam.ops.selection import select_records
from napari_sam.sample_data import nuclei

ALL = {
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
    "crop_nms_thresh": 1.0,
    "min_mask_region_area": 0,
}
CELLS = {
    "points_per_side": 16,
    "pred_iou_thresh": 0.3,
    "stability_score_thresh": 0.8,
    "rank_by": "predicted_iou",
    "box_nms_thresh": 0.3,
    "min_mask_region_area": 10,
}
NUCLEI = nuclei((96, 130), seed=2).image


@pytest.fixture(scope="module")
def cells():
    """The bundled model."""
    return load_model("cells", device="cpu", precision="float32")


@pytest.fixture(params=["vit", "cell"])
def model(request, tiny_vit_model, tiny_cell_model):
    return tiny_vit_model if request.param == "vit" else tiny_cell_model


@pytest.fixture
def asked(monkeypatch):
    """The number of prompts of every call of the decoder."""
    calls = []
    attend = FoldedDecoder.attend

    def counting(self, **prompts):
        calls.append(len(prompts["points"][0]))
        return attend(self, **prompts)

    monkeypatch.setattr(FoldedDecoder, "attend", counting)
    return calls


def iou(a, b):
    return np.count_nonzero(a & b) / max(1, np.count_nonzero(a | b))


def check(record, shape):
    """Assert that a record holds together and lies in the image."""
    assert record.image_shape == shape
    assert record.mask.shape == shape
    assert record.area == np.count_nonzero(record.mask)
    row0, col0, row1, col1 = record.crop_box
    assert 0 <= row0 < row1 <= shape[0]
    assert 0 <= col0 < col1 <= shape[1]
    assert row0 <= record.point[0] <= row1
    assert col0 <= record.point[1] <= col1
    if record.area:
        rows, cols = np.nonzero(record.mask)
        assert record.box == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        assert row0 <= record.box[0] < record.box[2] <= row1
        assert col0 <= record.box[1] < record.box[3] <= col1
    assert 0 <= record.stability_score <= 1


# ---- The small models


@pytest.mark.parametrize("layers", [0, 1])
def test_records_hold_together(layers, model):
    generator = AutomaticMaskGenerator(model, points_per_side=3, crop_n_layers=layers, **ALL)
    records = generator.generate(NUCLEI)
    assert records
    for record in records:
        check(record, NUCLEI.shape[:2])


def same(ours, theirs, *, shift=(0, 0)):
    """Assert equal records, the first lot moved by `shift`; rounding may turn single pixels."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        moved = np.zeros_like(a.mask)
        if b.area:
            rows, cols = (slice(b.box[i] + shift[i], b.box[i + 2] + shift[i]) for i in (0, 1))
            moved[rows, cols] = b.patch
        assert np.count_nonzero(a.mask != moved) <= 2 + 0.002 * a.area
        assert a.point == pytest.approx([b.point[i] + shift[i] for i in (0, 1)])
        assert a.crop_box == tuple(b.crop_box[i] + shift[i % 2] for i in range(4))
        assert a.predicted_iou == pytest.approx(b.predicted_iou, abs=1e-4)
        assert a.stability_score == pytest.approx(b.stability_score, abs=5e-3)
        assert a.group == b.group


def candidates(generator, image, **how):
    return [record for event in generator.stream(image, **how) for record in event.found]


@pytest.mark.parametrize("layers", [0, 1])
def test_a_region_gives_what_the_part_cut_out_gives(layers, tiny_trained_model, tiny_cell_model):
    for model in (tiny_trained_model, tiny_cell_model):
        generator = AutomaticMaskGenerator(model, points_per_side=3, crop_n_layers=layers, **ALL)
        part = candidates(generator, NUCLEI, normalization="none", region=(10, 25, 80, 120))
        alone = candidates(generator, NUCLEI[10:80, 25:120].copy(), normalization="none")
        assert len(part) > 10
        same(part, alone, shift=(10, 25))


def test_results_do_not_depend_on_the_batch_and_repeat(tiny_trained_model, tiny_cell_model):
    for model in (tiny_trained_model, tiny_cell_model):
        made = [
            candidates(AutomaticMaskGenerator(model, points_per_side=3, points_per_batch=batch, **ALL), NUCLEI)
            for batch in (0, 0, 1, 5)
        ]
        assert made[0] == made[1]  # to the bit
        for other in made[2:]:
            same(other, made[0])


@pytest.mark.parametrize("layers", [0, 1])
def test_moving_a_threshold_later_is_the_same_as_before(layers, tiny_trained_model):
    generator = AutomaticMaskGenerator(tiny_trained_model, points_per_side=5, crop_n_layers=layers, **ALL)
    loose = candidates(generator, NUCLEI)
    for changes in (
        {"pred_iou_thresh": 0.3, "stability_score_thresh": 0.5, "box_nms_thresh": 0.7, "crop_nms_thresh": 0.7},
        {"pred_iou_thresh": 0.35, "stability_score_thresh": 0.0, "box_nms_thresh": 0.3, "crop_nms_thresh": 0.9},
        {"stability_score_thresh": 0.7, "box_nms_thresh": 0.5, "min_mask_region_area": 30},
    ):
        strict = generator.settings.changed(**changes)
        direct = AutomaticMaskGenerator(tiny_trained_model, strict).generate(NUCLEI)
        assert 3 < len(direct) < len(loose)
        same(select_records(loose, strict), direct)


def test_an_empty_mask_of_an_inner_crop_is_dropped_as_the_authors_do(monkeypatch, tiny_vit_model):
    masks = FoldedDecoder.masks

    def empty(*args, **kwargs):
        logits, iou = masks(*args, **kwargs)
        return logits * 0 - 10, iou

    monkeypatch.setattr(FoldedDecoder, "masks", empty)
    found = candidates(AutomaticMaskGenerator(tiny_vit_model, points_per_side=2, crop_n_layers=1, **ALL), NUCLEI)
    assert {record.area for record in found} == {0}
    assert {record.group for record in found} == {0, 1}  # the crop in the image's corner may have it


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_progress_rises_to_the_total(mode, model, asked):
    generator = AutomaticMaskGenerator(model, points_per_side=5, points_per_batch=4, mode=mode, **ALL)
    events = list(generator.stream(NUCLEI))
    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[0] == 0
    assert all(event.done <= event.total for event in events)
    assert events[-1].done == events[-1].total
    assert events[-1].asked == sum(asked)
    assert max(asked) <= 4
    if mode == "exact" and not model.spec.windowed:
        assert len({event.total for event in events}) == 1
        assert sum(asked) == 25


def test_stopping_halfway_keeps_what_was_found(tiny_trained_model, asked):
    generator = AutomaticMaskGenerator(tiny_trained_model, points_per_side=4, points_per_batch=2, **ALL)
    everything = candidates(generator, NUCLEI)
    asked.clear()
    kept = []
    stream = generator.stream(NUCLEI)
    for event in stream:
        kept += event.found
        if len(kept) >= 6:
            break
    stream.close()
    assert 0 < sum(asked) < 16
    assert kept == everything[: len(kept)]
    assert 0 < len(select_records(kept, generator.settings)) <= len(kept)


def test_cancelling_the_encoder(model):
    def stop(done, total):
        raise OperationCancelled

    generator = AutomaticMaskGenerator(model, points_per_side=2, **ALL)
    with pytest.raises(OperationCancelled):
        generator.generate(NUCLEI, progress=stop)
    assert generator.generate(NUCLEI)


def test_embeddings_are_shared_through_the_cache(tiny_vit_model, monkeypatch):
    cache = EmbeddingCache()
    first = AutomaticMaskGenerator(tiny_vit_model, points_per_side=2, cache=cache, **ALL).generate(NUCLEI)
    monkeypatch.setattr(type(tiny_vit_model), "encode", None)
    assert AutomaticMaskGenerator(tiny_vit_model, points_per_side=2, cache=cache, **ALL).generate(NUCLEI) == first


def test_points_of_ones_own(tiny_trained_model, asked):
    grids = [np.array([[0.25, 0.5], [0.75, 0.1]]), [[0.5, 0.5]]]
    found = candidates(AutomaticMaskGenerator(tiny_trained_model, point_grids=grids, **ALL), NUCLEI)
    assert {record.point for record in found} == {(24.0, 65.0), (72.0, 13.0)}
    assert sum(asked) == 2
    asked.clear()
    candidates(AutomaticMaskGenerator(tiny_trained_model, point_grids=grids, crop_n_layers=1, **ALL), NUCLEI)
    assert sum(asked) == 2 + 4
    asked.clear()
    candidates(AutomaticMaskGenerator(tiny_trained_model, point_grids=grids, mode="fast", **ALL), NUCLEI)
    assert 1 <= sum(asked) <= 2


# ---- Mistakes, and images at the edge of sense


@pytest.mark.parametrize(
    "changes",
    [
        {"points_per_side": 0},
        {"points_per_batch": -1},
        {"pred_iou_thresh": 1.5},
        {"stability_score_thresh": float("nan")},
        {"box_nms_thresh": -0.1},
        {"crop_n_layers": 9},
        {"mode": "quick"},
        {"point_per_side": 3},
        {"point_grids": []},
        {"point_grids": [[]]},
        {"point_grids": 3},
        {"point_grids": [[[0.5, 1.2]]]},
        {"point_grids": [[[0.5, float("nan")]]]},
        {"point_grids": [[0.5, 0.5]]},
        {"point_grids": [[[0.5], [0.5, 0.5]]]},
        {"point_grids": [[["a", "b"]]]},
        {"point_grids": [[[0.5, 0.5]]], "crop_n_layers": 1},
    ],
    ids=str,
)
def test_wrong_settings_get_one_sentence(changes, tiny_vit_model):
    with pytest.raises(InputError) as caught:
        AutomaticMaskGenerator(tiny_vit_model, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "region",
    [(0, 0, 97, 10), (-1, 0, 5, 5), (5, 5, 5, 9), (9, 0, 5, 5), (0, 0, 5), (0, 0, float("nan"), 5), "all", 7],
    ids=str,
)
def test_regions_outside_are_refused_before_anything_is_done(region, tiny_vit_model):
    with pytest.raises(InputError, match="The region"):
        AutomaticMaskGenerator(tiny_vit_model).stream(NUCLEI, region=region)


@pytest.mark.parametrize("image", [np.zeros((2, 9, 9, 3)), np.zeros((0, 3)), "picture"])
def test_bad_images_are_refused_before_anything_is_done(image, tiny_vit_model):
    with pytest.raises(InputError):
        AutomaticMaskGenerator(tiny_vit_model).stream(image)


def test_nothing_is_found_where_all_pixels_are_missing(tiny_vit_model):
    with pytest.warns(UserWarning, match="count as missing"):
        assert AutomaticMaskGenerator(tiny_vit_model, pred_iou_thresh=0).generate(np.full((40, 40), np.nan)) == []


GREY = NUCLEI[..., 0]
PART = GREY[20:56, 40:90]


@pytest.mark.parametrize(("mode", "layers"), [("exact", 0), ("fast", 2)])
@pytest.mark.parametrize(
    "image",
    [
        GREY[:20, :30],
        GREY[:1, :1],
        GREY[:1, :90],
        GREY[:90, :2],
        PART.astype(np.uint16) * 200,
        PART > 90,
        PART.astype(np.float32) - 300,
        NUCLEI[:70, :20],
        np.dstack([NUCLEI, GREY])[:50, :50],
        np.full((40, 50), 7, np.uint8),
        np.zeros((50, 70), np.float64),
    ],
    ids=["small", "1x1", "row", "columns", "16-bit", "bool", "float", "RGB", "RGBA", "constant", "zero"],
)
def test_images_of_every_kind(image, mode, layers, model):
    shape = image.shape[:2]
    generator = AutomaticMaskGenerator(model, points_per_side=2, crop_n_layers=layers, mode=mode, **ALL)
    events = list(generator.stream(image))
    assert events[-1].done == events[-1].total
    for event in events:
        for record in event.found:
            check(record, shape)
    found = [record for event in events for record in event.found]
    assert len(select_records(found, generator.settings)) <= len(found)


def test_grey_is_rgb_of_three_equal_channels(tiny_trained_model):
    generator = AutomaticMaskGenerator(tiny_trained_model, points_per_side=3, **ALL)
    assert generator.generate(GREY, normalization="none") == generator.generate(
        np.dstack([GREY] * 3), normalization="none"
    )


def test_settings_and_changes_add_up(model):
    generator = AutomaticMaskGenerator(model, AutoSettings(points_per_side=5), mode="fast")
    assert generator.settings == AutoSettings(points_per_side=5, mode="fast")


# ---- The bundled model


def test_fast_and_exact_find_the_same_nuclei(cells):
    sample = nuclei((128, 128), seed=2)
    objects = [sample.labels == number for number in np.unique(sample.labels) if number]
    loose, prompts, quality = {}, {}, {}
    for mode in ("exact", "fast"):
        generator = AutomaticMaskGenerator(cells, **CELLS, points="grid", mode=mode)
        events = list(generator.stream(sample.image))
        loose[mode] = [record for event in events for record in event.found]
        prompts[mode] = events[-1].asked
        masks = [record.mask for record in select_records(loose[mode], generator.settings)]
        quality[mode] = np.mean([max(iou(one, mask) for mask in masks) for one in objects])
    assert prompts["fast"] < prompts["exact"] == 256
    for record in loose["fast"]:  # the same questions get the same answers
        assert max(iou(record.mask, other.mask) for other in loose["exact"] if other.point == record.point) > 0.99
    assert quality["exact"] > 0.3
    assert quality["fast"] > quality["exact"] - 0.1  # of one image; docs/performance.md has the loss over data sets


def test_a_constant_image_has_no_masks(cells, tiny_trained_model):
    for model in (cells, tiny_trained_model):
        for image in (np.zeros((100, 100), np.uint8), np.full((60, 80), 200, np.uint16), np.full((30, 300, 3), 0.5)):
            generator = AutomaticMaskGenerator(model, **ALL)
            events = list(generator.stream(image))
            assert events[-1].done == events[-1].total
            assert not any(event.found for event in events)
            assert generator.generate(image) == []
    half = np.hstack([np.zeros((64, 64, 3), np.uint8), NUCLEI[:64, :64]])
    generator = AutomaticMaskGenerator(tiny_trained_model, points_per_side=3, **ALL)
    assert generator.generate(half, region=(0, 0, 64, 64)) == []
    assert generator.generate(half, region=(0, 1, 64, 66))


# ---- Memory


def nearly_zero(side):
    image = np.zeros((side, side), np.uint8)
    image[0, 0] = 1  # of an even image nothing is asked
    return image


class Largest(TorchDispatchMode):
    """Note the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else (out,):
            if isinstance(one, torch.Tensor):
                self.bytes = max(self.bytes, one.numel() * one.element_size())
        return out


def test_no_tensor_is_larger_than_one_mask(tiny_trained_model):
    image = nearly_zero(512)
    generator = AutomaticMaskGenerator(tiny_trained_model, points_per_side=4, points_per_batch=16, **ALL)
    with Largest() as largest:
        found = candidates(generator, image, normalization="none")
    assert len(found) == 48
    assert largest.bytes <= 4 * image.size  # in float32


def test_memory_does_not_grow_with_the_number_of_masks(tiny_trained_model):
    image = nearly_zero(4096)
    rng = np.random.default_rng(0)
    grids = rng.random((2, 60, 2))  # 300 points in all
    generator = AutomaticMaskGenerator(
        tiny_trained_model, point_grids=grids, crop_n_layers=1, pred_iou_thresh=0.3, stability_score_thresh=0.0
    )
    tracemalloc.start()
    found = candidates(generator, image, normalization="none")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) >= 20
    assert peak <= 20 * image.size  # to normalise the image; a stack of all masks would be 44 times its size
    assert kept <= image.size
