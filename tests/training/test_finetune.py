"""Fine-tuning raises scores on held-out images, keeps the best, and leaves an ordinary model."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.model.sam import Sam
from napari_sam.training import finetune as module
from napari_sam.training.finetune import FinetuneProgress, finetune
from napari_sam.training.finetune_score import HeldOutScore
from napari_sam.training.finetune_settings import FinetuneSettings, finetune_settings


def discs(seed: int, size: int = 64) -> Sample:
    """Some bright discs that do not touch, on noise."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:size, :size]
    image = rng.normal(60, 8, (size, size))
    labels = np.zeros((size, size), np.int32)
    for number, (r, c) in enumerate([(14, 14), (14, 46), (46, 14), (46, 46)], 1):
        radius = rng.uniform(6, 11)
        inside = np.hypot(row - r - rng.uniform(-3, 3), col - c - rng.uniform(-3, 3)) < radius
        labels[inside] = number
        image[inside] += 110
    return Sample(image=np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, -1), labels=labels)


@pytest.fixture
def cell(tiny_spec_cell) -> Sam:
    return build_from_spec(tiny_spec_cell, seed=0)


def quick(mode: str, **changes) -> FinetuneSettings:
    fast = {"steps": 4, "batch": 2, "prompts": 2, "rounds": 2, "views": 2, "warmup": 1, "score_every": 2}
    return finetune_settings(mode, {**fast, "score_objects": 2, **changes})


def weights(model: Sam) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: Sam) -> set[str]:
    return {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


def always_better(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Score with given numbers instead of the model."""
    left = iter(values)

    def score(*_, **__):
        yield [(value := next(left), value)]

    monkeypatch.setattr(module, "score_images", score)


def test_the_decoder_learns_on_remembered_embeddings(cell):
    """From random weights a tiny model learns discs, and the encoder stays as it was."""
    before = weights(cell)
    settings = finetune_settings(
        "decoder",
        {"steps": 100, "batch": 3, "prompts": 4, "rounds": 1, "views": 4, "lr": 4e-3, "score_every": 50,
         "score_objects": 4},
    )  # fmt: skip
    reports = list(finetune(cell, [discs(0), discs(1)], settings, held_out=[discs(7), discs(8)]))
    last = reports[-1]
    assert last.best.mean > last.before.mean + 0.1
    assert changed(before, cell) == {"prompt_encoder", "mask_decoder", "object_head"}
    losses = [r.loss for r in reports if r.stage == "training"]
    assert np.mean(losses[-30:]) < 0.8 * np.mean(losses[:30])


@pytest.mark.parametrize("mode", ["decoder", "lora", "all"])
def test_each_way_trains_what_it_says_and_leaves_an_ordinary_model(cell, mode, monkeypatch):
    always_better(monkeypatch, [0.1, 0.2, 0.3])
    before, keys = weights(cell), list(cell.state_dict())
    wanted = {name: p.requires_grad for name, p in cell.named_parameters()}
    fingerprint = cell.fingerprint
    reports = list(finetune(cell, [discs(0)], quick(mode), held_out=[discs(1)]))
    parts = {"prompt_encoder", "mask_decoder", "object_head"}
    assert changed(before, cell) == (parts if mode == "decoder" else parts | {"image_encoder"})
    assert list(cell.state_dict()) == keys
    assert {name: p.requires_grad for name, p in cell.named_parameters()} == wanted
    assert all(p.grad is None for p in cell.parameters())
    assert not any(parametrize.is_parametrized(layer) for layer in cell.modules())
    assert not cell.training
    assert cell.fingerprint != fingerprint
    training = [r for r in reports if r.stage == "training"]
    assert [r.step for r in training] == [1, 2, 3, 4]
    assert all(r.total == 4 and math.isfinite(r.loss) and r.eta >= 0 for r in training)
    assert sum(r.stage == "encoding" for r in reports) == (2 if mode == "decoder" else 0)
    assert [r.score.mean for r in reports if r.score] == [0.1, 0.2, 0.3]
    assert reports[-1].before.mean == 0.1


@pytest.mark.parametrize("mode", ["decoder", "lora"])
def test_a_text_head_goes_with_the_weights_it_was_trained_with(cell, monkeypatch, mode):
    cell.add_text_head(8, decoder=True)
    before = weights(cell)
    progress = finetune(cell, [discs(0)], quick(mode), held_out=[discs(7)])
    next(progress)
    progress.close()  # before anything was learnt
    assert not changed(before, cell)
    assert before.keys() == weights(cell).keys()
    always_better(monkeypatch, [0.1, 0.2, 0.3])
    list(finetune(cell, [discs(0)], quick(mode), held_out=[discs(7)]))
    assert cell.text_head is None
    assert cell.text_decoder is None


def test_biases_and_norms_of_the_encoder_stay_with_adapters(cell):
    before = weights(cell)
    list(finetune(cell, [discs(0)], quick("lora")))
    after = cell.state_dict()
    encoder = {key for key in after if key.startswith("image_encoder.")}
    moved = {key for key in encoder if not torch.equal(before[key], after[key])}
    assert moved
    assert all(after[key].ndim >= 2 for key in moved)


def test_stopping_keeps_the_best_so_far(cell, monkeypatch):
    """Scores 0.1, 0.5, 0.3 at steps 0, 2, 4: whoever stops after step 5 has the weights of step 2."""
    always_better(monkeypatch, [0.1, 0.5, 0.3, 0.9])
    at_two: dict[str, torch.Tensor] = {}
    progress = finetune(cell, [discs(0)], quick("all", steps=6), held_out=[discs(1)])
    for report in progress:
        if report.stage == "training" and report.step == 2:
            at_two = weights(cell)
        if report.stage == "training" and report.step == 5:
            assert changed(at_two, cell)
            break
    progress.close()
    assert at_two
    assert not changed(at_two, cell)
    assert report.best.mean == 0.5


@pytest.mark.parametrize("mode", ["decoder", "lora"])
def test_stopping_at_once_leaves_the_model_as_it_was(cell, mode):
    before = weights(cell)
    progress = finetune(cell, [discs(0)], quick(mode), held_out=[discs(1)])
    next(progress)
    progress.close()
    assert not changed(before, cell)
    assert list(cell.state_dict()) == list(before)


def test_weights_that_only_got_worse_are_not_kept(cell, monkeypatch):
    always_better(monkeypatch, [0.5, 0.4, 0.3])
    before = weights(cell)
    last = list(finetune(cell, [discs(0)], quick("all"), held_out=[discs(1)]))[-1]
    assert last.best.mean == last.before.mean == 0.5
    assert not changed(before, cell)


def test_it_stops_when_nothing_gets_better(cell, monkeypatch):
    always_better(monkeypatch, [0.1, 0.3, 0.2, 0.2, 0.9])
    settings = quick("all", steps=20, score_every=1, patience=2)
    reports = list(finetune(cell, [discs(0)], settings, held_out=[discs(1)]))
    assert reports[-1].step == 3
    assert reports[-1].best.mean == 0.3


def test_it_stops_when_the_time_is_up(cell):
    reports = list(finetune(cell, [discs(0)], quick("all", steps=500, minutes=1e-5), held_out=[discs(1)]))
    assert reports[-1].step == 1
    assert reports[-1].eta == 0
    assert sum(r.score is not None for r in reports) == 2


@pytest.mark.parametrize("mode", ["decoder", "all"])
def test_getting_ready_is_no_time_of_learning(cell, monkeypatch, mode):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    learnt = []
    for report in finetune(cell, [discs(0)], quick(mode, minutes=1), held_out=[discs(1), discs(2)]):
        if report.loss is None:
            assert report.learnt_for == 0
            now[0] += 1000
        elif report.stage == "training":
            learnt.append((report.step, report.learnt_for))
            now[0] += 25
    assert learnt == [(1, 0.0), (2, 25.0), (3, 50.0), (4, 75.0)]


def test_without_held_out_images_the_last_weights_stay(cell):
    before = weights(cell)
    reports = list(finetune(cell, [discs(0)], quick("all")))
    assert all(r.score is None and r.best is None for r in reports)
    assert changed(before, cell)


def test_the_same_seed_gives_the_same_weights(tiny_spec_cell):
    found = []
    for _ in range(2):
        model = build_from_spec(tiny_spec_cell)
        list(finetune(model, [discs(0), discs(1)], quick("lora", patience=0)))
        found.append(weights(model))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_incompletely_labelled_images_do_not_touch_the_object_head(cell):
    before = weights(cell)
    list(finetune(cell, [discs(0)], quick("decoder", complete_labels=False)))
    assert changed(before, cell) == {"prompt_encoder", "mask_decoder"}


def test_a_model_that_sees_whole_images_is_tuned_too(tiny_spec_vit):
    model = build_from_spec(tiny_spec_vit)
    before = weights(model)
    reports = list(finetune(model, [discs(0, 90)], quick("lora"), held_out=[discs(1, 50)]))
    assert isinstance(reports[-1], FinetuneProgress)
    assert isinstance(reports[-1].best, HeldOutScore)
    assert "image_encoder" in changed(before, model) or reports[-1].best == reports[-1].before


def test_images_that_teach_nothing_are_refused(cell, tiny_spec_vit):
    empty = Sample(image=discs(0).image, labels=np.zeros((64, 64), np.int32))
    for samples in ([], [empty, empty]):
        with pytest.raises(InputError, match=f"None of the {len(samples)} images"):
            list(finetune(cell, samples, quick("decoder")))
    reports = list(finetune(cell, [empty, discs(0)], quick("decoder"), held_out=[empty, discs(1)]))
    assert sum(r.stage == "encoding" for r in reports) == 2  # empty images are passed over
    assert reports[-1].best.objects == 2
    with pytest.raises(InputError, match="held-out"):
        list(finetune(cell, [discs(0)], quick("decoder"), held_out=[empty]))
    crumbs = Sample(image=discs(0).image, labels=np.pad(np.ones((1, 1), np.int32), (30, 33)))
    with pytest.raises(InputError, match="at least 16 pixels"):
        list(finetune(cell, [crumbs], quick("decoder")))
    medsam = build_from_spec(dataclasses.replace(tiny_spec_vit, preprocess="medsam"))
    with pytest.raises(InputError, match="another way"):
        list(finetune(medsam, [discs(0)], quick("decoder")))


def test_a_loss_that_explodes_is_one_sentence(cell):
    before = weights(cell)
    with torch.no_grad():
        cell.mask_decoder.iou_token.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="lower lr") as caught:
        list(finetune(cell, [discs(0)], quick("decoder")))
    assert "\n" not in str(caught.value)
    assert list(cell.state_dict()) == list(before)


def test_an_image_of_specks_among_others_costs_nothing(cell):
    speck = Sample(image=discs(0).image, labels=np.pad(np.ones((1, 2), np.int32), ((30, 33), (30, 32))))
    samples = [speck, discs(0), speck]
    reports = list(finetune(cell, samples, quick("lora"), held_out=[speck, discs(1)]))
    assert reports[-1].stage == "training"
    assert reports[-1].step == reports[-1].total
