"""Paths of this machine as people spell them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["file_path", "local_path"]


def local_path(path: str | Path) -> Path:
    """Return a path of this machine with `~` at its beginning as the home folder."""
    return Path(os.path.expanduser(path))


def file_path(location: str | Path) -> str | None:
    """Return the path that a URL of the scheme `file` names, None for anything else."""
    text = str(location)
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else None
