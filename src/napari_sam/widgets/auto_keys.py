"""What the keys of SAM Auto do, most of them to the object under the mouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_sam.errors import InputError
from napari_sam.widgets.object_picker import label_at

if TYPE_CHECKING:
    from napari_sam.widgets.auto_dock import AutoDock
    from napari_sam.widgets.object_board import ObjectBoard
    from napari_sam.widgets.object_tools import ObjectTools

__all__ = ["key_actions"]

Action = Callable[[], object]


def key_actions(
    dock: AutoDock, board: ObjectBoard, tools: ObjectTools, guarded: Callable[[Action], Callable[[], None]]
) -> dict[str, Action]:
    """Return what to call, by the names in `AUTO_BINDINGS`; `guarded` shows mistakes instead of raising them."""

    def pointed() -> int:
        label = 0 if board.layer is None else label_at(board.layer, board.cursor)
        if label not in board.objects():
            raise InputError("There is no object under the mouse: point at one, then press the key.")
        return label

    actions: dict[str, Action] = {
        "accept_pointed": lambda: dock.accept(pointed()),
        "delete_pointed": lambda: dock.delete(pointed()),
        "mark_pointed": lambda: tools.mark(pointed()),
        "refine_pointed": lambda: dock.refine(pointed()),
        "merge_marked": dock.merge_marked,
        "undo": dock.undo,
        "redo": dock.redo,
    }
    return {name: guarded(action) for name, action in actions.items()}
