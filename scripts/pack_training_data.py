"""Copy the training data, normalised and small, into a folder that can travel to a machine with a GPU.

    python scripts/pack_training_data.py .scratch/pack

Each set becomes SET/images/*.webp (8-bit, as the predictor normalises it) and SET/labels/*.png. Sides above 1400 pixels
and objects whose median diameter is above 100 pixels are shrunk, as training does not look closer than that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from weights_data import HELD_OUT, TRAINING

from napari_sam.data.sample import Sample
from napari_sam.data.sources import list_images, raise_problems

ROOT = Path(__file__).resolve().parents[1]
LONGEST, LARGEST = 1400, 100.0  # pixels: side of an image, median diameter of its objects
QUALITY = 88


def main() -> int:
    """Write the sets that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--limit", type=int, help="images of each set, for a trial")
    options = parser.parse_args()
    total = 0
    for source in (*TRAINING, HELD_OUT):
        name = source.partition("?")[0].replace("/", "--")
        folder = options.output / name
        if not folder.exists():
            part = folder.with_name(f".{name}.part")
            write_set(options.data / source, part, options.limit)
            part.rename(folder)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        print(f"{name}: {size / 1e6:.1f} MB, {total / 1e6:.1f} MB in all", file=sys.stderr, flush=True)
    return 0


def write_set(source: Path, folder: Path, limit: int | None) -> None:
    """Write one set; groups become part of the names, as in GROUP__00012.webp."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number, (group, sample) in enumerate(samples_of(source, limit)):
        small = shrink(sample)
        stem = f"{group or 'all'}__{number:05d}"
        grey = (small.image == small.image[..., :1]).all()
        image = Image.fromarray(small.image[..., 0] if grey else small.image)
        image.save(folder / "images" / f"{stem}.webp", quality=QUALITY, method=4)
        Image.fromarray(small.labels.astype(np.uint16)).save(folder / "labels" / f"{stem}.png", optimize=True)


def samples_of(source: Path, limit: int | None) -> Iterator[tuple[str, Sample]]:
    """Yield the group and the sample of each image with objects."""
    images, problems = list_images([source])
    raise_problems(problems)
    for image in images[:limit]:
        sample = image.sample()
        if sample.labels.any():
            yield image.group, sample


def shrink(sample: Sample) -> Sample:
    """Return the sample at the size at which it is kept."""
    zoom = min(1.0, LONGEST / max(sample.labels.shape), LARGEST / sample.diameter)
    if zoom == 1:
        return sample
    height, width = (max(1, round(side * zoom)) for side in sample.labels.shape)
    image = Image.fromarray(sample.image).resize((width, height), Image.Resampling.BOX)
    labels = Image.fromarray(sample.labels).resize((width, height), Image.Resampling.NEAREST)
    return Sample(image=np.asarray(image), labels=np.asarray(labels, np.int32), complete=sample.complete)


if __name__ == "__main__":
    raise SystemExit(main())
