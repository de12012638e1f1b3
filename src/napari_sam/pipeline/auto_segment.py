"""Everything in an image at once: from pixels to labels, records and features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import parse_condition
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization
from napari_sam.model.build import SPECS
from napari_sam.model.registry import find_model
from napari_sam.ops.label_image import label_records
from napari_sam.ops.mask_features import measure_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import select_records

__all__ = ["AutoResult", "auto_segment", "fitting_preset"]

SCORES = ("area", "predicted_iou", "stability_score")


@dataclass(frozen=True, kw_only=True)
class AutoResult:
    """Hold the objects of one image.

    Parameters
    ----------
    labels
        (H, W) int32, 0 background, the labels 1 to n by falling predicted IoU.
    records
        n records with the pixels that their labels have.
    features
        Columns of n values: label, area, predicted_iou, stability_score, and if asked for the rest of
        `ops.mask_features`.
    """

    labels: npt.NDArray[np.int32]
    records: list[MaskRecord]
    features: dict[str, npt.NDArray[Any]]

    def numbered_after(self, last: int) -> AutoResult:
        """Return the same objects with labels that begin after another, so that those of planes are told apart."""
        labels = np.where(self.labels > 0, self.labels + np.int32(last), np.int32(0))
        return replace(self, labels=labels, features={**self.features, "label": self.features["label"] + last})


def auto_segment(
    generator: AutomaticMaskGenerator,
    image: Any,
    *,
    normalization: str | tuple[float, float] | Normalization = "auto",
    channels: tuple[int, ...] | None = None,
    region: tuple[int, int, int, int] | None = None,
    measure: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> AutoResult:
    """Find the objects of an image, and settle who gets the pixels that masks share.

    Where all pixels are the same there are no objects, whatever the model sees in them.

    Parameters
    ----------
    generator
        With the model, and the settings of finding masks and of making labels.
    image
        (H, W) or (H, W, C).
    normalization, channels, region
        As for `AutomaticMaskGenerator.stream`.
    measure
        Whether to measure shapes and brightness, too.
    progress
        Called with units of work done and in all, also while the model encodes; what it raises stops the work.

    Raises
    ------
    InputError
        If the image, the region or a condition cannot be used.
    """
    settings = generator.settings
    # unknown properties are refused before the search, not after it
    measure_records([], image, properties=[parse_condition(text)[0] for text in settings.conditions])
    done, total = 0, 0

    def still(*_: int) -> None:
        if progress is not None:
            progress(done, total)

    found: list[MaskRecord] = []
    events = generator.stream(image, normalization=normalization, channels=channels, region=region, progress=still)
    for event in events:
        done, total = event.done, event.total
        found.extend(event.found)
        still()
    labels, records = label_records(select_records(found, settings), image.shape[:2], settings, image=image)
    features = measure_records(records, image) if measure else measure_records(records, properties=SCORES)
    return AutoResult(labels=labels, records=records, features=features)


def fitting_preset(model_name: str) -> str:
    """Return the preset for a model: "cells" for those that look through windows, else "natural".

    Raises
    ------
    InputError
        If there is no such model.
    """
    spec = SPECS.get(model_name) or SPECS[find_model(model_name).architecture]
    return "cells" if spec.windowed else "natural"
