"""What automatic segmentation came to, in a sentence."""

from __future__ import annotations

import numpy as np

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError
from napari_sam.inference.normalization import MISSING
from napari_sam.widgets.auto_session import SLACK, AutoSession, skipped_text
from napari_sam.widgets.next_step import LOW_SCORE, strange_image

__all__ = ["count_text", "result_text"]

_NAMES = {"pred_iou_thresh": "score", "stability_score_thresh": "stability"}


def count_text(session: AutoSession) -> str:
    """Say how many objects of how many candidates the displayed plane has."""
    try:
        findings, objects = session.board.findings(), session.board.objects()
    except InputError:
        return ""
    if session.previewed:
        text = f"Preview: {_number(session.previewed, 'object')} in view"
    elif not findings.candidates and not objects:
        return "Nothing found yet"
    else:
        text = f"{_number(len(objects), 'object')} of {_number(len(findings.candidates), 'candidate')}"
        text += f", {len(findings.settled)} settled" if findings.settled else ""
    if hint := _lower(session.board.settings, session.searched):
        text += f". {hint}"
    return text


def result_text(session: AutoSession) -> str:
    """Say what the run found in the displayed plane, and which planes it left out."""
    return " ".join(
        filter(None, (_found_text(session), MISSING if session.has_missing else "", skipped_text(session.skipped)))
    )


def _found_text(session: AutoSession) -> str:
    try:
        image, _ = session.view.place()
        findings, objects = session.board.findings(), session.board.objects()
    except InputError:
        return ""
    scores = [record.predicted_iou for record in findings.candidates]
    unsure = not objects or np.median(scores or [1]) < LOW_SCORE
    strange = f" {strange_image(session.view.model, 'boxes in SAM Prompts')}" if unsure else ""
    if objects:
        low = f" Their scores are low, half of them below {np.median(scores):.2f}." if strange else ""
        return f"{_number(len(objects), 'object')} found in {image.name}.{low}{strange}"
    if findings.candidates:
        count = _number(len(findings.candidates), "candidate")
        return f"The filter leaves none of {count} in {image.name}: lower score or stability.{strange}"
    return f"No masks were found in {image.name}: lower score and stability or use more points, and run again.{strange}"


def _lower(settings: AutoSettings, searched: AutoSettings | None) -> str:
    """Say which thresholds are below what the last run looked for."""
    if searched is None:
        return ""
    below = [_NAMES[name] for name in SLACK if getattr(settings, name) < getattr(searched, name) - 1e-9]
    return f"The last run left out such low {' and '.join(below)}: run again" if below else ""


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
