"""Asking for a file of masks."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sam.io.mask_files import MASK_FORMATS

__all__ = ["ask_open_masks", "ask_save_masks"]


def ask_save_masks(parent: QWidget, name: str) -> Path | None:
    """Ask where to write masks; None if the user thinks better of it."""
    filters = {f"{text} (*{extension})": extension for extension, text in MASK_FORMATS.items()}
    path, chosen = QFileDialog.getSaveFileName(parent, "Export objects", name, ";;".join(filters))
    if not path:
        return None
    return Path(path) if Path(path).suffix else Path(path + filters.get(chosen, ".json"))


def ask_open_masks(parent: QWidget) -> Path | None:
    """Ask which masks to read."""
    patterns = " ".join(f"*{extension}" for extension in MASK_FORMATS)
    path, _ = QFileDialog.getOpenFileName(parent, "Import objects", "", f"Masks ({patterns})")
    return Path(path) if path else None
