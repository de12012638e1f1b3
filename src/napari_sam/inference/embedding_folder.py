"""The folder where stores of embeddings lie, one for each plane and model, and how it is kept small."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from napari_sam.errors import InputError
from napari_sam.inference.embedding_store import NAME, USED, EmbeddingStore, Signature
from napari_sam.inference.lattice import Lattice
from napari_sam.inference.picture import Picture
from napari_sam.inference.store_identity import identity_of
from napari_sam.model.folders import cache_folder
from napari_sam.model.sam import Sam
from napari_sam.paths import local_path

__all__ = ["DEFAULT_LIMIT", "embedding_folder", "evict", "open_store"]

DEFAULT_LIMIT = 50 * 2**30  # bytes of all stores together
SPARED_SECONDS = 600.0  # stores used so recently are somebody's


def embedding_folder() -> Path:
    """Return where stores lie: the environment's `NAPARI_SAM_EMBEDDINGS`, or a folder beside the downloaded models."""
    chosen = os.environ.get("NAPARI_SAM_EMBEDDINGS")
    return local_path(chosen) if chosen else cache_folder().parent / "embeddings"


def open_store(
    model: Sam,
    picture: Picture,
    *,
    path: str | Path | None = None,
    source: str = "",
    precision: str = "float16",
    signature: Signature | None = None,
    read_only: bool = False,
) -> EmbeddingStore:
    """Open, or begin, the store of a picture's embeddings.

    Parameters
    ----------
    model, picture
        Who looks, and at what.
    path
        Folder of the store; None chooses one in `embedding_folder` by everything the embeddings depend on.
    source
        Names the image, its level and plane. Images of the same name are told apart by their signatures.
    precision
        Of a new store: float16, bfloat16 or float32.
    signature
        Returns what changes whenever the pixels of a window change (`LargeImage.signature`), without reading them; None
        hashes the pixels of each window when it is looked at.
    read_only
        Whether nothing is added.

    Raises
    ------
    InputError
        If the folder holds embeddings of something else (all that differs is named), or cannot be used.
    """
    identity = identity_of(
        model, picture.shape, picture.normalization, picture.channels, source=source, precision=precision
    )
    if path is None:
        stem = re.sub(r"[^\w.-]+", "-", Path(source).name)[-40:] or "image"
        path = embedding_folder() / f"{stem}-{identity.digest}.zarr"
    lattice = Lattice(model.spec, picture.shape)
    return EmbeddingStore(path, identity, lattice, signature=signature, read_only=read_only)


def evict(folder: Path, max_bytes: int, *, spare: Collection[Path] = ()) -> list[Path]:
    """Remove whole stores, those not used for longest first, until the rest takes at most `max_bytes`.

    Parameters
    ----------
    folder
        Holds stores; other things in it are left alone.
    max_bytes
        Of all files of all stores.
    spare
        Stores that stay; so do those used in the last ten minutes, by whatever process.

    Returns
    -------
    list[Path]
        The removed stores.

    Raises
    ------
    InputError
        If a store cannot be removed.
    """
    stores = {
        path: _bytes_of(path) for path in (sorted(folder.iterdir()) if folder.is_dir() else []) if _is_store(path)
    }
    kept = {path.absolute() for path in spare}
    total, removed = sum(stores.values()), []
    for path in sorted(stores, key=_last_used):
        if total <= max_bytes:
            break
        if path.absolute() in kept or time.time() - _last_used(path) < SPARED_SECONDS:
            continue
        doomed = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # at once, so that nobody finds half a store
        try:
            path.rename(doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            raise InputError(f"Cannot remove {path} ({error.strerror or error}): delete it by hand.") from error
        total -= stores[path]
        removed.append(path)
    return removed


def _is_store(path: Path) -> bool:
    try:
        return NAME in json.loads((path / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _bytes_of(path: Path) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except OSError:  # another process has just replaced it
                continue
    return total


def _last_used(path: Path) -> float:
    for file in (path / USED, path / "zarr.json"):
        try:
            return file.stat().st_mtime
        except OSError:
            continue
    return 0.0
