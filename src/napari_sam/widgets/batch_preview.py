"""What the tiles of a job have found so far, as a layer, until the labels themselves are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.io.label_store import LabelStore, open_labels
from napari_sam.widgets.batch_result import Grid, place_of_labels, show_labels, title_of_labels
from napari_sam.widgets.prompt_layers import insert_below_prompts

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.widgets.batch_look import Plan
    from napari_sam.widgets.batch_runner import BatchRunner

__all__ = ["ResultLayers", "TilePreview"]

LARGEST = 2**26  # pixels that are kept in memory: 256 MiB
SO_FAR = "so far"


class TilePreview:
    """Hold the objects of the tiles that are done, of a large image every second, fourth … pixel only.

    Objects that several tiles saw have several numbers here; they become one when all tiles are done.

    Parameters
    ----------
    store
        The labels that the job is going to write.
    """

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        *stacked, height, width = (int(side) for side in store.array.shape)
        self.step = 1
        while np.prod([*stacked, -(-height // self.step), -(-width // self.step)]) > LARGEST:
            self.step *= 2
        shape = (*stacked, -(-height // self.step), -(-width // self.step))
        self.labels: npt.NDArray[np.int32] = np.zeros(shape, np.int32)
        self._planes = self.labels.reshape(-1, *shape[-2:])
        self.count = 0
        self.layer: Labels | None = None

    def add(self, made: Iterable[tuple[int, Path]]) -> None:
        """Paint tiles: the number of the plane, and the file with what was found there. For any one thread."""
        from napari_sam.batch.records_file import read_records

        for plane, file in made:
            for record in read_records(file):
                self.count += 1
                self._paint(plane, record.patch, record.box)

    def show(self, viewer: ViewerModel, source: str) -> Labels:
        """Show it as a layer over its image, or show anew what was added since."""
        if self.layer is None or self.layer not in viewer.layers:
            place = place_of_labels(viewer, source, Grid.of(self._store))
            name = f"{title_of_labels(source, self._store.name)} {SO_FAR}"
            self.layer = Labels(self.labels, name=name, **self._thinned(place))
            self.layer.editable = False  # strokes would be lost
            insert_below_prompts(viewer, self.layer)
        else:
            self.layer.refresh()
        return self.layer

    def remove(self, viewer: ViewerModel) -> bool:
        """Take the layer away; return whether it was there."""
        layer, self.layer = self.layer, None
        if layer is None or layer not in viewer.layers:
            return False
        viewer.layers.remove(layer)
        return True

    def _paint(self, plane: int, patch: npt.NDArray[np.bool_], box: tuple[int, int, int, int]) -> None:
        step = self.step
        top, left = -(-box[0] // step), -(-box[1] // step)  # the first pixels that are kept
        part = patch[top * step - box[0] :: step, left * step - box[1] :: step]
        self._planes[plane, top : top + part.shape[0], left : left + part.shape[1]][part] = self.count

    def _thinned(self, place: dict[str, Any]) -> dict[str, Any]:
        """Return the place of a layer of which only every so manyth row and column is there."""
        factors = np.ones(self.labels.ndim)
        factors[-2:] = self.step
        place = {**place, "scale": np.asarray(place.get("scale", 1.0)) * factors}
        return place


class ResultLayers:
    """Show what a job makes: what its tiles have found so far, and in the end the labels themselves.

    Parameters
    ----------
    viewer
        The viewer.
    runner
        Adds tiles of an earlier job to a preview, off the GUI's thread.
    """

    def __init__(self, viewer: ViewerModel, runner: BatchRunner) -> None:
        self._viewer = viewer
        self._runner = runner
        runner.painted.connect(self._refresh)
        self.preview: TilePreview | None = None  # of a job at work, or that was stopped
        self._earlier: str | None = None  # the image whose tiles of an earlier job it shows

    def take(self, preview: TilePreview, source: str) -> None:
        """Show what was added, if it is looked at; of a plate the image at work takes the place of the one before."""
        if preview is not self.preview:
            shown = self.forget()
            self.preview = preview
        else:
            shown = preview.layer is not None and preview.layer in self._viewer.layers
        if shown:
            preview.show(self._viewer, source)

    def forget(self) -> bool:
        """Take the preview away; return whether it was shown."""
        preview, self.preview, self._earlier = self.preview, None, None
        return preview is not None and preview.remove(self._viewer)

    def finish(self, plan: Plan | None) -> None:
        """Show the labels in place of what was found so far, if that was shown."""
        if self.forget() and plan is not None:
            source, goal = list(plan.goals.values())[-1]
            show_labels(self._viewer, source, goal, plan.label)

    def open(self, plan: Plan | None, source: str, name: str) -> Labels:
        """Show what there is: the tiles of an unfinished job, or the labels of the image `name`.

        Raises
        ------
        InputError
            If there is nothing yet.
        """
        if self.preview is not None and self._earlier in (None, name):
            return self.preview.show(self._viewer, source)
        if plan is None or name not in plan.there:
            raise InputError("There are no labels yet: run the job first.")
        place, goal = plan.goals[name]
        if name in plan.begun:  # by another session: its labels are not painted yet
            self.forget()
            self.preview, self._earlier = TilePreview(open_labels(goal, plan.label, "r")), name
            self._runner.paint(self.preview, plan.begun[name])
            return self.preview.show(self._viewer, place)
        return show_labels(self._viewer, place, goal, plan.label)

    def _refresh(self, preview: TilePreview) -> None:
        """Show what was painted since, unless it was taken away."""
        if preview is self.preview and preview.layer is not None and preview.layer in self._viewer.layers:
            preview.layer.refresh()
