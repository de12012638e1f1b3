"""Time the ViT-B image encoder in float32 against segment-anything: same random weights, same image, one process."""

from __future__ import annotations

import torch

from harness import Result, parse_arguments, report, time_interleaved
from references import random_vit_b, sample_pixels


def main() -> None:
    """Encode one 1024 x 1024 image with both and report the median seconds, their ratio and the relative error."""
    arguments = parse_arguments(main.__doc__ or "", runs=3)
    ours, theirs = random_vit_b()
    pixels = sample_pixels(ours.img_size)
    features: dict[str, torch.Tensor] = {}

    def encode_ours() -> None:
        features["ours"] = ours.encode(pixels).features

    def encode_theirs() -> None:
        features["theirs"] = theirs.image_encoder(theirs.preprocess(pixels))

    with torch.inference_mode():
        seconds = time_interleaved({"theirs": encode_theirs, "ours": encode_ours}, arguments.runs)
    error = (features["ours"] - features["theirs"]).abs().max() / features["theirs"].abs().max()
    report(
        Result(
            name="ViT-B image encoder, float32, 1024 x 1024",
            ours=seconds["ours"],
            theirs=seconds["theirs"],
            accuracy=f"largest relative error {error:.1e}",
            runs=arguments.runs,
        ),
        arguments.json,
    )


if __name__ == "__main__":
    main()
