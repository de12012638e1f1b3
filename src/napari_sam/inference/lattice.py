"""The fixed lattice of windows over an image, numbered, so that what was computed of them can be kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from napari_sam.inference.windows import CLOSE_SCALE, lattice_origins, level_scales, whole_window
from napari_sam.model.build import SamSpec
from napari_sam.types import Window

__all__ = ["Lattice", "Site", "fit_to_input", "looks_through_windows"]

Site = tuple[int, int, int]  # level, row and column of a window in the lattice
WHOLE_LIMIT = 2  # times its input's side: up to here a model that is not windowed sees images whole


def looks_through_windows(spec: SamSpec, shape: tuple[int, int]) -> bool:
    """Tell whether a model sees an image of (H, W) pixels in parts rather than whole."""
    return max(shape) > (1 if spec.windowed else WHOLE_LIMIT) * spec.img_size


def fit_to_input(spec: SamSpec, window: Window) -> Window:
    """Return a window as a model sees it: MedSAM stretches all to its square input."""
    if spec.preprocess != "medsam":
        return window
    return replace(window, input_height=spec.img_size, input_width=spec.img_size)


@dataclass(frozen=True)
class Lattice:
    """Number the windows through which a model sees an image of (H, W) pixels.

    Levels are those of `level_scales`, and for windowed models -1: the windows that show small objects twice as large.
    """

    spec: SamSpec
    shape: tuple[int, int]

    @cached_property
    def scales(self) -> dict[int, float]:
        """Model pixels an image pixel for each level, from fine to coarse; the last shows the whole image."""
        scales = level_scales(self.shape, self.spec.img_size)
        if not looks_through_windows(self.spec, self.shape):
            scales = scales[-1:]
        closer = {-1: CLOSE_SCALE} if self.spec.windowed and scales[0] < CLOSE_SCALE else {}
        return closer | dict(enumerate(scales))

    def origins(self, level: int) -> tuple[list[int], list[int]]:
        """List the first rows and the first columns of a level's windows."""
        if level == max(self.scales):
            return [0], [0]
        side = self._side(level)
        return lattice_origins(self.shape[0], side), lattice_origins(self.shape[1], side)

    def window(self, site: Site) -> Window:
        """Return the window of a site."""
        level, row, col = site
        if level == max(self.scales):
            return fit_to_input(self.spec, whole_window(self.shape, self.spec.img_size))
        scale = self.scales[level]
        height, width = (min(length, self._side(level)) for length in self.shape)
        rows, cols = self.origins(level)
        window = Window(
            row=rows[row],
            col=cols[col],
            height=height,
            width=width,
            input_height=max(1, round(height * scale)),
            input_width=max(1, round(width * scale)),
        )
        return fit_to_input(self.spec, window)

    def blocks(self, level: int, side: int) -> Iterator[list[Site]]:
        """List the sites of a level, those of each block of `side` x `side` windows together."""
        rows, cols = (len(origins) for origins in self.origins(level))
        for top in range(0, rows, side):
            for left in range(0, cols, side):
                yield [
                    (level, row, col)
                    for row in range(top, min(top + side, rows))
                    for col in range(left, min(left + side, cols))
                ]

    def find(self, window: Window) -> Site | None:
        """Return the site of a window, None if it is none of the lattice's."""
        for level in self.scales:
            numbers = []
            for first, origins in zip((window.row, window.col), self.origins(level), strict=True):
                at = bisect_left(origins, first)
                numbers.append(at if at < len(origins) and origins[at] == first else -1)
            site = level, numbers[0], numbers[1]
            if min(numbers) >= 0 and self.window(site) == window:
                return site
        return None

    def _side(self, level: int) -> int:
        return int(self.spec.img_size / self.scales[level])
