"""The script for a machine with a GPU, rehearsed whole on a CPU: minutes of a GPU are not wasted on a typo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.model.test_lite_net import published

from napari_sam.model.lite_net import LiteNet, fold_lite_weights

ROOT = Path(__file__).resolve().parents[2]
SETS = ("dsb2018/train", "train_more/krd_wbc", "train_more/mushrooms", "dsb2018/val")


def write_images(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    rows, cols = np.mgrid[:90, :100]
    for number in range(2):
        labels = np.zeros((90, 100), np.uint16)
        for label in range(1, 5):
            row, col = rng.integers(15, 75, 2)
            labels[(rows - row) ** 2 + (cols - col) ** 2 <= rng.integers(6, 14) ** 2] = label
        image = np.where(labels > 0, 180, 60) + rng.integers(0, 20, labels.shape)
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{number}.png")


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    """Packed by the script itself, from folders as in the shared data; sets that are not there stay empty."""
    folder = tmp_path_factory.mktemp("pack")
    for seed, name in enumerate(SETS):
        write_images(folder / "data" / name, seed)
    code = (
        "import sys, weights_data; weights_data.TRAINING = tuple(t for t in weights_data.TRAINING "
        f"if t.partition('?')[0] in {SETS!r}); import pack_training_data; sys.exit(pack_training_data.main())"
    )
    command = [sys.executable, "-c", code, str(folder / "pack"), "--data", str(folder / "data")]
    subprocess.run(command, check=True, env=environment(), cwd=ROOT / "scripts")
    return folder / "pack"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'scripts'}", "PYTHON": sys.executable, **more}


def test_it_trains_scores_and_writes_pieces_that_can_be_joined(pack, tmp_path):
    extra = f"--tiny --batch 2 --workers 0 --steps 3 --start {ROOT / 'src/napari_sam/weights/cells.safetensors'}"
    save_file(LiteNet().state_dict(), tmp_path / "lite.safetensors")
    places = {"PACK": pack, "WORK": tmp_path / "work", "LITE": tmp_path / "lite.safetensors"}
    env = environment(**{name: str(place) for name, place in places.items()}, EXTRA=extra, OMP_NUM_THREADS="1")
    out = tmp_path / "out"
    for _ in range(2):  # the second call finds all done
        subprocess.run(["bash", "scripts/on_gpu.sh", str(out), "5"], check=True, env=env, cwd=ROOT)
    whole = b"".join(file.read_bytes() for file in sorted(out.glob("model.part*")))
    assert whole == (tmp_path / "work" / "train" / "model.safetensors").read_bytes()
    assert all(file.stat().st_size < 16e6 for file in out.iterdir())
    scores = json.loads((tmp_path / "work" / "train.json").read_text())
    assert set(scores["sets"]) == {"krd_wbc", "mushrooms", "val"}
    table = (out / "summary.txt").read_text()
    assert "mean of kinds left out" in table
    assert "one_click: train (3 steps)" in table


def test_an_arm_trains_without_the_kinds_left_out(pack, tmp_path):
    command = [sys.executable, "scripts/gpu_training.py", "arm", "drawing", "--tiny", "--pack", str(pack)]
    command += ["--work", str(tmp_path), "--batch", "2", "--workers", "0", "--steps", "2", "--minutes", "5"]
    done = subprocess.run(command, check=True, env=environment(), cwd=ROOT, capture_output=True, text=True)
    assert "drawing: 2 images" in done.stderr  # of the four sets only dsb2018/train is neither left out nor held out
    assert (tmp_path / "drawing" / "model.safetensors").is_file()


def test_published_features_are_folded_into_a_file(tmp_path):
    state = published(seed=2)
    torch.save(state, tmp_path / "published.pth")
    command = [sys.executable, "scripts/lite_weights.py", str(tmp_path / "lite.safetensors")]
    subprocess.run([*command, "--file", str(tmp_path / "published.pth")], check=True, env=environment(), cwd=ROOT)
    found = load_file(tmp_path / "lite.safetensors")
    expected = fold_lite_weights(state)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key].half()) for key in expected)
