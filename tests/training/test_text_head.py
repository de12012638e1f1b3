"""Training a text head alone: it learns, nothing else changes, and the file brings it back."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clip_helpers import ColourClip, discs
from napari_sam.config.text_head import TextHeadConfig, load_text_head_config
from napari_sam.data.caption_objects import describe_labels
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.model.checkpoint import load_weights
from napari_sam.model.clip import build_clip
from napari_sam.training.text_head import train_text_head
from napari_sam.training.text_rounds import named_objects, new_text_head, text_loss

CONFIG = TextHeadConfig(steps=3, batch=1, prompts=2, synthetic=1.0)


def squares(reads: list[int]) -> LabelledImage:
    """An image of two bright squares, that counts how often it is read."""
    labels = np.zeros((150, 150), np.int32)
    labels[20:60, 20:60], labels[90:130, 80:120] = 1, 2

    def read() -> np.ndarray:
        reads.append(1)
        return np.where(labels > 0, 200, 20).astype(np.uint8)

    return LabelledImage(name="a", source="a", read_image=read, read_labels=lambda: labels)


@pytest.mark.parametrize("decoder", [False, True])
def test_only_what_shall_learn_changes(tiny_trained_model, tmp_path, decoder):
    model, clip = copy.deepcopy(tiny_trained_model), build_clip()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    config = dataclasses.replace(CONFIG, decoder=decoder)
    steps = list(train_text_head(model, clip, [], config, tmp_path / "run" / "model.safetensors"))
    assert [step.step for step in steps] == [1, 2, 3]
    assert all(np.isfinite(step.loss) for step in steps)
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert {key.split(".")[0] for key in after.keys() - before.keys()} == {"text_head", *["text_decoder"] * decoder}
    if decoder:
        own = {key.removeprefix("text_"): value for key, value in after.items() if key.startswith("text_decoder.")}
        assert any(not torch.equal(value, after[f"mask_{key}"]) for key, value in own.items())
    state = load_file(tmp_path / "run" / "model.safetensors")
    other = build_from_spec(model.spec)
    load_weights(other, state, "file")
    assert other.text_head.clip_fingerprint == clip.fingerprint
    assert other.text_head.image_mean.abs().sum() > 0
    assert other.text_head.text_mean.abs().sum() > 0
    assert (other.text_decoder is not None) == decoder


def test_the_head_alone_can_tell_what_a_crop_names(tiny_trained_model):
    model, clip = copy.deepcopy(tiny_trained_model), ColourClip()
    image, labels = discs((128, 160))
    sample = Sample(image=image[:, 16:144], labels=labels[:, 16:144])
    found = describe_labels(sample, np.random.default_rng(0), kind="nucleus", extras=False)
    new_text_head(model, clip, 0)
    model.requires_grad_(False)
    model.text_head.requires_grad_(True)
    embedding = model.encode(torch.from_numpy(found.image.copy())[None].permute(0, 3, 1, 2))
    named = named_objects(clip, found, [0, 2, 3], model.mask_size, np.random.default_rng(0))
    optimizer = torch.optim.Adam(model.text_head.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = text_loss(model, embedding, named, focal=5.0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_seed_gives_the_same_head(tiny_trained_model, tmp_path):
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        list(train_text_head(copy.deepcopy(tiny_trained_model), build_clip(), [], CONFIG, file))
    one, other = map(load_file, files)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_images_of_the_user_are_used(tiny_trained_model, tmp_path):
    reads: list[int] = []
    config = dataclasses.replace(CONFIG, synthetic=0.0)
    model = copy.deepcopy(tiny_trained_model)
    list(train_text_head(model, build_clip(), [squares(reads)], config, tmp_path / "a.safetensors"))
    assert len(reads) >= 3


def test_what_cannot_be_is_refused(tiny_trained_model, tmp_path):
    with pytest.raises(InputError, match="No training data"):
        next(train_text_head(tiny_trained_model, build_clip(), [], TextHeadConfig(), tmp_path / "a"))
    for bad in ({"steps": 0}, {"captions": 2.0}, {"lr": 0.0}, {"scale": (2.0, 1.0)}, {"nonsense": 1}):
        with pytest.raises(InputError, match=next(iter(bad))):
            load_text_head_config(overrides=bad)
