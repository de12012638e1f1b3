"""How all planes of a stack are looked at, settled by the worker when it is first asked; imports no torch before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam.config.auto import AutoSettings
    from napari_sam.inference.normalization import Normalization
    from napari_sam.model.sam import Sam

__all__ = ["StackLook", "settings_of", "stretch_of"]


class StackLook:
    """Keep the brightness of all planes of an image, and the usual size of its objects for each model.

    Used by one thread at a time.

    Parameters
    ----------
    planes
        Returns array-likes of all planes, of which samples are read.
    normalization
        As `Predictor.set_image` takes it.
    """

    def __init__(self, planes: Callable[[], Sequence[Any]], normalization: str | tuple[float, float]) -> None:
        self._planes = planes
        self._given = normalization
        self._settled: Normalization | None = None
        self._sizes: dict[str, float] = {}

    def brightness(self) -> Normalization:
        """Return which values are black and white in every plane.

        Raises
        ------
        InputError
            If no plane can be read.
        """
        if self._settled is None:
            from napari_sam.inference.brightness import stack_normalization

            self._settled = stack_normalization(self._planes(), self._given)
        return self._settled

    def settings(self, model: Sam, settings: AutoSettings) -> AutoSettings:
        """Return settings with the usual size of the image's objects, where they leave it open."""
        if settings.object_size or settings.points != "objects":
            return settings
        if model.fingerprint not in self._sizes:
            from napari_sam.pipeline.whole_image import settle_image

            settled = settle_image(lambda: model, settings, self._planes(), self.brightness())
            self._sizes[model.fingerprint] = settled.settings.object_size
        return settings.changed(object_size=self._sizes[model.fingerprint])


def stretch_of(normalization: Any) -> Any:
    """Return a normalisation as `Predictor.set_image` takes it, of a stack the one of all planes."""
    return normalization.brightness() if isinstance(normalization, StackLook) else normalization


def settings_of(normalization: Any, model: Sam, settings: AutoSettings) -> AutoSettings:
    """Return settings with what is settled for a stack, where the normalisation is that of one."""
    return normalization.settings(model, settings) if isinstance(normalization, StackLook) else settings
