"""The model that a worker thread has in hand, loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from napari_sam.model.first_import import import_for
from napari_sam.model.torch_imports import load_torch_libraries
from napari_sam.model.weights_files import weights_mark

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam

__all__ = ["LoadedModel"]

Report = Callable[[int, int], None]
_in_use: WeakValueDictionary[tuple[str, str], Sam] = WeakValueDictionary()  # several GB each, so none twice


class LoadedModel:
    """Keep one model between tasks; used by one thread only.

    Docks that ask for the same name share it, as long as the name stands for the same weights.
    """

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
        if not isinstance(model, str):
            self._model, self._key = model, None
            return model
        key = model, weights_mark(model)
        if self._model is None or key != self._key:
            load_torch_libraries()
            import_for("masks", say("Loading PyTorch"))
            say(f"Loading the model {model}")(0, 0)
            from napari_sam.model.load import load_model

            loaded = _in_use.get(key)
            if loaded is None:
                loaded = _in_use[key] = load_model(model, progress=say(f"Downloading {model}"))
            self._model, self._key = loaded, key
        return self._model
