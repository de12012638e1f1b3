"""Pre-training hides what it should, learns, resumes exactly, and hands its encoder on."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sam.config.pretraining import PretrainingConfig, load_pretraining_config
from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, SamSpec, build_from_spec, build_model
from napari_sam.training.initialization import start_from
from napari_sam.training.mae import pretrain
from napari_sam.training.mae_batches import make_masked_batch
from napari_sam.training.mae_loss import masked_pixel_loss, normalised_patches
from napari_sam.training.mae_model import MaskedAutoencoder
from napari_sam.training.schedule import cosine_rate


@pytest.fixture(params=["cell", "vit"])
def architecture(request, monkeypatch, tiny_spec_cell: SamSpec, tiny_spec_vit: SamSpec) -> str:
    spec = tiny_spec_cell if request.param == "cell" else tiny_spec_vit
    monkeypatch.setitem(SPECS, spec.architecture, spec)
    return spec.architecture


def config(architecture: str, **changes) -> PretrainingConfig:
    base = PretrainingConfig(
        architecture=architecture,
        data=("x",),
        steps=6,
        batch=2,
        decoder_width=32,
        decoder_depth=1,
        warmup=2,
        save_every=2,
        precision="float32",
        lr=1e-3,
        scale=(1.0, 1.0),
        augment=0.5,
    )
    return dataclasses.replace(base, **changes)


def waves(count: int = 2) -> tuple[list[Sample], np.ndarray]:
    """Smooth pictures: what is hidden follows from what is seen."""
    rows, cols = np.mgrid[:80, :90] / 9.0
    samples = []
    for number in range(count):
        grey = (np.sin(rows + number) * np.cos(cols) * 90 + 128).astype(np.uint8)
        samples.append(Sample(image=np.repeat(grey[..., None], 3, -1), labels=np.zeros(grey.shape, np.int32)))
    return samples, np.full(count, 1 / count)


def losses(folder: Path) -> list[str]:
    with (folder / "log.csv").open() as stream:
        return [row["loss"] for row in csv.DictReader(stream)]


def test_a_stopped_and_resumed_run_equals_an_unbroken_one(architecture, tmp_path):
    c = config(architecture)
    list(pretrain(c, *waves(), tmp_path / "whole"))
    for progress in pretrain(c, *waves(), tmp_path / "broken"):
        if progress.step == 3:  # the last checkpoint is of step 2
            break
    list(pretrain(c, *waves(), tmp_path / "broken", resume=True))
    assert len(losses(tmp_path / "whole")) == 6
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    whole, broken = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[key], broken[key]) for key in whole)


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(architecture, tmp_path):
    list(pretrain(config(architecture, steps=2), *waves(), tmp_path / "run"))
    with pytest.raises(InputError, match="--resume"):
        next(pretrain(config(architecture), *waves(), tmp_path / "run"))
    with pytest.raises(InputError, match=r"mask_ratio=0\.75"):
        next(pretrain(config(architecture, mask_ratio=0.5), *waves(), tmp_path / "run", resume=True))


def test_training_starts_from_the_encoder_and_from_nothing_else(architecture, tmp_path):
    list(pretrain(config(architecture), *waves(), tmp_path))
    state = load_file(tmp_path / "model.safetensors")
    model = build_model(architecture, seed=5)
    missing = start_from(model, str(tmp_path / "model.safetensors"))
    assert missing
    assert not any(key.startswith("image_encoder.") for key in missing)
    assert all(key.startswith("image_encoder.") for key in state)
    for key, value in model.image_encoder.state_dict().items():
        assert torch.equal(value, state[f"image_encoder.{key}"].to(value.dtype)), key


def test_the_encoder_moved_and_the_hidden_patches_are_learnt(architecture, tmp_path):
    c = config(architecture, steps=120, lr=3e-3, batch=4, save_every=120, augment=0.0)
    history = [progress.loss for progress in pretrain(c, *waves(), tmp_path)]
    assert np.mean(history[:5]) > 0.9  # at first no better than the mean of each patch
    assert np.mean(history[-10:]) < 0.6
    start = build_model(architecture, seed=0).state_dict()
    end = load_file(tmp_path / "model.safetensors")
    key = next(key for key in end if key.endswith(("stem.weight", "patch_embed.proj.weight")))
    assert not torch.allclose(start[key], end[key].float(), atol=1e-3)


def test_hidden_pixels_do_not_reach_the_encoder(architecture):
    model = build_model(architecture)
    autoencoder = MaskedAutoencoder(model, patch=16, width=32, depth=1).train()
    hidden = torch.zeros(1, 4, 4, dtype=torch.bool)
    hidden[0, 1, 2] = hidden[0, 3, 0] = True
    pixels = torch.randn(1, 3, 64, 64)
    other = pixels.clone()
    other[..., 16:32, 32:48] = 7.0
    other[..., 48:64, 0:16] = -3.0
    assert torch.equal(autoencoder(pixels, hidden), autoencoder(other, hidden))
    other[..., 0, 0] = 5.0
    assert not torch.equal(autoencoder(pixels, hidden), autoencoder(other, hidden))
    assert autoencoder(pixels, hidden).shape == (1, 3, 64, 64)
    assert not model.image_encoder._forward_hooks  # nothing stays behind in the encoder


def test_gradients_reach_the_placeholder_and_the_encoder(architecture):
    autoencoder = MaskedAutoencoder(build_model(architecture), patch=16, width=32, depth=1).train()
    hidden = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.75
    pixels = torch.randn(2, 3, 64, 64)
    masked_pixel_loss(autoencoder(pixels, hidden), pixels, hidden).backward()
    assert autoencoder.placeholder.grad is not None
    assert autoencoder.placeholder.grad.abs().sum() > 0
    first = next(autoencoder.image_encoder.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_the_loss_is_that_of_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    painted, pixels = torch.randn(2, 2, 3, 32, 32, generator=generator)
    hidden = torch.rand(2, 4, 4, generator=generator) < 0.5
    errors = []
    for b, r, c in hidden.nonzero().tolist():
        window = np.s_[b, :, r * 8 : r * 8 + 8, c * 8 : c * 8 + 8]
        true = pixels[window]
        true = (true - true.mean()) / true.std()
        errors.append(float((painted[window] - true).square().mean()))
    assert float(masked_pixel_loss(painted, pixels, hidden)) == pytest.approx(np.mean(errors), rel=1e-3)
    visible = painted.clone()
    visible[~hidden.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None].expand_as(painted)] += 9
    assert float(masked_pixel_loss(visible, pixels, hidden)) == float(masked_pixel_loss(painted, pixels, hidden))


def test_flat_patches_stay_flat():
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 1e-3
    assert normalised_patches(noise + 0.4, 8).abs().max() < 0.3
    assert normalised_patches(noise * 1000, 8).std() == pytest.approx(1, abs=0.02)


def test_batches_depend_on_the_step_alone():
    c = config("cells", mask_ratio=0.75, batch=3)
    one, two, again = (make_masked_batch(*waves(), c, 64, step) for step in (4, 5, 4))
    assert (one.hidden.sum((1, 2)) == 12).all()
    assert np.array_equal(one.images, again.images)
    assert np.array_equal(one.hidden, again.hidden)
    assert not np.array_equal(one.images, two.images)
    assert not np.array_equal(one.hidden[0], one.hidden[1])
    assert make_masked_batch([], np.zeros(0), config("cells", synthetic=1.0), 64, 1).images.shape == (2, 64, 64, 3)


def test_the_rate_rises_and_falls():
    c = config("cells", steps=10, warmup=4, lr=1.0)
    rates = [cosine_rate(c.lr, step, warmup=c.warmup, steps=c.steps) for step in range(1, 11)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.1


def test_patches_must_fit(tiny_spec_vit, tiny_spec_cell):
    with pytest.raises(InputError, match="takes 16"):
        MaskedAutoencoder(build_from_spec(tiny_spec_vit), patch=8, width=8, depth=1)
    with pytest.raises(InputError, match="64 pixels"):
        MaskedAutoencoder(build_from_spec(tiny_spec_cell), patch=24, width=8, depth=1)


@pytest.mark.parametrize(
    "values", [{"mask_ratio": 1.0}, {"lr": float("nan")}, {"patch": 0}, {"seed": -1}, {"scale": (2.0, 1.0)}]
)
def test_unusable_settings_are_named(values):
    with pytest.raises(InputError, match=next(iter(values))):
        load_pretraining_config(None, {"data": ("x",), **values})


def test_presets_and_files(tmp_path):
    with pytest.raises(InputError, match="cells, paper, quick"):
        load_pretraining_config(None, {"data": ("x",)}, "huge")
    with pytest.raises(InputError, match="No images"):
        load_pretraining_config(None, {})
    file = tmp_path / "mine.toml"
    file.write_text('data = ["a"]\nsteps = 7\nbatch = 3\n')
    c = load_pretraining_config(file, {"steps": 9, "batch": None}, "paper")
    assert (c.architecture, c.steps, c.batch, c.mask_ratio) == ("vit_b", 9, 3, 0.75)
