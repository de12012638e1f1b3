"""What a dock tells its user: what happened, what to do next, and napari's notifications for what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import ErrorNotification, notification_manager, show_warning
from qtpy.QtCore import QTimer

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from qtpy.QtWidgets import QLabel

__all__ = ["Reporter", "without_argument"]


class Reporter:
    """Report to one status line, and say in another what to do next.

    Parameters
    ----------
    status
        What happened last; emptied once something else is to be done next than when it was said.
    next_step
        What to do next.
    """

    def __init__(self, status: QLabel, next_step: QLabel) -> None:
        self._status = status
        self._next_step = next_step
        self._fresh = QTimer(status)  # runs while what was said is of this very moment
        self._fresh.setSingleShot(True)
        self._held = False

    def hold(self, held: bool) -> None:
        """Let what was said stay until something else is said, whatever is to be done next; or no longer."""
        self._held = held

    def say(self, sentence: str) -> None:
        """Put a sentence into the status line; nothing removes what is held."""
        if self._held and not sentence:
            return
        self._status.setText(sentence)
        self._status.setVisible(bool(sentence))
        self._fresh.start(0)

    def guide(self, sentence: str) -> None:
        """Say what to do next; if that is something new, what was said before is of a past state and goes."""
        if sentence != self._next_step.text():
            self._next_step.setText(sentence)
            if not self._fresh.isActive():
                self.say("")

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
