"""`napari-sam train --from NAME --mode …`: fine-tune a model on folders of the user's own images."""

from __future__ import annotations

import json as json_
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_sam.cli.terminal_bar import terminal_bar
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.training.finetune import FinetuneProgress

__all__ = ["run_finetuning"]


def run_finetuning(
    base: str,
    mode: str,
    data: Sequence[Path],
    *,
    name: str | None = None,
    held_out: float = 0.2,
    held_out_by: str = "image",
    test: Path | None = None,
    device: str = "auto",
    overrides: dict[str, Any] | None = None,
    json: bool = False,
) -> None:
    """Fine-tune a model, add the result to the user's list, and say what came of it.

    Parameters
    ----------
    base
        Name of the model to start from, or a weights file of a known architecture.
    mode
        "decoder", "lora" or "all".
    data
        Folders with `images/` and `labels/`.
    name
        Of the result; by default that of the base and of the first folder.
    held_out, held_out_by
        Share of the images or groups to score on (0: none), and "image" or "group".
    test
        A folder of held-out images instead of a share.
    device
        auto, cpu, cuda or mps.
    overrides
        Settings that differ from those of the mode; None means not given.
    json
        Whether to print a summary as JSON.

    Raises
    ------
    InputError
        If an argument, the images or the memory do not do.
    """
    from napari_sam.data.sample_store import SampleStore, load_samples
    from napari_sam.data.split import split_samples
    from napari_sam.model.registry import check_name
    from napari_sam.training.finetune import finetune
    from napari_sam.training.finetune_result import FinetuneRecord, card_file, save_finetuned
    from napari_sam.training.finetune_settings import finetune_settings
    from napari_sam.training.memory_estimate import check_memory

    if not data:
        raise InputError("There is nothing to fine-tune on: name a folder with images/ and labels/ by --data.")
    if not 0 <= held_out < 1:
        raise InputError(f"The held-out share is {held_out}: give a number from 0 to below 1.")
    settings = finetune_settings(mode, overrides)
    name = name or f"{Path(base).stem}_{data[0].resolve().name}"
    check_name(name)
    samples, _ = load_samples(data)
    held = SampleStore([])
    if test is not None:
        held, _ = load_samples([test])
    elif held_out:
        samples, held = split_samples(samples, held_out, held_out_by, settings.seed)
    model = _load(base, device)
    check_memory(model, settings)
    last = _show(finetune(model, samples, settings, held_out=held))
    record = FinetuneRecord.of(
        samples,
        held,
        base=base,
        data=[str(folder) for folder in data],
        settings=settings,
        before=last.before,
        after=last.best,
        seconds=last.seconds,
    )
    row = save_finetuned(model, name, record)
    summary: dict[str, Any] = {"name": name, "card": str(card_file(row)), "seconds": round(last.seconds, 1)}
    if last.before is not None and last.best is not None:
        summary["one_click"] = [round(last.before.one_click, 4), round(last.best.one_click, 4)]
        summary["box"] = [round(last.before.box, 4), round(last.best.box, 4)]
        summary["gained"] = record.gained
    if json:
        typer.echo(json_.dumps(summary))
        return
    change = ""
    if "one_click" in summary:
        change = " One click: {:.3f} -> {:.3f}, box: {:.3f} -> {:.3f}.".format(*summary["one_click"], *summary["box"])
    if not record.gained:
        change = (
            f" Nothing scored better than {base} on the held-out images, so it is the same: add images or take more "
            "time."
        )
    typer.echo(f"Fine-tuned {base} in {last.seconds / 60:.1f} minutes; it is in the list as {name}.{change}")


def _load(base: str, device: str) -> Any:
    """Load a model by name, or a file by its architecture."""
    from napari_sam.model.checkpoint import guess_architecture, read_state_dict
    from napari_sam.model.load import load_model

    file = Path(base)
    if not file.is_file():
        return load_model(base, device=device)
    architecture = guess_architecture(read_state_dict(file))
    if architecture is None:
        raise InputError(f"{file} holds weights of no known architecture: name a model of `napari-sam models list`.")
    return load_model(architecture, checkpoint=file, device=device)


def _show(progress: Iterator[FinetuneProgress]) -> FinetuneProgress:
    """Run to the end, or to Ctrl-C, which keeps the best so far; return the last report."""
    last: FinetuneProgress | None = None
    with terminal_bar() as bar:
        try:
            for last in progress:
                bar.show(_describe(last), last.step, last.total)
        except KeyboardInterrupt:
            progress.close()  # type: ignore[attr-defined]
            if last is None or last.loss is None:
                raise
            typer.echo("Stopped; the best weights so far are kept.", err=True)
    assert last is not None  # noqa: S101 - there is at least one step
    return last


def _describe(progress: FinetuneProgress) -> str:
    text = progress.stage
    if progress.loss is not None:
        text += f"  loss {progress.loss:.3f}"
    if progress.best is not None:
        text += f"  one click {progress.best.one_click:.3f}, box {progress.best.box:.3f}"
    return text
