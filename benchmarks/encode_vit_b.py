"""Time the ViT-B image encoder against segment-anything: same random weights, same image, one process."""

from __future__ import annotations

import torch

import napari_sam as ns
from harness import Result, parse_arguments, report, time_interleaved
from napari_sam.model.precision import best_precision
from references import click_agreement, random_vit_b, sample_image, sample_pixels


def main() -> None:
    """Encode one 1024 x 1024 image with both, ours in float32 and in the precision "auto" chooses."""
    arguments = parse_arguments(main.__doc__ or "", runs=5)
    ours, theirs = random_vit_b()
    quick = ns.build_model("vit_b")
    quick.load_state_dict(ours.state_dict())
    quick.precision = best_precision(quick.device, quick.spec)
    pixels = sample_pixels(ours.img_size)
    features: dict[str, torch.Tensor] = {}

    def encode_ours() -> None:
        features["ours"] = ours.encode(pixels).features

    def encode_quick() -> None:
        features["quick"] = quick.encode(pixels).features

    def encode_theirs() -> None:
        features["theirs"] = theirs.image_encoder(theirs.preprocess(pixels))

    with torch.inference_mode():
        functions = {"theirs": encode_theirs, "ours": encode_ours, "quick": encode_quick}
        seconds = time_interleaved(functions, arguments.runs)
    error = (features["ours"] - features["theirs"]).abs().max() / features["theirs"].abs().max()
    ious = click_agreement(ours, quick, sample_image(ours.img_size))
    rows = [
        ("float32", "ours", f"largest relative error {error:.1e}"),
        (
            f'precision="auto" ({quick.precision})',
            "quick",
            f"mask IoU to float32: mean {ious.mean():.4f}, lowest {ious.min():.4f}",
        ),
    ]
    report(
        [
            Result(
                name=f"ViT-B image encoder, {name}, 1024 x 1024",
                ours=seconds[key],
                theirs=seconds["theirs"],
                accuracy=accuracy,
                runs=arguments.runs,
            )
            for name, key, accuracy in rows
        ],
        arguments.json,
    )


if __name__ == "__main__":
    main()
