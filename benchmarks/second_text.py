"""Time a second text for an image against the first, for which all masks are found and looked at."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import napari_sam as ns
from harness import Result, parse_arguments, report
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.pipeline.text_segment import TextResult, label_texts, text_segment
from napari_sam.sample_data import nuclei

FIRST = "bright round nuclei"
LATER = ("small nuclei", "elongated cells", "debris", "nuclei that are not round", "dark clumps")
SIDE = 512


def main() -> None:
    """Ask a synthetic picture of 512 x 512 for texts with the bundled models; each run begins with nothing known."""
    arguments = parse_arguments(main.__doc__ or "", runs=3)
    pixels = nuclei((SIDE, SIDE)).image
    model, clip = ns.load_model("cells", device="cpu"), ns.load_clip(device="cpu")
    whole, ranked, later, apart = [], [], [], 0.0
    for _ in range(arguments.runs):
        generator = AutomaticMaskGenerator(model)
        first, seconds = timed(lambda: text_segment(generator, TextRanker(clip), pixels, FIRST, normalization="none"))  # noqa: B023
        whole.append(seconds)
        ranker = TextRanker(clip)
        ranked.append(timed(lambda: label_texts(ranker, first.candidates, pixels, FIRST))[1])  # noqa: B023
        for text in LATER:
            found, seconds = timed(lambda: label_texts(ranker, first.candidates, pixels, text))  # noqa: B023
            later.append(seconds)
            fresh = label_texts(TextRanker(clip), first.candidates, pixels, text)
            apart = max(apart, float(np.abs(found.scores - fresh.scores).max()))
    beside = f"{len(first.candidates)} masks; scores within {apart:.0e} of those of a text asked first"
    compared = {"search for masks included": whole, "masks given": ranked}
    report(
        [
            Result(
                name=f"a second text, {SIDE} x {SIDE}, bundled models, against the first, {name}",
                ours=statistics.median(later),
                theirs=statistics.median(seconds),
                accuracy=beside,
                runs=arguments.runs,
            )
            for name, seconds in compared.items()
        ],
        arguments.json,
    )


def timed(ask: Callable[[], TextResult]) -> tuple[TextResult, float]:
    """Return an answer and the seconds it took."""
    start = time.perf_counter()
    return ask(), time.perf_counter() - start


if __name__ == "__main__":
    main()
