"""Train and score the next bundled weights on packed data, on a machine that holds little but PyTorch.

`on_gpu.sh` runs it. The tasks:

- `windows`: cut the windows by which all runs are scored;
- `arm NAME`: train one of `ARMS` without the kinds left out, from the shipped weights;
- `train`: train with all kinds, or go on with the run in the work folder;
- `summary`: print a table of all scores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors import safe_open
from weights_data import HELD_OUT, LEFT_OUT, TRAINING

from napari_sam.config.training import TrainingConfig, load_training_config
from napari_sam.data.sample import Sample
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.model.checkpoint import read_state_dict
from napari_sam.model.sam import Sam
from napari_sam.training.loop import train
from napari_sam.training.window_score import Windows, cut_windows, score_windows

# What is compared: decoder as it was, convolutions that draw, and ImageNet features beside our own.
ARMS = {
    "as_it_was": {"drawing_width": 0, "cell_pretrained": False},
    "drawing": {"cell_pretrained": False},
    "drawing_and_lite": {},
}
NEXT = "cells_drawing"  # the architecture of the next weights
TINY = {"img_size": 64, "embed_dim": 32, "cell_widths": (16, 16, 32, 32), "cell_blocks": 1, "cell_heads": 2}
MOST_WINDOWS = 160  # of a set


def main() -> int:
    """Do what the first argument says."""
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.tiny:
        SPECS[NEXT] = dataclasses.replace(SPECS[NEXT], **TINY)
    if options.task == "windows":
        write_windows(options)
    elif options.task == "summary":
        print(summary(options.work))
    else:
        run(options)
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("windows", "arm", "train", "summary"))
    parser.add_argument("arm", nargs="?", default="drawing_and_lite", choices=tuple(ARMS))
    parser.add_argument("--pack", type=Path, default=Path(".scratch/pack"))
    parser.add_argument("--work", type=Path, default=Path(".scratch/work"))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--limit", type=int, help="images of each set, for a rehearsal")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--lite", type=Path, help="folded ImageNet weights (safetensors) for the start")
    parser.add_argument("--start", type=Path, default=Path("src/napari_sam/weights/cells.safetensors"))
    parser.add_argument("--tiny", action="store_true", help="a model of a few thousand weights, for a rehearsal")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    """Train one arm without the kinds left out, or the model with all kinds; score it; write weights and scores."""
    started = time.perf_counter()
    everything = options.task == "train"
    name = "train" if everything else options.arm
    if not everything:
        SPECS[NEXT] = dataclasses.replace(SPECS[NEXT], **ARMS[options.arm])
    names = [source for source in TRAINING if everything or set_name(source) not in LEFT_OUT]
    samples, weights = load_sets(options.pack, names, options.limit)
    say(f"{name}: {len(samples)} images after {time.perf_counter() - started:.0f} s")
    folder = options.work / name
    start = options.work / f"{name}-start.pt"
    write_start(start, options.start, options.lite)
    config = settings(options, str(start))
    last = None
    if options.device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    progress = train(config, samples, weights, folder, resume=(folder / "state.pt").exists(), device=options.device)
    for last in progress:
        if last.step % 100 == 0 or last.step < 4:
            result = last.result
            say(
                f"{name}: step {last.step} after {time.perf_counter() - started:.0f} s, {last.seconds:.3f} s, "
                f"loss {result.loss:.3f}, IoU {result.first_iou:.3f} -> {result.last_iou:.3f}"
            )
    if last is None:
        say(f"{name}: nothing left to do")
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        step = int(file.metadata()["step"])
    scores = {"step": step, "sets": score(options, folder / "model.safetensors")}
    (options.work / f"{name}.json").write_text(json.dumps(scores, indent=1))
    say(f"{name}: done after {time.perf_counter() - started:.0f} s")


def settings(options: argparse.Namespace, start: str) -> TrainingConfig:
    """Return the settings of the runs; `make weights` trains with the same ones."""
    changes = {"minutes": options.minutes, "batch": options.batch, "workers": options.workers, "steps": options.steps}
    changes |= {"lr": options.lr, "start": start, "data": ("pack",), "save_every": 500}
    changes |= {"precision": "bfloat16" if options.device == "cuda" else "float32"}
    return load_training_config(None, changes, NEXT)


def write_start(file: Path, weights: Path, lite: Path | None) -> None:
    """Write the weights that a run starts from: with ImageNet's features where the encoder takes them and has none."""
    if file.exists():
        return
    state = read_state_dict(weights)
    if lite is not None and SPECS[NEXT].cell_pretrained and not any(".lite." in key for key in state):
        state |= {f"image_encoder.lite.{key}": value.float() for key, value in read_state_dict(lite).items()}
    torch.save(state, file)


def load_sets(pack: Path, sources: list[str], limit: int | None) -> tuple[list[Sample], npt.NDArray[np.float64]]:
    """Read packed sets into memory, and say how often to draw each image: groups by the square root of their size."""
    files = []
    for source in sources:
        folder = pack / set_name(source, whole=True)
        found = sorted((folder / "images").glob("*.webp"))[:limit]
        files += [(image, folder / "labels" / f"{image.stem}.png", "complete=0" not in source) for image in found]
    with ThreadPoolExecutor(16) as pool:
        samples = list(pool.map(lambda one: read_sample(*one), files))
    groups = [f"{image.parent}/{image.stem.rpartition('__')[0]}" for image, _, _ in files]
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = counts[inverse].astype(float) ** -0.5
    return samples, weights / weights.sum()


def read_sample(image: Path, labels: Path, complete: bool) -> Sample:
    """Read one packed image."""
    picture = np.asarray(Image.open(image).convert("RGB"))
    sample = Sample(image=picture, labels=np.asarray(Image.open(labels)).astype(np.int32), complete=complete)
    _ = sample.boxes, sample.diameter  # kept for the workers
    return sample


def set_name(source: str, *, whole: bool = False) -> str:
    """Return the name of a source's set, or that of its packed folder."""
    path = source.partition("?")[0]
    return path.replace("/", "--") if whole else path.rpartition("/")[2]


def write_windows(options: argparse.Namespace) -> None:
    """Cut the windows by which all runs are scored: of the kinds left out and of the validation images."""
    sources = [source for source in TRAINING if set_name(source) in LEFT_OUT] + [HELD_OUT]
    with multiprocessing.get_context("fork").Pool(min(len(sources), os.cpu_count() or 1)) as pool:
        pool.starmap(write_windows_of, [(options.pack, options.work, source, options.limit) for source in sources])


def write_windows_of(pack: Path, work: Path, source: str, limit: int | None) -> None:
    """Cut and write the windows of one set."""
    samples, _ = load_sets(pack, [source], limit)
    each = max(1, MOST_WINDOWS // max(1, len(samples)))
    windows = cut_windows(samples, SPECS[NEXT].img_size, objects=each)
    np.savez(work / f"windows-{set_name(source)}.npz", **dataclasses.asdict(windows))


def score(options: argparse.Namespace, weights: Path) -> dict[str, dict[str, float]]:
    """Return the scores of a weights file on each set of windows."""
    model: Sam = build_from_spec(SPECS[NEXT])
    model.load_state_dict(read_state_dict(weights))
    model = model.to(options.device).eval()
    found = {}
    for file in sorted(options.work.glob("windows-*.npz")):
        windows = Windows(**np.load(file))
        if len(windows.images):
            found[file.stem.partition("-")[2]] = dataclasses.asdict(score_windows(model, windows))
    return found


def summary(work: Path) -> str:
    """Return a table of all scores: sets down, runs across."""
    runs = {file.stem: json.loads(file.read_text()) for file in sorted(work.glob("*.json"))}
    lines = []
    for measure in ("one_click", "best_of_three", "box", "score_correlation"):
        lines.append(f"{measure}: " + ", ".join(f"{name} ({run['step']} steps)" for name, run in runs.items()))
        sets = sorted({one for run in runs.values() for one in run["sets"]})
        rows = {one: [run["sets"][one][measure] for run in runs.values()] for one in sets}
        rows["mean of kinds left out"] = list(np.mean([rows[one] for one in sets if one in LEFT_OUT], axis=0))
        lines += [f"  {one:24} " + " ".join(f"{value:.3f}" for value in values) for one, values in rows.items()]
    return "\n".join(lines)


def say(text: str) -> None:
    """Print at once."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
