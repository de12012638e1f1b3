"""Measure what storing embeddings in 16 bits does to masks, what it saves, and how fast a store is."""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import napari_sam as ns
from napari_sam.inference.embedding_folder import open_store
from napari_sam.inference.picture import encode_pixels, open_picture
from napari_sam.inference.preprocess import to_model_xy
from napari_sam.inference.store_codec import PRECISIONS
from napari_sam.io.dataset import read_dataset
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.ops.points import inner_point


def main() -> None:
    """Report, for each precision, the IoU of masks with those of float32, the bytes of a window and the rates."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dsb2018/val"))
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--objects", type=int, default=10, help="clicked in each image")
    arguments = parser.parse_args()
    model = ns.load_model("cells")
    items = read_dataset(arguments.data).items
    chosen = items[:: max(1, len(items) // arguments.images)][: arguments.images]
    read = [item.read() for item in chosen]
    exact = masks_of(model, read, arguments.objects, "float32")
    print("| on disk | least IoU | mean IoU | same mask preferred | MB a window | write, MB/s | read, MB/s |")
    print("|---|---|---|---|---|---|---|")
    for precision in PRECISIONS:
        masks = masks_of(model, read, arguments.objects, precision)
        pairs = list(zip(masks, exact, strict=True))
        ious = np.array([iou(one, other) for a, b in pairs for one, other in zip(a[0], b[0], strict=True)])
        same = np.mean([a[1] == b[1] for a, b in pairs])
        size, write, took = rates(model, read[0][0], precision)
        agreement = f"{ious.min():.4f} | {ious.mean():.5f} | {same:.1%}"
        print(f"| {precision} | {agreement} | {size / 1e6:.2f} | {write:.0f} | {took:.0f} |")
    print(f"({len(exact)} clicks, three masks each)")


@torch.inference_mode()
def masks_of(model: Sam, read: list, objects: int, precision: str) -> list[tuple[np.ndarray, int]]:
    """Return the three masks of each click, in the model's order, and which is preferred; one window an image."""
    found = []
    for image, labels in read:
        picture = open_picture(image, "auto", None)
        store = open_store(model, picture, path=tempfile.mkdtemp() + "/store.zarr", precision=precision)
        window = store.lattice.window((0, 0, 0))
        embedding = store.rounded(encode_pixels(model, {window: picture.pixels(window)})[0])
        cut = labels[window.slices]
        decoder = FoldedDecoder(model, embedding)
        for label in [number for number in np.unique(cut) if number][:objects]:
            point = np.array([inner_point(cut == label)]) + np.array([window.row, window.col])
            xy = torch.from_numpy(to_model_xy(point, window))
            attended = decoder.attend(points=(xy[None], torch.ones(1, 1, dtype=torch.int)))
            masks = decoder.masks(attended, multimask=True)[0][0] > model.mask_threshold
            found.append((masks.numpy(), int(attended.offered(True)[0].argmax())))
    return found


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of two masks; of two empty ones 1."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


@torch.inference_mode()
def rates(model: Sam, image: np.ndarray, precision: str) -> tuple[float, float, float]:
    """Return the bytes of a window on disk, and the megabytes of embeddings a second written and read."""
    wide = np.tile(image, (3, 3, *[1] * (image.ndim - 2)))
    picture = open_picture(wide, "auto", None)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(
            model, picture, path=Path(folder) / "store.zarr", precision=precision, signature=lambda _: ""
        )
        picture = replace(picture, store=store)
        block = next(store.lattice.blocks(0, 4))
        windows = [store.lattice.window(site) for site in block]
        embeddings = [encode_pixels(model, {window: picture.pixels(window)})[0] for window in windows]
        started = time.perf_counter()
        for window, embedding in zip(windows, embeddings, strict=True):
            store.put(window, "", embedding)
        write = time.perf_counter() - started
        started = time.perf_counter()
        for window in windows:
            store.get(window, "")
        took = time.perf_counter() - started
        size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file()) / len(windows)
    whole = sum(embedding.nbytes for embedding in embeddings) / 1e6
    return size, whole / write, whole / took


if __name__ == "__main__":
    main()
