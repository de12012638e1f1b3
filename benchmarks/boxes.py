"""Time 64 boxes in one call with ViT-B against segment-anything: image already encoded, masks of full size."""

from __future__ import annotations

import numpy as np
import torch

from harness import Result, parse_arguments, report, time_interleaved
from references import agreement, predictors


def main() -> None:
    """Give both 64 boxes on a 1024 x 1024 image and report the median seconds, their ratio and the IoU of the masks."""
    arguments = parse_arguments(main.__doc__ or "", runs=5)
    ours, theirs = predictors()
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 900, (64, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 120, (64, 2))], axis=1)  # row0, col0, row1, col1
    masks: dict[str, np.ndarray] = {}

    def ask_ours() -> None:
        masks["ours"] = np.concatenate([found.patches for found in ours.predict_boxes(boxes)])

    def ask_theirs() -> None:
        xyxy = torch.from_numpy(boxes[:, [1, 0, 3, 2]].astype(np.float32))
        with torch.inference_mode():
            found, _, _ = theirs.predict_torch(None, None, boxes=xyxy, multimask_output=False)
        masks["theirs"] = found[:, 0].numpy()

    seconds = time_interleaved({"theirs": ask_theirs, "ours": ask_ours}, arguments.runs)
    iou = agreement(masks["ours"], masks["theirs"])
    report(
        [
            Result(
                name="64 boxes in one call, masks of 1024 x 1024, ViT-B float32",
                ours=seconds["ours"],
                theirs=seconds["theirs"],
                accuracy=f"lowest mask IoU {iou.min():.4f}",
                runs=arguments.runs,
            )
        ],
        arguments.json,
    )


if __name__ == "__main__":
    main()
