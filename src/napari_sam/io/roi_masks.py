"""Masks as ImageJ ROIs in a zip, through roifile.

A mask of one part without holes is a traced polygon with whole-number corners, what ImageJ's wand makes;
any other mask, and one beyond ImageJ's 16 bits, is a composite. Both are exact: ImageJ counts a pixel to an area
if its centre is inside, as this project does.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.mask_entries import MaskEntries, gather
from napari_sam.io.mask_fields import MaskRows, check_size, feature_values, flat_fields, flat_scores, mask_labels
from napari_sam.io.outlines import outline_to_record
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Polygon, mask_polygons

if TYPE_CHECKING:
    from roifile import ImagejRoi

__all__ = ["decode_rois", "encode_rois", "holds_rois"]

AREAS = ("POLYGON", "FREEHAND", "TRACED", "RECT", "OVAL")
LARGEST = 60535  # ImageJ takes 16-bit numbers above this for negative ones
MOVE, LINE, CLOSE = 0.0, 1.0, 4.0  # java.awt.geom.PathIterator
ENTRY_BYTES = 2**28


def encode_rois(
    records: Sequence[MaskRecord], shape: tuple[int, int], features: MaskRows, image_name: str = ""
) -> bytes:
    """Return the zip's content: a ROI for each mask, scores and features in its properties.

    ImageJ's format has no place for the name of an image; it is not written.
    """
    labels = mask_labels(features, len(records))
    digits = max(4, len(str(max(labels, default=0))))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, (record, label) in enumerate(zip(records, labels, strict=True)):
            roi = _roi(mask_polygons(record.patch, (record.box[0], record.box[1])))
            roi.name = f"mask-{label:0{digits}d}"
            fields = {"image_height": int(shape[0]), "image_width": int(shape[1]), **flat_fields(record)}
            extra = feature_values(features, index, ("area", *fields))
            numbers = {name.replace(":", "_"): value for name, value in extra.items() if isinstance(value, int | float)}
            roi.properties = {**numbers, "area": int(record.area), **fields}
            archive.writestr(f"{roi.name}.roi", roi.tobytes())
    return stream.getvalue()


def decode_rois(data: bytes, shape: tuple[int, int]) -> MaskEntries:
    """Return the masks of the area ROIs of a zip; what macOS adds to zips is passed over.

    Ovals become polygons of 32 corners, as roifile draws them; splines and the fractions of rectangles are not read.

    Raises
    ------
    InputError
        If there are no ROIs, or none that is an area in an image of this size.
    zipfile.BadZipFile, RuntimeError
        If it is no zip.
    """
    from roifile import ImagejRoi

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".roi") and not _of_macos(name)]
        if not names and archive.namelist():
            raise InputError("the zip has no .roi files in it")

        def make(name: str) -> MaskRecord:
            with archive.open(name) as entry:
                return _record(ImagejRoi.frombytes(entry.read(ENTRY_BYTES)), shape)

        return gather(((name, name) for name in names), make, _number_in)


def holds_rois(path: str | Path) -> bool:
    """Tell whether a file is a zip with ImageJ ROIs in it, rather than one of an image or of anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _of_macos(name: str) -> bool:
    """Tell whether an entry of a zip holds no more than what the Finder notes of another."""
    *folders, file = name.split("/")
    return "__MACOSX" in folders or file.startswith("._")


def _number_in(name: str) -> str:
    """Return the number of "mask-0007.roi", as `encode_rois` names them; "" of other names."""
    found = re.fullmatch(r"(?:.*/)?mask-(\d+)\.roi", name)
    return found[1] if found else ""


def _roi(polygons: Sequence[Polygon]) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    rings = [ring[:, ::-1].astype(np.int32) for polygon in polygons for ring in (polygon.outer, *polygon.holes)]
    corners = np.concatenate(rings)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    bounds = {"left": left, "top": top, "right": right, "bottom": bottom}
    if len(rings) == 1 and max(right, bottom) <= LARGEST:
        return ImagejRoi(
            roitype=ROI_TYPE.TRACED, n_coordinates=len(corners), integer_coordinates=corners - (left, top), **bounds
        )
    path: list[float] = []
    for ring in rings:
        steps = np.column_stack([np.full(len(ring), LINE), ring])
        steps[0, 0] = MOVE
        path += [*steps.ravel().tolist(), CLOSE]
    return ImagejRoi(
        roitype=ROI_TYPE.RECT, shape_roi_size=len(path), multi_coordinates=np.array(path, np.float32), **bounds
    )


def _record(roi: ImagejRoi, shape: tuple[int, int]) -> MaskRecord:
    if roi.roitype.name not in AREAS:
        raise InputError(f"it is a {roi.roitype.name}, and only areas are masks")
    fields = roi.properties
    if "image_height" in fields and "image_width" in fields:
        check_size((fields["image_height"], fields["image_width"]), shape)
    outer, *holes = (ring[:, ::-1].astype(np.float64) for ring in roi.coordinates(multi=True))
    return outline_to_record([Polygon(outer, tuple(holes))], shape, flat_scores(fields))
