"""Everything in a 1024 x 1024 picture, tile by tile: `segment_zarr` against micro-sam's tiled automatic masks.

Both have the same ViT-B weights (`taught_vit.py`), tiles of 640 pixels that share 128, 16 x 16 points in each,
thresholds and threads; encoding and stitching are part of every time, and ours writes an OME-Zarr. The last row
is our bundled model. micro-sam needs packages that ours does not, so it is installed for this only:

    .venv/bin/pip install micro_sam && .venv/bin/python benchmarks/micro_sam_tiled.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import zarr

import napari_sam as ns
from automatic import typical_thresholds
from harness import Result, parse_arguments, report, time_interleaved
from napari_sam.config.auto import load_auto_settings
from napari_sam.evaluation.matching import match_labels
from napari_sam.sample_data import nuclei
from taught_vit import taught_vit_b

SIDE, TILE, OVERLAP, POINTS = 1024, 640, 128, 16


def main() -> None:
    """Segment one picture with both, and with the bundled model."""
    arguments = parse_arguments(main.__doc__ or "", runs=1)
    sample = nuclei((SIDE, SIDE))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = taught_vit_b()
        torch.save(model.state_dict(), place / "vit_b.pth")
        cuts = typical_thresholds(model, sample.image[:TILE, :TILE])
        picture = place / "picture.zarr"
        zarr.create_array(picture, data=sample.image[..., 0], chunks=(256, 256))
        found: dict[str, npt.NDArray[Any]] = {}
        grid = load_auto_settings("natural", None, {"points_per_side": POINTS, "remove_background": True, **cuts})

        def ours(name: str, **settings: Any) -> None:
            output = place / f"{name}.zarr"
            settings |= {"tile": TILE, "overlap": OVERLAP, "threads": torch.get_num_threads(), "restart": True}
            last = list(ns.segment_zarr(picture, output, normalization="none", **settings))[-1]
            assert not last.failed
            found[name] = np.asarray(zarr.open_group(output, mode="r")["labels/cells/0"][...])

        functions = {
            "theirs": lambda: found.update(theirs=micro_sam(sample.image, place / "vit_b.pth", cuts)),
            "ours": lambda: ours("ours", model="vit_b", checkpoint=str(place / "vit_b.pth"), auto=grid),
            "cells": lambda: ours("cells"),
        }
        seconds = time_interleaved(functions, arguments.runs, warmup=0)
    quality = {name: _quality(sample.labels, labels) for name, labels in found.items()}
    names = {"ours": "ViT-B, same weights", "cells": "bundled model `cells` (theirs: ViT-B)"}
    report(
        [
            Result(
                name=f"automatic in tiles, {title}, {SIDE} x {SIDE} (theirs: micro-sam)",
                ours=seconds[key],
                theirs=seconds["theirs"],
                accuracy=f"{quality[key]} (theirs: {quality['theirs']})",
                runs=arguments.runs,
            )
            for key, title in names.items()
        ],
        arguments.json,
    )


def micro_sam(image: npt.NDArray[np.uint8], checkpoint: Path, cuts: dict[str, float]) -> npt.NDArray[Any]:
    """Return the labels of micro-sam."""
    from micro_sam.automatic_segmentation import automatic_instance_segmentation, get_predictor_and_segmenter

    predictor, segmenter = get_predictor_and_segmenter(
        "vit_b", checkpoint=checkpoint, device="cpu", segmentation_mode="amg", is_tiled=True, points_per_side=POINTS
    )
    halo = OVERLAP // 2
    inner = TILE - 2 * halo
    return np.asarray(
        automatic_instance_segmentation(
            predictor,
            segmenter,
            image,
            ndim=2,
            tile_shape=(inner, inner),
            halo=(halo, halo),
            verbose=False,
            **cuts,
        )
    )


def _quality(truth: npt.NDArray[Any], labels: npt.NDArray[Any]) -> str:
    return f"{len(np.unique(labels)) - 1} objects, mIoU {match_labels(labels, truth).mean_best_iou:.3f}"


if __name__ == "__main__":
    main()
