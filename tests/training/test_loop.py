"""The loop learns, resumes exactly, and refuses what would spoil a run."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, SamSpec, build_from_spec
from napari_sam.training.loop import train
from napari_sam.training.prompt_simulation import plan_rounds
from napari_sam.training.schedule import learning_rate
from napari_sam.training.step import training_step


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tiny_spec_cell: SamSpec) -> str:
    monkeypatch.setitem(SPECS, "cell_tiny", tiny_spec_cell)
    return "cell_tiny"


def config(**changes) -> TrainingConfig:
    base = TrainingConfig(
        architecture="cell_tiny",
        synthetic=1.0,
        steps=6,
        batch=2,
        prompts=2,
        rounds=3,
        warmup=2,
        cooldown=2,
        save_every=2,
        precision="float32",
        lr=1e-3,
    )
    return dataclasses.replace(base, **changes)


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


NONE: tuple[list, np.ndarray] = ([], np.zeros(0))


def test_a_stopped_and_resumed_run_equals_an_unbroken_one(tiny, tmp_path):
    for _ in train(config(), *NONE, tmp_path / "whole"):
        pass
    for progress in train(config(), *NONE, tmp_path / "broken"):
        if progress.step == 3:  # the last checkpoint is of step 2
            break
    for _ in train(config(), *NONE, tmp_path / "broken", resume=True):
        pass
    assert len(losses(tmp_path / "whole")) == 6
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[key], broken[key]) for key in whole)


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(tiny, tmp_path):
    list(train(config(steps=2), *NONE, tmp_path / "run"))
    with pytest.raises(InputError, match="--resume"):
        next(train(config(), *NONE, tmp_path / "run"))
    with pytest.raises(InputError, match=r"lr=0\.001"):
        next(train(config(lr=1e-4), *NONE, tmp_path / "run", resume=True))
    assert [p.step for p in train(config(steps=3), *NONE, tmp_path / "run", resume=True)] == [3]


def test_rate_warms_up_and_cools_down():
    c = config(steps=10, warmup=4, cooldown=4, lr=1.0)
    rates = [learning_rate(c, step) for step in range(1, 11)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def disks(*centres: tuple[int, int]) -> Sample:
    """Bright disks of radius 7 on a dark ground, (64, 64)."""
    rows, cols = np.mgrid[:64, :64]
    labels = np.zeros((64, 64), np.int32)
    for number, (row, col) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 < 49] = number
    image = np.where(labels > 0, 220, 30).astype(np.uint8)
    return Sample(image=np.repeat(image[..., None], 3, axis=-1), labels=labels)


def test_the_tiny_model_learns(tiny, tmp_path):
    samples = [disks((16, 16), (46, 40)), disks((14, 48), (32, 20), (50, 50))]
    c = config(synthetic=0.0, data=("x",), steps=250, rounds=1, scale=(1.0, 1.0), lr=4e-3, warmup=10, cooldown=60,
               save_every=250, batch=3, prompts=3, focal_weight=5.0, focal_alpha=0.9)  # fmt: skip
    history = [p.result for p in train(c, samples, np.array([0.5, 0.5]), tmp_path / "run")]
    first, last = history[:20], history[-40:]
    assert np.mean([r.loss for r in last]) < 0.75 * np.mean([r.loss for r in first])
    assert np.mean([r.first_iou for r in last]) > np.mean([r.first_iou for r in first]) + 0.1


def test_gradients_by_rounds_equal_one_backward_through_everything(tiny, tiny_spec_cell):
    """The encoder's gradient, summed over rounds at the cut, is that of the whole graph."""
    import torch.nn.functional as F

    from napari_sam.data.sampler import make_batch
    from napari_sam.losses.masks import sam_loss
    from napari_sam.losses.objects import object_loss
    from napari_sam.training.prompt_simulation import Chance, PromptState

    c = config(rounds=3)
    batch = make_batch([], np.zeros(0), c, 64, 1)
    cut = build_from_spec(tiny_spec_cell).train()
    training_step(cut, batch, c, 1)

    whole = build_from_spec(tiny_spec_cell).train()
    generator = torch.Generator().manual_seed(c.seed * 1_000_003 + 1)
    embedding = whole.encode(torch.from_numpy(batch.images).permute(0, 3, 1, 2))
    masks = torch.from_numpy(batch.masks).flatten(0, 1).float()
    target = F.adaptive_avg_pool2d(masks[:, None], whole.mask_size)[:, 0]
    state = PromptState(target=target, img_size=64, chance=Chance(generator=generator))
    plan = plan_rounds(3, generator)
    box = bool(torch.rand(1, generator=generator) < 0.5)
    loss = torch.zeros(())
    for number, this in enumerate(plan):
        if this.kind == "first":
            state.add_first(box=box)
        elif this.kind == "point":
            state.add_correction()
        logits, iou = whole.decode(embedding, multimask=number == 0 and not box, **state.prompts())
        loss = loss + sam_loss(logits, iou, target) / 3
        state.feed_back(logits, iou)
    loss = loss + object_loss(whole.find_objects(embedding), torch.from_numpy(batch.objects))
    loss.backward()
    for (name, a), b in zip(cut.named_parameters(), whole.parameters(), strict=True):
        if b.grad is not None:
            assert a.grad is not None, name
            torch.testing.assert_close(a.grad, b.grad, rtol=2e-3, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
