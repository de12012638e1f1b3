"""Points that the model itself proposes: one in the middle of each object that its object head sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_sam.inference.views import View
from napari_sam.inference.windows import window_around
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.ops.seeds import find_seeds

__all__ = ["propose_points"]


def propose_points(model: Sam, view: View, decoder: FoldedDecoder, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the points of the objects that a view is in charge of.

    Parameters
    ----------
    model, view, decoder
        What looks at what; of a model with an object head.
    shape
        (H, W) of the region. Where windows overlap, a point belongs to the one in whose middle it lies.

    Returns
    -------
    (n, 2) rows and columns in pixels of the region.
    """
    assert decoder.objects is not None  # noqa: S101 - views propose only for models with an object head
    window = view.window
    cell = model.img_size / model.mask_size  # model pixels
    rows, cols = (int(np.ceil(side / cell)) for side in (window.input_height, window.input_width))
    foreground, middle = (
        logits[0, :rows, :cols].sigmoid().cpu().numpy()
        for logits in (decoder.objects.foreground, decoder.objects.middle)
    )
    _, cells = find_seeds(foreground, middle)
    points = ((cells + 0.5) * cell - 0.5) / np.array(window.scale) + np.array([window.row, window.col])
    points = np.clip(points, 0, np.array(shape) - 1)
    own = [window_around(shape, model.img_size, (float(r), float(c)), view.level) == window for r, c in points]
    return points[np.array(own, bool)] if len(points) else points
