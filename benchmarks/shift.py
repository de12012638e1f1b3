"""Place the same cell at 50 positions relative to the lattice of windows, click it, and compare the masks."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage.measure import regionprops

import napari_sam as ns
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.io.dataset import read_dataset
from napari_sam.model.sam import Sam
from napari_sam.ops.points import inner_point

POSITIONS = 50
FIELD = 640  # side of the image that the cell is shown in, pixels
Picture = tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.int32]]


def main() -> None:
    """Report, for each cell, the least IoU between any two of its masks and how long a click takes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cells", type=int, default=10, help="of real and of synthetic pictures each")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018/val"))
    arguments = parser.parse_args()
    model = ns.load_model("cells")
    for name, pictures in (("synthetic", synthetic()), ("real", real(arguments.data))):
        least, mean, seconds = [], [], []
        for title, image, labels in itertools.islice(pictures, arguments.cells):
            ious, times = shifted(model, image, labels)
            least.append(ious.min())
            mean.append(ious.mean())
            seconds += times
            print(f"  {title}: least {ious.min():.4f}, mean {ious.mean():.4f}")
        kept = np.mean(np.array(least) >= 0.95)
        print(
            f"{name}: {len(least)} cells at {POSITIONS} positions, least IoU {min(least):.4f}, "
            f"mean {np.mean(mean):.4f}, "
            f"cells whose masks all agree to 0.95: {kept:.0%}; a click takes {np.median(seconds):.2f} s "
            f"(95 %: {np.percentile(seconds, 95):.2f} s)"
        )


def synthetic() -> Iterator[Picture]:
    """Draw cells of several kinds."""
    for seed in itertools.count():
        kind = ("fluorescence", "cells", "stained", "phase", "tissue")[seed % 5]
        sample = synthetic_sample(np.random.default_rng(seed), (400, 400), kind)
        yield f"{kind} {seed}", sample.image, sample.labels


def real(folder: Path) -> Iterator[Picture]:
    """Read pictures of the validation split that are not tiny."""
    for item in read_dataset(folder).items[::7]:
        image, labels = item.read()
        yield item.name, image, labels


def shifted(
    model: Sam, image: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Click the cell nearest to the middle at every position; return the IoU of all pairs of masks, and the times."""
    middle = np.array(labels.shape) / 2
    cells = [r for r in regionprops(labels) if r.area >= 60]
    cell = min(cells, key=lambda r: np.hypot(*(np.array(r.centroid) - middle)))
    margin = FIELD
    wide = np.pad(image, ((margin, margin), (margin, margin), *[(0, 0)] * (image.ndim - 2)), "reflect")
    click = np.array(inner_point(labels == cell.label)).astype(int) + margin
    normalization = (float(np.percentile(image, 0.1)), float(np.percentile(image, 99.9))) if image.ndim == 2 else "auto"
    rng = np.random.default_rng(0)
    masks, times = [], []
    for shift in rng.integers(-64, 64, (POSITIONS, 2)):
        origin = (click - FIELD // 2 + shift).astype(int)
        part = wide[origin[0] : origin[0] + FIELD, origin[1] : origin[1] + FIELD]
        predictor = ns.Predictor(model)
        predictor.set_image(part, normalization=normalization)
        started = time.perf_counter()
        found = predictor.predict(points=[tuple(click - origin)])
        times.append(time.perf_counter() - started)
        full = np.zeros(wide.shape[:2], bool)
        full[origin[0] : origin[0] + FIELD, origin[1] : origin[1] + FIELD] = found.masks[0]
        masks.append(full[click[0] - 250 : click[0] + 250, click[1] - 250 : click[1] + 250])
    flat = np.array(masks).reshape(len(masks), -1).astype(np.float32)
    shared, sizes = flat @ flat.T, flat.sum(axis=1)
    iou = shared / np.maximum(sizes[:, None] + sizes[None] - shared, 1)
    return iou[np.triu_indices(len(masks), 1)], times


if __name__ == "__main__":
    main()
