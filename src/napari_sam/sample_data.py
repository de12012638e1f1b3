"""Sample pictures: real ones that scikit-image ships inside its wheel (no download), and seeded synthetic nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_sam.data.sample import Sample

__all__ = ["DemoSample", "cell", "coins", "demo_sample", "nuclei", "stroma", "tissue"]

# One click in each of some well visible nuclei of `stroma`, (row, col).
_STROMA_CLICKS = (
    (429, 237), (133, 399), (175, 265), (481, 203), (363, 171), (121, 297), (157, 445), (91, 29), (85, 407),
    (495, 171), (429, 157), (511, 243), (59, 423), (163, 385), (561, 293), (119, 479), (291, 189), (113, 155),
    (117, 349), (339, 199), (161, 525), (288, 254), (245, 221), (227, 195), (220, 290), (130, 53), (368, 248),
    (474, 293), (527, 301), (165, 479),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DemoSample:
    """Hold the picture of `make demo`.

    Parameters
    ----------
    name
        Name of the image layer.
    image
        (H, W) or (H, W, 3) uint8.
    clicks
        (row, col) pixels, one inside each object.
    source
        What the picture shows and where it comes from.
    """

    name: str
    image: npt.NDArray[np.uint8]
    clicks: tuple[tuple[int, int], ...]
    source: str


def tissue() -> npt.NDArray[np.uint8]:
    """Return a stained section of colon glands, its nuclei blue: (512, 512, 3) uint8."""
    from skimage import data

    return data.immunohistochemistry()


def stroma() -> npt.NDArray[np.uint8]:
    """Return the part of `tissue` between the glands, enlarged twice: (600, 600, 3) uint8, nuclei of 25 pixels."""
    from skimage.transform import rescale

    part = rescale(tissue()[212:512, 95:395], 2, order=3, channel_axis=-1)
    return (255 * part).round().astype(np.uint8)


def cell() -> npt.NDArray[np.uint8]:
    """Return a single floating cell in quantitative phase: (660, 550) uint8."""
    from skimage import data

    return data.cell()


def coins() -> npt.NDArray[np.uint8]:
    """Return a photograph of Greek coins: (303, 384) uint8."""
    from skimage import data

    return data.coins()


def nuclei(size: tuple[int, int] = (512, 512), *, seed: int = 0) -> Sample:
    """Draw nuclei and their true labels: (H, W, 3) uint8 and (H, W) int32, the same for the same seed."""
    from napari_sam.data.synthetic import synthetic_sample

    return synthetic_sample(np.random.default_rng(seed), size=size, kind="nuclei")


def demo_sample() -> DemoSample:
    """Return the picture that `napari-sam demo` segments, with its fixed clicks."""
    return DemoSample(
        name="stroma",
        image=stroma(),
        clicks=_STROMA_CLICKS,
        source="tissue between colon glands, nuclei blue, from the sample data of scikit-image, enlarged twice",
    )
