"""The CLIP: open_clip's own towers and tokenizer, weights in and out, texts of every kind, no network."""

from __future__ import annotations

import socket
import subprocess
import sys

import numpy as np
import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform
from PIL import Image

from napari_sam.errors import CheckpointError, InputError
from napari_sam.model import clip_towers
from napari_sam.model.clip import Clip, build_clip, load_clip, save_clip
from napari_sam.model.clip_towers import CLIP_SPECS, MERGES, ClipSpec, build_tokenizer, build_towers, find_clip_spec

TEXTS = ["bright round nuclei", "an image of elongated brown cells", "細胞 und Größe 🦠", "purple", "it's 40x"]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return build_clip(0, vocabulary=["nuclei", "round"])


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def test_towers_and_preprocessing_equal_open_clips(clip, crops):
    spec = clip.spec
    theirs = open_clip.CLIP(**spec.config).eval()
    theirs.load_state_dict(clip.towers.state_dict())
    look = image_transform(spec.image_size, is_train=False, mean=spec.mean, std=spec.std)
    read = SimpleTokenizer(bpe_path=str(MERGES), context_length=spec.context)
    with torch.inference_mode():
        images = theirs.encode_image(torch.stack([look(Image.fromarray(crop)) for crop in crops]), normalize=True)
        texts = theirs.encode_text(read(TEXTS), normalize=True)
    np.testing.assert_allclose(clip.encode_images(crops), images.numpy(), atol=1e-5)
    np.testing.assert_allclose(clip.encode_texts(TEXTS), texts.numpy(), atol=1e-5)
    np.testing.assert_allclose(clip.logit_scale, theirs.logit_scale.exp().item(), rtol=1e-6)


def test_a_plain_architecture_reads_as_open_clip_reads():
    tower = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 1}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
    spec = ClipSpec(architecture="tiny", config={"embed_dim": 16, "vision_cfg": tower, "text_cfg": text})
    torch.manual_seed(0)
    clip = Clip(build_towers(spec).eval(), build_tokenizer(spec), spec)
    texts = [*TEXTS, "a long text of many words " * 40]
    assert torch.equal(clip.tokenize(texts), open_clip.tokenize(texts))
    with torch.inference_mode():
        theirs = clip.towers.encode_text(open_clip.tokenize(texts), normalize=True).numpy()
    np.testing.assert_allclose(clip.encode_texts(texts), theirs, atol=1e-5)
    assert clip.encode_images(np.zeros((2, 50, 40, 3), np.uint8)).shape == (2, 16)


def test_the_short_list_of_merges_cuts_microscopists_words_as_the_long_one_does():
    full, short = SimpleTokenizer(), SimpleTokenizer(bpe_path=str(MERGES))
    for word in ("nucleus", "nuclei", "filaments", "irregular", "immunohistochemistry", "purple", "debris", "clumps"):
        assert short.bpe(word) == full.bpe(word)
    assert short.vocab_size == CLIP_SPECS["clip_bundled"].config["text_cfg"]["vocab_size"]


def test_vectors_have_length_one_and_depend_on_what_they_are_of(clip, crops):
    for vectors in (clip.encode_images(crops), clip.encode_texts(TEXTS)):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == clip.width
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert clip.encode_images(crops[:0]).shape == (0, clip.width)
    assert clip.encode_texts([]).shape == (0, clip.width)


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "the of and", "細胞核 ядро نواة", "🦠🔬", "x" * 10_000, "round nuclei " * 800, "\ud800 lone", "\x00"],
)
def test_every_text_has_a_vector(clip, text):
    (vector,) = clip.encode_texts([text])
    assert np.isfinite(vector).all()


def test_short_texts_are_encoded_as_open_clip_does(clip):
    tokens = clip.tokenize(["round", "a very long text of many small round nuclei that are not dark", "x " * 60])
    with torch.no_grad():
        for rows in (tokens[:1], tokens[:2], tokens):
            torch.testing.assert_close(clip_towers.encode_short(clip.towers, rows), clip.towers.encode_text(rows))


def test_a_long_text_counts_with_its_beginning(clip):
    long, longer = "round nuclei " * 800, "round nuclei " * 900 + "debris"
    np.testing.assert_array_equal(clip.encode_texts([long]), clip.encode_texts([longer]))
    assert clip.is_cut(long)
    assert not clip.is_cut("round nuclei")


def test_the_seed_decides_the_weights_and_nothing_else(clip):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert build_clip(0).fingerprint == clip.fingerprint
    assert build_clip(1).fingerprint != clip.fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_go_out_and_in(clip, crops, tmp_path):
    save_clip(clip, tmp_path / "c.safetensors", vocabulary=clip.vocabulary, temperature=2.0)
    loaded = load_clip("clip_bundled", checkpoint=tmp_path / "c.safetensors", device="cpu")
    np.testing.assert_allclose(loaded.encode_images(crops), clip.encode_images(crops), atol=2e-3)
    np.testing.assert_allclose(loaded.encode_texts(TEXTS), clip.encode_texts(TEXTS), atol=2e-3)
    assert loaded.vocabulary == {"nuclei", "round"}
    assert loaded.logit_scale == pytest.approx(clip.logit_scale / 2, rel=1e-2)
    assert next(loaded.towers.parameters()).dtype == torch.float32
    assert (tmp_path / "c.safetensors").stat().st_size + MERGES.stat().st_size < 12e6


def test_half_precision_agrees(clip, crops, tmp_path):
    save_clip(clip, tmp_path / "c.safetensors")
    half = load_clip("bundled", checkpoint=tmp_path / "c.safetensors", device="cpu", precision="bfloat16")
    assert (half.encode_images(crops) * clip.encode_images(crops)).sum(axis=1).min() > 0.999
    assert half.encode_texts(TEXTS).dtype == np.float32


def test_other_or_damaged_weights_are_refused(clip, tmp_path):
    save_clip(clip, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the CLIP RN50"):
        load_clip("RN50", checkpoint=tmp_path / "c.safetensors", device="cpu")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "c.safetensors").read_bytes()[:5_000_000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_clip("bundled", checkpoint=tmp_path / "half.safetensors", device="cpu")
    with pytest.raises(InputError, match="no weights file"):
        load_clip("bundled", checkpoint=tmp_path / "none.safetensors", device="cpu")


@pytest.mark.parametrize(("name", "hint"), [("clip_vit_b32", "did you mean 'clip_vit_b_32'"), ("cells", "bundled")])
def test_an_unknown_name_is_refused(name, hint):
    with pytest.raises(InputError, match=hint):
        load_clip(name)


def test_an_unknown_precision_or_architecture_is_refused(tmp_path):
    with pytest.raises(InputError, match="precision 'int4'"):
        load_clip(precision="int4")
    with pytest.raises(InputError, match="CLIP architecture 'ViT-Z'"):
        load_clip("ViT-Z", checkpoint=tmp_path)


def test_nothing_of_it_needs_a_network(monkeypatch, tmp_path, crops):
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    clip = build_clip(0)
    save_clip(clip, tmp_path / "c.safetensors")
    monkeypatch.setattr("napari_sam.model.weights_files.bundled_file", lambda row: tmp_path / "c.safetensors")
    bundled = load_clip(device="cpu")
    assert bundled.name == "bundled"
    assert (bundled.encode_texts(TEXTS) @ bundled.encode_images(crops).T).shape == (5, 3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    spec = find_clip_spec("biomedclip")
    for build in (build_towers, build_tokenizer):
        with pytest.raises(InputError, match="pip install transformers"):
            build(spec)


def test_what_open_clip_knows_is_described_from_there():
    spec = find_clip_spec("MobileCLIP-S1")
    assert (spec.image_size, spec.context, spec.mean, spec.std) == (256, 77, (0, 0, 0), (1, 1, 1))
    assert find_clip_spec("ViT-B-32").tokenizer == "simple"
    assert find_clip_spec("ViT-B-32").mean == CLIP_SPECS["biomedclip"].mean
    assert clip_towers.guess_clip({"visual.conv1.weight": torch.zeros(768, 3, 32, 32)}) is None


def test_triton_is_not_loaded_beside_opengl():
    """Its LLVM and Mesa's in one process crash it; open_clip would bring it."""
    code = (
        "import sys, types\n"
        "sys.modules['qtpy'] = types.ModuleType('qtpy')\n"
        "from napari_sam.model.clip import build_clip\n"
        "build_clip()\n"
        "assert 'open_clip' in sys.modules and 'triton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
