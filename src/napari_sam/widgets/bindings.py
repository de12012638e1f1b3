"""The docks' keys: what each does, binding and releasing them; none is one of napari's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app_model.types import KeyBinding
from qtpy.QtWidgets import QLabel

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["AUTO_BINDINGS", "BINDINGS", "Binding", "KeyBindings", "key_table"]


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


AUTO_BINDINGS = (
    Binding("N", "accept_pointed", "settle the object under the mouse"),
    Binding("Shift+D", "delete_pointed", "remove it"),
    Binding("G", "mark_pointed", "mark it to be merged"),
    Binding("Shift+N", "merge_marked", "merge those that are marked"),
    Binding("Q", "refine_pointed", "correct it in SAM Prompts"),
    Binding("Ctrl+Z", "undo", "undo"),
    Binding("Ctrl+Shift+Z", "redo", "redo"),
)


def key_table(bindings: Sequence[Binding], *more: tuple[str, str]) -> QLabel:
    """Show what keys do, and more such pairs of key and text."""
    keys = [(each.shown, each.text) for each in bindings] + list(more)
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{text}</td></tr>" for key, text in keys)
    table = QLabel(f"<table cellspacing=1>{rows}</table>")
    table.setWordWrap(True)
    return table


class KeyBindings:
    """Bind keys in one viewer; a layer's own keys, and keys that are taken, stay as they are.

    Docks share a key: it belongs to the one that is seen, of several to the one that was used last.

    Parameters
    ----------
    viewer
        Where to bind them. napari asks the active layer first, so Ctrl+Z undoes paint in a labels layer, unless
        `LayerUndo` shares it.
    actions
        What to call, by the name of the binding's action.
    bindings
        The keys.
    is_seen
        Tells whether the dock is in front.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        actions: dict[str, Callable[[], object]],
        bindings: Sequence[Binding] = BINDINGS,
        is_seen: Callable[[], bool] = lambda: True,
    ) -> None:
        self._viewer = viewer
        self.actions = actions
        self.is_seen = is_seen
        self.used = time.monotonic()
        self.bound: list[Binding] = []
        taken: dict[str, object] = {str(key): None for key in type(viewer).class_keymap}
        taken |= {str(key): function for key, function in viewer.keymap.items()}
        for binding in bindings:
            shared = taken.get(str(KeyBinding.from_str(binding.key)), _SharedKey())
            if isinstance(shared, _SharedKey):
                shared.takers.append((self, binding))
                viewer.bind_key(binding.key, shared, overwrite=True)
                self.bound.append(binding)

    def touch(self) -> None:
        """Say that the dock was used."""
        self.used = time.monotonic()

    def release(self) -> None:
        """Unbind the keys, unless another dock still needs them."""
        for binding in self.bound:
            shared = self._viewer.keymap.get(KeyBinding.from_str(binding.key))
            if isinstance(shared, _SharedKey):
                shared.takers.remove((self, binding))
                if not shared.takers:
                    self._viewer.bind_key(binding.key, None)
        self.bound = []


class _SharedKey:
    """What a key does in a viewer: the action of one of the docks that want it."""

    def __init__(self) -> None:
        self.takers: list[tuple[KeyBindings, Binding]] = []
        self.__name__ = "of_the_docks"  # napari looks for the names of what keys are bound to

    def __call__(self, _viewer: ViewerModel) -> None:
        seen = [taker for taker in self.takers if taker[0].is_seen()] or self.takers
        keys, binding = max(seen, key=lambda taker: taker[0].used)
        keys.actions[binding.action]()
