"""The dock's keys: what each does, binding and releasing them; none is one of napari's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app_model.types import KeyBinding

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["BINDINGS", "Binding", "KeyBindings"]


@dataclass(frozen=True)
class Binding:
    """A key of the dock: in napari's spelling, the dock's method that it calls, and what it does in plain words."""

    key: str
    action: str
    text: str

    @property
    def shown(self) -> str:
        """The key as it stands on this computer's keyboard."""
        return str(KeyBinding.from_str(self.key).to_text(use_symbols=False, joinchar="+"))


BINDINGS = (
    Binding("Q", "next_candidate", "next candidate"),
    Binding("W", "flip_polarity", "clicks say object / background"),
    Binding("N", "accept", "accept, start the next object"),
    Binding("Shift+N", "accept_all", "accept all objects"),
    Binding("G", "next_object", "go to the next object"),
    Binding("Shift+D", "discard", "discard this object"),
    Binding("Ctrl+Z", "undo", "undo"),
    Binding("Ctrl+Shift+Z", "redo", "redo"),
)


class KeyBindings:
    """Bind the keys of `BINDINGS` in one viewer; a layer's own keys, and keys that are taken, stay as they are.

    Parameters
    ----------
    viewer
        Where to bind them. napari asks the active layer first, so Ctrl+Z still undoes paint in a labels layer.
    actions
        What to call, by the name of the binding's action.
    """

    def __init__(self, viewer: ViewerModel, actions: dict[str, Callable[[], object]]) -> None:
        self._viewer = viewer
        self.bound: list[Binding] = []
        taken = {str(key) for key in (*viewer.keymap, *type(viewer).class_keymap)}
        for binding in BINDINGS:
            if str(KeyBinding.from_str(binding.key)) not in taken:
                viewer.bind_key(binding.key, _ignoring_viewer(actions[binding.action]))
                self.bound.append(binding)

    def release(self) -> None:
        """Unbind the keys."""
        for binding in self.bound:
            self._viewer.bind_key(binding.key, None)
        self.bound = []


def _ignoring_viewer(action: Callable[[], object]) -> Callable[[ViewerModel], None]:
    def call(_viewer: ViewerModel) -> None:
        action()

    return call
