"""How far work in the background got: the record that engines send, and the bar that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtWidgets import QProgressBar, QWidget

__all__ = ["WorkStep", "show_step"]


@dataclass(frozen=True)
class WorkStep:
    """Say how far a step got; `total` is 0 where that is unknown."""

    text: str
    done: int
    total: int


def show_step(step: WorkStep, bar: QProgressBar, working: Sequence[QWidget], idle: Sequence[QWidget]) -> None:
    """Show a step in a bar, with what is seen while there is work and without the rest; no text: there is no work."""
    for part in (bar, *working):
        part.setVisible(bool(step.text))
    for part in idle:
        part.setVisible(not step.text)
    bar.setRange(0, step.total)
    bar.setValue(step.done)
    bar.setFormat(f"{step.text} %p%" if step.total else step.text)
