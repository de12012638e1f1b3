"""Time the encoder of the bundled model `cells` on one window; the limit is 1 s on two cores."""

from __future__ import annotations

import torch

import napari_sam as ns
from harness import Result, parse_arguments, report, time_interleaved
from references import sample_pixels


def main() -> None:
    """Encode one window with the bundled model and report the median seconds."""
    arguments = parse_arguments(main.__doc__ or "", runs=20)
    model = ns.build_model("cells", seed=0)  # the weights do not change the time
    pixels = sample_pixels(model.img_size)
    with torch.inference_mode():
        seconds = time_interleaved({"ours": lambda: model.encode(pixels)}, arguments.runs, warmup=3)["ours"]
    report(
        [
            Result(
                name=f"`cells` image encoder, one window of {model.img_size} x {model.img_size}",
                ours=seconds,
                theirs=None,
                accuracy=f"limit 1 s: {'kept' if seconds <= 1 else 'missed'}",
                runs=arguments.runs,
            )
        ],
        arguments.json,
    )


if __name__ == "__main__":
    main()
