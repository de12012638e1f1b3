"""What a dock tells its user: a status line, and napari's notifications for what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import ErrorNotification, notification_manager, show_warning

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from qtpy.QtWidgets import QLabel

__all__ = ["Reporter", "without_argument"]


class Reporter:
    """Report to one status line.

    Parameters
    ----------
    status
        The line.
    """

    def __init__(self, status: QLabel) -> None:
        self._status = status

    def say(self, sentence: str) -> None:
        """Put a sentence into the status line."""
        self._status.setText(sentence)

    def report(self, error: BaseException) -> None:
        """Show an error: the user's mistakes as a warning, others as napari shows errors."""
        if isinstance(error, NapariSamError):
            self.say(str(error))
            show_warning(str(error))
        else:
            self.say(f"Something went wrong inside napari-sam: {error!r}")
            notification_manager.dispatch(ErrorNotification(error))

    def guarded(self, action: Callable[[], object]) -> Callable[[], None]:
        """Return the action that shows the user's mistakes as a sentence instead of raising them."""

        def call() -> None:
            try:
                action()
            except NapariSamError as error:
                self.report(error)

        return call


def without_argument(action: Callable[[], object]) -> Callable[..., None]:
    """Drop what Qt's `clicked` passes."""

    def call(*_: Any) -> None:
        action()

    return call
