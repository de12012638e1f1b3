"""Make the bundled weights: train, evaluate, copy the file, fill in the tables of its card.

    make weights                                    # hours; interrupted, the same command goes on
    make weights ARGS="--steps 200 --limit 4 --run R --weights W --card C"      # to see that everything works

Needs the data folders and nothing else: all that is random follows from the seed of the settings. A GPU is used where
there is one. The bundled row of the registry has no hash (the file comes with the package); the card carries it.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from napari_sam.cli.main import main as napari_sam
from napari_sam.errors import InputError, NapariSamError
from napari_sam.evaluation.scores import MODEL
from napari_sam.evaluation.tables import measure_title
from napari_sam.io.atomic_file import write_whole
from napari_sam.model.load import load_model

ROOT = Path(__file__).resolve().parents[1]
BUNDLED = ROOT / "src" / "napari_sam" / "weights"
# What may train weights that are shipped, by the licences in the data's README; of the one volume every fourth plane.
TRAINING = (
    "dsb2018/train",
    "train_extra/usiigaci_phase",
    "train_extra/axon_sem",
    "train_extra/plantseg_ovule_nuclei_3d?every=4",
    "train_extra/pfc_neurons",
)
SPLITS = ("val", "test")
PROTOCOLS = ("point", "auto")
BASELINE = "otsu_watershed"
LARGEST = 25_000_000  # bytes that the package may carry
COLUMNS = {
    "point": ("one_click", "best_of_three", "three_clicks", "box", "noc85", "boundary_f", "score_correlation"),
    "auto": ("msa", "ap50", "ap75", "mean_iou", "precision", "recall", "boundary_f"),
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="holds dsb2018, train_extra")
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "make_weights", help="folder of run and reports")
    parser.add_argument("--weights", type=Path, default=BUNDLED / "cells.safetensors")
    parser.add_argument("--card", type=Path, default=BUNDLED / "cells.md")
    parser.add_argument("--preset", default="cells")
    parser.add_argument("--config", type=Path, help="settings over those of the preset (TOML)")
    parser.add_argument("--steps", type=int, help="instead of those of the settings")
    parser.add_argument("--limit", type=int, help="evaluate only so many images of each split")
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
        trained = options.run / "model.safetensors"
        reports = evaluate(options, trained)
        if trained.stat().st_size > LARGEST:
            raise InputError(f"{trained} has {trained.stat().st_size} bytes: the package carries at most {LARGEST}.")
        write_whole(options.weights, trained.read_bytes())
        sections = card_sections(trained, training, reports)
        write_whole(options.card, fill_card(options.card.read_text(), sections).encode())
    except NapariSamError as error:
        print(error, file=sys.stderr)
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    print(f"Wrote {options.weights} and the tables of {options.card}; the reports are in {options.run}/evaluation.")
    print("These weights take no texts yet: `make text-weights` trains their text head.")
    return 0


def train_command(options: argparse.Namespace) -> list[str]:
    """Return the command that trains, or goes on with, the run."""
    command = ["train", *([str(options.config)] if options.config else []), "--preset", options.preset]
    for name in TRAINING:
        command += ["--data", str(options.data / name)]
    for name in ("steps", "threads"):
        if getattr(options, name):
            command += [f"--{name}", str(getattr(options, name))]
    return [*command, "--device", options.device, "--output", str(options.run), "--resume"]


def evaluate(options: argparse.Namespace, trained: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Evaluate on both splits, point by point and automatically; return the summaries by protocol and split.

    `test` is reported and decides on nothing. A report of the same weights and the same images is taken as it is.
    """
    folder = options.run / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = load_model("cells", checkpoint=trained, device="cpu").fingerprint
    reports = {}
    for split in SPLITS:
        for protocol in PROTOCOLS:
            file = folder / f"{protocol}-{split}{f'-{options.limit}' if options.limit else ''}.json"
            if not file.exists() or json.loads(file.read_text())["weights"] != fingerprint:
                command = ["evaluate", protocol, str(options.data / "dsb2018" / split), "--checkpoint", str(trained)]
                command += ["--baseline", BASELINE, "--device", options.device, "--threads", str(options.threads)]
                command += ["--limit", str(options.limit)] if options.limit else []
                run([*command, "--output", str(file), "--output", str(file.with_suffix(".html"))])
            reports[protocol, split] = json.loads(file.read_text())
    return reports


def run(command: list[str]) -> None:
    """Run a command of napari-sam, and stop where it fails."""
    print(f"napari-sam {shlex.join(command)}", flush=True)
    status = napari_sam(command)
    if status:
        raise SystemExit(status)


def card_sections(trained: Path, training: list[str], reports: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    """Return what the card says between its markers, by their names."""
    with safe_open(trained, framework="pt") as file:
        steps = file.metadata()["step"]
    model = load_model("cells", checkpoint=trained, device="cpu")
    size = f"{trained.stat().st_size / 1e6:.1f} MB"
    millions = f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M"
    command = shlex.join(["napari-sam", *short_paths(training)])
    weights = f"- {millions} parameters, float16, {size}; {steps} steps."
    sections = {
        "weights": f"{weights} Weights hash (`Sam.fingerprint`): `{model.fingerprint}`.",
        "recipe": f"```\nmake weights\n```\nwhich trains with `{command}`.",
    }
    for protocol, measures in COLUMNS.items():
        tables = [f"**{split}**\n\n{table(reports[protocol, split], measures)}" for split in SPLITS]
        if protocol == "point":
            tables += [
                f"**{split}**, mean IoU after each click\n\n{rounds(reports[protocol, split])}" for split in SPLITS
            ]
        sections[protocol] = "\n\n".join(tables)
    return sections


def short_paths(command: list[str]) -> list[str]:
    """Leave out what lies only on this machine: folders above the data sets, run folder, device, threads."""
    short: list[str] = []
    words = iter(command)
    for word in words:
        if word in ("--device", "--threads", "--output"):
            next(words)
        elif word == "--data":
            short += [word, "/".join(Path(next(words)).parts[-2:])]
        elif word != "--resume":
            short.append(word)
    return short


def table(summary: dict[str, Any], measures: Sequence[str]) -> str:
    """Return a Markdown table of means with 95 % intervals: the model and the baseline, by group and over all."""
    titles = [measure_title(name) for name in measures]
    lines = [row(["group", "method", "images", "objects", *titles]), "|---" * (4 + len(titles)) + "|"]
    for group in [*summary["groups"], "all"]:
        for method, found in {MODEL: summary, **summary.get("baselines", {})}.items():
            part = found["all"] if group == "all" else found["groups"][group]
            cells = [cell(part, name) for name in measures]
            lines.append(row([group, method, str(part["images"]), str(part["objects"]), *cells]))
    return "\n".join(lines)


def rounds(summary: dict[str, Any]) -> str:
    """Return a Markdown table of the model's mean IoU click by click."""
    names = [name for name in summary["all"] if name.startswith("round_")]
    lines = [row(["group", *map(measure_title, names)]), "|---" * (1 + len(names)) + "|"]
    parts = {**summary["groups"], "all": summary["all"]}
    lines += [row([group, *(f"{part[name]:.3f}" for name in names)]) for group, part in parts.items()]
    return "\n".join(lines)


def row(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cell(part: dict[str, Any], name: str) -> str:
    """Return a mean and its interval."""
    value, ends = part.get(name), part["intervals"].get(name)
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({ends[0]:.3f}-{ends[1]:.3f})" if ends else "")


def marker(name: str) -> re.Pattern[str]:
    """Return what finds a section of the card: its markers, and what stands between."""
    return re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end of {name} -->)", re.S)


def check_targets(options: argparse.Namespace) -> None:
    """Check, before hours of training, that the card can take the tables, and that a trial replaces nothing.

    Raises
    ------
    InputError
        If the card or one of its markers is missing, or numbers of a few images would get into the bundled card.
    """
    card = options.card
    if options.limit and BUNDLED in (card.resolve().parent, options.weights.resolve().parent):
        raise InputError("With --limit the outcome is a trial: name other files with --weights and --card.")
    if not card.is_file():
        raise InputError(f"There is no card {card}: name one with --card.")
    fill_card(card.read_text(), dict.fromkeys(("weights", "recipe", *COLUMNS), ""))


def fill_card(text: str, sections: dict[str, str]) -> str:
    """Put the sections between their markers; all other text stays.

    Raises
    ------
    InputError
        If a marker is missing.
    """
    for name, section in sections.items():
        text, count = marker(name).subn(lambda match, new=section: f"{match[1]}\n{new}\n\n{match[2]}", text)
        if count != 1:
            raise InputError(
                f"The card has {count} sections {name}: put one pair of the lines <!-- made: {name} --> and "
                f"<!-- end of {name} --> into it."
            )
    return text


if __name__ == "__main__":
    raise SystemExit(main())
