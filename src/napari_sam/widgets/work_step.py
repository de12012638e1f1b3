"""How far work in the background got: the record that engines send, and the bar that shows it, in napari's too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari.utils.progress import progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar, QWidget

__all__ = ["WorkBar", "WorkStep", "show_step"]

SHOWN_AFTER = 1000  # milliseconds: shorter work is not worth a line in napari's activity dock
PARTS = 1000


@dataclass(frozen=True)
class WorkStep:
    """Say how far a step got; `total` is 0 where that is unknown."""

    text: str
    done: int
    total: int


class WorkBar(QProgressBar):
    """Show work as long as it is visible, and the same in napari's activity dock once it takes longer than a second."""

    def __init__(self) -> None:
        super().__init__()
        self._line: Any = None  # in the activity dock
        self._opening = False
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(SHOWN_AFTER)
        self._wait.timeout.connect(self._open_line)
        self.setVisible(False)

    def setVisible(self, visible: bool) -> None:  # noqa: N802 - Qt's name
        """Show the bar or hide it; hidden it means that nothing runs."""
        if not visible:
            self._wait.stop()
            self._close_line()
        elif self._line is None and not self._opening and not self._wait.isActive():
            self._wait.start()
        super().setVisible(visible)

    def setValue(self, value: int) -> None:  # noqa: N802 - Qt's name
        """Show how much of the range is done."""
        super().setValue(value)
        self._show_line()

    def setFormat(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Say what is done."""
        super().setFormat(text)
        self._show_line()

    def _open_line(self) -> None:
        if self.isHidden():
            return
        self._opening = True  # napari processes events meanwhile: the work goes on, and may end
        try:
            line = progress(total=PARTS, desc=self._text(), file=_Nowhere())
        finally:
            self._opening = False
        if self.isHidden():
            line.close()
            return
        self._line = line
        self.destroyed.connect(line.close)
        self._show_line()

    def _close_line(self) -> None:
        if self._line is not None:
            line, self._line = self._line, None
            line.close()

    def _show_line(self) -> None:
        line = self._line
        if line is None:
            return
        if line.desc != f"{self._text()}: ":
            line.set_description(self._text())
        span = self.maximum() - self.minimum()
        line.total = PARTS if span > 0 else 0
        done = round(PARTS * (self.value() - self.minimum()) / span) if span > 0 else 0
        if done != line.n:
            line.update(done - line.n)

    def _text(self) -> str:
        """Return what the bar says, without the percentage, which the other bar shows."""
        text = self.format().replace("%p%", "").replace("%v", str(self.value()))
        return text.strip().rstrip(",") or "napari-sam"


class _Nowhere:
    """Where napari's bar is drawn besides: the terminal of a person who looks at a window stays quiet."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def show_step(step: WorkStep, bar: QProgressBar, working: Sequence[QWidget], idle: Sequence[QWidget]) -> None:
    """Show a step in a bar, with what is seen while there is work and without the rest; no text: there is no work."""
    for part in (bar, *working):
        part.setVisible(bool(step.text))
    for part in idle:
        part.setVisible(not step.text)
    bar.setRange(0, step.total)
    bar.setValue(step.done)
    bar.setFormat(f"{step.text} %p%" if step.total else step.text)
