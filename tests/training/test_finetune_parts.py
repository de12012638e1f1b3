"""Views at the scale of inference, embeddings remembered, scores, settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_sam.data.sample import PAD_COLOUR, Sample
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.training.finetune_cache import EncodeOnce
from napari_sam.training.finetune_score import HeldOutScore, mean_score, score_images
from napari_sam.training.finetune_settings import FinetuneSettings, finetune_settings, step_config
from napari_sam.training.finetune_views import (
    batch_of_views,
    drawn_views,
    fixed_views,
    has_views,
    random_view,
    viewing_scales,
)


def disc(shape: tuple[int, int], diameter: float, at: tuple[int, int] | None = None) -> Sample:
    row, col = np.ogrid[: shape[0], : shape[1]]
    middle = at or (shape[0] // 2, shape[1] // 2)
    labels = (np.hypot(row - middle[0], col - middle[1]) < diameter / 2).astype(np.int32)
    image = np.repeat((labels * 200 + 20).astype(np.uint8)[..., None], 3, -1)
    return Sample(image=image, labels=labels)


def test_views_have_the_scale_of_inference():
    cells, vit = SPECS["cells"], SPECS["vit_b"]
    assert viewing_scales(disc((512, 400), 30), vit) == [2.0]  # the whole image
    assert viewing_scales(disc((128, 100), 60), cells) == [2.0]  # fits a window, scaled up to it
    assert viewing_scales(disc((1000, 800), 100), cells) == [1.0]  # through windows
    assert viewing_scales(disc((1000, 800), 30), cells) == [1.0, 2.0]  # small ones once more
    assert viewing_scales(disc((1000, 800), 250), cells) == [0.5]  # large ones from farther away


def test_a_view_holds_its_object_at_that_scale_with_padding_below_and_right():
    sample = disc((128, 40), 24)
    for seed in range(20):
        view = random_view(sample, SPECS["cells"], np.random.default_rng(seed))
        assert view.image.shape == (256, 256, 3)
        assert np.sqrt(1 / 1.6) < view.diameter / 48 < np.sqrt(1.6)
        inside = view.image[view.labels > 0].astype(float)
        assert inside.mean() > 120  # image and labels were turned alike
        padding = (view.image == PAD_COLOUR).all(axis=-1)
        assert padding[-1, -1]
        assert not padding[0, 0]


def test_views_of_a_seed_are_always_the_same_and_differ_from_each_other():
    samples = [disc((300, 300), 40), disc((300, 300), 60, (60, 60))]
    once, again = (fixed_views(samples, SPECS["cells"], 3, seed) for seed in (5, 5))
    assert len(once) == 6
    assert all(np.array_equal(a.image, b.image) for a, b in zip(once, again, strict=True))
    assert len({view.image.tobytes() for view in once}) == 6


def test_a_corner_object_is_found_in_a_large_image():
    view = random_view(disc((2000, 2000), 30, (1990, 5)), SPECS["cells"], np.random.default_rng(0))
    assert view.labels.any()


def test_batches_repeat_objects_where_there_are_few(tiny_cell_model, tiny_vit_model):
    view = disc((64, 64), 20)
    batch = batch_of_views([view, view], tiny_cell_model, 3, np.random.default_rng(0))
    assert batch.images.shape == (2, 64, 64, 3)
    assert batch.masks.shape == (2, 3, 64, 64)
    assert (batch.masks == (view.labels == 1)).all()
    assert batch.objects.shape == (2, 3, 32, 32)
    assert batch_of_views([view], tiny_vit_model, 1, np.random.default_rng(0)).objects.size == 0


@pytest.mark.parametrize("memory", [0, 10**9])
def test_a_picture_is_encoded_once_and_remembered_in_half_precision(memory, tiny_cell_model):
    calls = []
    model = build_from_spec(tiny_cell_model.spec, seed=4)
    handle = model.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    once = EncodeOnce(model.image_encoder, memory=memory)
    x = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features, skips = once(x[:2])
    again, _ = once(x[[1, 0, 2]])
    assert len(calls) == 3
    assert len(once) == 3
    assert (once.nbytes == 0) == (memory == 0)
    torch.testing.assert_close(again[[1, 0]], features, rtol=0, atol=0)
    handle.remove()
    with torch.no_grad():
        exact, exact_skips = model.image_encoder(x[:2])
    torch.testing.assert_close(features, exact, rtol=1e-3, atol=1e-3)
    assert len(skips) == 2
    for found, expected in zip(skips, exact_skips, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    folder = once._folder
    assert (folder is not None) == (memory == 0)
    once.close()
    assert len(once) == 0
    if folder is not None:
        from pathlib import Path

        assert not Path(folder.name).exists()


def test_an_encoder_without_finer_features_stays_so(tiny_vit_model):
    once = EncodeOnce(tiny_vit_model.image_encoder, memory=10**9)
    assert isinstance(once(torch.zeros(1, 3, 64, 64)), torch.Tensor)
    assert once.steps() == tiny_vit_model.encoder_steps()
    assert isinstance(once, nn.Module)


def test_scores_follow_the_weights(tiny_spec_cell):
    """Nothing of earlier weights is remembered between two scorings."""
    model = build_from_spec(tiny_spec_cell, seed=0)
    samples = [disc((64, 64), 24)]
    first = list(score_images(model, samples, max_objects=1, seed=0))
    assert list(score_images(model, samples, max_objects=1, seed=0)) == first
    with torch.no_grad():
        for part in model.mask_decoder.output_hypernetworks_mlps:
            part.layers[-1].bias.add_(torch.linspace(-1, 1, part.layers[-1].bias.numel()))
    assert list(score_images(model, samples, max_objects=1, seed=0)) != first


def test_scores_are_means_over_objects():
    assert mean_score([(0.2, 0.4), (0.4, 0.8)]) == HeldOutScore(
        one_click=pytest.approx(0.3), box=pytest.approx(0.6), objects=2
    )
    assert mean_score([(0.2, 0.4)]).mean == pytest.approx(0.3)


def test_settings_follow_the_mode_and_are_checked(tiny_cell_model, tiny_vit_model):
    assert finetune_settings("all").encoder_lr < finetune_settings("lora").encoder_lr
    assert finetune_settings("lora", {"steps": 7, "batch": None}).steps == 7
    assert finetune_settings().views_of_each(tiny_cell_model) > finetune_settings().views_of_each(tiny_vit_model)
    config = step_config(finetune_settings("decoder", {"rounds": 2, "complete_labels": False}), tiny_cell_model)
    assert (config.rounds, config.objects_weight, config.precision) == (2, 0.0, "float32")
    for changes, message in (
        ({"mode": "some"}, "decoder, lora, all"),
        ({"steps": 0}, "Setting steps is 0"),
        ({"lr": 0.0}, "Setting lr is 0.0"),
        ({"minutes": float("nan")}, "Setting minutes"),
        ({"batch": 1.5}, "whole number"),
        ({"rate": 1}, "Unknown fine-tuning setting 'rate'"),
    ):
        with pytest.raises(InputError, match=message):
            FinetuneSettings().changed(**changes)


def test_what_shows_nothing_but_specks_is_passed_over_never_fatal():
    cells = SPECS["cells"]
    speck, good = disc((256, 256), 1.2), disc((256, 256), 30)
    assert [has_views(sample, cells) for sample in (speck, good)] == [False, True]
    rng = np.random.default_rng(0)
    assert len(drawn_views([speck, good, speck], cells, 3, rng)) == 3
    assert all(view.labels.any() for view in drawn_views([speck] * 9 + [good], cells, 5, rng))
    assert len(fixed_views([speck, good], cells, 2, seed=0)) == 2
    for make in (lambda: drawn_views([speck, speck], cells, 2, rng), lambda: fixed_views([speck], cells, 2, seed=0)):
        with pytest.raises(InputError, match="no labelled object of at least 16 pixels"):
            make()
