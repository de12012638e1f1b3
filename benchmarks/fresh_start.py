"""Time what a person waits for first: automatic masks and a first text on 512 x 512, each in a fresh process.

Work and waiting differ beside other programs, so the processor's seconds stand beside those of the clock. What starting
costs (Python, PyTorch, reading the weights) is told apart from the search.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_sam.sample_data import nuclei

SIDE = 512
TEXT = "bright round nuclei"
TASKS = {"automatic": "automatic masks", "text": f"first text, “{TEXT}”"}
GOALS = {"automatic": 4.0, "text": 8.0}  # seconds of the search, on two quiet cores


def main() -> None:
    """Start a process for each run, and report the medians."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2])))
        return
    from harness import Result, parse_arguments, report

    arguments = parse_arguments(__doc__ or "", runs=3)
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    results = []
    for task, name in TASKS.items():
        command = [sys.executable, str(Path(__file__)), "--one", task]
        runs = [
            json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)
            for _ in range(arguments.runs)
        ]
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        # not every machine is quiet: the processor's time says what the work is
        beside = (
            f"processor {middle['work_cpu']:.2f} s; starting {middle['start']:.2f} s (processor "
            f"{middle['start_cpu']:.2f} s); goal {GOALS[task]:.0f} s; {middle['objects']:.0f} objects, "
            f"mSA {middle['msa']:.3f}"
        )
        results.append(
            Result(
                name=f"{name}, {SIDE} x {SIDE}, fresh process, bundled models",
                ours=middle["work"],
                theirs=None,
                accuracy=beside,
                runs=arguments.runs,
            )
        )
    report(results, arguments.json)


def one(task: str) -> dict[str, float]:
    """Do one task in this process; return seconds of starting and of the search, objects, and mSA with the truth."""
    sample = nuclei((SIDE, SIDE))
    find, start, start_cpu = timed(lambda: automatic() if task == "automatic" else text())
    labels, work, work_cpu = timed(lambda: find(sample.image))
    from napari_sam.evaluation.matching import match_labels

    return {
        "start": start,
        "start_cpu": start_cpu,
        "work": work,
        "work_cpu": work_cpu,
        "objects": float(labels.max()),
        "msa": float(match_labels(labels, sample.labels).mean_segmentation_accuracy),
    }


def automatic() -> Callable[[Any], Any]:
    """Import and load what automatic masks need."""
    import napari_sam as ns
    from napari_sam.pipeline.auto_segment import auto_segment

    generator = ns.AutomaticMaskGenerator(ns.load_model("cells", device="cpu"))
    return lambda image: auto_segment(generator, image, normalization="none").labels


def text() -> Callable[[Any], Any]:
    """Import and load what texts need."""
    import napari_sam as ns
    from napari_sam.inference.text_ranking import TextRanker
    from napari_sam.pipeline.text_segment import text_segment

    ranker = TextRanker(ns.load_clip(device="cpu"))
    generator = ns.AutomaticMaskGenerator(ns.load_model("cells", device="cpu"))
    return lambda image: text_segment(generator, ranker, image, TEXT, normalization="none").labels[0]


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what work returns, and the seconds it took by the clock and on the processor, all threads together."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
