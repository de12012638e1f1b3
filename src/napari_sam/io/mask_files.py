"""Files of masks, their format told by the extension."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import check_folder, write_whole
from napari_sam.io.coco_masks import decode_coco, encode_coco
from napari_sam.io.csv_masks import decode_csv, encode_csv
from napari_sam.io.geojson_masks import decode_geojson, encode_geojson
from napari_sam.io.mask_entries import DAMAGED, MaskEntries, left_out
from napari_sam.io.mask_fields import MaskRows
from napari_sam.io.roi_masks import decode_rois, encode_rois
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.paths import local_path

__all__ = ["DECODE", "MASK_FORMATS", "check_mask_output", "read_mask_entries", "read_masks", "write_masks"]

MASK_FORMATS = {".json": "COCO", ".geojson": "GeoJSON", ".zip": "ImageJ ROI", ".csv": "CSV"}
_ENCODE = {".json": encode_coco, ".geojson": encode_geojson, ".zip": encode_rois, ".csv": encode_csv}
DECODE = {".json": decode_coco, ".geojson": decode_geojson, ".zip": decode_rois, ".csv": decode_csv}


def write_masks(
    path: str | Path,
    records: Sequence[MaskRecord],
    features: MaskRows | None = None,
    image_name: str = "",
    *,
    shape: tuple[int, int] | None = None,
) -> None:
    """Write masks as COCO (.json), GeoJSON (.geojson), ImageJ ROIs (.zip) or a table (.csv), wholly or not at all.

    Parameters
    ----------
    path
        The file; its extension tells the format.
    records
        Masks of one image, none of them empty.
    features
        Columns with a value for each record; a column `label` numbers the masks, else they are 1 to n.
    image_name
        File name of the image, for COCO and GeoJSON.
    shape
        (H, W) of the image, needed where there are no records.

    Raises
    ------
    InputError
        If the extension is unknown, the records do not belong together, or the file cannot be written.
    """
    path = local_path(path)
    check_mask_output(path)
    shapes = {tuple(record.image_shape) for record in records} | ({tuple(shape)} if shape else set())
    if len(shapes) != 1:
        found = ", ".join(map(str, sorted(shapes))) or "none"
        raise InputError(f"The shape of the masks' image must be one and is {found}: give masks of one image.")
    empty = [index for index, record in enumerate(records, start=1) if record.area == 0]
    if empty:
        raise InputError(f"Mask {empty[0]} has no pixels: leave it out of {path.name}.")
    height, width = shapes.pop()
    write_whole(path, _ENCODE[path.suffix.lower()](records, (height, width), features or {}, image_name))


def read_masks(path: str | Path, shape: tuple[int, int]) -> list[MaskRecord]:
    """Read the masks of an image of (H, W) pixels, in the order of the file; scores that it lacks are 1.

    Entries that are no masks of the image are left out; a `UserWarning` names them.

    Raises
    ------
    InputError
        As `read_mask_entries`.
    """
    found = read_mask_entries(path, shape)
    if found.problems:
        warnings.warn(left_out(found.problems, path), UserWarning, stacklevel=2)
    return found.records


def read_mask_entries(path: str | Path, shape: tuple[int, int]) -> MaskEntries:
    """Read the masks of an image of (H, W) pixels, the numbers that the file gives them, and what is left out.

    Raises
    ------
    InputError
        If the extension is unknown, the file is missing or damaged, or belongs to an image of another size, or no entry
        can be used.
    """
    path = local_path(path)
    suffix = _suffix(path, "read masks from")
    try:
        return DECODE[suffix](path.read_bytes(), (int(shape[0]), int(shape[1])))
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}): give an existing file of masks.") from error
    except InputError as error:
        raise InputError(f"Cannot use the masks in {path}: {str(error).rstrip('.')}.") from error
    except DAMAGED as error:
        reason = f"{type(error).__name__}: {error}".split("\n")[0].rstrip(".")
        kind = MASK_FORMATS[suffix]
        raise InputError(f"{path} is damaged or no {kind} file of masks ({reason}): write it anew.") from error


def check_mask_output(path: str | Path) -> None:
    """Check that masks can be written to `path`, before any work is done; raise InputError if not."""
    _suffix(local_path(path), "write masks to")
    check_folder(local_path(path))


def _suffix(path: Path, doing: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in MASK_FORMATS:
        allowed = ", ".join(f"{known} ({name})" for known, name in MASK_FORMATS.items())
        raise InputError(f"Cannot {doing} {path}: the extension {suffix!r} is unknown, give one of {allowed}.")
    return suffix
