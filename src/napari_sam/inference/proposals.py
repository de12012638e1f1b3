"""What the model itself proposes to ask for: a box around each object that its object head sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.inference.views import View
from napari_sam.inference.windows import CLOSE_SIZE, window_around
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.ops.seeds import find_seeds, grow_seeds

__all__ = ["Proposals", "propose"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Proposals:
    """Hold n objects that a view is in charge of.

    Parameters
    ----------
    points, boxes
        (n, 2) middles and (n, 4) boxes (row0, col0, row1, col1) in pixels of the region.
    """

    points: Points
    boxes: Points

    def split(self, chosen: npt.NDArray[np.bool_]) -> tuple[Proposals, Proposals]:
        """Return those that are chosen, and the others."""
        return Proposals(self.points[chosen], self.boxes[chosen]), Proposals(self.points[~chosen], self.boxes[~chosen])

    def small(self, size: int) -> npt.NDArray[np.bool_]:
        """Tell which are so small that a model of that input size had better look twice as closely."""
        return (self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1, initial=0) <= CLOSE_SIZE * size


def propose(model: Sam, view: View, decoder: FoldedDecoder, shape: tuple[int, int]) -> Proposals:
    """Find the objects in a view by a watershed on the maps of the object head.

    Parameters
    ----------
    model, view, decoder
        What looks at what; of a model with an object head.
    shape
        (H, W) of the region. Where windows overlap, an object belongs to the one in whose middle its own lies.
    """
    assert decoder.objects is not None  # noqa: S101 - views propose only for models with an object head
    window = view.window
    cell = model.img_size / model.mask_size  # model pixels
    rows, cols = (int(np.ceil(side / cell)) for side in (window.input_height, window.input_width))
    maps = decoder.objects.foreground, decoder.objects.middle
    foreground, middle = (logits[0, :rows, :cols].sigmoid().cpu().numpy() for logits in maps)
    markers, middles = find_seeds(foreground, middle)
    regions = ndimage.find_objects(grow_seeds(foreground, middle, markers))
    found = [number for number, region in enumerate(regions) if region is not None]
    scale, origin = np.array(window.scale), np.array([window.row, window.col])
    corners = np.array([[r.start, c.start, r.stop, c.stop] for r, c in (regions[n] for n in found)], float)
    points = ((middles[found] + 0.5) * cell - 0.5).reshape(-1, 2) / scale + origin
    boxes = corners.reshape(-1, 4) * cell / np.tile(scale, 2) + np.tile(origin, 2)
    points = np.clip(points, 0, np.array(shape) - 1)
    boxes = np.clip(boxes, 0, np.tile(np.array(shape), 2))
    mine = [window_around(shape, model.img_size, (float(r), float(c)), view.level) == window for r, c in points]
    return Proposals(points, boxes).split(np.array(mine, bool))[0]
