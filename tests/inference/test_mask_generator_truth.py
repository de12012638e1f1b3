"""Automatic masks with a decoder that knows the truth: what is left to go wrong is where things lie and what is cut."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.picture import Picture
from napari_sam.ops.selection import select_records


def iou(a, b):
    return np.count_nonzero(a & b) / max(1, np.count_nonzero(a | b))


class Oracle:
    """Answer a point with the object under it, as far as the window shows it; the image holds the labels."""

    draws = False

    def __init__(self, model, labels, window, log):
        at = (np.arange(model.mask_size) + 0.5) * model.img_size / model.mask_size
        self.window, self.log = window, log
        self.part = labels[window.slices]
        rows, cols = (
            np.clip((at / scale).astype(int), 0, side - 1)
            for scale, side in zip(window.scale, self.part.shape, strict=True)
        )
        self.truth = self.part[np.ix_(rows, cols)]  # padding repeats the border, as models do
        self.dtype = torch.float32

    def attend(self, *, points):
        xy = points[0][:, 0].numpy()
        at = np.rint(xy[:, ::-1] / np.array(self.window.scale)).astype(int)
        at = np.clip(at, 0, np.array(self.part.shape) - 1)
        found = self.part[at[:, 0], at[:, 1]]
        self.log.append(len(found))
        scores = np.where(found[:, None] > 0, [0.9, 0.8, 0.1], 0.0).astype(np.float32)
        return SimpleNamespace(found=found, offered=lambda multimask: torch.from_numpy(scores))

    def masks(self, attended, chosen, *, multimask):
        found = attended.found[chosen if isinstance(chosen, slice) else chosen.numpy()]
        same = torch.from_numpy(self.truth[None] == found[:, None, None])
        return (20.0 * same - 10.0)[:, None].expand(-1, 3, -1, -1), attended.offered(multimask)[chosen]


@pytest.fixture
def oracle(monkeypatch):
    """Put the oracle in the place of encoder and decoder; a list of how many points each call asked."""
    log = []

    def look_at_all(self, model, windows, cache, progress=None):
        return [Oracle(model, self.image, window, log) for window in windows]

    monkeypatch.setattr(Picture, "look_at_all", look_at_all)
    return log


@pytest.fixture(scope="module")
def whole_model(tiny_cell_model):
    """Sizes of a model that sees the whole image, with fine masks."""
    fake = {"img_size": 256, "mask_size": 128, "mask_threshold": 0.0, "device": torch.device("cpu")}
    return SimpleNamespace(
        **fake, spec=replace(tiny_cell_model.spec, windowed=False), image_encoder=tiny_cell_model.image_encoder
    )


def disks(shape, centres):
    """Labels of disks (row, col, radius), the later ones on top."""
    rows, cols = np.indices(shape)
    labels = np.zeros(shape, np.uint8)
    for number, (row, col, radius) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    return labels


LABELS = disks((200, 190), [(100, 100, 45), (30, 30, 9), (32, 64, 8), (64, 160, 10), (128, 20, 9), (185, 180, 9)])


def matches(records, labels):
    """For every record the label it fits and the IoU."""
    fits = []
    for record in records:
        number = np.bincount(labels[record.mask], minlength=2)[1:].argmax() + 1
        fits.append((int(number), iou(labels == number, record.mask)))
    return fits


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_what_runs_out_of_a_window_is_found_from_farther_away(mode, oracle, tiny_cell_model):
    generator = AutomaticMaskGenerator(tiny_cell_model, AutoSettings(points_per_side=8, mode=mode))
    records = generator.generate(LABELS, normalization="none")
    fits = matches(records, LABELS)
    assert sorted(number for number, _ in fits) == [1, 2, 3, 4, 5, 6]
    assert min(fit for _, fit in fits) > 0.75  # no part of an object is among them
    groups = {number: record.group for (number, _), record in zip(fits, records, strict=True)}
    assert groups[1] >= 1  # its 91 pixels fit no window of 64
    assert {groups[n] for n in (2, 4, 5, 6)} == {0}


def test_crops_offer_no_parts_of_objects(oracle, whole_model):
    generator = AutomaticMaskGenerator(whole_model, AutoSettings(points_per_side=16, crop_n_layers=1))
    found = [record for event in generator.stream(LABELS, normalization="none") for record in event.found]
    assert {record.group for record in found} == {0, 1, 2, 3, 4}
    assert min(fit for _, fit in matches(found, LABELS)) > 0.75
    large = [r for r, (number, _) in zip(found, matches(found, LABELS), strict=True) if number == 1]
    assert {record.group for record in large} == {0}
    records = select_records(found, generator.settings)
    assert sorted(number for number, _ in matches(records, LABELS)) == [1, 2, 3, 4, 5, 6]
    assert all(record.group > 0 for record in records if record.area < 1000)  # seen better from nearby


@pytest.mark.parametrize("windowed", [False, True])
def test_fast_mode_asks_less_and_finds_the_same(windowed, oracle, whole_model, tiny_cell_model):
    model = tiny_cell_model if windowed else whole_model
    labels = disks((150, 160), [(r, c, 20) for r in (25, 75, 125) for c in (30, 80, 130)])
    found, asked = [], []
    for mode in ("exact", "fast"):
        oracle.clear()
        generator = AutomaticMaskGenerator(model, AutoSettings(points_per_side=12, mode=mode))
        events = list(generator.stream(labels, normalization="none"))
        records = select_records([record for event in events for record in event.found], generator.settings)
        found.append(sorted(number for number, _ in matches(records, labels)))
        asked.append(sum(oracle))
        assert events[-1].asked == asked[-1]
    assert found[0] == found[1] == list(range(1, 10))
    assert asked[1] < 0.85 * asked[0]


REGION = (20, 45, 140, 175)


@pytest.mark.parametrize("windowed", [False, True])
def test_a_region_is_all_there_is(windowed, oracle, whole_model, tiny_cell_model):
    model = tiny_cell_model if windowed else whole_model
    generator = AutomaticMaskGenerator(model, AutoSettings(points_per_side=8 if windowed else 12, crop_n_layers=1))
    records = generator.generate(LABELS, normalization="none", region=REGION)
    rows, cols = slice(REGION[0], REGION[2]), slice(REGION[1], REGION[3])
    seen = np.zeros_like(LABELS)
    seen[rows, cols] = LABELS[rows, cols]
    fits = matches(records, seen)
    assert {number for number, _ in fits} == {1, 3, 4}  # also the disk that the region's edge cuts
    assert min(fit for _, fit in fits) > 0.75
    for record in records:
        assert record.image_shape == LABELS.shape
        assert REGION[0] <= record.point[0] <= REGION[2]
        assert REGION[1] <= record.point[1] <= REGION[3]
