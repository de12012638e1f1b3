"""What fine-tuning leaves behind: weights in the user's model list, and a card that says where they come from."""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.io.atomic_file import write_whole
from napari_sam.model.export import export_model
from napari_sam.model.registry import ModelRow, check_name, find_model, register_user_model, weights_file
from napari_sam.model.sam import Sam
from napari_sam.model.weights_files import import_model
from napari_sam.training.finetune_score import HeldOutScore
from napari_sam.training.finetune_settings import FinetuneSettings

__all__ = ["FinetuneRecord", "card_file", "save_finetuned"]


@dataclass(frozen=True, kw_only=True)
class FinetuneRecord:
    """Hold what a card says of a run.

    Parameters
    ----------
    base
        Name of the model it started from.
    data
        Names of the folders or layers that were learnt from.
    images, objects, held_out
        Images learnt from, labelled objects in them, and held-out images.
    settings
        All of them.
    before, after
        Scores on the held-out images; None without any.
    seconds
        That it took.
    licence
        Under which the result may be used.
    """

    base: str
    data: tuple[str, ...]
    images: int
    objects: int
    held_out: int
    settings: FinetuneSettings
    before: HeldOutScore | None
    after: HeldOutScore | None
    seconds: float
    licence: str = "yours, within the licences of the base model and of the images"

    @property
    def gained(self) -> bool:
        """Whether the held-out images are segmented better than before; true where that was not measured."""
        return self.before is None or self.after is None or self.after.mean > self.before.mean

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        held_out: Sequence[Sample],
        *,
        base: str,
        data: Sequence[str],
        settings: FinetuneSettings,
        before: HeldOutScore | None,
        after: HeldOutScore | None,
        seconds: float,
    ) -> FinetuneRecord:
        """Count images and objects."""
        return cls(
            base=base,
            data=tuple(data),
            images=len(samples),
            objects=sum(int(np.count_nonzero(np.bincount(sample.labels.ravel())[1:])) for sample in samples),
            held_out=len(held_out),
            settings=settings,
            before=before,
            after=after,
            seconds=seconds,
        )


def save_finetuned(model: Sam, name: str, record: FinetuneRecord) -> ModelRow:
    """Add a fine-tuned model to the user's list, with its card beside the weights.

    Parameters
    ----------
    model
        As `finetune` left it.
    name
        Under which `load_model` finds it from now on; an own name that exists is replaced.
    record
        What the card says.

    Raises
    ------
    InputError
        If the name is not usable or the files cannot be written.
    """
    check_name(name)
    with tempfile.TemporaryDirectory(prefix="napari-sam-") as folder:
        file = Path(folder) / f"{name}.safetensors"
        export_model(model, file, "safetensors")
        row = import_model(name, file)
    row = replace(row, about=f"fine-tuned from {record.base}", preprocess=model.spec.preprocess)
    register_user_model(row)
    write_whole(card_file(row), _card(row, record).encode())
    return row


def card_file(row: ModelRow) -> Path:
    """Return where the card of a user's model is, if it has one."""
    return weights_file(row).with_suffix(".md")


def _card(row: ModelRow, record: FinetuneRecord) -> str:
    minutes = record.seconds / 60
    lines = [
        f"# {row.name}",
        "",
        f"Fine-tuned from `{record.base}` ({row.architecture}) with napari-sam on {_today()} in {minutes:.1f} minutes.",
        "",
        f"- **Data**: {', '.join(record.data) or 'not named'}: {record.images} images with {record.objects} objects.",
        f"- **Base model**: `{record.base}`{_base_licence(record.base)}.",
        f"- **Licence**: {record.licence}.",
        f"- **Weights**: `{Path(row.file).name}`, {row.known_hash}.",
        "",
        "## Scores",
        *_scores(record),
        "",
        "## Settings",
        *(f"- {key}: {value}" for key, value in dataclasses.asdict(record.settings).items()),
        "",
    ]
    return "\n".join(lines)


def _scores(record: FinetuneRecord) -> list[str]:
    before, after = record.before, record.after
    if before is None or after is None:
        return ["No images were held out, so nothing was measured."]
    return [
        f"Mean IoU over {after.objects} objects of {record.held_out} held-out images. They chose the best weights, so "
        "on other images expect a little less.",
        *([] if record.gained else ["", f"**Nothing was gained**: the weights are those of `{record.base}`."]),
        "",
        "| prompt | before | after |",
        "|---|---|---|",
        f"| one click | {before.one_click:.3f} | {after.one_click:.3f} |",
        f"| box | {before.box:.3f} | {after.box:.3f} |",
    ]


def _base_licence(base: str) -> str:
    try:
        return f", {find_model(base).licence}"
    except InputError:  # a weights file
        return ""


def _today() -> str:
    return datetime.datetime.now().astimezone().date().isoformat()
