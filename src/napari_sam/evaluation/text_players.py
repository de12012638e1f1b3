"""Who segments by text: by ranking masks, by the text as a prompt, and by the same with one click to help."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.evaluation.scores import MODEL
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.picture import Picture, open_picture
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.pipeline.text_segment import label_texts, prompt_texts
from napari_sam.types import BoolArray

__all__ = ["ClickPlayer", "PromptPlayer", "RankPlayer", "TextPlayer"]

Image = npt.NDArray[np.uint8]


class TextPlayer(Protocol):
    """Find what a text names in one image after another."""

    name: str

    def set_image(self, image: Image) -> None:
        """Take an image (H, W, 3), normalised."""

    def select(self, text: str, meant: BoolArray) -> BoolArray:
        """Return (H, W) bool: all pixels of the objects that the text names.

        Parameters
        ----------
        meant
            (H, W) bool: the right answer, for whoever clicks on what is missing; others do not look at it.
        """


class RankPlayer:
    """Play by rank: all masks of the image, and of these the ones that fit the text."""

    def __init__(self, generator: AutomaticMaskGenerator, ranker: TextRanker, name: str = MODEL) -> None:
        self.name = name
        self.generator, self.ranker = generator, ranker
        self.records: list[MaskRecord] = []
        self._image: Image = np.empty((0, 0, 3), np.uint8)

    def set_image(self, image: Image) -> None:
        """Find all masks."""
        self._image = image
        self.records = self.generator.generate(image, normalization="none")

    def select(self, text: str, meant: BoolArray) -> BoolArray:
        """Return what the masks cover that are chosen."""
        result = label_texts(self.ranker, self.records, self._image, [text], auto=self.generator.settings)
        return result.labels[0] > 0


class PromptPlayer:
    """Play by prompt: the masks that lie where the model, asked with the text, answers.

    Parameters
    ----------
    finder
        Plays by rank with a model that has a text head; its masks are taken, so it gets each image first.
    """

    def __init__(self, finder: RankPlayer, name: str = "prompt") -> None:
        self.name = name
        self._finder = finder
        self._picture: Picture | None = None

    def set_image(self, image: Image) -> None:
        """Take an image; the finder has taken it before."""
        self._picture = open_picture(image, "none", None)

    def select(self, text: str, meant: BoolArray) -> BoolArray:
        """Return what the masks cover that are chosen."""
        assert self._picture is not None  # noqa: S101 - an image comes first
        finder = self._finder
        result = prompt_texts(finder.generator, finder.ranker, finder.records, self._picture, [text])
        return result.labels[0] > 0


class ClickPlayer:
    """Play as another player, then add what text and one point say, in the middle of the largest part that is missing.

    Parameters
    ----------
    player
        Whose answer is helped.
    predictor
        Of a model with a text head.
    """

    def __init__(self, player: PromptPlayer, predictor: Predictor, name: str = "prompt, one point") -> None:
        self.name = name
        self._player, self._predictor = player, predictor

    def set_image(self, image: Image) -> None:
        """Take an image; the other player has taken it before."""
        self._predictor.set_image(image, normalization="none")

    def select(self, text: str, meant: BoolArray) -> BoolArray:
        """Return the other player's answer, and the object that was clicked."""
        selected = self._player.select(text, meant)
        pieces, count = ndimage.label(meant & ~selected)
        if not count:
            return selected
        largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        row, col = np.unravel_index(int(depth.argmax()), depth.shape)
        found = self._predictor.predict(points=[(int(row), int(col))], text=text, multimask=False)
        helped: BoolArray = selected | found.masks[0]
        return helped
