"""The exceptions that are meant for the user's eyes: one sentence each, with the remedy."""

from __future__ import annotations

__all__ = ["CheckpointError", "DownloadError", "InputError", "NapariSamError", "OperationCancelled"]


class NapariSamError(Exception):
    """Base of every error whose message is written for the user."""


class InputError(NapariSamError, ValueError):
    """Unusable input: the message names the value found, what is allowed and what to do."""


class CheckpointError(NapariSamError):
    """A weights file that is unsafe, damaged or of another model."""


class DownloadError(NapariSamError):
    """A weights file that could not be fetched from any of its addresses."""


class OperationCancelled(NapariSamError):
    """Raised inside long work once its caller asked it to stop."""
