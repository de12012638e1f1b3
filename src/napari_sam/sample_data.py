"""Sample pictures: real ones that scikit-image ships inside its wheel (no download), and seeded synthetic nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_sam.data.sample import Sample

__all__ = ["DemoSample", "cell", "coins", "demo_sample", "nuclei", "tissue"]

# One click in each of some well visible nuclei of `tissue`, (row, col).
_TISSUE_CLICKS = (
    (426, 213), (278, 294), (341, 376), (452, 196), (393, 180), (287, 231), (272, 243), (290, 317),
    (257, 109), (272, 490), (254, 299), (401, 238), (232, 485), (459, 180), (426, 173), (502, 453),
    (467, 216), (241, 306), (139, 492), (492, 241), (357, 189), (268, 172), (162, 472), (44, 484),
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
        One sentence that says where the picture comes from.
    """

    name: str
    image: npt.NDArray[np.uint8]
    clicks: tuple[tuple[int, int], ...]
    source: str


def tissue() -> npt.NDArray[np.uint8]:
    """Return a stained section of colon glands, its nuclei blue: (512, 512, 3) uint8."""
    from skimage import data

    return data.immunohistochemistry()


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
        name="tissue",
        image=tissue(),
        clicks=_TISSUE_CLICKS,
        source="colon glands, immunohistochemistry, from the sample data of scikit-image",
    )
