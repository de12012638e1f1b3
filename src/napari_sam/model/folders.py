"""Where weights lie: those that can be fetched again in a cache, the user's own as user data."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "data_folder"]

_APP = "napari-sam-stack"


def cache_folder() -> Path:
    """Return where downloaded weights are kept: `NAPARI_SAM_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("NAPARI_SAM_CACHE") or platformdirs.user_cache_dir(_APP)) / "models"


def data_folder() -> Path:
    """Return where trained and imported models are kept: `NAPARI_SAM_DATA`, or the user's data folder."""
    return Path(os.environ.get("NAPARI_SAM_DATA") or platformdirs.user_data_dir(_APP)) / "models"
