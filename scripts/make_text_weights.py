"""Make the bundled CLIP and the text head of `cells`: train, calibrate, evaluate, copy the files, fill in the card.

    make text-weights                               # some two hours; interrupted, the same command goes on
    make text-weights ARGS="--preset quick --limit 2 --scenes 10 --run R --weights W --cells M --card C"  # a trial

Needs the data folders and nothing else: all that is random follows from the seed of the settings.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from make_weights import BUNDLED, ROOT, TRAINING, cell, fill_card, row, run, short_paths

from napari_sam.config.caption_words import vocabulary
from napari_sam.data.caption_crops import training_images
from napari_sam.errors import InputError, NapariSamError
from napari_sam.evaluation.tables import measure_title
from napari_sam.evaluation.text_protocol import fit_temperature, image_objects, scene_objects
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.io.atomic_file import write_whole
from napari_sam.model.clip import load_clip, save_clip
from napari_sam.model.load import load_model

HOLD_OUT = 5  # as in `TextTrainingConfig`
CALIBRATION = 40  # images of dsb2018/val, and as many synthetic scenes
LARGEST = 12_000_000  # bytes that the package may carry
COLUMNS = {"retrieval": ("average_precision", "chance"), "masks": ("iou", "everything")}
HELD_OUT = ("train_extra/usiigaci_phase", "train_extra/axon_sem", "train_extra/pfc_neurons")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="holds dsb2018, train_extra")
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "make_text_weights", help="folder of the run")
    parser.add_argument("--weights", type=Path, default=BUNDLED / "text.safetensors")
    parser.add_argument("--cells", type=Path, default=BUNDLED / "cells.safetensors", help="`cells` with its head")
    parser.add_argument("--card", type=Path, default=BUNDLED / "text.md")
    parser.add_argument("--preset", default="bundled")
    parser.add_argument("--steps", type=int, help="of the CLIP, instead of those of the preset")
    parser.add_argument("--head-steps", type=int, help="of the text head, instead of its default")
    parser.add_argument("--scenes", type=int, default=100, help="synthetic scenes to evaluate on")
    parser.add_argument("--limit", type=int, help="evaluate only so many images of each set, without masks")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe and return its exit status; everything that is done already is not done again."""
    options = parse(arguments)
    try:
        check_targets(options)
        training = train_command(options)
        run(training)
        trained = calibrate(options)
        head = train_head(options, trained)
        reports = evaluate(options, trained, head)
        if trained.stat().st_size > LARGEST:
            raise InputError(f"{trained} has {trained.stat().st_size} bytes: the package carries at most {LARGEST}.")
        write_whole(options.weights, trained.read_bytes())
        write_whole(options.cells, head.read_bytes())
        sections = card_sections(trained, head, training, reports)
        write_whole(options.card, fill_card(options.card.read_text(), sections).encode())
    except NapariSamError as error:
        print(error, file=sys.stderr)
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    written = f"{options.weights}, {options.cells} and the tables of {options.card}"
    print(f"Wrote {written}; the reports are in {options.run}/evaluation.")
    return 0


def train_command(options: argparse.Namespace) -> list[str]:
    """Return the command that trains, or goes on with, the run."""
    command = ["train-text", "--preset", options.preset]
    for name in TRAINING:
        command += ["--data", str(options.data / name)]
    for name in ("steps", "threads"):
        if getattr(options, name):
            command += [f"--{name}", str(getattr(options, name))]
    return [*command, "--device", options.device, "--output", str(options.run), "--resume"]


def calibrate(options: argparse.Namespace) -> Path:
    """Find the temperature on val and fresh scenes, and write the weights with it."""
    target = options.run / "text.safetensors"
    clip = load_clip("bundled", checkpoint=options.run / "model.safetensors", device=options.device)
    if target.exists() and load_clip("bundled", checkpoint=target, device="cpu").fingerprint == clip.fingerprint:
        return target
    count = options.limit or CALIBRATION
    images = training_images([str(options.data / "dsb2018" / "val")], HOLD_OUT, held=True)
    sets = chain(image_objects(images, limit=count, seed=1), scene_objects(count, seed=1))
    temperature = fit_temperature(TextRanker(clip), sets)
    part = target.with_suffix(".part")
    save_clip(clip, part, vocabulary=vocabulary(), temperature=temperature)
    part.replace(target)
    return target


def train_head(options: argparse.Namespace, trained: Path) -> Path:
    """Train the text head of `cells` with the CLIP, unless that is done; return the weights of both."""
    file = options.run / "head" / "model.safetensors"
    clip = load_clip("bundled", checkpoint=trained, device="cpu")
    if file.exists():
        known, cells = (load_model("cells", checkpoint=path, device="cpu") for path in (file, None))
        of_clip = known.text_head is not None and known.text_head.clip_fingerprint == clip.fingerprint
        if of_clip and known.fingerprint == cells.fingerprint:
            return file
    command = ["train", "--mode", "text", "--from", "cells", "--clip", str(trained)]
    for name in TRAINING:
        command += ["--data", str(options.data / name)]
    command += ["--steps", str(options.head_steps)] if options.head_steps else []
    command += ["--threads", str(options.threads)] if options.threads else []
    run([*command, "--device", options.device, "--output", str(file.parent)])
    return file


def evaluate(options: argparse.Namespace, trained: Path, head: Path) -> dict[str, dict[str, Any]]:
    """Evaluate on the test split, on images that training left out, and on fresh scenes; return summaries by name.

    `test` is reported and decides on nothing. Only there masks are made, which takes longer. A report of the same
    weights is taken as it is.
    """
    folder = options.run / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    clip = load_clip("bundled", checkpoint=trained, device="cpu")
    cells = load_model("cells", checkpoint=head, device="cpu")
    models = {"weights": cells.fingerprint, "text_weights": cells.text_fingerprint}
    reports = {}
    for split in ("val", "test"):
        masks = split == "test" and not options.limit
        made_of = {"clip_weights": clip.fingerprint, **(models if masks else {})}
        file = folder / f"text-{split}{f'-{options.limit}' if options.limit else ''}.json"
        title = f"dsb2018/{split}, held-out images of train_extra, {options.scenes} scenes"
        known = json.loads(file.read_text()) if file.exists() else {}
        if any(known.get(name) != value for name, value in made_of.items()):
            folders = [str(options.data / name) for name in (f"dsb2018/{split}", *HELD_OUT)]
            command = ["evaluate", "text", *folders, "--clip-checkpoint", str(trained), "--hold-out", str(HOLD_OUT)]
            command += ["--scenes", str(options.scenes), "--seed", "2" if split == "test" else "1"]
            command += ["--device", options.device, "--threads", str(options.threads)]
            command += ["--limit", str(options.limit)] if options.limit else []
            command += ["--checkpoint", str(head)] if masks else ["--no-masks"]
            run([*command, "--output", str(file)])
        reports[title] = json.loads(file.read_text())
    return reports


def card_sections(trained: Path, head: Path, training: list[str], reports: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return what the card says between its markers, by their names."""
    clip = load_clip("bundled", checkpoint=trained, device="cpu")
    cells = load_model("cells", checkpoint=head, device="cpu")
    of_head = sum(p.numel() for name, p in cells.named_parameters() if name.startswith("text_"))
    millions = f"{sum(p.numel() for p in clip.towers.parameters()) / 1e6:.1f} M"
    size = f"{trained.stat().st_size / 1e6:.1f} MB"
    sections = {
        "weights": f"- {millions} parameters, float16, {size}; temperature {clip.temperature:.2f}. Weights hash "
        f"(`Clip.fingerprint`): `{clip.fingerprint}`.\n- Text head and text decoder, in `cells.safetensors`: "
        f"{of_head / 1e6:.1f} M parameters, hash (`Sam.text_fingerprint`): `{cells.text_fingerprint}`.",
        "recipe": "```\nmake text-weights\n```\nwhich trains with "
        f"`{shlex.join(['napari-sam', *short_paths(training)])}`, then the text head with "
        "`napari-sam train --mode text --from cells` on the same data.",
        "words": ", ".join(sorted(clip.vocabulary)) + ".",
    }
    for part, measures in COLUMNS.items():
        found = {title: report[part] for title, report in reports.items() if part in report}
        sections[part] = "\n\n".join(
            f"**{title}**\n\n{table(own, measures)}"
            for whole, summary in found.items()
            for title, own in ((whole, summary), *summary.get("baselines", {}).items())
        )
    return sections


def table(summary: dict[str, Any], measures: Sequence[str]) -> str:
    """Return a Markdown table of means with 95 % intervals by facet."""
    titles = [measure_title(name) for name in measures]
    lines = [row(["facet", "queries", *titles]), "|---" * (2 + len(titles)) + "|"]
    for facet, part in summary["groups"].items():
        lines.append(row([facet, str(part["queries"]), *(cell(part, name) for name in measures)]))
    return "\n".join(lines)


def check_targets(options: argparse.Namespace) -> None:
    """Check, before an hour of training, that the card can take the tables, and that a trial replaces nothing.

    Raises
    ------
    InputError
        If the card or one of its markers is missing, or numbers of a few images would get into the bundled card.
    """
    targets = (options.card, options.weights, options.cells)
    if options.limit and BUNDLED in {path.resolve().parent for path in targets}:
        raise InputError("With --limit the outcome is a trial: name other files with --weights, --cells and --card.")
    if not options.card.is_file():
        raise InputError(f"There is no card {options.card}: name one with --card.")
    fill_card(options.card.read_text(), dict.fromkeys(("weights", "recipe", "words", *COLUMNS), ""))


if __name__ == "__main__":
    raise SystemExit(main())
