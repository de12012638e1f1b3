"""One mask that was found automatically, and what is known of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.ops.polygons import Polygon, mask_polygons
from napari_sam.ops.rle import coco_rle, mask_to_runs
from napari_sam.types import BoolArray

__all__ = ["MaskRecord"]


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """Hold one mask; its pixels are kept as packed bits of its box only, whatever the image's size.

    Parameters
    ----------
    box
        (row0, col0, row1, col1) around the mask, exclusive ends; zeros for an empty mask.
    area
        Its pixels.
    predicted_iou, stability_score
        What the model thinks of it, and how little it depends on where the logits are cut.
    point
        (row, col) of the prompt.
    crop_box
        (row0, col0, row1, col1) of the part of the image that the model looked at.
    image_shape
        (H, W) of the image.
    group
        Number of the crop, or of the scale of windows, within which duplicates are removed first.
    bits
        The (row1 - row0, col1 - col0) mask inside the box, packed and compressed; see `from_patch`.
    """

    box: tuple[int, int, int, int]
    area: int
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    crop_box: tuple[int, int, int, int]
    image_shape: tuple[int, int]
    group: int = 0
    bits: bytes = field(repr=False)

    @classmethod
    def from_patch(
        cls,
        patch: BoolArray,
        origin: tuple[int, int] = (0, 0),
        *,
        image_shape: tuple[int, int],
        predicted_iou: float = 1.0,
        stability_score: float = 1.0,
        point: tuple[float, float] | None = None,
        crop_box: tuple[int, int, int, int] | None = None,
        group: int = 0,
    ) -> MaskRecord:
        """Make a record of a (h, w) bool mask whose first pixel lies at `origin` in the image.

        `point` becomes the middle of the box, and `crop_box` the whole image, where they are not given.
        """
        rows, cols = np.flatnonzero(patch.any(axis=1)), np.flatnonzero(patch.any(axis=0))
        box, bits, area = (0, 0, 0, 0), b"", 0
        if len(rows):
            cut = patch[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
            top, left = int(rows[0]) + origin[0], int(cols[0]) + origin[1]
            box = (top, left, top + cut.shape[0], left + cut.shape[1])
            area = int(np.count_nonzero(cut))
            bits = zlib.compress(np.packbits(cut).tobytes(), 1)
        return cls(
            box=box,
            area=area,
            predicted_iou=predicted_iou,
            stability_score=stability_score,
            point=((box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2) if point is None else point,
            crop_box=(0, 0, *image_shape) if crop_box is None else crop_box,
            image_shape=image_shape,
            group=group,
            bits=bits,
        )

    @property
    def patch(self) -> BoolArray:
        """(row1 - row0, col1 - col0) bool mask inside the box."""
        height, width = self.box[2] - self.box[0], self.box[3] - self.box[1]
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8) if self.bits else np.empty(0, np.uint8)
        return np.unpackbits(packed, count=height * width).reshape(height, width).astype(bool)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in a (H, W, ...) array."""
        return slice(self.box[0], self.box[2]), slice(self.box[1], self.box[3])

    @property
    def mask(self) -> BoolArray:
        """(H, W) bool mask of the whole image; made anew each time."""
        full = np.zeros(self.image_shape, bool)
        full[self.slices] = self.patch
        return full

    @property
    def runs(self) -> npt.NDArray[np.int64]:
        """Run lengths in column order over the whole image, the first of background."""
        return mask_to_runs(self.patch, (self.box[0], self.box[1]), self.image_shape)

    @property
    def rle(self) -> dict[str, Any]:
        """COCO's compressed run lengths {"size": [H, W], "counts": text}, as pycocotools reads them."""
        return coco_rle(self.runs, self.image_shape)

    @property
    def polygons(self) -> list[Polygon]:
        """Exact outlines in pixel corners (row, col) of the image, holes included; see `mask_polygons`."""
        return mask_polygons(self.patch, (self.box[0], self.box[1]))

    def with_patch(self, patch: BoolArray, origin: tuple[int, int]) -> MaskRecord:
        """Return the same record with other pixels."""
        new = MaskRecord.from_patch(patch, origin, image_shape=self.image_shape)
        return replace(self, box=new.box, area=new.area, bits=new.bits)
