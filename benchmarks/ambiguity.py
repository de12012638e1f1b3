"""What the three masks of one click mean where objects touch: the object, the clump that it belongs to, or a part.

One click in the middle of each object that touches another (of the val split, or of `--data`). How often is the object
among the three masks, how often the clump, how often both; and how unlike are the three?
"""

from __future__ import annotations

import argparse
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

import napari_sam as ns
from harness import describe_machine
from napari_sam.io.dataset import read_dataset
from napari_sam.ops.points import inner_point

DATA = Path(__file__).parents[2] / "shared" / "data" / "dsb2018" / "val"
SAME = 0.7  # IoU


def main() -> None:
    """Print a table with one row a group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--limit", type=int, default=24, help="images")
    parser.add_argument("--objects", type=int, default=8, help="of an image, at most")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    predictor = ns.Predictor(ns.load_model("cells", checkpoint=arguments.checkpoint, device="cpu"))
    items = read_dataset(arguments.data).items
    chosen = np.unique(np.linspace(0, len(items) - 1, arguments.limit).round().astype(int))
    rows: dict[str, list[tuple[bool, bool, float]]] = {}
    for number in chosen:
        image, labels = items[number].read()
        clumps, _ = ndimage.label(ndimage.binary_dilation(labels > 0))
        clumps[labels == 0] = 0
        predictor.set_image(image)
        touching = [label for label in np.unique(labels)[1:] if (clumps == clumps[labels == label][0]).sum()
                    > (labels == label).sum()]  # fmt: skip
        touching = np.random.default_rng([0, number]).permutation(touching)[: arguments.objects]
        for label in touching:
            truth = labels == label
            clump = clumps == clumps[truth][0]
            masks = predictor.predict(points=[inner_point(truth)], multimask=True).masks
            object_seen, clump_seen = (max(iou(mask, of) for mask in masks) >= SAME for of in (truth, clump))
            alike = float(np.mean([iou(a, b) for a, b in combinations(masks, 2)]))
            rows.setdefault(items[number].group, []).append((object_seen, clump_seen, alike))
    print(f"{describe_machine()}\n\n| group | objects | object | clump | both | mean IoU of two of the three |")
    print("|---|---|---|---|---|---|")
    for name, found in [*sorted(rows.items()), ("**all**", [*chain.from_iterable(rows.values())])]:
        values = np.array(found, float)
        both = (values[:, 0] * values[:, 1]).mean()
        print(f"| {name} | {len(values)} | {values[:, 0].mean():.2f} | {values[:, 1].mean():.2f} | {both:.2f} "
              f"| {values[:, 2].mean():.2f} |")  # fmt: skip


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the IoU of two masks."""
    return float((a & b).sum() / max(1, (a | b).sum()))


if __name__ == "__main__":
    main()
