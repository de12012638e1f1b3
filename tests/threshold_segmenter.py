"""A segmenter that needs no model: objects are what is brighter than 100. For tests of jobs."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from scipy import ndimage

from napari_sam.batch.segment_zarr import segment_zarr
from napari_sam.batch.segmenters import Found
from napari_sam.ops.mask_record import MaskRecord


@dataclass(frozen=True, kw_only=True)
class ThresholdSegmenter:
    """Find connected bright pixels; may be slow, count its calls, or kill its process at some tiles, once each."""

    delay: float = 0.0
    log: str = ""
    deadly: tuple[int, ...] = ()
    fingerprint: str = "threshold"

    def segment(self, plane: Any, tile: Any, prompts: Any) -> Found:
        if self.log:
            name = f"{'-'.join(map(str, tile.plane))}_{tile.number}"
            dying = tile.number in self.deadly and not Path(self.log, f"died_{name}").exists()
            Path(self.log, f"{'died' if dying else f'seen{time.time_ns()}'}_{name}").touch()
            if dying:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.delay)
        row0, col0, row1, col1 = tile.box
        pixels = np.asarray(plane[row0:row1, col0:col1])
        labels, _ = ndimage.label(pixels > 100, np.ones((3, 3)))
        return Found(
            records=[
                MaskRecord.from_patch(
                    labels[where] == number,
                    (row0 + where[0].start, col0 + where[1].start),
                    image_shape=plane.shape[:2],
                )
                for number, where in enumerate(ndimage.find_objects(labels), start=1)
            ]
        )


def blobs(shape: tuple[int, int], seed: int = 0, count: int = 120) -> npt.NDArray[np.uint8]:
    """Return discs on a dark ground, and one bar that is longer than any tile."""
    rng = np.random.default_rng(seed)
    image = np.zeros(shape, np.uint8)
    for _ in range(count):
        row, col, radius = rng.integers(0, shape[0]), rng.integers(0, shape[1]), rng.integers(3, 16)
        top, left = max(0, row - radius), max(0, col - radius)
        rows, cols = np.ogrid[top : row + radius + 1, left : col + radius + 1]
        part = image[top : row + radius + 1, left : col + radius + 1]
        part[((rows - row) ** 2 + (cols - col) ** 2 <= radius**2)[: part.shape[0], : part.shape[1]]] = 200
    image[shape[0] // 2 : shape[0] // 2 + 5, 20:-20] = 200
    return image


def write_zarr(path: Path, image: npt.NDArray[Any], axes: tuple[str, ...] = ("y", "x"), chunks: int = 128) -> Path:
    """Write a plain array with named axes."""
    sides = tuple(min(chunks, side) if axis in "yx" else 1 for side, axis in zip(image.shape, axes, strict=True))
    array = zarr.create_array(path, shape=image.shape, chunks=sides, dtype=image.dtype, dimension_names=axes)
    array[...] = image
    return path


def read_labels(output: Path, name: str = "cells") -> npt.NDArray[np.uint32]:
    """Return the finest level."""
    return np.asarray(zarr.open_group(output, mode="r")[f"labels/{name}/0"][...])


def bits(output: Path, name: str = "cells") -> dict[str, str]:
    """Return a hash of every file with pixels."""
    folder = output / "labels" / name
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith((".z", "zarr.")))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(source: Path, output: Path | None, **settings: Any) -> Any:
    """Run a job to its end and return the last event."""
    return list(events(source, output, **settings))[-1]


def events(source: Path, output: Path | None, **settings: Any) -> Iterator[Any]:
    """Begin a job with small tiles."""
    chosen = {"tile": 256, "overlap": 64, "segmenter": ThresholdSegmenter()} | settings
    return segment_zarr(source, output, **chosen)


if __name__ == "__main__":  # python threshold_segmenter.py SOURCE OUTPUT WORKERS DELAY
    import sys

    run(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        workers=int(sys.argv[3]),
        segmenter=ThresholdSegmenter(delay=float(sys.argv[4])),
    )
