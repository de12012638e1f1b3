"""The texts that were asked before, the newest first, kept from one session to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import write_whole
from napari_sam.widgets.journal_log import journal_folder

__all__ = ["TextHistory"]

KEPT = 30
Texts = tuple[str, ...]


class TextHistory:
    """Read the list, and write it whenever it grows.

    Parameters
    ----------
    file
        Where it is; None for a file beside the journals. A file that is damaged counts as none.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or journal_folder() / "texts.json"
        self.entries: list[Texts] = _read(self._file)

    def add(self, texts: Sequence[str]) -> None:
        """Put texts at the front.

        Raises
        ------
        InputError
            If they cannot be written; they are in the list nevertheless.
        """
        entry = tuple(texts)
        if self.entries[:1] == [entry]:
            return
        self.entries = [entry, *(other for other in self.entries if other != entry)][:KEPT]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The texts cannot be kept in {self._file} ({error}): make room for that file.") from error
        write_whole(self._file, json.dumps(self.entries, indent=1).encode())


def _read(file: Path) -> list[Texts]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    entries = found if isinstance(found, list) else []
    return [tuple(each) for each in entries if isinstance(each, list) and all(isinstance(text, str) for text in each)]
