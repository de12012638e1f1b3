"""`napari-sam segment --text`: words in, a label image out."""

from __future__ import annotations

import json as json_
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_sam.cli.arguments import setting_values
from napari_sam.cli.terminal_bar import terminal_bar
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.config.text import TextSettings
    from napari_sam.io.label_place import Place
    from napari_sam.io.stacks import ImageStack
    from napari_sam.pipeline.text_segment import TextResult

__all__ = ["one_text", "report_text", "text_objects", "text_settings"]


def one_text(texts: Sequence[str], of_words: Mapping[str, Any]) -> str:
    """Return the text that goes with points, boxes or a mask, "" for none; `of_words` are options of texts alone.

    Raises
    ------
    InputError
        If there are several texts, the text is empty, or an option of texts alone is given.
    """
    from napari_sam.inference.text_contrasts import check_texts

    for name, value in of_words.items():
        if value is not None:
            raise InputError(f"{name} is for --text alone: leave it out beside points, boxes and masks.")
    if len(texts) > 1:
        raise InputError(f"{len(texts)} texts beside points, boxes or a mask: give one, or a table with --prompts.")
    return check_texts(texts)[0].strip() if texts else ""


def text_settings(pairs: Sequence[str], **options: Any) -> TextSettings:
    """Return the settings that NAME=VALUE texts and options (None means not given) give.

    Raises
    ------
    InputError
        If one is given twice, unknown or out of range.
    """
    from napari_sam.config.text import TextSettings, load_text_settings

    given = {name: value for name, value in options.items() if value is not None}
    values = setting_values(pairs, TextSettings)
    twice = sorted(values.keys() & given.keys())
    if twice:
        raise InputError(f"The setting {twice[0]} is given twice, with --set and by its own option: leave one out.")
    return load_text_settings(overrides=values | given)


def text_objects(
    stack: ImageStack, texts: Sequence[str], settings: TextSettings, loads: dict[str, Any], how: dict[str, Any]
) -> TextResult:
    """Load the models and segment the chosen plane; the texts are checked first.

    `how` goes to `pipeline.text_segment.text_segment`, its brightness settled on all planes.
    """
    from napari_sam.config.text import check_route
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.inference.text_contrasts import check_texts
    from napari_sam.inference.text_ranking import TextRanker
    from napari_sam.model.clip import load_clip
    from napari_sam.model.first_import import import_for
    from napari_sam.model.load import load_model
    from napari_sam.pipeline.text_segment import text_segment
    from napari_sam.pipeline.whole_image import settle_image

    check_texts(texts)
    check_route(how["route"])
    with terminal_bar() as bar:
        import_for("texts", bar.step("Loading what reads texts"))
        clip = load_clip(loads["clip"], device=loads["device"], progress=bar.step(f"Downloading {loads['clip']}"))
        model = load_model(
            loads["model"],
            checkpoint=loads["checkpoint"],
            device=loads["device"],
            progress=bar.step(f"Downloading {loads['model']}"),
        )
        auto = AutomaticMaskGenerator(model).settings
        settled = settle_image(lambda: model, auto, stack.lazy_planes(), how["normalization"], how["channels"])
        generator, ranker = AutomaticMaskGenerator(model, settled.settings), TextRanker(clip, settings)
        how = {**how, "normalization": settled.normalization}
        pixels = stack.read(stack.planes[0])
        return text_segment(generator, ranker, pixels, texts, progress=bar.step("Looking at the image"), **how)


def report_text(result: TextResult, output: Path, place: Place, *, as_json: bool) -> None:
    """Write one label image of all texts and say what was found."""
    from napari_sam.io.images import write_labels

    labels, columns = result.combined()
    write_labels(output, labels, place)
    rows = zip(*(columns[name].tolist() for name in ("label", "text", "score")), strict=True)
    objects = [{"label": label, "text": text, "score": round(score, 4)} for label, text, score in rows]
    if as_json:
        hints = [hint for hint in result.hints if hint]
        typer.echo(json_.dumps({"labels": str(output), "count": len(objects), "objects": objects, "hints": hints}))
    else:
        counts = ", ".join(
            f"{sum(entry['text'] == text for entry in objects)} of {text!r}" for text in dict.fromkeys(result.texts)
        )
        typer.echo(f"Wrote {len(objects)} object{'' if len(objects) == 1 else 's'} to {output}: {counts}.")
    for hint in filter(None, result.hints):
        typer.echo(hint, err=True)
