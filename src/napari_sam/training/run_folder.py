"""What a training run keeps on disk: settings, log, the state to resume from, and the model itself."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_sam.config.training import TrainingConfig
from napari_sam.errors import InputError

__all__ = ["RunFolder", "save_weights"]

# Settings that may change between the parts of a run without changing what was learnt so far.
_MAY_CHANGE = {"steps", "cooldown", "threads", "save_every", "workers", "accumulate", "validate_every", "patience"}


class RunFolder:
    """Read and write the files of one run.

    Parameters
    ----------
    path
        The folder: `settings.json`, `log.csv`, `state.pt`, `model.safetensors`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def state_file(self) -> Path:
        """Everything needed to go on: weights, average, optimizer, step."""
        return self.path / "state.pt"

    @property
    def model_file(self) -> Path:
        """The averaged weights, float16 safetensors."""
        return self.path / "model.safetensors"

    @property
    def best_file(self) -> Path:
        """The averaged weights that did best on the held-out images."""
        return self.path / "best.safetensors"

    def open(self, config: TrainingConfig, *, resume: bool, writes: bool = True) -> dict[str, Any] | None:
        """Create the folder, or find the state to resume from.

        Raises
        ------
        InputError
            If the folder holds a run and `resume` is False, or a run with other settings.
        """
        if not self.state_file.exists():
            if writes:
                self.path.mkdir(parents=True, exist_ok=True)
                self._write_settings(config)
            return None
        if not resume:
            raise InputError(
                f"{self.path} already holds a training run: add --resume to go on with it, or name another."
            )
        try:
            state = torch.load(self.state_file, weights_only=True, map_location="cpu")
        except Exception as error:
            raise InputError(f"Cannot read {self.state_file}: {error}; remove the folder to start again.") from error
        self._check_settings(config)
        if writes:
            self._write_settings(config)
            for name in ("log.csv", "scores.csv"):
                self._trim(self.path / name, int(state["step"]))
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state at once: a kill leaves the old one or the new one."""
        part = self.state_file.with_suffix(".part")
        torch.save(dict(state), part)
        os.replace(part, self.state_file)

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        self._append(self.path / "log.csv", row)

    def log_score(self, step: int, score: float) -> None:
        """Append one line to the scores on held-out images."""
        self._append(self.path / "scores.csv", {"step": step, "one_click": round(score, 4)})

    def _append(self, file: Path, row: Mapping[str, Any]) -> None:
        new = not file.exists()
        with file.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def _trim(self, file: Path, step: int) -> None:
        """Drop the lines of steps after the saved state: they will be done again."""
        if not file.exists():
            return
        with file.open(newline="") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or [])
            rows = [row for row in reader if int(row["step"]) <= step]
        part = file.with_suffix(".part")
        with part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, file)

    def _check_settings(self, config: TrainingConfig) -> None:
        old = json.loads((self.path / "settings.json").read_text())
        new = json.loads(json.dumps(dataclasses.asdict(config)))
        differing = [k for k in new if k not in _MAY_CHANGE and old.get(k) != new[k]]
        if differing:
            name = differing[0]
            raise InputError(
                f"The run in {self.path} was started with {name}={old.get(name)!r}, not {new[name]!r}: "
                "resume with the same settings, or name another folder."
            )

    def _write_settings(self, config: TrainingConfig) -> None:
        (self.path / "settings.json").write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")


def save_weights(weights: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str]) -> None:
    """Write a float16 safetensors file in the authors' key layout, all at once."""
    half = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in weights.items()
    }
    part = file.with_suffix(".part")
    save_file(half, part, metadata=dict(metadata))
    os.replace(part, file)
