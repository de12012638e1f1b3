"""CLIPs in the same registry as the models that segment: listed, verified, imported, offline message."""

from __future__ import annotations

import json
import re

import pytest

from napari_sam.cli.main import main
from napari_sam.errors import DownloadError, InputError
from napari_sam.model.clip import build_clip, load_clip, save_clip
from napari_sam.model.clip_towers import find_clip_spec
from napari_sam.model.download import Patience, fetch_model
from napari_sam.model.load import load_model
from napari_sam.model.registry import CLIP_MODELS, MODELS, find_model, user_models


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_every_row_can_be_proven_and_built():
    assert [row.name for row in CLIP_MODELS][:2] == ["bundled", "clip_vit_b_32"]
    assert not {row.name for row in CLIP_MODELS} & {row.name for row in MODELS}
    for row in CLIP_MODELS[1:]:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", row.known_hash)
        assert row.urls[0].startswith("https://")
        assert find_clip_spec(row.architecture).image_size >= 224


def test_a_name_is_looked_up_among_its_kind():
    assert find_model("clip_vit_b_16", "clip").architecture == "ViT-B-16"
    assert find_model("clip_vit_b_16", "").kind == "clip"
    with pytest.raises(InputError, match="Unknown model"):
        load_model("clip_vit_b_16")
    with pytest.raises(InputError, match="Unknown CLIP"):
        load_clip("vit_b")


def test_offline_the_message_says_what_to_put_where(monkeypatch, cache):
    row = find_model("clip_vit_b_32", "clip")
    monkeypatch.setattr("napari_sam.model.download._persist", _offline)
    with pytest.raises(DownloadError, match=r"models import clip_vit_b_32 FILE") as error:
        fetch_model(row, patience=Patience(attempts=1))
    assert row.known_hash in str(error.value)
    assert str(cache / row.file) in str(error.value)


def _offline(*_: object) -> None:
    import requests

    raise requests.ConnectionError


def test_a_wrong_file_is_not_imported_as_a_registered_one(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    assert main(["models", "import", "clip_vit_b_32", str(tmp_path / "w.safetensors")]) == 2


def test_a_clip_of_ones_own_is_imported_listed_verified_and_loaded(tmp_path, capsys):
    save_clip(build_clip(3), tmp_path / "mine.safetensors", vocabulary=["axon"])
    assert main(["models", "import", "my_clip", str(tmp_path / "mine.safetensors")]) == 0
    assert main(["models", "verify", "my_clip"]) == 0
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["my_clip"]["state"] == "imported"
    assert {"cells", "bundled", "biomedclip"} <= set(rows)
    assert user_models() == ()  # it segments nothing
    assert [row.name for row in user_models("clip")] == ["my_clip"]
    clip = load_clip("my_clip", device="cpu")
    assert clip.vocabulary == {"axon"}
    with pytest.raises(InputError, match="Unknown model 'my_clip'"):
        load_model("my_clip")
