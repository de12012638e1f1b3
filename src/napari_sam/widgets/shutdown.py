"""The end of the docks' work: when a dock goes, and before Python ends, while Qt's objects are still there."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import partial
from typing import Any

from napari_sam.inference.worker import wait_for_workers

__all__ = ["at_end"]

PATIENCE = 60.0  # seconds for threads to let go when Python ends: PyTorch may be loading, or in the middle of a step


class _Ending:
    """Let go once, whoever asks first."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        self._let_go: Callable[[], None] | None = let_go

    def __call__(self) -> None:
        let_go, self._let_go = self._let_go, None
        _open.discard(self)
        if let_go is not None:
            let_go()


_open: set[_Ending] = set()


def at_end(let_go: Callable[..., None], *held: Any) -> Callable[[], None]:
    """Return what calls `let_go(*held)`, the first time only; a script that simply ends calls it, too."""
    ending = _Ending(partial(let_go, *held))
    _open.add(ending)
    return ending


@atexit.register
def _end_all() -> None:
    """End what is open before Qt deletes its objects, and wait for the threads, which must not outlive PyTorch."""
    for ending in list(_open):
        ending()
    wait_for_workers(PATIENCE)
