"""The first import of large libraries, which takes seconds, with how far it got."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from napari_sam.errors import OperationCancelled
from napari_sam.model.torch_imports import import_dynamo

__all__ = ["import_for", "needs_import"]

Progress = Callable[[int, int], None]
# what is imported for what, and about how many modules that brings
_PURPOSES: dict[str, tuple[tuple[str, ...], int]] = {
    "masks": (("napari_sam.model.load", "napari_sam.inference.mask_generator", "napari_sam.inference.predictor"), 1600),
    "texts": (("napari_sam.pipeline.text_segment", "open_clip"), 1500),
    "training": (("torch._dynamo", "napari_sam.training.finetune", "napari_sam.training.finetune_result"), 1100),
}
LOOK_EVERY = 0.25  # seconds


def needs_import(purpose: str) -> bool:
    """Tell whether anything is still to be imported for "masks", "texts" or "training"."""
    return any(name not in sys.modules for name in _PURPOSES[purpose][0])


def import_for(purpose: str, progress: Progress | None = None) -> None:
    """Import what masks, texts or training need.

    Parameters
    ----------
    purpose
        "masks", "texts" or "training".
    progress
        Called with modules imported and about as many as there will be, from another thread while the import runs; what
        it raises counts in the end only, as an import must not be broken off.

    Raises
    ------
    OperationCancelled
        From `progress`, once all is imported.
    """
    names, expected = _PURPOSES[purpose]
    with _watched(progress if needs_import(purpose) else None, expected):
        if purpose != "masks" and "qtpy" in sys.modules:  # in a program with windows so that it can draw on
            import_dynamo()
        for name in names:
            importlib.import_module(name)
    if progress is not None:
        progress(expected, expected)


@contextmanager
def _watched(progress: Progress | None, expected: int) -> Iterator[None]:
    if progress is None:
        yield
        return
    before, done = len(sys.modules), threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY):
            try:
                progress(min(len(sys.modules) - before, expected - 1), expected)
            except OperationCancelled:
                return

    watcher = threading.Thread(target=watch, name="napari-sam import", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
