"""The labels layers of the dock `SAM Text`: one for each text, or one for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import InputError
from napari_sam.widgets.object_picker import label_at
from napari_sam.widgets.text_sheet import Named, TextSheet

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils.events import Event

    from napari_sam.pipeline.text_segment import TextResult
    from napari_sam.widgets.plane import Plane

__all__ = ["OUTPUTS", "TextLayers"]

OUTPUTS = ("layers", "features")


class TextLayers:
    """Hold the layers of all images of a viewer.

    Parameters
    ----------
    viewer
        The viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._sheets: list[TextSheet] = []
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of the viewer; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def of(self, image: Image | None) -> list[Labels]:
        """Return the layers over an image, in the order of the texts."""
        return [sheet.layer for sheet in self._sheets if sheet.image is image]

    def sheet_of(self, image: Image | None, text: str | None, label: int) -> TextSheet:
        """Return the sheet of a text that has a label; with None the first one that has it.

        Raises
        ------
        InputError
            If there is none.
        """
        for sheet in self._sheets:
            wanted = text is None or sheet.text in (text, "")
            if sheet.image is image and wanted and sheet.plane_of(label) is not None:
                return sheet
        raise InputError(f"There is no object {label}: choose a label of one of the layers named SAM Text.")

    def under(self, image: Image | None, position: Sequence[float]) -> TextSheet | None:
        """Return the topmost visible sheet that has an object at a position in the world."""
        order = list(self._viewer.layers)
        mine = sorted((s for s in self._sheets if s.image is image), key=lambda s: order.index(s.layer), reverse=True)
        return next((s for s in mine if s.layer.visible and label_at(s.layer, position)), None)

    def write(self, image: Image, plane: Plane, result: TextResult, output: str) -> None:
        """Show a result on a plane of the image.

        A layer whose text is not asked for any more serves another text, or goes, unless the user changed something in
        it or it has objects on other planes.
        """
        wanted = _named(result, output)
        old = [sheet for sheet in self._sheets if sheet.image is image]
        idle = [sheet for sheet in old if sheet.text not in wanted]
        for sheet in idle:
            sheet.write(plane, Named(np.zeros(plane.shape, np.int32), (), np.empty(0, np.float32), ()))
        spare = [sheet for sheet in idle if sheet.spare]
        first: list[TextSheet] = []
        for text, named in wanted.items():
            known = next((each for each in old if each.text == text), None)
            sheet = self._take(spare, image, text) if known is None else known
            sheet.write(plane, named)
            first.append(sheet)
        for sheet in spare:
            self._viewer.layers.remove(sheet.layer)
        self._sheets = first + [sheet for sheet in self._sheets if sheet not in first]

    def _take(self, spare: list[TextSheet], image: Image, text: str) -> TextSheet:
        if spare:
            sheet = spare.pop(0)
            sheet.rename(text)
            return sheet
        sheet = TextSheet(self._viewer, image, text)
        self._sheets.append(sheet)
        return sheet

    def _on_removed(self, event: Event) -> None:
        self._sheets = [sheet for sheet in self._sheets if sheet.layer is not event.value]


def _named(result: TextResult, output: str) -> dict[str, Named]:
    """Return what each layer shows, by its text; "" is the layer of all."""
    if output == "layers":
        named: dict[str, Named] = {}
        for i, text in enumerate(result.texts):
            count = len(result.label_scores[i])
            mine = Named(result.labels[i], (text,) * count, result.label_scores[i], (i,) * count)
            named.setdefault(text, mine)  # the same text twice is one class
        return named
    labels, columns = result.combined()
    texts = tuple(columns["text"].tolist())
    number = {text: i for i, text in reversed(list(enumerate(result.texts)))}
    return {"": Named(labels, texts, columns["score"], tuple(number[text] for text in texts))}
