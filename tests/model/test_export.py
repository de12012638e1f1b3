"""Exported weights load where they are meant to, and compute the same there."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from segment_anything.build_sam import _build_sam

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.model.build import SPECS, SamSpec, build_from_spec
from napari_sam.model.checkpoint import read_state_dict
from napari_sam.model.export import export_model
from napari_sam.model.load import load_model
from napari_sam.model.sam import ImageEmbedding


def test_the_authors_code_loads_our_file_strictly_and_finds_the_same(tmp_path):
    spec = SamSpec(architecture="vit_narrow", vit_dim=16, vit_depth=2, vit_heads=2, vit_global=(1,))
    ours = build_from_spec(spec, seed=1)
    (file,) = export_model(ours, tmp_path / "ours.pth")
    theirs = _build_sam(16, 2, 2, [1], checkpoint=file)  # what `sam_model_registry` calls with the sizes of ViT-B
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in theirs.state_dict().items())
    features = torch.rand(1, 256, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        points = torch.tensor([[[300.0, 400.0]]]), torch.ones(1, 1, dtype=torch.long)
        sparse, dense = theirs.prompt_encoder(points, None, None)
        masks, iou = theirs.mask_decoder(features, theirs.prompt_encoder.get_dense_pe(), sparse, dense, True)
        ours_masks, ours_iou = ours.decode(ImageEmbedding(features), points=points, multimask=True)
    torch.testing.assert_close(masks, ours_masks, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(iou, ours_iou, rtol=1e-4, atol=1e-4)


def test_the_authors_layout_has_no_place_for_texts(tmp_path):
    spec = SamSpec(architecture="vit_narrow", vit_dim=16, vit_depth=2, vit_heads=2, vit_global=(1,))
    model = build_from_spec(spec, seed=1)
    model.add_text_head(8, decoder=True)
    (file,) = export_model(model, tmp_path / "ours.pth")
    _build_sam(16, 2, 2, [1], checkpoint=file)  # strictly
    (file,) = export_model(model, tmp_path / "ours.safetensors")
    assert load_file(file).keys() == model.state_dict().keys()


def test_safetensors_come_back_as_they_were(tmp_path, tiny_spec_cell, monkeypatch):
    spec = dataclasses.replace(tiny_spec_cell, architecture="cells")
    monkeypatch.setitem(SPECS, "cells", spec)
    model = build_from_spec(spec, seed=2)
    (file,) = export_model(model, tmp_path / "mine.safetensors")
    again = load_model("cells", checkpoint=file, device="cpu")
    assert again.fingerprint == model.fingerprint
    assert all(value.dtype == torch.float32 for value in load_file(file).values())
    assert os.listdir(tmp_path) == ["mine.safetensors"]


def test_a_mobile_sam_file_keeps_the_authors_keys(tmp_path):
    model = build_from_spec(SamSpec(architecture="vit_t", encoder="tiny_vit", img_size=64))
    (file,) = export_model(model, tmp_path / "mobile.pt", "sam")
    assert read_state_dict(file).keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("file", "kind", "message"),
    [
        ("model.bin", None, "not known"),
        ("model.pth", "pickle", "not known"),
        ("model.pth", "onnx", "does not end like"),
        ("gone/model.pth", None, "no folder"),
        ("model.pth", None, "has no place"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(tiny_cell_model, tmp_path, file, kind, message):
    with pytest.raises(InputError, match=message) as caught:
        export_model(tiny_cell_model, tmp_path / file, kind)
    assert "\n" not in str(caught.value)
    assert not os.listdir(tmp_path)


def test_a_target_that_is_a_folder_is_one_sentence(tiny_vit_model, tmp_path):
    (tmp_path / "model.pth").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        export_model(tiny_vit_model, tmp_path / "model.pth")
    assert os.listdir(tmp_path) == ["model.pth"]


def test_exporting_leaves_the_model_as_it_was(tiny_vit_model, tmp_path):
    before = Predictor(tiny_vit_model)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    before.set_image(image)
    expected = before.predict([(20, 20)]).logits
    export_model(tiny_vit_model, tmp_path / "model.pth")
    after = Predictor(tiny_vit_model)
    after.set_image(image)
    np.testing.assert_array_equal(after.predict([(20, 20)]).logits, expected)
