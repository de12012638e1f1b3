"""Whole slides: what tiling costs over the model alone, what a second worker gains, and memory against size.

A slide is drawn lazily: cells on some of its tiles, blank glass elsewhere, as real slides are. Every run is a process
of its own, whose memory is watched with that of all its workers.

    python benchmarks/batch_slide.py                          # 4096 x 4096: overhead, 1 and 2 workers
    python benchmarks/batch_slide.py --sides 4096 32768       # memory; the larger one takes long
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import torch
import zarr

import napari_sam as ns
from harness import describe_machine
from napari_sam.batch.tiles import plan_tiles
from napari_sam.config.auto import load_auto_settings
from napari_sam.config.batch import BatchSettings
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.inference.brightness import stack_normalization
from napari_sam.io.large_image import open_large_image
from napari_sam.ops.label_image import label_records
from napari_sam.ops.selection import select_records

BLOCK = 1024
FULL = 4  # blocks along a side that hold cells, whatever the slide's size


def main() -> None:
    """Print one row a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[4096])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(Path(arguments.run[0]), int(arguments.run[1]), int(arguments.run[2]))))
        return
    print(f"{describe_machine()}\n")
    print("| slide | workers | Mpx with cells / s | objects | model alone | overhead | peak memory | same labels |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for side in arguments.sides:
            slide = Path(folder) / f"{side}.zarr"
            draw_slide(slide, side)
            first, alone = None, None
            for workers in arguments.workers:
                found = measured([str(slide), str(workers), str(arguments.tile)])
                labels = Path(found["output"])
                digest = digest_of(labels)
                first = first or digest
                if alone is None and workers == 1:
                    alone = model_alone(slide, arguments.tile)
                share = "" if alone is None or workers > 1 else f"{found['seconds'] / alone - 1:+.1%}"
                pixels = min(side, FULL * BLOCK) ** 2 / 1e6
                print(
                    f"| {side} x {side} | {workers} | {pixels / found['seconds']:.3f} | {found['objects']} "
                    f"| {'' if alone is None else f'{alone:.0f} s'} | {share} | {found['peak'] / 2**20:.0f} MB "
                    f"| {'yes' if digest == first else 'NO'} |",
                    flush=True,
                )


def draw_slide(path: Path, side: int) -> None:
    """Write a (side, side) uint8 slide with cells in its upper left corner."""
    rng = np.random.default_rng(0)
    array = zarr.create_array(path, shape=(side, side), chunks=(BLOCK, BLOCK), dtype="uint8", fill_value=0)
    for row in range(0, min(side, FULL * BLOCK), BLOCK):
        for col in range(0, min(side, FULL * BLOCK), BLOCK):
            array[row : row + BLOCK, col : col + BLOCK] = synthetic_sample(rng, (BLOCK, BLOCK), "nuclei").image[..., 0]


def measured(arguments: list[str]) -> dict[str, float | str]:
    """Run this script in a process of its own and watch its memory."""
    process = subprocess.Popen([sys.executable, __file__, "--run", *arguments], stdout=subprocess.PIPE, text=True)
    peak, ended = [0], threading.Event()

    def watch() -> None:
        whole = psutil.Process(process.pid)
        while not ended.wait(0.2):
            try:
                family = [whole, *whole.children(recursive=True)]
                peak[0] = max(peak[0], sum(one.memory_info().rss for one in family))
            except psutil.Error:  # one of them has just ended
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    ended.set()
    watcher.join()
    return json.loads(out.splitlines()[-1]) | {"peak": peak[0]}


def run(slide: Path, workers: int, tile: int) -> dict[str, float | str]:
    """Segment the slide; the clock starts when the tiles are handed out, and ends when all is written."""
    output = slide.with_name(f"{slide.stem}-{workers}-labels.zarr")
    started = 0.0
    for event in ns.segment_zarr(slide, output, workers=workers, tile=tile, overlap=128):
        started = started or time.perf_counter()
        last = event
    assert not last.failed
    return {"seconds": time.perf_counter() - started, "objects": last.objects, "output": str(output)}


def model_alone(slide: Path, tile: int) -> float:
    """Return the time that the model takes for the same tiles, in this process, without files or stitching."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    image = open_large_image(slide)
    plane = image.plane({})
    normalization = stack_normalization([plane], "auto")
    generator = ns.AutomaticMaskGenerator(ns.load_model("cells"), load_auto_settings("cells"))
    seconds = 0.0
    for one in plan_tiles(image.shape, tile, 128):
        part = np.asarray(plane[one.box[0] : one.box[2], one.box[1] : one.box[3]])
        started = time.perf_counter()
        records = select_records(generator.generate(part, normalization=normalization), generator.settings)
        label_records(records, part.shape[:2], generator.settings, image=part)
        seconds += time.perf_counter() - started
    torch.set_num_threads(threads)
    return seconds


def digest_of(labels: Path) -> str:
    """Return a hash of the label image."""
    import hashlib

    digest = hashlib.sha256()
    array = zarr.open_group(labels, mode="r")[f"labels/{BatchSettings().label}/0"]
    for row in range(0, array.shape[0], BLOCK):
        digest.update(np.ascontiguousarray(array[row : row + BLOCK]).data)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
