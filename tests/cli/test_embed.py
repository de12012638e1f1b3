"""`napari-sam embed`: fills a store, goes on where it stopped, and what it made is used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from napari_sam.cli import embed as module
from napari_sam.cli.main import main
from napari_sam.inference import embed_image as filling
from napari_sam.inference.embedding_folder import open_store
from napari_sam.inference.picture import open_picture
from napari_sam.inference.predictor import Predictor
from napari_sam.io.large_image import open_large_image
from napari_sam.types import Window

PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 100, 120)).astype(np.uint16)


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch, tiny_cell_model):
    monkeypatch.setenv("NAPARI_SAM_EMBEDDINGS", str(tmp_path / "stores"))
    monkeypatch.setattr("napari_sam.model.load.load_model", lambda *_, **__: tiny_cell_model)


@pytest.fixture
def volume(tmp_path):
    """A stack of two planes, as a path."""
    array = zarr.create_array(
        tmp_path / "volume.zarr",
        shape=PIXELS.shape,
        chunks=(1, 64, 64),
        dtype="uint16",
        dimension_names=("z", "y", "x"),
    )
    array[:] = PIXELS
    return tmp_path / "volume.zarr"


def run(capsys, *arguments):
    status = main(["embed", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else None, err


def test_all_planes_once_and_then_nothing_more(volume, capsys, tmp_path):
    status, first, _ = run(capsys, volume)
    assert status == 0
    assert first["encoded"] > 2 * 5
    assert len(set(first["stores"])) == 2
    assert run(capsys, volume)[1]["encoded"] == 0
    again = run(capsys, volume, "--normalization", "0,4000", "--windows", "1")[1]  # another normalisation, other stores
    assert again["encoded"] > 0
    assert set(again["stores"]).isdisjoint(first["stores"])


def test_a_chunk_written_anew_makes_its_windows_anew(volume, capsys):
    arguments = (volume, "--normalization", "0,4000", "--windows", "0")
    whole = run(capsys, *arguments)[1]["encoded"]
    zarr.open_array(volume, mode="r+")[1, 0:10, 90:100] = 7
    assert 0 < run(capsys, *arguments)[1]["encoded"] < whole / 2


def test_parts_planes_levels_and_regions(volume, capsys):
    one = run(capsys, volume, "--plane", "z=1", "--part", "1/2")[1]
    two = run(capsys, volume, "--plane", "z=1", "--part", "2/2")[1]
    assert one["stores"] == two["stores"]
    assert min(one["encoded"], two["encoded"]) > 0
    assert run(capsys, volume, "--plane", "z=1")[1]["encoded"] == 0
    closer = run(capsys, volume, "--plane", "z=1", "--all-levels", "--region", "0,0,20,20")[1]
    assert 0 < closer["encoded"] < 10
    assert run(capsys, volume, "--plane", "z=0", "--windows", "1")[1]["encoded"] < one["encoded"] + two["encoded"]


def test_a_predictor_finds_what_was_embedded(volume, capsys, tiny_cell_model, monkeypatch):
    run(capsys, volume, "--plane", "z=1", "--windows", "0")
    large = open_large_image(volume)
    picture = open_picture(large.plane({"z": 1}), "auto", None)

    def signature(window: Window) -> str:
        return large.signature(
            (window.row, window.col, window.row + window.height, window.col + window.width), {"z": 1}
        )

    source = module.plane_source(large, {"z": 1})
    store = open_store(tiny_cell_model, picture, source=source, signature=signature)
    monkeypatch.setattr(type(tiny_cell_model), "encode", None)  # must not be asked
    predictor = Predictor(tiny_cell_model)
    predictor.set_image(large.plane({"z": 1}), store=store)
    window = store.lattice.window((0, 1, 1))
    assert predictor.predict(box=(35, 40, 60, 70), window=window).masks.shape == (1, 100, 120)


def test_a_plane_that_cannot_be_read_is_named_and_the_rest_is_done(volume, capsys):
    (volume / "c" / "0" / "1" / "1").write_bytes(b"rubbish")
    status, summary, err = run(capsys, volume, "--windows", "0")
    assert status == 1
    assert summary["encoded"] > 5
    assert len(summary["stores"]) == 1
    assert err.startswith("Left out: z=0: ")
    assert len(err.strip().splitlines()) == 1
    assert run(capsys, volume, "--plane", "z=0")[0] == 2


def test_what_does_not_fit_the_limit_is_refused_at_once(volume, capsys, monkeypatch):
    status, _, err = run(capsys, volume, "--limit", "0.0001")
    assert status == 2
    assert "more than the limit of 0.0001 GB" in err
    assert len(err.strip().splitlines()) == 1


def test_old_stores_make_room_but_not_beside_a_chosen_folder(volume, capsys, tmp_path, monkeypatch, tiny_cell_model):
    monkeypatch.setattr("napari_sam.inference.embedding_folder.SPARED_SECONDS", -1.0)
    one = ("--plane", "z=0", "--windows", "1")
    first = run(capsys, volume, *one, "--output", tmp_path / "kept.zarr")[1]["stores"][0]
    summary = run(capsys, volume, *one)[1]
    old = summary["stores"][0]
    size = filling.store_bytes(tiny_cell_model, summary["encoded"], 2)
    limit = ("--limit", str(size * 1.01 / 1e9))  # room for one of them
    run(capsys, volume, *one, *limit, "--output", tmp_path / "other.zarr", "--normalization", "0,9")
    assert Path(first).exists()
    assert run(capsys, volume, *one, *limit, "--normalization", "0,9")[0] == 0
    assert not Path(old).exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--part", "3/2"), "NUMBER/COUNT"),
        (("--part", "x"), "NUMBER/COUNT"),
        (("--windows", "7"), "no level 7"),
        (("--windows", "0", "--all-levels"), "leave one out"),
        (("--region", "5,5,1,1"), "R0,C0,R1,C1"),
        (("--plane", "z"), "give something like z=0"),
        (("--plane", "z=5"), "no plane"),
        (("--output", "here.zarr"), "choose one with --plane"),
        (("--precision", "float8", "--plane", "z=0"), "choose one of float32, float16, bfloat16"),
        (("--channels", "9"), "channel"),
        (("--level", "4"), "level"),
    ],
)
def test_unusable_arguments_get_one_sentence(volume, capsys, arguments, says):
    status, _, err = run(capsys, volume, *arguments)
    assert status == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_embeddings_of_another_image_are_not_overwritten(volume, capsys, tmp_path):
    store = tmp_path / "mine.zarr"
    assert run(capsys, volume, "--plane", "z=0", "--output", store, "--windows", "1")[0] == 0
    status, _, err = run(capsys, volume, "--plane", "z=1", "--output", store)
    assert status == 2
    assert "what differs: the image" in err


def test_estimates_are_what_uncompressed_embeddings_take(tiny_cell_model):
    made = tiny_cell_model.encode([torch.zeros(1, 3, 64, 64)])
    assert filling.store_bytes(tiny_cell_model, 3, 4) == 3 * made.nbytes
