"""The model that a worker thread has in hand, loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from napari_sam.model.first_import import import_for
from napari_sam.model.torch_imports import load_torch_libraries

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam

__all__ = ["LoadedModel"]

Report = Callable[[int, int], None]
_in_use: WeakValueDictionary[str, Sam] = WeakValueDictionary()  # several GB each, so none twice


class LoadedModel:
    """Keep one model between tasks; used by one thread only. Docks that ask for the same name share it."""

    def __init__(self) -> None:
        self._key: Any = None
        self._model: Sam | None = None

    def get(self, model: str | Sam, say: Callable[[str], Report]) -> Sam:
        """Return a model, loaded if it is a name and not at hand.

        Parameters
        ----------
        model
            Name of a model, or the model.
        say
            Takes the text of what happens and returns what its progress is reported to, which may raise
            `OperationCancelled`.
        """
        key = model if isinstance(model, str) else id(model)
        if self._model is None or key != self._key:
            if isinstance(model, str):
                load_torch_libraries()
                import_for("masks", say("Loading PyTorch"))
                say(f"Loading the model {model}")(0, 0)
                from napari_sam.model.load import load_model

                loaded = _in_use.get(model)
                if loaded is None:
                    loaded = _in_use[model] = load_model(model, progress=say(f"Downloading {model}"))
                model = loaded
            self._model, self._key = model, key
        return self._model
