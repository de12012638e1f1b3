"""Fine-tune on ten labelled images of a set and measure one click and box on the others, within ten minutes."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

import napari_sam as ns
from harness import describe_machine
from napari_sam.data.sample import Sample
from napari_sam.data.sample_store import load_samples
from napari_sam.model.sam import Sam
from napari_sam.training.finetune import finetune
from napari_sam.training.finetune_score import HeldOutScore, mean_score, score_images
from napari_sam.training.finetune_settings import finetune_settings

SETS = ("isic2017_lesion", "chase_db1_vessels", "usiigaci_phase", "pfc_neurons")  # the first two train no weights
DATA = Path(__file__).parents[2] / "shared" / "data" / "train_extra"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), help="folders of --data")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="cells")
    parser.add_argument("--checkpoint", type=Path, help="weights of --model")
    parser.add_argument("--mode", default="decoder", choices=("decoder", "lora", "all"))
    parser.add_argument("--images", type=int, default=10, help="learnt from, of which two choose the best weights")
    parser.add_argument("--minutes", type=float, default=9.0, help="limit of the fine-tuning")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--objects", type=int, default=50, help="scored in each of the other images, at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def main() -> None:
    """Print one row a set: scores on images that were neither learnt from nor chose the weights."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    rows = []
    print("| set | learnt from | measured on | one click | box | minutes |\n|---|---|---|---|---|---|")
    for name in arguments.sets:
        row = measure(name, arguments)
        rows.append(row)
        print(
            f"| {name} | {row['images']} images | {row['others']} images, {row['objects']} objects "
            f"| {row['one_click'][0]:.3f} -> {row['one_click'][1]:.3f} | {row['box'][0]:.3f} -> {row['box'][1]:.3f} "
            f"| {row['minutes']:.1f} |",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=1))


def measure(name: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Fine-tune on some images of a set and score the others before and after."""
    samples, _ = load_samples([arguments.data / name])
    order = np.random.default_rng(arguments.seed).permutation(len(samples))
    count = min(arguments.images, len(samples) - 2)
    chosen, others = ([samples[i] for i in part] for part in (order[:count], order[count:]))
    choosing = max(1, round(0.2 * count))
    model = ns.load_model(arguments.model, checkpoint=arguments.checkpoint, device="cpu")
    before = score(model, others, arguments)
    settings = finetune_settings(
        arguments.mode, {"minutes": arguments.minutes, "seed": arguments.seed, "steps": arguments.steps}
    )
    started = time.perf_counter()
    for report in finetune(model, chosen[choosing:], settings, held_out=chosen[:choosing]):
        if report.score is not None:
            print(f"<!-- {name} step {report.step} of {report.stage}: {report.score} -->", flush=True)
    minutes = (time.perf_counter() - started) / 60
    after = score(model, others, arguments)
    return {
        "set": name,
        "mode": arguments.mode,
        "model": arguments.model,
        "images": count,
        "others": len(others),
        "objects": before.objects,
        "one_click": (before.one_click, after.one_click),
        "box": (before.box, after.box),
        "minutes": minutes,
    }


def score(model: Sam, samples: list[Sample], arguments: argparse.Namespace) -> HeldOutScore:
    """Score a model on images."""
    found = score_images(model, samples, max_objects=arguments.objects, seed=arguments.seed)
    return mean_score([pair for pairs in found for pair in pairs])


if __name__ == "__main__":
    main()
