"""Time writing and reading of Zarr chunks: plain zarr-python against its pipeline in zarrs (Rust).

`python benchmarks/zarr_codecs.py [--side 8192] [--runs 3] [--json FILE]`: labels and an image of side x side pixels in
chunks of 512 x 512 and shards of 2048 x 2048, written and read block by block as a batch job does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from harness import describe_machine, time_interleaved
from napari_sam.io.codecs import fast_codecs
from napari_sam.io.label_pyramid import create_level

BLOCK = 2048
PIPELINE = "codec_pipeline.path"


def make_labels(side: int) -> npt.NDArray[np.uint32]:
    """Return discs of 24 pixels, one in each square of 32, numbered row by row."""
    rows, cols = np.ogrid[:side, :side]
    number = (rows // 32) * (side // 32) + cols // 32 + 1
    inside = (rows % 32 - 16) ** 2 + (cols % 32 - 16) ** 2 < 144
    return np.where(inside, number, 0).astype(np.uint32)


def make_image(side: int) -> npt.NDArray[np.uint16]:
    """Return a camera's picture of discs: background 200, cells 1500, Poisson noise."""
    mean = np.where(make_labels(side) > 0, 1500.0, 200.0)
    return np.random.default_rng(0).poisson(mean).astype(np.uint16)


def write(array: Any, values: npt.NDArray[Any]) -> None:
    """Write all blocks."""
    for row in range(0, len(values), BLOCK):
        for col in range(0, len(values), BLOCK):
            array[row : row + BLOCK, col : col + BLOCK] = values[row : row + BLOCK, col : col + BLOCK]


def read(array: Any) -> None:
    """Read all blocks."""
    for row in range(0, array.shape[0], BLOCK):
        for col in range(0, array.shape[1], BLOCK):
            array[row : row + BLOCK, col : col + BLOCK]


def jobs(folder: Path, values: npt.NDArray[Any], zarr_format: Any) -> dict[str, Callable[[], None]]:
    """Return the timed functions, by pipeline and direction."""
    functions: dict[str, Callable[[], None]] = {}
    for name in ("zarr-python", "zarrs"):
        with nullcontext() if name == "zarr-python" else fast_codecs(str(folder)):
            assert ("zarrs" in zarr.config.get(PIPELINE)) == (name == "zarrs"), "install zarrs to compare with"
            group = zarr.open_group(str(folder / name), mode="w", zarr_format=zarr_format)
            array = create_level(group, "0", values.shape, str(values.dtype), "yx", (512, 512), (BLOCK, BLOCK))
        functions[f"{name} write"] = lambda array=array: write(array, values)
        functions[f"{name} read"] = lambda array=array: read(array)
    return functions


def main() -> None:
    """Print a Markdown table and the machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192, help="pixels a side (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    print(", ".join(f"{key} {value}" for key, value in describe_machine().items()))
    print("| what | zarr-python | zarrs | ratio |\n|---|---|---|---|")
    rows = []
    for what, make in (("uint32 labels", make_labels), ("uint16 image", make_image)):
        values = make(arguments.side)
        for zarr_format, title in ((3, "Zarr v3, shards"), (2, "Zarr v2")):
            with tempfile.TemporaryDirectory() as folder:
                seconds = time_interleaved(jobs(Path(folder), values, zarr_format), arguments.runs)
            for direction in ("write", "read"):
                plain, fast = seconds[f"zarr-python {direction}"], seconds[f"zarrs {direction}"]
                rate = [values.size / 1e6 / time for time in (plain, fast)]
                row = f"{what}, {title}, {direction}"
                print(f"| {row} | {rate[0]:.0f} Mpx/s | {rate[1]:.0f} Mpx/s | {plain / fast:.1f}x |", flush=True)
                rows.append({"name": row, "zarr-python s": plain, "zarrs s": fast, "ratio": plain / fast})
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
