"""What a dock asks for: a job, or a part of an image before the long run, and the layer with what came of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels

from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.io.large_image import LargeImage
from napari_sam.widgets.batch_result import Grid, place_of_labels, title_of_labels
from napari_sam.widgets.batch_runner import BatchRunner, BatchTask
from napari_sam.widgets.prompt_layers import insert_below_prompts

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.batch.segmenters import Segmenter
    from napari_sam.batch.trial import Trial
    from napari_sam.widgets.batch_choice import BatchChoice
    from napari_sam.widgets.batch_form import BatchForm
    from napari_sam.widgets.reporter import Reporter

__all__ = ["READY", "Trials", "make_task", "part_in_view", "show_trial"]

LARGEST = 768  # pixels a side
TRIAL = "trial"
READY = "Getting ready: loading the model, looking at the image's brightness and the size of its objects."
Region = tuple[int, int, int, int]


def make_task(choice: BatchChoice, form: BatchForm, settings: BatchSettings, segmenter: Segmenter | None) -> BatchTask:
    """Return the job that was chosen.

    Raises
    ------
    InputError
        If there is no image, or no address of the scheduler that it is to run on.
    """
    if not choice.location:
        raise InputError("There is no image: choose a layer that was read from disk, or give a path or address.")
    cluster = form.where.currentData() == "cluster"
    address = form.scheduler.text().strip() if cluster else ""
    if cluster and not address:
        raise InputError("There is no address of a Dask scheduler: give one, as tls://10.0.0.5:8786.")
    return BatchTask(
        location=choice.location,
        output=choice.output,
        settings=settings,
        workers=form.workers.value(),
        scheduler=address or None,
        scheduler_security=(form.security.line.text().strip() or None) if cluster else None,
        segmenter=segmenter,
        instead=choice.suggested_output,
    )


class Trials:
    """Try regions of an image.

    Parameters
    ----------
    viewer, form, runner, reporter
        Of the dock.
    """

    def __init__(self, viewer: ViewerModel, form: BatchForm, runner: BatchRunner, reporter: Reporter) -> None:
        self._viewer, self._form, self._runner, self._reporter = viewer, form, runner, reporter
        self._image: LargeImage | None = None

    def begin(self, task: BatchTask, layer: Image | None, image: LargeImage | None) -> None:
        """Segment what is seen of an image, which a layer may show.

        Raises
        ------
        InputError
            If the image was not looked at yet.
        """
        if image is None:
            raise InputError("There is no image yet: choose one, and wait until it was looked at.")
        self._image = image
        plane, region = part_in_view(self._viewer, layer, image)
        self._form.show_begun()
        self._reporter.say(READY)
        self._runner.try_part(replace(task, location=image.location), plane, region)

    def finish(self, trial: Trial | None, error: BaseException | None) -> None:
        """Show what came of it, None if it was stopped."""
        self._form.show_idle()
        if error is not None:
            self._reporter.report(error)
        elif trial is None or self._image is None:
            self._reporter.say("Stopped.")
        else:
            show_trial(self._viewer, self._image, trial)
            found = f"{trial.count} object{'' if trial.count == 1 else 's'}"
            self._reporter.say(f"{found} in this region: change settings and try again, or run the whole.")


def part_in_view(viewer: ViewerModel, layer: Image | None, image: LargeImage) -> tuple[int, Region]:
    """Return number of the plane and (row0, col0, row1, col1) of what the canvas shows, of a large part its middle.

    Without a layer that shows the image: the middle of its middle plane.
    """
    planes, shape = image.planes(), np.array(image.shape)
    axes = [axis for axis in image.axes if axis != "c"]
    number, begin, end = len(planes) // 2, np.zeros(2), shape.astype(float)
    if layer is not None and layer.ndim in (len(axes), len(image.axes)):
        axes = axes if layer.ndim == len(axes) else list(image.axes)
        where = [axes.index("y"), axes.index("x")]
        corners = np.asarray(layer.corner_pixels, float)
        base = np.array((layer.data[0] if layer.multiscale else layer.data).shape)
        if layer.multiscale:
            corners = corners * np.asarray(layer.downsample_factors)[layer.data_level]
        finer = shape / base[where]  # the layer may show another level
        begin, end = corners[0][where] * finer, (corners[1][where] + 1) * finer
        at = np.asarray(layer.world_to_data(np.array(viewer.dims.point, float)[-layer.ndim :])).round()
        index = {axis: int(np.clip(at[axes.index(axis)], 0, image.sizes[axis] - 1)) for axis in image.stacked}
        number = planes.index(index)
    begin, end = np.clip(begin, 0, shape - 1), np.clip(end, 1, shape)
    if (end <= begin).any():  # nothing of it is in view
        begin, end = np.zeros(2), shape.astype(float)
    side = np.minimum(np.minimum(end - begin, LARGEST).round(), shape).astype(int)
    top, left = np.clip(((begin + end - side) / 2).round().astype(int), 0, shape - side).tolist()
    return number, (top, left, top + int(side[0]), left + int(side[1]))


def show_trial(viewer: ViewerModel, image: LargeImage, trial: Trial) -> Labels:
    """Show what came of a part as a layer over its image, in place of an earlier one."""
    name = f"{title_of_labels(image.location, TRIAL)}"
    for layer in [layer for layer in viewer.layers if isinstance(layer, Labels) and layer.metadata.get(TRIAL)]:
        viewer.layers.remove(layer)
    grid = Grid.of(image)
    place = place_of_labels(viewer, image.location, grid)
    index = image.planes()[trial.plane]
    start = [*(index[axis] for axis in grid.axes[:-2]), *trial.region[:2]]
    place["translate"] = np.asarray(place.get("translate", 0.0)) + np.asarray(place.get("scale", 1.0)) * start
    labels = trial.labels.reshape((1,) * (len(grid.axes) - 2) + trial.labels.shape)
    layer = Labels(labels, name=name, metadata={TRIAL: True}, **place)
    insert_below_prompts(viewer, layer)
    return layer
