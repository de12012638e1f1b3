"""Time the dock on slides of very different sizes: from click to mask, from accept to labels on disk.

Needs a display (`xvfb-run -a` will do). The slides are OME-Zarr whose chunks are empty but for some cells.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import zarr
from skimage.draw import disk
from skimage.filters import gaussian

from harness import Result, parse_arguments, report

SIDES = (10_000, 100_000)
GROUND, CHUNK = 400, 1024
CELLS = ((100, 150), (300, 300), (200, 500), (450, 600), (420, 120))


def main() -> None:
    """Click on cells in the middle of a 10,000 x 10,000 and a 100,000 x 100,000 slide with the bundled model."""
    arguments = parse_arguments(main.__doc__ or "", runs=len(CELLS))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM_JOURNALS"] = folder
        rows = [row for side in SIDES for row in time_slide(Path(folder) / f"{side}.zarr", side, arguments.runs)]
    report(rows, arguments.json)


def time_slide(path: Path, side: int, runs: int) -> list[Result]:
    """Open a slide, click and accept `runs` times; the first click is a row of its own."""
    levels, (top, left) = write_slide(path, side)
    viewer = napari.Viewer()
    layer = viewer.add_image(levels, multiscale=True, name="slide", contrast_limits=(0, 2000))
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.set_model("cells")
    dock.set_image(layer)
    dock.wait_idle()
    viewer.camera.zoom = 1
    start = time.perf_counter()
    dock.start("point")
    ready = time.perf_counter() - start
    clicks, accepts, found = [], [], 0
    for row, col in (CELLS * runs)[:runs]:
        viewer.camera.center = (0, top + row, left + col)
        start = time.perf_counter()
        dock.add_point((top + row, left + col))
        dock.wait_idle()
        clicks.append(time.perf_counter() - start)
        found += sum(candidate.patch.mask.any() for candidate in dock.candidates[:1])
        start = time.perf_counter()
        dock.accept()
        accepts.append(time.perf_counter() - start)
        dock.undo()
        dock.discard()
    place = dock.status
    viewer.close()
    said = f"{found} of {runs} masks found; {place}" if found else "no mask found"
    return [
        Result(name=f"{side}^2: {name}", ours=statistics.median(seconds), theirs=None, accuracy=said, runs=len(seconds))
        for name, seconds in (
            ("press Click, which makes the layers and the labels on disk", [ready]),
            ("first click to mask", clicks[:1]),
            ("further clicks to mask", clicks[1:]),
            ("accept to labels on disk, all levels", accepts),
        )
    ]


def write_slide(path: Path, side: int) -> tuple[list[Any], tuple[int, int]]:
    """Write an OME-Zarr 0.5 pyramid with cells near its middle; return its levels and the cells' first pixel."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    cells, at, levels = draw_cells(), (side // 2 + 137, side // 2 - 411), []
    while not levels or levels[-1].shape[0] > CHUNK:
        factor = 2 ** len(levels)
        shape = (-(-side // factor),) * 2
        level = group.create_array(
            str(len(levels)),
            shape=shape,
            chunks=(min(CHUNK, shape[0]),) * 2,
            dtype="uint16",
            fill_value=GROUND,
            dimension_names=("y", "x"),
        )
        part = cells[::factor, ::factor]
        row, col = at[0] // factor, at[1] // factor
        level[row : row + part.shape[0], col : col + part.shape[1]] = part
        levels.append(level)
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [0.25 * 2**i] * 2}]}
        for i in range(len(levels))
    ]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "slide", "axes": axes, "datasets": datasets}]}
    return levels, at


def draw_cells() -> npt.NDArray[np.uint16]:
    """Draw round cells of 60 pixels with blurred edges on noise, (600, 800)."""
    image = np.zeros((600, 800))
    for centre in CELLS:
        image[disk(centre, 30)] = 1
    noise = np.random.default_rng(0).normal(0, 30, image.shape)
    return (GROUND + 1200 * gaussian(image, 2) + noise).clip(0).astype(np.uint16)


if __name__ == "__main__":
    main()
