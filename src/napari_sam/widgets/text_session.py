"""One viewer's segmentation by text: what is asked of the models, and where their answers go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils import DirectLabelColormap
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.config.text import TextSettings
from napari_sam.errors import InputError
from napari_sam.inference.text_contrasts import check_texts
from napari_sam.widgets.auto_engine import AutoTask, Part
from napari_sam.widgets.background_work import BackgroundWork
from napari_sam.widgets.image_view import ImageView
from napari_sam.widgets.overlay import Overlay
from napari_sam.widgets.plane import Plane
from napari_sam.widgets.text_engine import Ranked, TextEngine, TextTask
from napari_sam.widgets.text_layers import OUTPUTS, TextLayers
from napari_sam.widgets.view_region import drawn_region, visible_region
from napari_sam.widgets.work_step import WorkStep

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from napari_sam.model.clip import Clip
    from napari_sam.pipeline.text_segment import TextResult

__all__ = ["WHERE", "TextSession"]

WHERE = ("plane", "region", "view")
TYPING_PAUSE = 300  # ms without a key after which new texts are ranked


class TextSession(QObject):
    """Hold everything that belongs to segmentation by text in one viewer.

    Emits `changed` when anything did, `said(sentence)`, `failed(exception)`, and `progressed(done, total, text)`, the
    text empty when nothing runs.

    Parameters
    ----------
    viewer
        The viewer.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(object)
    progressed = Signal(int, int, str)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.view = ImageView(viewer)
        self.layers = TextLayers(viewer)
        self.search: AutoSettings = load_auto_settings("cells")
        self.settings = TextSettings()
        self.clip: str | Clip = "bundled"
        self.route = "rank"
        self.texts: tuple[str, ...] = ()
        self.shown = 0  # number of the text whose scores are shown
        self.searching = False
        self._mapped = False
        self._output = OUTPUTS[0]
        self._map = Overlay(viewer, "SAM Text scores", colormap=_ramp(), opacity=0.7)
        self._engine = TextEngine()
        self._work = BackgroundWork("texts")
        self._work.arrived.connect(self._on_arrived)
        self._work.ended.connect(self._on_ended)
        self._image: Image | None = None  # of the running task
        self._answers: dict[Plane, Ranked] = {}  # the last one of each plane of the image as it is seen now
        self._late = False  # whether texts or settings changed while something ran
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.timeout.connect(self.rank)
        self._error: BaseException | None = None
        self._open = True
        self.view.replaced.connect(self._on_replaced)
        self.view.lost.connect(self._on_lost)

    def close(self) -> None:
        """End the thread and let go of the viewer; the labels stay."""
        if self._open:
            self._open = False
            self._typing.stop()
            for part in (self._work, self.view, self.layers, self._map):
                part.close()

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""
        return self._work.busy or self._late or self._typing.isActive()

    def take_error(self) -> BaseException | None:
        """Return the last error of the thread, once."""
        error, self._error = self._error, None
        return error

    @property
    def result(self) -> TextResult | None:
        """What was found on the displayed plane, None before a run."""
        answer = self._answer()
        return answer.result if answer is not None else None

    @property
    def mapped(self) -> bool:
        """Whether the score map is shown."""
        return self._mapped

    def set_mapped(self, on: bool) -> None:
        """Show the score map or not."""
        self._mapped = on
        if not on:
            self._map.clear()
        else:
            self.rank()

    @property
    def output(self) -> str:
        """Where objects are written to: "layers" or "features"."""
        return self._output

    def set_output(self, output: str) -> None:
        """Write to one labels layer per text ("layers"), or to one with the texts in its "features"."""
        if output not in OUTPUTS:
            raise InputError(f"Cannot write to {output!r}: choose one of {', '.join(OUTPUTS)}.")
        self._output = output
        if (answer := self._answer()) is not None and self.view.layer is not None:
            self.layers.write(self.view.layer, answer.task.search.parts[0].plane, answer.result, output)
        self.changed.emit()

    def type_texts(self, texts: tuple[str, ...]) -> None:
        """Take texts that are being typed, and rank them after a pause."""
        self.texts = texts
        self._typing.start(TYPING_PAUSE)

    def run(self, where: str = "plane", shapes: Shapes | None = None) -> None:
        """Find all masks on the displayed "plane", in a "region" of it or in what the "view" shows, and rank them.

        Masks of the same search are not searched for again.
        """
        check_texts(self.texts)
        image, plane = self.view.place()
        if where == "plane":
            region = None
        elif where == "region":
            region = drawn_region(self._viewer, shapes, image, plane)
        elif where == "view":
            region = visible_region(image, plane)
        else:
            raise InputError(f"Cannot run on {where!r}: choose one of {', '.join(WHERE)}.")
        if self.searching:
            raise InputError("A run is going on: wait until it has ended, or cancel it.")
        self.view.check_model()
        self.searching, self._error = True, None
        seen = self.view.question(image, plane)
        part = Part(plane, region, self.view.reader(image, plane))
        self.progressed.emit(0, 0, "Starting")
        self._start(image, AutoTask(self.view.number, seen["model"], self.search, seen["normalization"], (part,)), True)
        self.changed.emit()

    def rank(self) -> None:
        """Rank the masks of the displayed plane anew by the texts and settings of now; nothing before a run."""
        self._typing.stop()
        answer, image = self._answer(), self.view.layer
        if answer is None or image is None or not any(text.strip() for text in self.texts):
            return
        if self._work.busy:
            self._late = True
        else:
            self._start(image, answer.task.search, False)

    def cancel(self) -> None:
        """Stop a run within one step of the model."""
        self._work.cancel()

    def _start(self, image: Image, search: AutoTask, fresh: bool) -> None:
        texts = tuple(check_texts(self.texts))
        mapped = self.shown if self._mapped else None
        task = TextTask(search, self.clip, self.settings, texts, mapped, self.route, fresh)
        self._image, self._late = image, False
        self._work.start(lambda emit: self._engine.run(task, emit))

    def _answer(self) -> Ranked | None:
        try:
            _, plane = self.view.place()
        except InputError:
            return None
        return self._answers.get(plane)

    def _on_arrived(self, answer: Any) -> None:
        if isinstance(answer, WorkStep):
            self.progressed.emit(answer.done, answer.total, answer.text)
        elif isinstance(answer, Ranked) and answer.task.search.view == self.view.number and self._image is not None:
            plane = answer.task.search.parts[0].plane
            try:
                self.layers.write(self._image, plane, answer.result, self._output)
            except InputError as error:
                self._fail(error)
                return
            self._answers[plane] = answer
            if answer.scores is not None and self._mapped:
                self._map.show(self._image, plane, answer.scores, (0, 0))
            self.said.emit(_sentence(answer.result))

    def _on_ended(self, complete: bool, error: BaseException | None) -> None:
        self.searching = False
        self.progressed.emit(0, 0, "")
        if error is not None:
            self._fail(error)
        elif not complete:
            self.said.emit("Cancelled; the same run goes on from there.")
        late, self._late = self._late, False
        if late:
            self.rank()
        self.changed.emit()

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.failed.emit(error)

    def _on_replaced(self) -> None:
        """Forget the answers, which are about another image, model or brightness."""
        self._work.cancel()
        self._answers.clear()
        self._late = False
        self._map.clear()
        self.changed.emit()

    def _on_lost(self) -> None:
        self.said.emit('The image layer was removed: choose another one under "Image".')


def _sentence(result: TextResult) -> str:
    """Say how many objects each text has, and why there may be few."""
    counts = [f"{len(scores)} {text!r}" for text, scores in zip(result.texts, result.label_scores, strict=True)]
    many = "" if len(counts) <= 4 else f" and {len(counts) - 4} more texts"
    found = ", ".join(text if len(text) <= 60 else text[:58] + "…'" for text in counts[:4])
    return " ".join([f"Of {len(result.candidates)} masks: {found}{many}.", *filter(None, result.hints)])


def _ramp() -> DirectLabelColormap:
    """Return colours for percents."""
    colours = ensure_colormap("viridis").map(np.linspace(0, 1, 101))
    colour_dict: dict[int | None, Any] = {None: "transparent"}
    return DirectLabelColormap(color_dict=colour_dict | {percent: colours[percent] for percent in range(1, 101)})
