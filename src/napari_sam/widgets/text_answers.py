"""What a model answered to texts about the masks of one search, kept so that a threshold needs no new answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.inference.text_contrasts import check_texts
from napari_sam.pipeline.text_segment import TextResult, label_scores, prompt_scores, usable_masks

if TYPE_CHECKING:
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.inference.picture import Picture
    from napari_sam.inference.text_ranking import TextRanker
    from napari_sam.ops.mask_record import MaskRecord
    from napari_sam.types import FloatArray

__all__ = ["TextAnswers"]


class TextAnswers:
    """Keep the scores of one search's masks, by text.

    Parameters
    ----------
    picture
        The image as the model looks at it.
    masks
        n masks of the image.
    region
        (row0, col0, row1, col1) of the part that was searched; None is all.
    """

    def __init__(self, picture: Picture, masks: Sequence[MaskRecord], region: tuple[int, int, int, int] | None) -> None:
        self._picture, self._masks, self._region = picture, masks, region
        self._known: dict[tuple[str, int], FloatArray] = {}  # by text and least area, which decides the candidates

    def ask(
        self,
        generator: AutomaticMaskGenerator,
        ranker: TextRanker,
        texts: Sequence[str],
        progress: Callable[[int, int], None],
    ) -> TextResult:
        """Return what `prompt_texts` does; the model is asked only for texts that are new, with progress."""
        asked, area = check_texts(texts), ranker.settings.min_area
        candidates = usable_masks(ranker, self._masks)
        new = [text for text in dict.fromkeys(asked) if (text, area) not in self._known]
        if new:
            progress(0, 0)
            found = prompt_scores(
                generator, ranker, candidates, self._picture, new, region=self._region, progress=progress
            )
            self._known |= {(text, area): found[:, i] for i, text in enumerate(new)}
        scores = np.stack([self._known[text, area] for text in asked], axis=1)
        return label_scores(ranker, candidates, scores, asked, auto=generator.settings, image=self._picture.image)
