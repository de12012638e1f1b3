"""Time one warm click with ViT-B against segment-anything: prompt in, full-size masks out, image already encoded."""

from __future__ import annotations

import numpy as np

from harness import Result, parse_arguments, report, time_interleaved
from references import agreement, predictors


def main() -> None:
    """Click on a 1024 x 1024 image with both and report the median seconds, their ratio and the IoU of the masks."""
    arguments = parse_arguments(main.__doc__ or "", runs=30)
    ours, theirs = predictors()
    row, col = ours.model.img_size // 2, ours.model.img_size // 3
    masks: dict[str, np.ndarray] = {}
    logits: dict[str, np.ndarray] = {}

    def click_ours() -> None:
        found = ours.predict(points=[(row, col)], point_labels=[1], multimask=True)
        masks["ours"], logits["ours"] = found.masks, found.logits

    def click_theirs() -> None:
        point, label = np.array([[col, row]], dtype=np.float32), np.array([1])
        found, scores, low = theirs.predict(point_coords=point, point_labels=label, multimask_output=True)
        order = np.argsort(-scores, kind="stable")
        masks["theirs"], logits["theirs"] = found[order], low[order]

    seconds = time_interleaved({"theirs": click_theirs, "ours": click_ours}, arguments.runs, warmup=3)
    iou = agreement(masks["ours"], masks["theirs"])
    error = np.abs(logits["ours"] - logits["theirs"]).max() / np.abs(logits["theirs"]).max()
    report(
        [
            Result(
                name="one click, warm, 3 masks of 1024 x 1024, ViT-B float32",
                ours=seconds["ours"],
                theirs=seconds["theirs"],
                accuracy=f"lowest mask IoU {iou.min():.4f}, largest relative logit error {error:.1e}",
                runs=arguments.runs,
            )
        ],
        arguments.json,
    )


if __name__ == "__main__":
    main()
