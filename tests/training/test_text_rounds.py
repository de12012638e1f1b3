"""Names of objects: crops or captions, what they mean in the image, and steps that learn from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from clip_helpers import ColourClip, discs
from napari_sam.config.caption_words import FACETS
from napari_sam.config.training import TrainingConfig
from napari_sam.data.caption_objects import ObjectSet, describe_labels
from napari_sam.data.captions import draw_caption
from napari_sam.data.sample import Sample
from napari_sam.data.sampler import make_batch
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.model.clip import build_clip
from napari_sam.training import loop, text_rounds
from napari_sam.training.loop import train
from napari_sam.training.step import training_step
from napari_sam.training.text_rounds import named_objects, new_text_head, objects_of_masks, text_loss

CONFIG = TrainingConfig(
    architecture="cell_tiny", synthetic=1.0, steps=2, batch=2, prompts=2, rounds=2, warmup=1, cooldown=0,
    precision="float32", text_rounds=1.0, save_every=1,
)  # fmt: skip


@pytest.fixture
def found() -> ObjectSet:
    image, labels = discs((128, 128))
    rng = np.random.default_rng(0)
    return describe_labels(Sample(image=image, labels=labels), rng, kind="nucleus", extras=False)


def test_crops_name_objects_as_in_the_paper(found, monkeypatch):
    seen = []
    real = text_rounds.crop_masks

    def spy(image, records, size, view, expansion, **how):
        seen.append((view, expansion))
        return real(image, records, size, view, expansion, **how)

    monkeypatch.setattr(text_rounds, "crop_masks", spy)
    named = named_objects(ColourClip(), found, [0, 1, 2] * 20, 32, np.random.default_rng(0))
    views = [view for view, _ in seen]
    assert 15 < views.count("zero") < 45
    assert views.count("zero") + views.count("keep") == 60
    expansions = [expansion for _, expansion in seen]
    assert min(expansions) >= 1
    assert max(expansions) <= 2
    assert np.ptp(expansions) > 0.8
    assert named.of_images.all()
    np.testing.assert_allclose(named.vectors.norm(dim=1), 1, rtol=1e-5)
    np.testing.assert_allclose(named.vectors[:3].argmax(dim=1), [0, 0, 1])


def test_a_caption_means_all_objects_of_which_it_is_true(found, monkeypatch):
    said = []
    real = text_rounds.draw_caption

    def spy(codes, rng, rarity):
        said.append(real(codes, rng, rarity))
        return said[-1]

    monkeypatch.setattr(text_rounds, "draw_caption", spy)
    named = named_objects(ColourClip(), found, [0, 2] * 10, 128, np.random.default_rng(0), captions=1.0)
    assert not named.of_images.any()
    masks = np.stack([record.mask for record in found.records])
    for number, caption in enumerate(said):
        truth = text_rounds.judge(found.codes, caption.claims)
        truth[[0, 2][number % 2]] = text_rounds.TRUE
        meant = masks[truth == text_rounds.TRUE].any(axis=0)
        np.testing.assert_array_equal(named.targets[number] > 0.5, meant)
        assert not (named.unsure[number].numpy() & meant).any()
        unclear = masks[truth == 1].any(axis=0) if (truth == 1).any() else np.zeros_like(meant)
        np.testing.assert_array_equal(named.unsure[number], unclear & ~meant)
    assert len({caption.text for caption in said}) > 5


def test_captions_rather_say_what_tells_objects_apart(found, monkeypatch):
    facet = list(FACETS).index("brightness")
    found.codes[:, facet] = 0
    counts = []
    for value in (0, 1):  # as the others, then unlike them
        said: list[int] = []
        found.codes[0, facet] = value

        def spy(codes, rng, rarity, said=said):
            caption = draw_caption(codes, rng, rarity)
            said.extend(claim.facet for claim in caption.claims)
            return caption

        monkeypatch.setattr(text_rounds, "draw_caption", spy)
        named_objects(ColourClip(), found, [0] * 60, 16, np.random.default_rng(0), captions=1.0)
        counts.append(said.count(facet))
    assert counts[1] > 1.5 * counts[0] > 0


def test_pixels_that_are_unsure_count_for_nothing(tiny_spec_cell, found):
    model = build_from_spec(tiny_spec_cell)
    clip = build_clip()
    new_text_head(model, clip, 0)
    embedding = model.encode(torch.rand(1, 3, 64, 64) * 255)
    named = named_objects(clip, found, [0, 1], model.mask_size, np.random.default_rng(0))
    doubt = torch.zeros_like(named.unsure)
    doubt[:, :10] = True
    one = text_loss(model, embedding, dataclasses.replace(named, unsure=doubt))
    changed = named.targets.clone()
    changed[:, :10] = 1 - changed[:, :10]
    other = text_loss(model, embedding, dataclasses.replace(named, unsure=doubt, targets=changed))
    torch.testing.assert_close(one, other)
    sure = text_loss(model, embedding, dataclasses.replace(named, targets=changed))
    assert abs(float(sure - one)) > 1e-4


def test_masks_too_small_to_be_named_are_marked():
    masks = np.zeros((2, 64, 64), bool)
    masks[0, :4, :4] = True
    masks[1, 20:40, 20:40] = True
    found = objects_of_masks(np.zeros((64, 64, 3), np.uint8), masks)
    named = named_objects(ColourClip(), found, [0, 1], 16, np.random.default_rng(0))
    assert named.valid.tolist() == [False, True]


def test_objects_that_were_not_drawn_are_nobodys():
    masks = np.zeros((1, 64, 64), bool)
    masks[0, 20:40, 20:40] = True
    others = np.zeros((64, 64), bool)
    others[50:60, 50:60] = True
    found = objects_of_masks(np.zeros((64, 64, 3), np.uint8), masks)
    named = named_objects(ColourClip(), found, [0], 64, np.random.default_rng(0), others=others)
    np.testing.assert_array_equal(named.unsure[0], others)


def test_a_step_with_a_text_teaches_the_head_and_one_without_does_not(tiny_spec_cell):
    clip = build_clip()
    batch = make_batch([], np.zeros(0), CONFIG, 64, 1)
    gradients = []
    for given in (clip, None):
        model = build_from_spec(tiny_spec_cell).train()
        new_text_head(model, clip, 0)
        result = training_step(model, batch, CONFIG, 1, clip=given)
        assert np.isfinite(result.loss)
        gradients.append([parameter.grad for parameter in model.text_head.parameters()])
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients[0])
    assert all(gradient is None for gradient in gradients[1])


def test_a_run_with_texts_saves_the_head_and_a_run_without_has_none(tiny_spec_cell, tmp_path, monkeypatch):
    monkeypatch.setitem(SPECS, "cell_tiny", tiny_spec_cell)
    clip = build_clip()
    monkeypatch.setattr(loop, "load_clip", lambda name, device: clip)
    for share, there in ((1.0, True), (0.0, False)):
        folder = tmp_path / str(share)
        changed = dataclasses.replace(CONFIG, text_rounds=share)
        assert len(list(train(changed, [], np.zeros(0), folder))) == 2
        saved = text_rounds_keys(folder)
        assert bool(saved) == there
    resumed = dataclasses.replace(CONFIG, steps=3)
    assert [event.step for event in train(resumed, [], np.zeros(0), tmp_path / "1.0", resume=True)] == [3]


def text_rounds_keys(folder) -> list[str]:
    from safetensors.torch import load_file

    return [key for key in load_file(folder / "model.safetensors") if key.startswith("text_head.")]


def test_the_share_of_text_rounds_is_checked():
    with pytest.raises(InputError, match="text_rounds"):
        TrainingConfig(synthetic=1.0, text_rounds=1.5)
