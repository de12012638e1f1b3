"""The tools that act on the objects that are clicked: which is switched on, which objects are marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from napari.utils import DirectLabelColormap
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QPushButton

from napari_sam.errors import InputError
from napari_sam.widgets.findings import bounds, paint
from napari_sam.widgets.object_picker import ObjectPicker
from napari_sam.widgets.overlay import Overlay

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.ops.mask_record import MaskRecord
    from napari_sam.widgets.auto_session import AutoSession

__all__ = ["ObjectTools"]

Actions = Mapping[str, Callable[[int], object]]
WHITE = DirectLabelColormap(color_dict={None: "white", 0: "transparent"})
CONTOUR = 2  # pixels


class ObjectTools(QObject):
    """Let clicks on objects do what the checked button says; emits `changed` when tool or marks did.

    Parameters
    ----------
    viewer, session
        The viewer, and its automatic masks.
    buttons
        One for each tool, by name; "merge" marks objects, and the others act at once.
    finish
        The button that merges what is marked.
    actions
        What the tools do with the label of an object; "merge" is not among them.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: AutoSession,
        buttons: Mapping[str, QPushButton],
        finish: QPushButton,
        actions: Actions,
    ) -> None:
        super().__init__(finish)
        board = session.board
        self._session = session
        self._buttons = buttons
        self._finish = finish
        self._actions = actions
        self.marked: list[int] = []
        self._marks = Overlay(viewer, "SAM Auto marks", contour=CONTOUR, colormap=WHITE)
        self._picker = ObjectPicker(viewer, lambda: board.layer, self._on_click)
        for name, button in buttons.items():
            button.clicked.connect(lambda on, name=name: self.switch(name if on else None))
        self.show()

    def close(self) -> None:
        """Let go of the viewer."""
        self._picker.close()
        self._marks.close()

    @property
    def tool(self) -> str | None:
        """The tool that is switched on."""
        return next((name for name, button in self._buttons.items() if button.isChecked()), None)

    def switch(self, tool: str | None) -> None:
        """Switch a tool on and the others off; None: all off."""
        if tool is not None and tool not in self._buttons:
            raise InputError(f"There is no tool {tool!r}: choose one of {', '.join(self._buttons)}, or None.")
        for name, button in self._buttons.items():
            button.setChecked(name == tool)
        self._picker.set_on(tool is not None)
        self.clear()

    def mark(self, label: int) -> None:
        """Mark an object to be merged, or no longer; switches to the tool that merges."""
        if self.tool != "merge":
            self.switch("merge")
        if label in self.marked:
            self.marked.remove(label)
        elif label in self._objects():
            self.marked.append(label)
        self.show()

    def clear(self) -> None:
        """Mark nothing."""
        self.marked = []
        self.show()

    def show(self) -> None:
        """Mark the objects that are to be merged; while objects are accepted, those that are."""
        objects = self._objects()
        self.marked = [label for label in self.marked if label in objects]
        merging = self.tool == "merge"
        self._finish.setVisible(merging)
        self._finish.setEnabled(len(self.marked) > 1)
        self._finish.setText(f"Merge {len(self.marked)} objects" if self.marked else "Click on two or more objects")
        shown = self.marked if merging else self._settled() if self.tool == "accept" else []
        self.changed.emit()
        if not shown:
            self._marks.clear()
            return
        image, plane = self._session.view.place()
        marked = {label: objects[label] for label in shown if label in objects}
        if (region := bounds(marked.values())) is not None:
            outlines = np.pad(paint(marked, region), 1)  # napari draws no contour along the edge of a layer
            self._marks.show(image, plane, outlines, (region[0] - 1, region[1] - 1))

    def _objects(self) -> dict[int, MaskRecord]:
        try:
            return dict(self._session.board.objects())
        except InputError:  # no plane is displayed
            return {}

    def _settled(self) -> list[int]:
        try:
            return list(self._session.board.findings().settled)
        except InputError:
            return []

    def _on_click(self, label: int) -> None:
        if (action := self._actions.get(self.tool or "")) is not None:
            action(label)
            self.show()
        else:
            self.mark(label)
