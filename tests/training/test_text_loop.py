"""The CLIP's training learns, resumes exactly, and takes batches that follow from seed and step."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clip_tiny import TINY_CLIP
from napari_sam.config.caption_words import FACETS, vocabulary
from napari_sam.config.text_training import TextTrainingConfig
from napari_sam.data.caption_crops import CaptionCrops
from napari_sam.data.captions import TRUE, UNKNOWN, encode_values
from napari_sam.errors import InputError
from napari_sam.model.clip import load_clip
from napari_sam.model.clip_towers import CLIP_SPECS
from napari_sam.training import text_loop
from napari_sam.training.schedule import cosine_rate
from napari_sam.training.text_batches import make_text_batch
from napari_sam.training.text_loop import train_text


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLIP_SPECS, "clip_bundled", TINY_CLIP)


def config(**changes) -> TextTrainingConfig:
    base = {"steps": 6, "batch": 16, "texts": 8, "warmup": 2, "save_every": 2, "precision": "float32", "lr": 2e-3}
    return TextTrainingConfig(**{**base, **changes})


def crops(n: int = 40) -> CaptionCrops:
    """Bright and dark squares, small and large ones."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((n, 16, 16, 4), np.uint8)
    codes = []
    for i in range(n):
        bright, large = bool(i % 2), bool(i // 2 % 2)
        half = 6 if large else 3
        where = np.s_[i, 8 - half : 8 + half, 8 - half : 8 + half]
        pixels[where] = (*[(200 if bright else 60) + rng.integers(-20, 20)] * 3, 255)
        codes.append(
            encode_values({"brightness": "bright" if bright else "dark", "size": "large" if large else "small"})
        )
    return CaptionCrops(pixels, np.stack(codes))


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def test_a_stopped_and_resumed_run_equals_an_unbroken_one(tmp_path):
    for _ in train_text(config(), crops(), tmp_path / "whole"):
        pass
    for progress in train_text(config(), crops(), tmp_path / "broken"):
        if progress.step == 3:  # the last checkpoint is of step 2
            break
    for _ in train_text(config(), crops(), tmp_path / "broken", resume=True):
        pass
    assert len(losses(tmp_path / "whole")) == 6
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    whole, broken = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[key], broken[key]) for key in whole)


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(tmp_path):
    list(train_text(config(steps=2), crops(), tmp_path / "run"))
    with pytest.raises(InputError, match="--resume"):
        next(train_text(config(), crops(), tmp_path / "run"))
    with pytest.raises(InputError, match=r"lr=0\.002"):
        next(train_text(config(lr=1e-4), crops(), tmp_path / "run", resume=True))


def test_it_learns_and_the_model_can_be_loaded(tmp_path):
    settings = config(steps=80, batch=32, texts=24, save_every=80, noise=2.0, ema=0.9)
    done = list(train_text(settings, crops(), tmp_path / "run"))
    assert np.mean([one.order for one in done[:5]]) < 0.7
    assert np.mean([one.order for one in done[-10:]]) > 0.75
    clip = load_clip("bundled", checkpoint=tmp_path / "run" / "model.safetensors", device="cpu")
    assert clip.vocabulary == vocabulary()
    seen = crops()
    cosines = clip.encode_images(seen.pixels[..., :3]) @ clip.encode_texts(["bright", "dark"]).T
    right = cosines.argmax(axis=1) == seen.codes[:, list(FACETS).index("brightness")]
    assert right.mean() > 0.9


def test_training_reaches_both_towers_and_the_scale(tmp_path):
    run = text_loop._Run(config(), text_loop.RunFolder(tmp_path / "run"), "cpu", resume=False)
    run.update(1, 1e-3, make_text_batch(crops(), crops().weights, config(), 1))
    without = {name for name, p in run.towers.named_parameters() if p.grad is None or not p.grad.abs().any()}
    assert without == set()


def test_a_batch_follows_from_seed_and_step():
    one, same, other = (make_text_batch(crops(), crops().weights, config(), step) for step in (3, 3, 4))
    assert one.texts == same.texts != other.texts
    assert np.array_equal(one.images, same.images)
    assert one.images.shape == (16, 16, 16, 3)
    assert one.truth.shape == (16, 8)
    assert (np.diag(one.truth) == TRUE).all()


def test_objects_of_which_nothing_is_known_have_no_caption():
    seen = crops()
    codes = seen.codes.copy()
    codes[: len(codes) - 4] = UNKNOWN
    batch = make_text_batch(CaptionCrops(seen.pixels, codes), seen.weights, config(), 1)
    assert 0 < len(batch.texts) <= 8
    assert len(batch.texts) == batch.truth.shape[1]


def test_rate_warms_up_and_falls_to_nothing():
    settings = config(steps=100, warmup=10, lr=1.0)
    rates = [cosine_rate(settings.lr, step, warmup=settings.warmup, steps=settings.steps) for step in range(1, 101)]
    assert rates[:2] == [0.1, 0.2]
    assert max(rates) == rates[9] == 1
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 1e-3
