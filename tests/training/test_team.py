"""Batches in parts, by turns or by processes, give what one process gives."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sampler import make_batch
from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.training.step import training_step
from napari_sam.training.team import Team

CONFIG = TrainingConfig(
    architecture="cell_tiny",
    synthetic=1.0,
    steps=3,
    batch=4,
    prompts=2,
    rounds=4,
    warmup=1,
    cooldown=0,
    save_every=3,
    precision="float32",
    lr=1e-3,
)

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from napari_sam.config.training import TrainingConfig
from napari_sam.model.build import SPECS, SamSpec
from napari_sam.training.loop import train
torch.set_num_threads(1)
SPECS["cell_tiny"] = {spec!r}
list(train({config!r}, [], np.zeros(0), Path(sys.argv[1])))
"""


def test_parts_share_the_crops():
    assert Team().parts(6, 1) == [range(6)]
    assert Team().parts(6, 3) == [range(2), range(2, 4), range(4, 6)]
    assert Team(1, 2).parts(8, 2) == [range(4, 6), range(6, 8)]
    with pytest.raises(InputError, match="multiple of 4"):
        Team(0, 2).parts(6, 2)


@pytest.mark.parametrize("turns", [2, 4])
def test_gradients_of_parts_add_up_to_those_of_the_whole(turns, tiny_spec_cell):
    batch = make_batch([], np.zeros(0), CONFIG, 64, 5)
    whole, parts = (build_from_spec(tiny_spec_cell, seed=3).train() for _ in range(2))
    one = training_step(whole, batch, CONFIG, 5)
    size = 4 // turns
    several = [training_step(parts, batch.crops(i, size), CONFIG, 5, i) for i in range(0, 4, size)]
    assert np.mean([part.loss for part in several]) == pytest.approx(one.loss, rel=1e-4)
    assert np.mean([part.first_iou for part in several]) == pytest.approx(one.first_iou, abs=1e-6)
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(b.grad, a.grad, rtol=2e-3, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


def test_two_processes_equal_one(tmp_path, tiny_spec_cell):
    """Same global batch, gradients added up over gloo: the same losses and weights but for the order of sums."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(spec=tiny_spec_cell, config=CONFIG))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for count in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        done = subprocess.run(
            [*command, str(script), str(tmp_path / str(count))], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_file(tmp_path / str(count) / "model.safetensors") for count in (1, 2))
    logs = [(tmp_path / str(count) / "log.csv").read_text().splitlines() for count in (1, 2)]
    assert len(logs[0]) == len(logs[1]) == 1 + CONFIG.steps
    for a, b in zip(*[[float(line.split(",")[3]) for line in log[1:]] for log in logs], strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    for key in one:
        torch.testing.assert_close(one[key].float(), two[key].float(), rtol=2e-2, atol=2e-3)


def test_processes_without_a_fair_share_are_refused():
    with pytest.raises(InputError, match="batch"):
        Team(0, 3).parts(dataclasses.replace(CONFIG).batch, 1)
