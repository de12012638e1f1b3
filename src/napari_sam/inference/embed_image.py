"""Fill a store ahead of time: every window of the lattice that is not there yet, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.inference.embedding_store import BLOCK, EmbeddingStore, digest
from napari_sam.inference.lattice import Lattice, Site
from napari_sam.inference.picture import Picture, encode_batch, encode_pixels
from napari_sam.model.sam import Sam
from napari_sam.types import Window

__all__ = ["EmbedProgress", "default_levels", "embed_image", "store_bytes"]

Region = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class EmbedProgress:
    """Tell how far it is.

    Parameters
    ----------
    done, total
        Windows.
    encoded
        Those of the done that were not there before.
    failed
        What went wrong since the last report, a sentence for each window.
    """

    done: int
    total: int
    encoded: int
    failed: tuple[str, ...] = ()


def default_levels(lattice: Lattice) -> tuple[int, ...]:
    """Return the levels of the image's own scale and coarser."""
    return tuple(level for level in lattice.scales if level >= 0)


def embed_image(
    model: Sam,
    picture: Picture,
    *,
    levels: Sequence[int] | None = None,
    region: Region | None = None,
    part: tuple[int, int] = (0, 1),
) -> Iterator[EmbedProgress]:
    """Encode what the picture's store does not have; stop whenever you like, a later run goes on.

    Parameters
    ----------
    model, picture
        Who looks, and at what; the picture has a store.
    levels
        Of `Lattice.scales`; None for all from the image's own scale on.
    region
        (row0, col0, row1, col1): only windows whose middle half reaches into it, the ones that prompts there choose.
    part
        (number, of how many): several processes share the blocks out among themselves.

    Yields
    ------
    EmbedProgress
        After each batch and each block.

    Raises
    ------
    InputError
        If a level does not exist or the disk takes no more. A window that cannot be read is reported instead.
    """
    store = picture.store
    assert store is not None  # noqa: S101 - stated above
    blocks = list_blocks(store.lattice, default_levels(store.lattice) if levels is None else levels, region)
    blocks = blocks[part[0] :: part[1]]
    done = encoded = 0
    total = sum(map(len, blocks))
    yield EmbedProgress(done=0, total=total, encoded=0)
    for block in blocks:
        waiting = _missing(store, block)
        done += len(block) - len(waiting)
        size = encode_batch(model)
        for some in (waiting[start : start + size] for start in range(0, len(waiting), size)):
            pixels, failed = _read(picture, some)
            for (window, rgb), embedding in zip(pixels.items(), encode_pixels(model, pixels), strict=True):
                picture.put(window, rgb, embedding)
            done += len(some)
            encoded += len(pixels)
            yield EmbedProgress(done=done, total=total, encoded=encoded, failed=tuple(failed))
        if not waiting:
            yield EmbedProgress(done=done, total=total, encoded=encoded)


def list_blocks(lattice: Lattice, levels: Sequence[int], region: Region | None = None) -> list[list[Site]]:
    """List the sites to fill, those of one file together.

    Raises
    ------
    InputError
        If a level does not exist.
    """
    unknown = [level for level in levels if level not in lattice.scales]
    if unknown:
        allowed = ", ".join(map(str, lattice.scales))
        raise InputError(f"There is no level {unknown[0]} of windows over this image: choose among {allowed}.")
    blocks = []
    for level in levels:
        for block in lattice.blocks(level, BLOCK):
            chosen = [site for site in block if region is None or _reaches(lattice.window(site), lattice.shape, region)]
            if chosen:
                blocks.append(chosen)
    return blocks


def store_bytes(model: Sam, windows: int, width: int) -> int:
    """Estimate the bytes, before compression, of the embeddings of a number of windows, `width` bytes a value."""
    grid, spec = model.spec.grid, model.spec
    values = spec.embed_dim * grid**2
    if spec.encoder == "cell":
        values += spec.cell_widths[1] * (2 * grid) ** 2 + spec.cell_widths[0] * (4 * grid) ** 2
    return windows * values * width


def _missing(store: EmbeddingStore, block: Sequence[Site]) -> list[Site]:
    """Return the sites that are not there or whose pixels have changed; all that are there, if only pixels tell."""
    marks, sign = store.done(block), store.signature
    if sign is None:
        return [site for site, mark in zip(block, marks, strict=True) if not any(mark)]
    return [site for site, mark in zip(block, marks, strict=True) if mark != digest(sign(store.lattice.window(site)))]


def _read(picture: Picture, sites: Sequence[Site]) -> tuple[dict[Window, npt.NDArray[np.uint8]], list[str]]:
    assert picture.store is not None  # noqa: S101 - the caller has checked
    pixels, failed = {}, []
    for site in sites:
        window = picture.store.lattice.window(site)
        try:
            pixels[window] = picture.pixels(window)
        except InputError as error:
            failed.append(f"Window {window.row},{window.col} of level {site[0]}: {error}")
    return pixels, failed


def _reaches(window: Window, shape: tuple[int, int], region: Region) -> bool:
    """Tell whether the middle half of a window, all of it at the image's border, reaches into a region."""
    reach = []
    for first, length, whole, low, high in (
        (window.row, window.height, shape[0], region[0], region[2]),
        (window.col, window.width, shape[1], region[1], region[3]),
    ):
        start = first if first == 0 else first + length / 4
        stop = whole if first + length == whole else first + 3 * length / 4
        reach.append(start < high and low < stop)
    return all(reach)
