"""What pre-training without labels is worth, in small: the same training from a pre-trained encoder and from scratch.

For each seed an encoder of `cells` sees the images of a folder without their labels for some steps; then two models of
that seed are trained with the labels of a few of these images, equal but for the encoder's start, and are scored with
one click on the val split. Pre-training is extra time that training from scratch does not have; the last column trains
from scratch for as long as both took together.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from harness import describe_machine
from napari_sam.config.pretraining import PretrainingConfig, load_pretraining_config
from napari_sam.config.training import TrainingConfig, load_training_config
from napari_sam.data.sample_store import SampleStore, load_samples
from napari_sam.data.unlabelled import load_unlabelled
from napari_sam.model.build import build_model
from napari_sam.model.checkpoint import load_weights, read_state_dict
from napari_sam.training.loop import train
from napari_sam.training.mae import pretrain
from napari_sam.training.validation import score_samples

DATA = Path(__file__).parents[2] / "shared" / "data" / "dsb2018"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="holds train and val")
    parser.add_argument("--pretrain-steps", type=int, default=600)
    parser.add_argument("--steps", type=int, default=200, help="of training with labels")
    parser.add_argument("--labelled", type=int, default=40, help="images whose labels are used; 0 for all")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--images", type=int, default=24, help="of val, spread over it")
    parser.add_argument("--objects", type=int, default=10, help="clicked on in each, at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-longer", action="store_true", help="leave the last column out")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def main() -> None:
    """Print one row a seed: one-click IoU on val."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    labelled, _ = load_samples([arguments.data / "train"])
    if arguments.labelled:
        labelled = spread(labelled, arguments.labelled)
    held_out = spread(load_samples([arguments.data / "val"])[0], arguments.images)
    print("| seed | hidden-patch loss | scratch | pre-trained | scratch, as long as both |\n|---|---|---|---|---|")
    rows = []
    for seed in arguments.seeds:
        row = measure(seed, labelled, held_out, arguments)
        rows.append(row)
        longer = "" if row["longer"] is None else f"{row['longer']:.3f}"
        print(
            f"| {seed} | {row['first_loss']:.3f} -> {row['last_loss']:.3f} | {row['scratch']:.3f} "
            f"| {row['pretrained']:.3f} | {longer} |",
            flush=True,
        )
    if arguments.json:
        settings = {key: str(value) for key, value in vars(arguments).items()}
        report = {"machine": describe_machine(), "settings": settings, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1))


def measure(
    seed: int, labelled: SampleStore, held_out: SampleStore, arguments: argparse.Namespace
) -> dict[str, float | int | None]:
    """Pre-train, train three times, and score."""
    folder = str(arguments.data / "train")
    config = load_training_config(
        None,
        {
            "data": (folder,),
            "synthetic": 0.0,
            "steps": arguments.steps,
            "cooldown": arguments.steps // 4,
            "warmup": min(50, arguments.steps // 4),
            "ema": 0.98,  # of a short run
            "batch": arguments.batch,
            "seed": seed,
            "save_every": 10**6,
        },
    )
    before = load_pretraining_config(
        None,
        {
            "data": (folder,),
            "steps": arguments.pretrain_steps,
            "warmup": min(50, arguments.pretrain_steps // 4),
            "batch": arguments.batch,
            "seed": seed,
            "save_every": 10**6,
        },
    )
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name)
        losses, spent = run_pretraining(before, runs / "mae", arguments.device)
        encoder = str(runs / "mae" / "model.safetensors")
        scratch, seconds = run_training(config, labelled, held_out, runs / "scratch", arguments)
        pretrained, _ = run_training(replace(config, start=encoder), labelled, held_out, runs / "pretrained", arguments)
        longer = None
        if not arguments.no_longer:
            steps = round(config.steps * (seconds + spent) / seconds)
            longer, _ = run_training(replace(config, steps=steps), labelled, held_out, runs / "longer", arguments)
    first, last = float(np.mean(losses[:10])), float(np.mean(losses[-10:]))
    return {
        "seed": seed,
        "first_loss": first,
        "last_loss": last,
        "scratch": scratch,
        "pretrained": pretrained,
        "longer": longer,
        "pretrain_seconds": spent,
        "train_seconds": seconds,
    }


def run_pretraining(config: PretrainingConfig, run: Path, device: str) -> tuple[list[float], float]:
    """Pre-train on all images and return the losses and the seconds."""
    samples, weights = load_unlabelled(config.data)
    started = time.perf_counter()
    losses = [progress.loss for progress in pretrain(config, samples, weights, run, device=device)]
    return losses, time.perf_counter() - started


def run_training(
    config: TrainingConfig, samples: SampleStore, held_out: SampleStore, run: Path, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Train on labels and return the one-click IoU on the held-out images and the seconds of training."""
    started = time.perf_counter()
    for _ in train(config, samples, samples.weights, run, device=arguments.device):
        pass
    seconds = time.perf_counter() - started
    model = build_model(config.architecture)
    file = run / "model.safetensors"
    load_weights(model, read_state_dict(file), str(file))
    return score_samples(model.to(arguments.device), held_out, objects=arguments.objects), seconds


def spread(samples: SampleStore, count: int) -> SampleStore:
    """Return so many images, spread evenly."""
    return samples.subset(np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)))


if __name__ == "__main__":
    main()
