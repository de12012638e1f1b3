"""Which part of a large image the model looks at, and at which scale."""

from __future__ import annotations

import math

from napari_sam.types import BoolArray, Window

__all__ = [
    "close_up",
    "close_window",
    "is_small",
    "lattice_origins",
    "level_scales",
    "place_around",
    "place_window",
    "touches_inner_edge",
    "whole_window",
    "window_around",
]

SPREAD = 0.75  # prompts may span this share of a window
BOX_MARGIN = 1.5  # a box and this much around it must fit
CLOSE_SCALE = 2.0  # model pixels an image pixel when looking at small objects
CLOSE_SIZE = 0.2  # objects up to this share of the input are small
EDGE_PIXELS = 4  # so many mask pixels on an edge that is not the image's border: the object goes on


def whole_window(shape: tuple[int, int], img_size: int) -> Window:
    """Return the window of the whole image, its long side scaled to `img_size` (the authors' rule)."""
    scale = img_size / max(shape)
    # the authors round half up, and only at the end
    height, width = (max(1, int(side * scale + 0.5)) for side in shape)  # a thin strip keeps a row
    return Window(row=0, col=0, height=shape[0], width=shape[1], input_height=height, input_width=width)


def level_scales(shape: tuple[int, int], img_size: int) -> list[float]:
    """List the scales (model pixels an image pixel) from fine to coarse.

    An image that fits one window has one level, the whole of it. A larger one has 1, 1/2, 1/4, ... and last the scale
    at which all of it fits.
    """
    whole = img_size / max(shape)
    scales = []
    scale = 1.0
    while scale > whole:
        scales.append(scale)
        scale /= 2
    return [*scales, whole]


def place_window(
    shape: tuple[int, int], img_size: int, extent: tuple[float, float, float, float], *, box: bool, level: int = 0
) -> tuple[Window, int]:
    """Choose the window for prompts that span `extent`.

    The window lies on a lattice with steps of half a window, shifted to stay inside the image; of all it is the one
    whose centre is nearest to that of the prompts. The level rises until the prompts fit.

    Parameters
    ----------
    shape
        (H, W) of the image.
    img_size
        Side of the model's input.
    extent
        (row0, col0, row1, col1) around all prompts.
    box
        Whether a box is among them, so that the extent tells the object's size.
    level
        The finest level to try, an index of `level_scales`.

    Returns
    -------
    window, level
        The window, and the level it was taken from.
    """
    scales = level_scales(shape, img_size)
    row0, col0, row1, col1 = extent
    span = max(row1 - row0, col1 - col0)
    for number in range(level, len(scales) - 1):
        side = int(img_size / scales[number])
        limit = side / BOX_MARGIN if box else side * SPREAD
        if span > limit:
            continue
        window = _on_lattice(shape, side, ((row0 + row1) / 2, (col0 + col1) / 2), scales[number])
        if _inside(window, extent):
            return window, number
    return whole_window(shape, img_size), len(scales) - 1


def place_around(
    shape: tuple[int, int],
    img_size: int,
    extent: tuple[float, float, float, float],
    anchor: tuple[float, float],
    *,
    level: int = 0,
) -> tuple[Window, int]:
    """Choose the window for prompts that span `extent` with `anchor` (row, col) in its middle.

    What it shows moves along with the anchor, pixel by pixel, so an object looks the same wherever it lies, unless the
    image's border, inside of which the window stays, is near. The rest is as in `place_window`.
    """
    scales = level_scales(shape, img_size)
    span = max(extent[2] - extent[0], extent[3] - extent[1])
    for number in range(level, len(scales) - 1):
        side = int(img_size / scales[number])
        window = _around(shape, side, anchor, scales[number])
        if span <= side * SPREAD and _inside(window, extent):
            return window, number
    return whole_window(shape, img_size), len(scales) - 1


def close_up(
    shape: tuple[int, int],
    img_size: int,
    extent: tuple[float, float, float, float],
    scale: float,
    anchor: tuple[float, float] | None = None,
) -> Window | None:
    """Return a window that shows an object twice as large as at scale 1, if it is small and is not shown so already.

    Parameters
    ----------
    shape, img_size
        As in `place_window`.
    extent
        (row0, col0, row1, col1) of the object.
    scale
        At which it was looked at.
    anchor
        (row, col) of the window's middle; None takes the window of the lattice that suits the object best.
    """
    row0, col0, row1, col1 = extent
    side = int(img_size / CLOSE_SCALE)
    if not is_small(img_size, extent, scale):
        return None
    if anchor is not None:
        return _around(shape, side, anchor, CLOSE_SCALE)
    return _on_lattice(shape, side, ((row0 + row1) / 2, (col0 + col1) / 2), CLOSE_SCALE)


def is_small(img_size: int, extent: tuple[float, float, float, float], scale: float) -> bool:
    """Tell whether an object that spans (row0, col0, row1, col1) is looked at twice as large as at scale 1.

    `scale` is the one at which it would be looked at otherwise.
    """
    return scale < CLOSE_SCALE and max(extent[2] - extent[0], extent[3] - extent[1]) <= CLOSE_SIZE * img_size


def close_window(shape: tuple[int, int], img_size: int, origin: tuple[int, int]) -> Window:
    """Return the window that begins at `origin` (row, col) and shows what is in it twice as large as at scale 1."""
    return _window(shape, origin, int(img_size / CLOSE_SCALE), CLOSE_SCALE)


def window_around(shape: tuple[int, int], img_size: int, point: tuple[float, float], level: int) -> Window:
    """Return the window of the lattice in whose middle a point (row, col) lies.

    Parameters
    ----------
    shape, img_size
        As in `place_window`.
    point
        (row, col).
    level
        An index of `level_scales`; -1, -2, ... show the image twice, four times as large as at scale 1.
    """
    if level < 0:
        return _on_lattice(shape, max(1, img_size >> -level), point, float(2**-level))
    scales = level_scales(shape, img_size)
    if level >= len(scales) - 1:
        return whole_window(shape, img_size)
    return _on_lattice(shape, int(img_size / scales[level]), point, scales[level])


def touches_inner_edge(
    mask: BoolArray, window: Window, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> bool:
    """Tell whether a mask goes on beyond an edge of its window that is not the image's border.

    Parameters
    ----------
    mask
        (h, w) bool, a part of the window that holds all of the mask.
    window, shape
        Where the model looked, and (H, W) of the image.
    origin
        (row, col) of the mask's first pixel in the window.
    """
    bottom, right = origin[0] + mask.shape[0], origin[1] + mask.shape[1]
    inner = [
        mask[0] if window.row > 0 and origin[0] == 0 < len(mask) else None,
        mask[:, 0] if window.col > 0 and origin[1] == 0 < mask.shape[1] else None,
        mask[-1] if window.row + window.height < shape[0] and bottom == window.height and len(mask) else None,
        mask[:, -1] if window.col + window.width < shape[1] and right == window.width and mask.shape[1] else None,
    ]
    return any(edge is not None and int(edge.sum()) >= EDGE_PIXELS for edge in inner)


def lattice_origins(length: int, side: int) -> list[int]:
    """List where the lattice's intervals of `side` pixels begin along an axis: every half side, and at the end."""
    if length <= side:
        return [0]
    last = length - side
    return [*range(0, last, side // 2), last]


def _inside(window: Window, extent: tuple[float, float, float, float]) -> bool:
    row0, col0, row1, col1 = extent
    rows = window.row <= row0 + 0.5 and row1 <= window.row + window.height
    return rows and window.col <= col0 + 0.5 and col1 <= window.col + window.width


def _on_lattice(shape: tuple[int, int], side: int, centre: tuple[float, float], scale: float) -> Window:
    rows, cols = (_nearest(length, side, middle) for length, middle in zip(shape, centre, strict=True))
    return _window(shape, (rows, cols), side, scale)


def _around(shape: tuple[int, int], side: int, centre: tuple[float, float], scale: float) -> Window:
    rows, cols = (
        # rounded half up: the same for all shifts by whole pixels
        min(max(0, math.floor(middle + 0.5) - side // 2), max(0, length - side))
        for length, middle in zip(shape, centre, strict=True)
    )
    return _window(shape, (rows, cols), side, scale)


def _window(shape: tuple[int, int], origin: tuple[int, int], side: int, scale: float) -> Window:
    height, width = min(shape[0], side), min(shape[1], side)
    return Window(
        row=origin[0],
        col=origin[1],
        height=height,
        width=width,
        input_height=max(1, round(height * scale)),
        input_width=max(1, round(width * scale)),
    )


def _nearest(length: int, side: int, centre: float) -> int:
    """Return where the lattice interval begins whose middle is nearest to `centre`."""
    if length <= side:
        return 0
    step = side // 2
    last = length - side
    below = min(int(max(0.0, centre - side / 2) // step) * step, last)
    candidates = {below, min(below + step, last), last}
    return min(sorted(candidates), key=lambda origin: abs(origin + side / 2 - centre))
