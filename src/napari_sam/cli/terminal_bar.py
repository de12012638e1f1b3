"""How far a command got: one bar on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["TerminalBar", "shown_import", "terminal_bar"]

TORCH_MODULES = 1150  # about as many as `import torch` brings
LOOK_EVERY = 0.25  # seconds


class TerminalBar:
    """Show one step after another in the same line."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def show(self, text: str, done: float = 0, total: float = 0) -> None:
        """Show how far a step got; a total of 0 is not known."""
        self._bar.update(self._task, description=text, completed=done, total=total or None)

    def step(self, text: str) -> Callable[[int, int], None]:
        """Return what takes done and total of a step and shows them; the bar starts anew."""
        self._bar.reset(self._task, description=text, total=None)
        return lambda done, total: self.show(text, done, total)


@contextmanager
def terminal_bar(text: str = "Starting") -> Iterator[TerminalBar]:
    """Open the bar, with percentage and time left; it vanishes at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        yield TerminalBar(bar, bar.add_task(text, total=None))


@contextmanager
def shown_import() -> Iterator[None]:
    """Say on a terminal how far the first import of PyTorch got, which takes seconds, if there is one meanwhile.

    A line without rich's help, as commands import what they need wherever they need it.
    """
    ended = threading.Event()

    def watch() -> None:
        before, said = len(sys.modules), False
        while not ended.wait(LOOK_EVERY):
            torch = sys.modules.get("torch")
            if torch is None:
                before = len(sys.modules)
            elif getattr(torch.__spec__, "_initializing", False):
                share = min(99, 100 * (len(sys.modules) - before) // TORCH_MODULES)
                sys.stderr.write(f"\rLoading PyTorch {share} %")
                said = True
            else:
                break
            sys.stderr.flush()
        if said:
            sys.stderr.write("\r\x1b[K")  # the line is empty again
            sys.stderr.flush()

    if "torch" in sys.modules or not sys.stderr.isatty():
        yield
        return
    watcher = threading.Thread(target=watch, name="napari-sam import", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
