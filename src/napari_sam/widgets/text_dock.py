"""The dock `SAM Text`: say what to segment, one line of text for each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import napari
from napari.layers import Image, Labels, Layer, Shapes

from napari_sam.config.auto import AUTO_PRESETS, AutoSettings, load_auto_settings
from napari_sam.config.text import TextSettings, check_route
from napari_sam.errors import InputError
from napari_sam.inference.text_contrasts import check_texts
from napari_sam.widgets.dock import ImageDock, plain_viewer
from napari_sam.widgets.layer_choice import LayerChoice, find_layer, first_image, is_image
from napari_sam.widgets.model_choice import ModelChoice, is_windowed
from napari_sam.widgets.next_step import text_step
from napari_sam.widgets.object_picker import ObjectPicker
from napari_sam.widgets.prompt_handover import hand_over_label
from napari_sam.widgets.prompt_layers import is_prompt_layer
from napari_sam.widgets.reporter import without_argument
from napari_sam.widgets.shutdown import at_end
from napari_sam.widgets.text_form import TextForm
from napari_sam.widgets.text_history import TextHistory
from napari_sam.widgets.text_session import TextSession
from napari_sam.widgets.text_sheet import TextSheet, colour_of
from napari_sam.widgets.view_region import draw_region, show_plane

if TYPE_CHECKING:
    from napari_sam.model.clip import Clip
    from napari_sam.model.sam import Sam
    from napari_sam.pipeline.text_segment import TextResult
    from napari_sam.widgets.prompt_dock import PromptDock

__all__ = ["TextDock"]

REGION = "SAM Text region"


class TextDock(ImageDock):
    """Find the objects that texts name; another text or threshold answers at once, without another search.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it.
    """

    _missing = "The objects were not there"
    _session: TextSession
    _form: TextForm

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        napari_viewer = plain_viewer(napari_viewer)
        super().__init__(napari_viewer, TextSession(napari_viewer), TextForm())
        form, session = self._form, self._session
        self._own_search = False  # whether anyone chose how to search
        self._history = TextHistory()
        self._images = LayerChoice(napari_viewer, form.image, is_image, "choose an image", eager=True)
        self._shapes = LayerChoice(napari_viewer, form.shapes, _is_drawing, "choose shapes", eager=True)
        self._models = ModelChoice(form.model)
        self._clips = ModelChoice(form.clip, "clip")
        self._picker = ObjectPicker(napari_viewer, self._layer_under_mouse, self._on_click)
        self._end = at_end(_let_go, self._picker, (self._images, self._shapes), session)  # knows nothing of self
        self._connect()
        form.preset.setCurrentText("cells")
        form.show_history(self._history.entries)
        form.show_threshold(session.settings.threshold)
        if (image := first_image(napari_viewer)) is not None:
            self.set_image(image)

    # for scripts: what to work on

    def set_image(self, layer: Image | str) -> None:
        """Choose the image layer, by itself or by name."""
        found = find_layer(self._viewer, layer)
        if not is_image(found):
            raise InputError(f"The layer {found.name!r} is not an image: choose an image layer.")
        self._images.choose(found)
        self._session.view.set_layer(found)

    def set_model(self, model: Sam | str) -> None:
        """Choose the model that finds masks, by name or one that was loaded or built."""
        self._models.choose(model)
        self._on_model(model)

    def set_clip(self, clip: Clip | str) -> None:
        """Choose the CLIP that ranks them, by name or one that was loaded or built."""
        self._clips.choose(clip)
        self._on_clip(clip)

    def set_route(self, route: str) -> None:
        """Choose who tells which masks are meant: the CLIP ("rank"), or the model, prompted by the texts ("prompt").

        Raises
        ------
        InputError
            If there is no such way.
        """
        check_route(route)
        self._session.route = route
        self._form.route.setCurrentIndex(self._form.route.findData(route))
        self._session.rank()

    def set_texts(self, texts: Sequence[str] | str) -> None:
        """Choose what to segment, one text for each class; masks that were found already are ranked anew.

        Raises
        ------
        InputError
            If there is no text, or one is empty.
        """
        self._session.texts = tuple(check_texts(texts))
        self._form.show_lines(self._session.texts)
        self._on_texts()
        self._session.rank()

    def set_settings(self, settings: TextSettings | None = None, **changes: Any) -> None:
        """Choose settings of the ranking, those of now if None, with some of them changed."""
        self._take_settings((settings or self.settings).changed(**changes))

    def set_threshold(self, threshold: float) -> None:
        """Choose the least score of an object, from 0 to 1."""
        self.set_settings(threshold=float(threshold))

    def set_search(self, settings: AutoSettings | str, **changes: Any) -> None:
        """Choose how the next run finds masks: a preset by name, or settings as for SAM Auto, some of them changed."""
        chosen = load_auto_settings(settings) if isinstance(settings, str) else settings
        self._session.search = chosen.changed(**changes) if changes else chosen
        self._own_search = True
        if isinstance(settings, str):
            self._form.preset.setCurrentText(settings)

    def set_output(self, output: str) -> None:
        """Write to one labels layer per text ("layers"), or to one with the texts in its "features"."""
        self._session.set_output(output)
        self._form.output.setCurrentIndex(self._form.output.findData(output))

    def set_region(self, layer: Shapes | str) -> None:
        """Choose the shapes layer whose selected (or last) rectangle is the region."""
        found = find_layer(self._viewer, layer)
        if not isinstance(found, Shapes):
            raise InputError(f"The layer {found.name!r} is not a shapes layer: choose one with a rectangle in it.")
        self._shapes.choose(found)

    # for scripts: runs and results

    def run(self, where: str = "plane") -> None:
        """Search the displayed "plane", a "region" of it or what the "view" shows, and write labels."""
        self._session.run(where, self._shapes.chosen)
        self._history.add(self._session.texts)
        self._form.show_history(self._history.entries)

    def cancel(self) -> None:
        """Stop a run within one step of the model; the same run goes on from there."""
        self._session.cancel()

    def show_scores(self, text: str | int, mapped: bool | None = None) -> None:
        """Show the histogram of a text, given by itself or its number from 0, and its score map over the image or not.

        Raises
        ------
        InputError
            If there is no such text.
        """
        texts = self._session.texts
        if text not in (texts if isinstance(text, str) else range(len(texts))):
            raise InputError(f"There is no text {text!r}: choose one of {', '.join(map(repr, texts)) or 'none'}.")
        self._form.shown.setCurrentIndex(texts.index(text) if isinstance(text, str) else text)
        if mapped is not None and mapped != self._form.mapped.isChecked():
            self._form.mapped.setChecked(mapped)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, one for each class."""
        return self._session.texts

    @property
    def route(self) -> str:
        """Who tells which masks are meant: "rank" (the CLIP) or "prompt" (the model)."""
        return self._session.route

    @property
    def settings(self) -> TextSettings:
        """The settings of the ranking."""
        return self._session.settings

    @property
    def history(self) -> list[tuple[str, ...]]:
        """The texts of earlier runs, the newest first, from earlier sessions, too."""
        return list(self._history.entries)

    @property
    def results(self) -> TextResult | None:
        """What was found on the displayed plane: labels, masks and scores for each text; None before a run."""
        return self._session.result

    @property
    def labels_layers(self) -> list[Labels]:
        """The labels layers of the image, in the order of the texts; one with the output "features"."""
        return self._session.layers.of(self._session.view.layer)

    def refine(self, label: int, text: str | None = None) -> PromptDock:
        """Go on with an object in the dock SAM Prompts, where accepting replaces it; return that dock.

        Parameters
        ----------
        label
            Its label.
        text
            Whose layer it is in; None: the first one that has such a label.
        """
        return self._refine(self._session.layers.sheet_of(self._session.view.layer, text, label), label)

    # for the mouse

    def switch_refine(self, on: bool) -> None:
        """Let a click on an object refine it, or not."""
        self._form.refine.setChecked(on)
        self._picker.set_on(on)

    def draw_region(self) -> None:
        """Get a shapes layer ready for a rectangle."""
        image, _ = self._session.view.place()
        self._shapes.choose(draw_region(self._viewer, image, self._shapes.chosen, REGION))

    def _connect(self) -> None:
        form, session, guarded = self._form, self._session, self._reporter.guarded
        actions: dict[str, Callable[[], object]] = {
            "run": lambda: self.run(form.where.currentData()),
            "cancel": self.cancel,
            "draw": self.draw_region,
        }
        for name, action in actions.items():
            getattr(form, name).clicked.connect(without_argument(guarded(action)))
        form.refine.toggled.connect(self._picker.set_on)
        form.texts.textChanged.connect(self._on_typed)
        form.history.activated.connect(self._on_history)
        form.preset.activated.connect(lambda i: self.set_search(list(AUTO_PRESETS)[i]))
        form.shown.currentIndexChanged.connect(self._on_shown)
        form.histogram.moved.connect(lambda score: self.set_threshold(score))
        form.threshold.valueChanged.connect(lambda score: self.set_threshold(score))
        form.mapped.toggled.connect(session.set_mapped)
        form.settings.changed.connect(self._take_settings)
        form.settings.failed.connect(self._reporter.report)
        form.route.activated.connect(lambda i: self.set_route(form.route.itemData(i)))
        form.output.activated.connect(lambda i: guarded(lambda: self.set_output(form.output.itemData(i)))())
        self._images.picked.connect(session.view.set_layer)
        self._models.picked.connect(self._on_model)
        self._clips.picked.connect(self._on_clip)
        session.changed.connect(self._refresh)
        session.view.moved.connect(self._refresh)
        session.said.connect(self._reporter.say)
        session.failed.connect(self._on_failed)
        session.progressed.connect(form.show_progress)
        self.destroyed.connect(without_argument(self._end))
        self._refresh()

    def _on_model(self, model: Sam | str) -> None:
        """Take a model, and the search that suits it unless anyone chose one."""
        self._session.view.set_model(model)
        if not self._own_search:
            preset = "cells" if is_windowed(model) else "natural"
            self._session.search = load_auto_settings(preset)
            self._form.preset.setCurrentText(preset)

    def _on_clip(self, clip: Clip | str) -> None:
        self._session.clip = clip
        self._session.rank()

    def _on_failed(self, error: BaseException) -> None:
        self._reporter.report(error)
        if (model := self._models.fall_back(error)) is not None:
            self._on_model(cast("Sam | str", model))
        if (clip := self._clips.fall_back(error)) is not None:
            self._session.clip = cast("Clip | str", clip)

    def _on_typed(self) -> None:
        self._session.type_texts(self._form.lines())
        self._on_texts()
        self._refresh()

    def _on_history(self, index: int) -> None:
        if (texts := self._form.history.itemData(index)) is not None:
            self.set_texts(texts)
        self._form.history.setCurrentIndex(0)

    def _on_texts(self) -> None:
        self._form.shown.blockSignals(True)
        self._form.show_choice(self._session.texts)
        self._form.shown.blockSignals(False)
        self._session.shown = max(self._form.shown.currentIndex(), 0)

    def _on_shown(self, index: int) -> None:
        self._session.shown = max(index, 0)
        if self._session.mapped:
            self._session.rank()
        self._refresh()

    def _take_settings(self, settings: TextSettings) -> None:
        self._session.settings = settings
        self._form.show_threshold(settings.threshold)
        self._form.settings.show_settings(settings)
        self._session.rank()

    def _layer_under_mouse(self) -> Labels | None:
        sheet = self._sheet_under_mouse()
        return sheet.layer if sheet is not None else None

    def _sheet_under_mouse(self) -> TextSheet | None:
        return self._session.layers.under(self._session.view.layer, self._viewer.cursor.position)

    def _on_click(self, label: int) -> None:
        sheet = self._sheet_under_mouse()
        if sheet is not None:
            self._reporter.guarded(lambda: self._refine(sheet, label))()

    def _refine(self, sheet: TextSheet, label: int) -> PromptDock:
        view, plane = self._session.view, sheet.plane_of(label)
        if plane is None:
            raise InputError(f"There is no object {label} in {sheet.layer.name!r}: choose one of its labels.")
        self.switch_refine(False)  # the next clicks are prompts
        show_plane(self._viewer, sheet.image, plane)
        self._reporter.say(f"Correct object {label} with clicks in SAM Prompts, then accept it there.")
        return hand_over_label(self._viewer, sheet.image, sheet.layer, label, view)

    def _refresh(self) -> None:
        form, session, result = self._form, self._session, self._session.result
        form.run.setEnabled(not session.searching)
        if result is None or session.shown >= len(result.texts):
            form.histogram.show_scores([], colour_of(session.shown))
            form.count.setText("Nothing found yet")
        else:
            form.histogram.show_scores(result.scores[:, session.shown], colour_of(session.shown))
            chosen = len(result.label_scores[session.shown])
            form.count.setText(f"{chosen} objects of {len(result.candidates)} masks")
        if not session.searching:
            for models in (self._models, self._clips):
                models.refresh()
        self._reporter.guide(text_step(session))


def _is_drawing(layer: Layer) -> bool:
    return isinstance(layer, Shapes) and not is_prompt_layer(layer)


def _let_go(picker: ObjectPicker, choices: Sequence[LayerChoice], session: TextSession) -> None:
    picker.close()
    for choice in choices:
        choice.close()
    session.close()
