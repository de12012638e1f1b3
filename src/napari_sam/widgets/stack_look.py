"""How all planes of a stack are looked at, settled by the worker when it is first asked; imports no torch before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.config.auto import AutoSettings
    from napari_sam.inference.normalization import Normalization
    from napari_sam.model.sam import Sam

__all__ = ["StackLook", "settings_of", "stretch_of"]

Progress = Callable[[int, int], None]


class StackLook:
    """Keep the brightness of all planes of an image, and the usual size of its objects for each model.

    Used by one thread at a time.

    Parameters
    ----------
    planes
        Array-likes of all planes, (H, W) or (H, W, C), of which samples are read.
    """

    def __init__(self, planes: Sequence[Any]) -> None:
        self._planes = planes
        self._settled: Normalization | None = None
        self._sizes: dict[str, float] = {}

    def brightness(self, progress: Progress | None = None) -> Normalization:
        """Return which values are black and white in every plane.

        Parameters
        ----------
        progress
            Told the number of the plane that is read, and of how many; what it raises ends the reading.

        Raises
        ------
        InputError
            If no plane can be read.
        """
        if self._settled is None:
            from napari_sam.inference.brightness import stack_normalization

            self._settled = stack_normalization(self._read_by(progress), "auto")
        return self._settled

    def settings(self, model: Sam, settings: AutoSettings, progress: Progress | None = None) -> AutoSettings:
        """Return settings with the usual size of the image's objects, where they leave it open."""
        if settings.object_size or settings.points != "objects":
            return settings
        if model.fingerprint not in self._sizes:
            from napari_sam.pipeline.whole_image import settle_image

            settled = settle_image(lambda: model, settings, self._read_by(progress), self.brightness(progress))
            size = settled.settings.object_size
            self._sizes[model.fingerprint] = float(size or 0)
        return settings.changed(object_size=self._sizes[model.fingerprint])

    def _read_by(self, progress: Progress | None) -> list[_Sampled]:
        return [_Sampled(plane, number, len(self._planes), progress) for number, plane in enumerate(self._planes)]


class _Sampled:
    """Show a plane that says when it is read, and whose damage is an `InputError`, so that others stand in for it."""

    def __init__(self, plane: Any, number: int, count: int, progress: Progress | None) -> None:
        self._plane, self._number, self._count, self._progress = plane, number, count, progress
        self.shape, self.dtype = plane.shape, plane.dtype

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        if self._progress is not None:
            self._progress(self._number, self._count)
        try:
            return np.asarray(self._plane[key])
        except InputError:
            raise
        except Exception as error:  # of whatever the layer's array is made of
            reason = (str(error) or type(error).__name__).split("\n")[0].rstrip(".")
            raise InputError(f"Cannot read plane {self._number} of the image ({reason}): restore the file.") from error


def stretch_of(normalization: Any, progress: Progress | None = None) -> Any:
    """Return a normalisation as `Predictor.set_image` takes it, of a stack the one of all planes."""
    return normalization.brightness(progress) if isinstance(normalization, StackLook) else normalization


def settings_of(
    normalization: Any, model: Sam, settings: AutoSettings, progress: Progress | None = None
) -> AutoSettings:
    """Return settings with what is settled for a stack, where the normalisation is that of one."""
    return normalization.settings(model, settings, progress) if isinstance(normalization, StackLook) else settings
