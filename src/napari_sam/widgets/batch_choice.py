"""What was chosen for a batch job: image, output and settings, some of which may still be missing."""

from __future__ import annotations

import dataclasses
from typing import Any

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.config.batch import BatchSettings
from napari_sam.widgets.batch_look import suggest_output

__all__ = ["BatchChoice"]

FIELDS = tuple(field.name for field in dataclasses.fields(BatchSettings) if field.name != "auto")


class BatchChoice:
    """Hold `location` of the image ("" for none), `output` (None: the image itself), and the settings."""

    def __init__(self) -> None:
        self.location = ""
        self.output: str | None = None
        self.auto = load_auto_settings("cells")
        self.values: dict[str, Any] = {name: getattr(BatchSettings(), name) for name in FIELDS}
        self._own_output = self._own_auto = False  # whether anyone chose them

    @property
    def settings(self) -> BatchSettings:
        """All settings.

        Raises
        ------
        InputError
            If something is missing, the prompts say.
        """
        return self._checked(self.values)

    @property
    def kind(self) -> tuple[str, str, AutoSettings]:
        """What the speed depends on, besides the machine."""
        return self.values["model"], self.values["mode"], self.auto

    def take_input(self, location: str, level: int = 0) -> None:
        """Take an image; the output is its own again, unless anyone chose one."""
        self.location = location
        self.values |= {"level": level, "pixel_size": 0.0}
        if not self._own_output:
            self.output = None

    def take_output(self, output: str | None) -> None:
        """Take an output."""
        self._own_output = True
        self.output = output

    @property
    def suggested_output(self) -> str | None:
        """An output for an image that cannot hold labels; None where one was chosen, or there is no image."""
        return None if self._own_output or not self.location else suggest_output(self.location)

    def take_suggestion(self) -> bool:
        """Take the suggested output, and tell whether anything changed."""
        changed = self.output is None and self.suggested_output is not None
        self.output = self.suggested_output if changed else self.output
        return changed

    def take_settings(self, settings: BatchSettings | None, changes: dict[str, Any]) -> None:
        """Take settings, or change some.

        Raises
        ------
        InputError
            If one is unknown or not allowed; then nothing is changed.
        """
        if settings is None:
            values = self.values | ({"prompts": ""} if changes.get("mode", "prompts") != "prompts" else {})
            settings = self._checked(values | changes)
        elif changes:
            settings = settings.changed(**changes)
        self._own_auto = self._own_auto or settings.auto != self.auto
        self.auto = settings.auto
        self.values = {name: getattr(settings, name) for name in FIELDS}

    def take_value(self, name: str, value: Any) -> None:
        """Take one setting from a control; prompts may come later than the mode that needs them.

        Raises
        ------
        InputError
            If it is not allowed; then nothing is changed.
        """
        values = self.values | {name: value}
        if name == "pixel_size" and value:
            values["level"] = 0
        if name == "mode" and value == "prompts":
            values["link"] = ""
        self._checked(values | {"prompts": values["prompts"] or "to come"})
        self.values = values

    def take_auto(self, auto: AutoSettings) -> None:
        """Take settings of automatic masks."""
        self._own_auto = True
        self.auto = auto

    def take_model(self, model: str) -> None:
        """Take a model, and the settings that suit it unless anyone chose some."""
        from napari_sam.pipeline.auto_segment import fitting_preset

        if not self._own_auto:
            self.auto = load_auto_settings(fitting_preset(model))
        self.values["model"] = model

    def _checked(self, values: dict[str, Any]) -> BatchSettings:
        if values["mode"] == "auto":  # those that were chosen before stay for later
            values = values | {"prompts": ""}
        return BatchSettings(auto=self.auto).changed(**values)
