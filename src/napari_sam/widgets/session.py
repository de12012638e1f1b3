"""One viewer's prompting session: from changed prompts to candidates to labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.errors import InputError
from napari_sam.widgets.drafts import Draft, evolve
from napari_sam.widgets.engine import Predicted
from napari_sam.widgets.history import History, SessionState, Step
from napari_sam.widgets.image_view import ImageView
from napari_sam.widgets.journal_log import JournalLog
from napari_sam.widgets.label_join import LabelJoin, grow
from napari_sam.widgets.label_seed import label_seed
from napari_sam.widgets.label_target import LabelTarget, Written
from napari_sam.widgets.object_prompts import MaskSeed, group_objects
from napari_sam.widgets.plane import Plane
from napari_sam.widgets.prediction_service import PredictionService
from napari_sam.widgets.preview import Preview
from napari_sam.widgets.prompt_layers import PromptLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.model.sam import Sam
    from napari_sam.widgets.candidates import Candidate

__all__ = ["PromptSession"]

SCRUB_PAUSE = 100  # ms that the slider must rest before its plane is looked at


class PromptSession(QObject):
    """Hold everything that belongs to prompting in one viewer.

    Emits `changed` when candidates, prompts or history changed, `said(sentence)` for the status line,
    `failed(exception)` when a prediction did not work out, and `tool_changed` when another tool may be in hand.
    Its `service` emits progress.

    Parameters
    ----------
    viewer
        The viewer.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(object)
    tool_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.view = ImageView(viewer)
        self.layers = PromptLayers(viewer, self._on_prompts, self.tool_changed.emit)
        self.target = LabelTarget(viewer, self.failed.emit)
        self.preview = Preview(viewer)
        self.service = PredictionService()
        self.history: History[Step] = History()
        self.journal = JournalLog(self.failed.emit)
        self._one_per_shape = False
        self._keep_existing = True
        self.join = LabelJoin()
        self._place: tuple[Image, Plane] | None = None  # where the drafts shown now belong
        self._drafts: dict[Plane, tuple[Draft, ...]] = {}
        self._seeds: dict[Plane, MaskSeed] = {}
        self._choices: dict[int, int] = {}
        self._current = 0
        self._labels_sought = False  # whether labels of the image on disk were looked for
        self._settled = True  # False while a prompt is being dragged
        self._last_state = self._state()
        self._error: BaseException | None = None
        self._lost: BaseException | None = None  # why a model that was chosen could not be had
        self._open = True
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._update)
        self.view.replaced.connect(self._start_afresh)
        self.view.moved.connect(self._on_moved)
        self.view.lost.connect(self._on_lost)
        self.service.arrived.connect(self._on_arrived)
        self.service.ended.connect(self._on_ended)

    def close(self) -> None:
        """End the thread and let go of the viewer; the user's layers stay."""
        if self._open:
            self._open = False
            self._timer.stop()
            for part in (self.service, self.view, self.layers, self.target, self.preview, self.journal):
                part.close()

    def set_keep_existing(self, keep: bool) -> None:
        """Choose whether pixels that already have a label keep it."""
        self._keep_existing = keep

    def set_one_per_shape(self, one_per_shape: bool) -> None:
        """Choose whether each shape is an object of its own."""
        self._one_per_shape = one_per_shape
        self._schedule()

    # what there is

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """The unfinished objects on the displayed plane."""
        return self._drafts.get(self._place[1], ()) if self._place else ()

    @property
    def current(self) -> Draft | None:
        """The unfinished object whose candidates are shown."""
        return self.drafts[min(self._current, len(self.drafts) - 1)] if self.drafts else None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates of the current object, best first; none until they are there."""
        return self._candidates_of(self.current) if self.current else ()

    @property
    def choice(self) -> int:
        """Which of the candidates is chosen."""
        return self._choice_of(self.current) if self.current else 0

    @property
    def only_background(self) -> bool:
        """Tell whether all that was said of the displayed plane is what does not belong to an object."""
        return self._place is not None and not self.drafts and bool(self.layers.read(*self._place)[0])

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""
        return self.service.busy or self._timer.isActive()

    def take_error(self) -> BaseException | None:
        """Return the error of the last prediction, or of a model that could not be had, once."""
        error, self._error, self._lost = self._lost or self._error, None, None
        return error

    def go_back(self, model: Sam | str, error: BaseException) -> None:
        """Take the model of before, as the chosen one could not be had; what was asked for is asked of it."""
        self._lost = error
        self.view.set_model(model)

    # what the user does

    def choose(self, candidate: int) -> None:
        """Choose a candidate of the current object."""
        draft = self.current
        if draft is not None and 0 <= candidate < len(self.candidates):
            self._choices[draft.number] = candidate
            self.journal.choose(draft, candidate)
            self._show()

    def hover(self, candidate: int) -> None:
        """Show a candidate without choosing it; -1 shows the chosen one again."""
        self._show_preview(candidate if candidate >= 0 else None)

    def next_object(self) -> None:
        """Make the next unfinished object the current one."""
        if self.drafts:
            self._current = (self._current + 1) % len(self.drafts)
            self._show()

    def set_seed(self, seed: MaskSeed) -> None:
        """Start the object without shape from a mask."""
        _, plane = self.view.place()
        self._seeds[plane] = seed
        self._on_prompts(settled=True)

    def improve_label(self, label: int | None) -> None:
        """Start the object without shape from a label in the labels layer, None: the selected one."""
        layer, (image, plane) = self.target.layer, self.view.place()
        if layer is None:
            raise InputError('There is no labels layer yet: choose one under "Write to" and select a label in it.')
        self.set_seed(label_seed(layer, image, plane, label))

    def accept(self, label: int | None = None) -> int:
        """Write the chosen mask of the current object and return its label; a given label is joined."""
        self._settle()
        if (draft := self.current) is None:
            self.view.place()
            raise InputError("There is nothing to accept: click on an object or draw a box around it first.")
        return self._accept([draft], label)[0]

    def accept_all(self) -> list[int]:
        """Write the chosen masks of all unfinished objects on the plane and return their labels."""
        self._settle()
        return self._accept(list(self.drafts))

    def discard(self) -> None:
        """Remove the prompts of the current object, or the shape that is being drawn."""
        if self.layers.end_drawing(keep=False):
            return
        self._update_now()
        if self._place is not None and (draft := self.current) is not None:
            self.journal.discard(draft)
            self._finish(*self._place, [draft], ())

    def undo(self) -> None:
        """Take back the last change of a prompt, discard or accept, or the shape that is being drawn.

        Pixels that anyone changed since stay.
        """
        if self.layers.end_drawing(keep=False):
            return
        self._update_now()
        if (step := self.history.last) is not None:
            done, problem = self.target.revert_all(step.written[::-1])
            self.history.undo(replace(step, written=tuple(written for written, _ in done[::-1])))
            for each in done:
                self.journal.undo(*each)
            self._restore(step.before, problem)

    def redo(self) -> None:
        """Do again what was taken back last, likewise."""
        self._settle()
        if (step := self.history.next) is not None:
            done, problem = self.target.revert_all(step.written)
            self.history.redo(replace(step, written=tuple(written for written, _ in done)))
            for each in done:
                self.journal.redo(*each)
            self._restore(step.after, problem)

    # from prompts to predictions

    def _settle(self) -> None:
        """Take in what is being drawn, as far as it got."""
        self.layers.end_drawing()
        self._update_now()

    def _update_now(self) -> None:
        if self._timer.isActive():
            self._timer.stop()
            self._update()

    def _schedule(self, pause: int = 0) -> None:
        if self._open and (pause == 0 or not self._timer.isActive() or self._timer.interval() > 0):
            self._timer.start(pause)

    def _update(self) -> None:
        """Read the prompts on the displayed plane and ask for what is not predicted yet."""
        self.view.check_model()
        try:
            image, plane = self.view.place()
        except InputError as error:
            self._leave_plane()
            if self.view.layer is not None:
                self.said.emit(str(error))
            return
        if not self._labels_sought:
            self._seek_labels(image)
        if self._place != (image, plane):
            self._place, self._current = (image, plane), 0
        before = {draft.number for draft in self.drafts}
        self._drafts[plane] = drafts = self._read_drafts(image, plane)
        fresh = [i for i, draft in enumerate(drafts) if draft.number not in before]
        self._current = fresh[-1] if fresh else min(self._current, max(len(drafts) - 1, 0))
        self.said.emit("" if drafts else self.target.hint)
        if self._settled:
            self._record_change()
        self.service.keep({step.number for draft in drafts for step in draft.lineage[-2:]})
        self.service.ask(drafts=drafts, **self.view.question(image, plane))
        self._show()

    def _read_drafts(self, image: Image, plane: Plane) -> tuple[Draft, ...]:
        points, shapes = self.layers.read(image, plane)
        objects = group_objects(
            points, shapes, shape=plane.shape, one_per_shape=self._one_per_shape, seed=self._seeds.get(plane)
        )
        return tuple(evolve(self._drafts.get(plane, ()), objects, self._choice_of))

    def _leave_plane(self) -> None:
        self.service.cancel()
        self._place = None
        self.preview.clear()
        self.changed.emit()

    def _start_afresh(self) -> None:
        """Forget what was predicted with another image or model; the prompts stay."""
        self._drafts.clear()
        self._choices.clear()
        self.service.results.clear()
        self._labels_sought = False
        self._schedule()

    # undo

    def _state(self) -> SessionState:
        return SessionState(self.layers.content(), dict(self._seeds), dict(self._drafts), dict(self._choices))

    def _record_change(self) -> None:
        state = self._state()
        if not state.says_the_same(self._last_state):
            self.history.record(Step(self._last_state, state))
        self._last_state = state

    def _restore(self, state: SessionState, problem: InputError | None = None) -> None:
        if self.view.layer is not None:
            self.layers.restore(state.content, self.view.layer)
        self._seeds, self._drafts, self._choices = dict(state.seeds), dict(state.drafts), dict(state.choices)
        self._last_state = state
        self._update()
        if problem is not None:  # labels that cannot be taken back
            raise problem

    # labels

    def _seek_labels(self, image: Image) -> None:
        self._labels_sought = True
        try:
            self.target.find(image)
        except InputError as error:
            self.failed.emit(error)

    def _accept(self, drafts: list[Draft], label: int | None = None) -> list[int]:
        if self._place is None or not drafts:
            return []
        if not all(self._candidates_of(draft) for draft in drafts):
            raise InputError("The outline is not there yet: wait until the progress bar is gone, then accept.")
        done: dict[Draft, Written] = {}
        try:
            for draft in drafts:
                done[draft] = self._write(*self._place, draft, label)
        finally:  # where one object cannot be written, those before it are
            if done:
                self._finish(*self._place, list(done), tuple(done.values()))
        return [written.edit.label for written in done.values()]

    def _write(self, image: Image, plane: Plane, draft: Draft, joined: int | None) -> Written:
        choice, seed = self._choice_of(draft), draft.prompts.seed
        layer = self.target.ensure(image)
        if joined is None and (label := seed.label if seed else None) is None:
            joined = self.join.label(layer)
        candidate = self._candidates_of(draft)[choice]
        if joined is not None:
            patch = grow(candidate.patch, layer, plane, label := joined)
        else:
            patch = candidate.patch if label is None else candidate.fill(self.service.results[draft.number].window)
        overwrite = not self._keep_existing
        written, drawn = self.target.write(image, plane, patch, label=label, overwrite=overwrite)
        joins = joined is not None
        self.journal.commit(draft, choice, candidate.digest, written, drawn, overwrite=overwrite, join=joins)
        self.join.note(written.edit.label)
        return written

    def _finish(self, image: Image, plane: Plane, drafts: list[Draft], written: tuple[Written, ...]) -> None:
        """Remove the prompts of objects that are done."""
        before = self._state()
        self.layers.remove(
            {row for draft in drafts for row in draft.prompts.point_rows},
            {row for draft in drafts for row in draft.prompts.shape_rows},
        )
        if any(draft.prompts.seed for draft in drafts):
            self._seeds.pop(plane, None)
        self._drafts[plane] = self._read_drafts(image, plane)
        self._last_state = self._state()
        self.history.record(Step(before, self._last_state, written))
        self._update()

    # showing

    def _choice_of(self, draft: Draft) -> int:
        return self._choices.get(draft.number, 0)

    def _candidates_of(self, draft: Draft) -> tuple[Candidate, ...]:
        found = self.service.results.get(draft.number)
        return found.items if found is not None else ()

    def _show(self) -> None:
        self._show_preview(None)
        self.changed.emit()

    def _show_preview(self, candidate: int | None) -> None:
        if self._place is None:
            self.preview.clear()
            return
        current, others = None, []
        for draft in self.drafts:
            if not (candidates := self._candidates_of(draft)):
                continue
            if draft is self.current:
                current = candidates[self._choice_of(draft) if candidate is None else candidate].patch
            else:
                others.append(candidates[self._choice_of(draft)].patch)
        self.preview.show(*self._place, current, others)

    # what happens elsewhere

    def _on_prompts(self, settled: bool) -> None:
        self._settled = settled or (self._settled and self._timer.isActive())
        self._schedule()

    def _on_arrived(self, answer: Predicted) -> None:
        if self._place is None:  # too late: no plane is displayed any more
            del self.service.results[answer.draft.number]
            return
        self.journal.predict(answer, *self._place, settled=self._settled)
        self._show()

    def _on_ended(self, error: BaseException | None) -> None:
        self._error = error
        if error is not None:
            self.failed.emit(error)
        self.changed.emit()

    def _on_moved(self) -> None:
        self.layers.end_drawing()
        self._schedule(SCRUB_PAUSE)

    def _on_lost(self) -> None:
        self.said.emit('The image layer was removed: choose another one under "Image".')
