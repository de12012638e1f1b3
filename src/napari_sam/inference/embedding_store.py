"""Embeddings of an image's windows on disk (Zarr v3), filled by any number of processes, complete or not."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import xxhash
from filelock import FileLock

from napari_sam.errors import InputError
from napari_sam.inference.lattice import Lattice, Site
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.store_codec import PRECISIONS, from_bits, rounded, to_bits, width_of
from napari_sam.inference.store_identity import StoreIdentity, identity_of
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.paths import local_path
from napari_sam.types import Window

if TYPE_CHECKING:
    import zarr

__all__ = ["BLOCK", "NAME", "USED", "EmbeddingStore", "Signature", "digest", "pixel_signature"]

Channels = tuple[int, ...] | None
Signature = Callable[[Window], str]
BLOCK = 4  # windows along the side of a shard, which is one file
DIGEST = 16  # bytes of the hash of a window's signature, and of that of its embedding
READS = 5  # tries, since between reading where a window lies in its file and reading it another may be put there
TOUCH_SECONDS = 60.0  # a store in use says so this often
DAMAGED = (ValueError, RuntimeError, KeyError, OSError)  # what zarr and its codecs raise for files that are no good
NAME = "napari_sam_embeddings"  # of the attribute that says whose they are
USED = "last_used"  # the file whose time says when a store was used


@dataclass(frozen=True)
class _Level:
    """The arrays of one level: features first, then the skips, and the signatures of what is done."""

    done: Any
    parts: tuple[Any, ...]


class EmbeddingStore:
    """Keep the embeddings of the lattice's windows over one plane.

    On disk each level is a group of arrays (rows, cols, C, h, w), a chunk a window, a shard `BLOCK` x `BLOCK` windows,
    and `done` (rows, cols, 32) uint8: a hash of the signature of the pixels that a window was made of, and one of what
    is stored. A window counts only while its signature is that of the image now; a damaged one counts as missing.
    Writers of a shard take turns by a lock file; a file appears whole or not at all; readers wait for nobody.

    Parameters
    ----------
    path
        Folder; made if missing.
    identity
        Of what embeddings depend on; see `StoreIdentity`.
    lattice
        Of the model over the image.
    signature
        Returns, without reading pixels, what changes whenever the pixels of a window change; None: pixels are hashed.
    read_only
        Whether nothing is added.

    Raises
    ------
    InputError
        If the folder holds other embeddings, or cannot be made or read.
    """

    def __init__(
        self,
        path: str | Path,
        identity: StoreIdentity,
        lattice: Lattice,
        *,
        signature: Signature | None = None,
        read_only: bool = False,
    ) -> None:
        self.path = local_path(path)
        self.identity = identity
        self.lattice = lattice
        self.signature = signature
        self.read_only = read_only
        self._levels: dict[int, _Level] = {}
        self._touched = 0.0
        self._root = self._open()

    def get(self, window: Window, signature: str) -> ImageEmbedding | None:
        """Return the embedding of a window whose pixels have this signature, on the CPU; None if there is none."""
        site = self.lattice.find(window)
        level = None if site is None else self._level(site[0])
        if site is None or level is None:
            return None
        self._touch()
        mark = digest(signature)
        for _ in range(READS):
            try:
                bits = [part[site[1], site[2]] for part in level.parts]
                stored = level.done[site[1], site[2]].tobytes()
            except DAMAGED:
                continue
            if stored[:DIGEST] != mark:
                return None
            if stored[DIGEST:] == _sum_of(bits):
                tensors = [from_bits(values, self.identity.precision)[None] for values in bits]
                return ImageEmbedding(tensors[0], tuple(tensors[1:]))
        return None  # damaged, or written to all the time

    def done(self, sites: Sequence[Site]) -> list[bytes]:
        """Return the hashes of the signatures of windows of one block, zeros for those that are not there."""
        level = self._level(sites[0][0])
        if level is None:
            return [bytes(DIGEST)] * len(sites)
        top, left = (min(site[axis] for site in sites) for axis in (1, 2))
        try:
            block = level.done[top : top + BLOCK, left : left + BLOCK]
        except DAMAGED:
            return [bytes(DIGEST)] * len(sites)
        return [block[row - top, col - left].tobytes()[:DIGEST] for _, row, col in sites]

    def put(self, window: Window, signature: str, embedding: ImageEmbedding) -> bool:
        """Keep the embedding of one window; return whether it is the lattice's and was kept.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        site = self.lattice.find(window)
        if site is None or self.read_only:
            return False
        self._touch()
        row, col = site[1:]
        tensors = (embedding.features, *embedding.skips)
        with self._writing(f"{site[0]}-{row // BLOCK}-{col // BLOCK}"):
            level = self._level(site[0]) or self._create_level(site[0], tensors)
            bits = [to_bits(tensor[0], self.identity.precision) for tensor in tensors]
            try:
                _write(level, row, col, bits, digest(signature))
            except (ValueError, RuntimeError):  # a file of the block is damaged: start it anew
                self._remove_block(level, row, col)
                _write(level, row, col, bits, digest(signature))
        return True

    def rounded(self, embedding: ImageEmbedding) -> ImageEmbedding:
        """Return an embedding as it will be read back, so that masks are the same before and after."""
        precision = self.identity.precision
        return ImageEmbedding(
            rounded(embedding.features, precision), tuple(rounded(skip, precision) for skip in embedding.skips)
        )

    def check(self, model: Sam, shape: tuple[int, int], normalization: Normalization, channels: Channels) -> None:
        """Check that embeddings are those of a model that looks at a plane in this way.

        Raises
        ------
        InputError
            Naming all that differs.
        """
        own = self.identity
        used = identity_of(model, shape, normalization, channels, source=own.source, precision=own.precision)
        used.check(own.record(), self.path)

    def _open(self) -> zarr.Group:
        import zarr

        if not self.read_only:
            with self._writing("root"):
                if not (self.path / "zarr.json").exists():
                    attributes = {
                        NAME: self.identity.record(),
                        "scales": {str(level): scale for level, scale in self.lattice.scales.items()},
                    }
                    zarr.create_group(self.path, zarr_format=3, attributes=attributes)
        try:
            root = zarr.open_group(self.path, mode="r" if self.read_only else "r+", zarr_format=3)
        except (FileNotFoundError, ValueError, KeyError, OSError) as error:
            raise InputError(f"There are no embeddings in {self.path}: give a folder that `embed` made.") from error
        self.identity.check(root.attrs.get(NAME), self.path)
        return root

    def _level(self, number: int) -> _Level | None:
        if number not in self._levels:
            try:
                group: Any = self._root[f"{number}"]
                parts = tuple(group[name] for name in ("features", *group.attrs["skips"]))
                self._levels[number] = _Level(group["done"], parts)
            except DAMAGED:  # not made yet
                return None
        return self._levels[number]

    def _create_level(self, number: int, tensors: tuple[torch.Tensor, ...]) -> _Level:
        """Make the arrays of a level; `done` comes last, so what is there is whole."""
        from zarr.codecs import BloscCodec

        with self._writing(f"level-{number}"):
            found = self._level(number)
            if found is not None:
                return found
            count = tuple(len(origins) for origins in self.lattice.origins(number))
            names = ["features", *(f"skip{i}" for i in range(len(tensors) - 1))]
            group = self._root.create_group(f"{number}", attributes={"skips": names[1:]}, overwrite=True)
            typesize = width_of(self.identity.precision)
            for name, tensor in zip(names, tensors, strict=True):
                own = tuple(tensor.shape[1:])
                group.create_array(
                    name,
                    shape=(*count, *own),
                    chunks=(1, 1, *own),
                    shards=(BLOCK, BLOCK, *own),
                    dtype=PRECISIONS[self.identity.precision],
                    compressors=[BloscCodec(typesize=typesize, cname="zstd", clevel=1, shuffle="shuffle")],
                    dimension_names=("row", "col", "channel", "y", "x"),
                )
            group.create_array("done", shape=(*count, 2 * DIGEST), chunks=(BLOCK, BLOCK, 2 * DIGEST), dtype="uint8")
        level = self._level(number)
        assert level is not None  # noqa: S101 - just made
        return level

    def _remove_block(self, level: _Level, row: int, col: int) -> None:
        """Delete the files of the block of a window."""
        for array in (level.done, *level.parts):
            key = array.metadata.encode_chunk_key((row // BLOCK, col // BLOCK, *[0] * (array.ndim - 2)))
            (self.path / array.path / key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self, lock: str) -> Iterator[None]:
        """Hold a lock file of the store; what goes wrong with the disk becomes one sentence."""
        try:
            folder = self.path / "locks"
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f"{lock}.lock"):
                yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "make room on that disk" if full else "choose a folder that can be written to"
            raise InputError(f"Cannot keep embeddings in {self.path} ({error.strerror or error}): {remedy}.") from error

    def _touch(self) -> None:
        """Say, now and then, that the store is in use."""
        now = time.monotonic()
        if now - self._touched > TOUCH_SECONDS:
            self._touched = now
            with contextlib.suppress(OSError):  # of a store that cannot be written to nobody needs to know
                (self.path / USED).touch()


def pixel_signature(rgb: npt.NDArray[np.uint8]) -> str:
    """Return the signature of a window by its normalised pixels, for images that have no cheaper one."""
    return hashlib.blake2b(np.ascontiguousarray(rgb).data, digest_size=DIGEST).hexdigest()


def digest(signature: str) -> bytes:
    """Return what stands for a signature on disk."""
    return hashlib.blake2b(signature.encode(), digest_size=DIGEST).digest()


def _write(level: _Level, row: int, col: int, bits: Sequence[npt.NDArray[Any]], mark: bytes) -> None:
    """Write one window; the signature comes last, so nobody takes half of the old and half of the new.

    What another process has written is left: whoever is killed while writing it again would take it away.
    """
    whole = mark + _sum_of(bits)
    known = level.done[row, col]
    if known.tobytes() == whole and _sum_of([part[row, col] for part in level.parts]) == whole[DIGEST:]:
        return
    if known.any():
        level.done[row, col] = np.zeros(2 * DIGEST, np.uint8)
    for part, values in zip(level.parts, bits, strict=True):
        part[row, col] = values
    level.done[row, col] = np.frombuffer(whole, np.uint8)


def _sum_of(bits: Sequence[npt.NDArray[Any]]) -> bytes:
    """Return a hash of what is stored of a window."""
    total = xxhash.xxh3_128()
    for values in bits:
        total.update(np.ascontiguousarray(values).data)
    return total.digest()
