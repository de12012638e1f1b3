"""A data set of three images of two objects each, and players whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.evaluation.players import Click


class PerfectPlayer:
    """Knows the labels by the brightness of the image; its first mask is the upper half of the object."""

    def __init__(self, labels: dict[int, np.ndarray], name: str = "model") -> None:
        self.name = name
        self.labels = labels
        self.boxes: list[tuple[float, ...]] = []
        self.clicks: list[list[Click]] = []

    def set_image(self, image: np.ndarray) -> None:
        self.truth = self.labels[int(image[0, 0])]

    def first(self, click: Click) -> tuple[list[np.ndarray], float | None]:
        (row, col), kind = click
        assert kind == 1
        self.mask = self.truth == self.truth[int(row), int(col)]
        half = self.mask & (np.arange(len(self.mask)) < row)[:, None]
        return [half, self.mask, np.zeros_like(half)], 0.5

    def correct(self, clicks: Sequence[Click]) -> np.ndarray:
        self.clicks.append(list(clicks))
        return self.mask

    def boxed(self, box: tuple[float, float, float, float]) -> tuple[np.ndarray, float | None]:
        self.boxes.append(box)
        row, col = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
        return self.truth == self.truth[row, col], 0.9


@pytest.fixture
def known(tmp_path: Path) -> tuple[Path, dict[int, np.ndarray]]:
    """A folder whose images 1, 2 and 3 are filled with that number, and their labels."""
    truth = {}
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for number in (1, 2, 3):
        labels = np.zeros((40, 50), np.uint16)
        labels[4:18, 5:19] = 1
        labels[22:36, 20 : 30 + number] = 2
        truth[number] = labels
        Image.fromarray(np.full((40, 50), number, np.uint8)).save(tmp_path / "set" / "images" / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / "set" / "labels" / f"{number}.png")
    (tmp_path / "index.csv").write_text("id,group\n1,a\n2,a\n3,b\n")
    return tmp_path / "set", truth


@pytest.fixture
def perfect() -> type[PerfectPlayer]:
    """The class of a player that is right from the second click on."""
    return PerfectPlayer
