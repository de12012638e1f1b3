"""Texts as prompts of one model: the CLIP that its text head was trained with, and tokens for words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_sam.errors import InputError
from napari_sam.inference.text_contrasts import check_texts, familiarity, text_hint
from napari_sam.model.clip import Clip, load_clip
from napari_sam.model.sam import Sam
from napari_sam.model.text_prompt import TextPrompt

__all__ = ["TextTokens", "require_text_head"]


def require_text_head(model: Sam) -> TextPrompt:
    """Return the model's text head.

    Raises
    ------
    InputError
        If it has none.
    """
    if model.text_head is None:
        raise InputError(
            f"The model {model.name!r} has no text head, so a text cannot be its prompt: let texts rank its masks "
            "(segment_text, SAM Text), or give points, a box or a mask."
        )
    return model.text_head


class TextTokens:
    """Turn texts into a model's prompt tokens; texts that are known cost nothing.

    Parameters
    ----------
    model
        With a text head, by the time that a text is asked for.
    clip
        A name, loaded at the first text, or a loaded one; it must be the one that the text head was trained with.
    """

    def __init__(self, model: Sam, clip: str | Clip = "bundled") -> None:
        self._model, self._clip = model, clip
        self._known: dict[str, Tensor] = {}

    @property
    def clip(self) -> Clip:
        """The CLIP, loaded.

        Raises
        ------
        InputError
            If the model has no text head, or it belongs to another CLIP.
        """
        head = require_text_head(self._model)
        if isinstance(self._clip, str):
            self._clip = load_clip(self._clip, device=self._model.device.type)
        head.check_clip(self._clip.fingerprint, self._clip.name)
        return self._clip

    def known(self, text: str) -> float:
        """Return how far a text may be believed, from 0 to 1: the squared share of its words that the CLIP knows."""
        return familiarity(text, self.clip.vocabulary) ** 2

    def hint(self, text: str) -> str:
        """Return one sentence about why little may be found by a text, or ""; it raises as a call does."""
        return text_hint(check_texts(text)[0], self.clip)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str] | str) -> Tensor:
        """Return the (t, C) tokens of t texts.

        Raises
        ------
        InputError
            If the model has no text head for the CLIP, or a text is empty.
        """
        head = require_text_head(self._model)
        asked = check_texts(texts)
        new = [text for text in dict.fromkeys(asked) if text not in self._known]
        if new:
            vectors = torch.from_numpy(self.clip.encode_texts(new)).to(self._model.device)
            self._known |= dict(zip(new, head(vectors), strict=True))
        return torch.stack([self._known[text] for text in asked])
