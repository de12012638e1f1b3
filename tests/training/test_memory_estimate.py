"""The estimate grows with what is trained, and a refusal names settings that fit."""

from __future__ import annotations

import pytest
import torch

from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.training import memory_estimate
from napari_sam.training.finetune_settings import finetune_settings
from napari_sam.training.memory_estimate import check_memory, estimate_memory, free_memory


@pytest.fixture(autouse=True)
def only_what_depends_on_the_model(monkeypatch):
    monkeypatch.setattr(memory_estimate, "FIRST_STEP", 0)


def estimate(model, mode, **changes):
    return estimate_memory(model, finetune_settings(mode, changes))


@pytest.mark.parametrize("kind", ["vit", "cell"])
def test_more_to_train_takes_more(kind, tiny_vit_model, tiny_cell_model):
    model = tiny_vit_model if kind == "vit" else tiny_cell_model
    decoder, lora, everything = (estimate(model, mode, batch=2) for mode in ("decoder", "lora", "all"))
    assert 0 < decoder < lora < everything
    assert estimate(model, "all", batch=8) > 2 * estimate(model, "all", batch=2)
    assert estimate(model, "decoder", prompts=16) > 1.5 * estimate(model, "decoder", prompts=8)


def test_activations_are_counted_as_they_are_kept(tiny_spec_cell):
    """Against the tensors that a real step keeps."""
    model = build_from_spec(tiny_spec_cell)
    kept = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model.image_encoder(torch.zeros(4, 3, 64, 64))
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    difference = estimate(model, "all", batch=8, prompts=1) - estimate(model, "all", batch=4, prompts=1)
    assert out[0].requires_grad
    assert real < difference < 2.5 * real


def test_a_refusal_is_one_sentence_with_settings_that_fit(tiny_cell_model):
    settings = finetune_settings("all", {"batch": 8})
    needed = estimate_memory(tiny_cell_model, settings)
    assert check_memory(tiny_cell_model, settings, free=2 * needed) == needed
    with pytest.raises(InputError, match=r"mode all with batch 8 .* GB of memory and .*: take batch [41]\.$") as caught:
        check_memory(tiny_cell_model, settings, free=int(needed / 0.9 * 0.8))
    assert "\n" not in str(caught.value)
    decoder = estimate(tiny_cell_model, "decoder", batch=1)
    with pytest.raises(InputError, match="take mode decoder with batch 1"):
        check_memory(tiny_cell_model, settings, free=int(decoder / 0.9 * 1.01))
    with pytest.raises(InputError, match="smaller model"):
        check_memory(tiny_cell_model, settings, free=0)


def test_free_memory_is_that_of_the_machine_or_of_its_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_estimate, "CGROUP", tmp_path)
    whole = free_memory(torch.device("cpu"))
    assert whole > 10**8
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert free_memory(torch.device("cpu")) == 2000000
    (tmp_path / "memory.max").write_text("max\n")
    assert abs(free_memory(torch.device("cpu")) - whole) < 2 * 10**9
