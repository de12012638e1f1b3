"""Time automatic segmentation of a 512 x 512 picture, 32 x 32 points, against segment-anything with ViT-B.

The ViT-B was taught to segment such pictures (`taught_vit.py`), as work depends on what is found. The thresholds are
where half of the masks pass the predicted IoU and two thirds of those the stability, about as for the authors' on
natural images. Encoding is part of every time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import napari_sam as ns
from harness import Result, parse_arguments, report, time_interleaved
from napari_sam.config.auto import load_auto_settings
from napari_sam.evaluation.matching import match_labels
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.model.precision import best_precision
from napari_sam.ops.label_image import masks_to_labels
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import select_records
from napari_sam.sample_data import nuclei
from references import authors_vit_b, sample_image
from taught_vit import taught_vit_b

SIZE = 512


def main() -> None:
    """Segment one picture with both: exact, exact with precision "auto", fast, and with the bundled model."""
    arguments = parse_arguments(main.__doc__ or "", runs=5)
    from segment_anything import SamAutomaticMaskGenerator

    model = taught_vit_b()
    reference = authors_vit_b(model)
    quick = ns.build_model("vit_b")
    quick.load_state_dict(model.state_dict())
    quick.precision = best_precision(quick.device, quick.spec)
    cells = ns.load_model("cells")
    image = sample_image(SIZE)
    cuts = typical_thresholds(model, image)
    print(f"thresholds {cuts}", flush=True)
    theirs = SamAutomaticMaskGenerator(reference, points_per_side=32, **cuts)
    found: dict[str, Any] = {}
    asked: dict[str, int] = {}

    def ours(name: str, model: Any, **settings: Any) -> None:
        generator = ns.AutomaticMaskGenerator(model, **settings, cache=EmbeddingCache(max_bytes=1))
        events = list(generator.stream(image, normalization="none"))
        found[name] = select_records([record for event in events for record in event.found], generator.settings)
        asked[name] = events[-1].asked

    functions = {
        "theirs": lambda: found.update(theirs=theirs.generate(image)),
        "exact": lambda: ours("exact", model, **cuts),
        "exact, auto": lambda: ours("exact, auto", quick, **cuts),
        "fast, auto": lambda: ours("fast, auto", quick, mode="fast", **cuts),
        "cells": lambda: ours("cells", cells),
    }
    seconds = time_interleaved(functions, arguments.runs, warmup=0)
    same, lowest = compare(found["exact"], found["theirs"])
    sample = nuclei((SIZE, SIZE))

    def truth(records: list[MaskRecord], preset: str = "natural") -> float:
        labels = masks_to_labels(records, (SIZE, SIZE), load_auto_settings(preset, None, {"remove_background": True}))
        return match_labels(labels, sample.labels).mean_best_iou

    def likeness(name: str) -> str:
        theirs, mine = truth(found["exact"]), truth(found[name])
        return (
            f"{len(found[name])} of {len(found['theirs'])} records, mIoU with the truth {mine:.3f} (exact {theirs:.3f})"
        )

    accuracy = {
        "exact": f"{len(found['exact'])} of {len(found['theirs'])} records, {same} equal boxes, IoU ≥ {lowest:.4f}",
        "exact, auto": f"{quick.precision}: {likeness('exact, auto')}",
        "fast, auto": f"{quick.precision}, {asked['fast, auto']} of 1024 points asked: {likeness('fast, auto')}",
        "cells": f"{asked['cells']} points asked, mIoU with the truth {truth(found['cells'], 'cells'):.3f}",
    }
    names = {
        "exact": "automatic, exact, ViT-B float32",
        "exact, auto": 'automatic, exact, ViT-B precision="auto"',
        "fast, auto": 'automatic, fast, ViT-B precision="auto"',
        "cells": "automatic, bundled model `cells` (theirs: ViT-B)",
    }
    report(
        [
            Result(
                name=f"{names[key]}, {SIZE} x {SIZE}, 32 x 32 points",
                ours=seconds[key],
                theirs=seconds["theirs"],
                accuracy=accuracy[key],
                runs=arguments.runs,
            )
            for key in names
        ],
        arguments.json,
    )


def typical_thresholds(model: Any, image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Choose thresholds that half, then two thirds, of the candidates pass, each between two values."""
    generator = ns.AutomaticMaskGenerator(model, points_per_side=8, pred_iou_thresh=0, stability_score_thresh=0)
    events = generator.stream(image, normalization="none")
    records = [record for event in events for record in event.found]
    likely = _between([record.predicted_iou for record in records], 0.5)
    stable = _between([r.stability_score for r in records if r.predicted_iou > likely], 1 / 3)
    return {"pred_iou_thresh": likely, "stability_score_thresh": stable}


def compare(ours: list[Any], theirs: list[dict[str, Any]]) -> tuple[int, float]:
    """Return how many records have the same box, in order, and the lowest IoU of their masks."""
    same, ious = 0, [1.0]
    for record, reference in zip(ours, theirs, strict=False):
        x, y, w, h = (int(side) for side in reference["bbox"])
        same += record.box == (y, x, y + h + 1, x + w + 1)
        both = np.logical_and(record.mask, reference["segmentation"]).sum()
        ious.append(float(both / max(1, np.logical_or(record.mask, reference["segmentation"]).sum())))
    return same, min(ious)


def _between(values: list[float], share: float) -> float:
    ordered = np.unique(np.clip(values, 0, 1))
    at = min(len(ordered) - 2, int(share * (len(ordered) - 1)))
    return float((ordered[at] + ordered[at + 1]) / 2)


if __name__ == "__main__":
    main()
