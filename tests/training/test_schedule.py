"""Learning rates over steps and over depth."""

from __future__ import annotations

from itertools import pairwise

import pytest

from napari_sam.config.training import TrainingConfig
from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.training.schedule import learning_rate, make_optimizer, set_learning_rate


def config(**changes) -> TrainingConfig:
    return TrainingConfig(**{"synthetic": 1.0, "lr": 1.0, "warmup": 0, "cooldown": 0, **changes})


def test_the_linear_schedule_warms_up_and_cools_down():
    c = config(steps=10, warmup=4, cooldown=4)
    rates = [learning_rate(c, step) for step in range(1, 11)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_the_papers_steps():
    c = config(steps=27, warmup=2, schedule="steps")
    rates = [learning_rate(c, step) for step in range(1, 28)]
    assert rates[:2] == [0.5, 1]
    assert rates[2:18] == [1] * 16
    assert rates[18:26] == pytest.approx([0.1] * 8)
    assert rates[26] == pytest.approx(0.01)


def test_the_cosine_falls_from_one_to_almost_nothing():
    c = config(steps=100, warmup=10, schedule="cosine")
    rates = [learning_rate(c, step) for step in range(1, 101)]
    assert rates[9] == pytest.approx(1)
    assert all(a > b for a, b in pairwise(rates[9:]))
    assert 0 < rates[-1] < 0.01


def test_early_layers_learn_more_slowly(tiny_spec_vit):
    model = build_from_spec(tiny_spec_vit)
    optimizer = make_optimizer(model, config(layer_decay=0.5))
    set_learning_rate(optimizer, 2.0)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    encoder = model.image_encoder
    assert rate[id(encoder.patch_embed.proj.weight)] == 0.25  # two blocks and the neck lie after it
    assert rate[id(encoder.blocks[0].mlp.lin1.weight)] == 0.5
    assert rate[id(encoder.blocks[1].mlp.lin1.bias)] == 1.0
    assert rate[id(encoder.neck[0].weight)] == 2.0
    assert rate[id(model.mask_decoder.iou_token.weight)] == 2.0
    assert len(rate) == len(list(model.parameters()))


def test_only_matrices_decay(tiny_spec_cell):
    model = build_from_spec(tiny_spec_cell)
    optimizer = make_optimizer(model, config(weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay[id(model.image_encoder.stem.weight)] == 0.3
    assert decay[id(model.image_encoder.stem.bias)] == 0
    assert decay[id(model.image_encoder.pos_embed)] == 0
    assert decay[id(model.mask_decoder.mask_tokens.weight)] == 0


@pytest.mark.parametrize("changes", [{"schedule": "stairs"}, {"layer_decay": 0.0}, {"drop_path": 1.5}, {"workers": -1}])
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        config(**changes)


def test_a_run_with_a_time_falls_with_the_time():
    config = TrainingConfig(data=("x",), minutes=10, warmup=4, lr=1.0)
    assert learning_rate(config, 2, 0.0) == pytest.approx(0.5)
    assert learning_rate(config, 4, 3.9) == pytest.approx(1.0)
    assert learning_rate(config, 900, 7.0) == pytest.approx(0.5)
    assert learning_rate(config, 900, 12.0) == 0


def test_features_learnt_elsewhere_learn_slowly(tiny_spec_drawing):
    model = build_from_spec(tiny_spec_drawing)
    optimizer = make_optimizer(model, TrainingConfig(data=("x",)))
    scale = {id(p): group["scale"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: scale[id(parameter)] for name, parameter in model.named_parameters()}
    assert {value for name, value in found.items() if ".lite." in name} == {0.1}
    assert {value for name, value in found.items() if ".lite." not in name} == {1.0}
