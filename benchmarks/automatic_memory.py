"""Measure the memory that automatic segmentation takes above the model: a 2048 x 2048 picture, ViT-B, 16 x 16 points.

Each generator runs in a process of its own, so that neither finds memory that the other has left.
"""

from __future__ import annotations

import json
import subprocess
import sys

import napari_sam as ns
from harness import Result, parse_arguments, peak_memory, report
from references import authors_vit_b, sample_image
from taught_vit import taught_vit_b

SIZE = 2048
LOW = {"pred_iou_thresh": 0.2, "stability_score_thresh": 0.3}  # so that many masks survive


def main() -> None:
    """Run both in turn and report how much each process grew."""
    if len(sys.argv) == 3 and sys.argv[1] == "--measure":
        print(json.dumps(measure(sys.argv[2])))
        return
    arguments = parse_arguments(main.__doc__ or "", runs=1)
    grown = {}
    for who in ("theirs", "ours"):
        command = [sys.executable, __file__, "--measure", who]
        grown[who] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    report(
        [
            Result(
                name=f"peak memory above the model, automatic, {SIZE} x {SIZE}, 16 x 16 points, ViT-B float32",
                ours=grown["ours"]["bytes"],
                theirs=grown["theirs"]["bytes"],
                accuracy=f"{grown['ours']['records']} of {grown['theirs']['records']} records",
                runs=1,
                unit="bytes",
            )
        ],
        arguments.json,
    )


def measure(who: str) -> dict[str, int]:
    """Return by how many bytes this process grows, and how many records there are."""
    from segment_anything import SamAutomaticMaskGenerator

    model = taught_vit_b()
    reference = authors_vit_b(model)
    image = sample_image(SIZE)
    if who == "ours":
        del reference
        ours = ns.AutomaticMaskGenerator(model, points_per_side=16, **LOW)
        run = lambda: ours.generate(image, normalization="none")  # noqa: E731
    else:
        del model
        theirs = SamAutomaticMaskGenerator(reference, points_per_side=16, **LOW)
        run = lambda: theirs.generate(image)  # noqa: E731
    found: list[object] = []
    return {"bytes": peak_memory(lambda: found.extend(run())), "records": len(found)}


if __name__ == "__main__":
    main()
