"""Weights files: every layout loads, nothing is executed, nothing is loaded half."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_sam.errors import CheckpointError, InputError
from napari_sam.model.build import SPECS, build_from_spec, build_model
from napari_sam.model.checkpoint import guess_architecture, load_weights, read_state_dict
from napari_sam.model.load import choose_device, load_model


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in build_model("cells", seed=3).state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_flat_safetensors_and_fine_tuned_layouts(weights, tmp_path):
    flat, tensors, tuned = tmp_path / "a.pth", tmp_path / "a.safetensors", tmp_path / "b.pt"
    torch.save({**weights, "pixel_mean": torch.zeros(3, 1, 1)}, flat)
    save_file(weights, tensors)
    torch.save(
        {"model_state": {f"sam.{k}": v for k, v in weights.items()}, "decoder_state": {"x": torch.ones(1)}}, tuned
    )
    for path in (flat, tensors, tuned):
        assert same(read_state_dict(path), weights)


def test_half_precision_becomes_float32(weights, tmp_path):
    save_file({key: value.half() for key, value in weights.items()}, tmp_path / "half.safetensors")
    model = load_model("cells", checkpoint=tmp_path / "half.safetensors")
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert not model.training


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("/tmp/napari_sam_was_here"),)


def test_a_pickle_with_more_than_weights_is_refused_and_not_run(tmp_path):
    marker = Path("/tmp/napari_sam_was_here")
    marker.unlink(missing_ok=True)
    for name, save in (("new.pth", torch.save), ("old.pth", lambda o, p: Path(p).write_bytes(pickle.dumps(o)))):
        save({"weight": torch.ones(1), "extra": Evil()}, tmp_path / name)
        with pytest.raises(CheckpointError) as caught:
            read_state_dict(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_damaged_files_are_one_sentence(weights, tmp_path):
    torch.save(weights, tmp_path / "whole.pth")
    save_file(weights, tmp_path / "whole.safetensors")
    for name in ("whole.pth", "whole.safetensors"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / f"cut_{name}").write_bytes(data[: len(data) // 2])
        with pytest.raises(CheckpointError, match=f"cut_{name}") as caught:
            read_state_dict(tmp_path / f"cut_{name}")
        assert "\n" not in str(caught.value)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="no weights"):
        read_state_dict(tmp_path / "list.pth")
    with pytest.raises(InputError, match="no weights file"):
        read_state_dict(tmp_path / "gone.pth")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<html>404</html>", "web page"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"", "empty"),
        (b'{"a": 1}', "begins like no checkpoint"),
        (bytes(300), "begins like no checkpoint"),
        (b"\x80\x02garbage", "cannot be read"),
        (b"PK\x03\x04garbage", "cannot be read"),
        (b"\x10\0\0\0\0\0\0\0{garbage", "cannot be read"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path, content, what):
    (tmp_path / "page.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=what) as caught:
        read_state_dict(tmp_path / "page.pth")
    assert "Python objects" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "legacy", "nested", "safetensors"])
def test_damage_anywhere_is_one_sentence(tmp_path, kind, recwarn):
    weights = {f"part.{i}.weight": torch.full((3, 2), float(i)) for i in range(3)} | {"half": torch.ones(5).half()}
    path = tmp_path / "weights.bin"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        saved = {"model_state": weights} if kind == "nested" else weights
        torch.save(saved, path, _use_new_zipfile_serialization=kind != "legacy")
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 40))]
    for _ in range(400):
        data = np.frombuffer(whole, np.uint8).copy()
        where = random.integers(0, len(data), random.choice([1, 1, 2, 8]))
        data[where] = random.integers(0, 256, len(where))
        damaged.append(data.tobytes())
    said = []
    for data in damaged:
        path.write_bytes(data)
        try:  # a changed value inside a tensor is not noticed, and is none of the reader's business
            read_state_dict(path)
        except CheckpointError as error:
            said.append(str(error))
    assert len(said) > len(damaged) // 4
    assert all(sentence.isprintable() and sentence.startswith(str(path)) for sentence in said)
    assert not recwarn


def test_low_rank_files_are_refused_with_advice(weights, tmp_path):
    torch.save({**weights, "image_encoder.blocks.0.attn.qkv.qkv_proj.weight": torch.ones(1)}, tmp_path / "lora.pt")
    with pytest.raises(CheckpointError, match="LoRA"):
        read_state_dict(tmp_path / "lora.pt")


def test_loading_is_strict_and_names_the_first_problem(weights):
    model = build_model("cells")
    before = model.fingerprint
    without = {key: value for key, value in weights.items() if "iou_token" not in key}
    with pytest.raises(CheckpointError, match=r"lacks mask_decoder\.iou_token\.weight"):
        load_weights(model, without, "file")
    with pytest.raises(CheckpointError, match="unknown extra"):
        load_weights(model, {**weights, "extra": torch.ones(1)}, "file")
    with pytest.raises(CheckpointError, match=r"other sizes for mask_decoder\.iou_token\.weight"):
        load_weights(model, {**weights, "mask_decoder.iou_token.weight": torch.ones(1, 3)}, "file")
    model._fingerprint = None
    assert model.fingerprint == before


def test_architectures_are_told_apart(tmp_path):
    with torch.device("meta"):
        for name, width in (("vit_b", 768), ("vit_l", 1024), ("vit_h", 1280)):
            state = {"image_encoder.pos_embed": torch.zeros(1, 64, 64, width)}
            assert guess_architecture(state) == name
    tiny = dict(build_model("vit_t").state_dict())
    assert guess_architecture(tiny) == "vit_t"
    torch.save(tiny, tmp_path / "tiny.pth")
    with pytest.raises(CheckpointError, match="vit_t, not of vit_b"):
        load_model("vit_b", checkpoint=tmp_path / "tiny.pth")
    assert load_model("vit_t", checkpoint=tmp_path / "tiny.pth").spec is SPECS["vit_t"]


def test_wrong_names_devices_and_precisions():
    with pytest.raises(InputError, match="did you mean 'cells'"):
        load_model("cels")
    with pytest.raises(InputError, match="precision"):
        load_model("cells", precision="int8")
    with pytest.raises(InputError, match="device"):
        choose_device("toaster")
    with pytest.raises(InputError, match="not available"):
        choose_device("cuda:99" if not torch.cuda.is_available() else "mps")


def test_bfloat16_masks_agree_with_float32(tiny_spec_vit):
    model = build_from_spec(tiny_spec_vit)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        exact = model.encode(pixels).features
        model.precision = "bfloat16"
        reduced = model.encode(pixels).features
    assert reduced.dtype == torch.float32
    assert 0 < float((exact - reduced).abs().max() / exact.abs().max()) < 0.05
