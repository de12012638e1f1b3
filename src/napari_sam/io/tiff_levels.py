"""TIFF and its relatives (ImageJ, OME, SVS, NDPI, LSM, QPTIFF) as lazy arrays, through tifffile's Zarr interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_sam.errors import InputError
from napari_sam.io.image_level import ImageLevel, ImageRecord, Sizes, check_axes, guess_axes, specimen_sizes

__all__ = ["read_tiff_levels"]

UNITS = {"µm": "micrometer", "um": "micrometer", "micron": "micrometer", "nm": "nanometer", "mm": "millimeter"}
UNNAMED = set("QIYX")  # tifffile's letters where a file names no axis
ALPHA = (1, 2)  # what TIFF calls extra samples that say how opaque a pixel is


def read_tiff_levels(path: str, axes: Sequence[str] | None = None) -> ImageRecord:
    """Open the first series of a TIFF file; no pixels are read.

    Parameters
    ----------
    path
        A file.
    axes
        Names of the axes instead of those that the file tells.

    Raises
    ------
    InputError
        If it is no TIFF, damaged, or its axes or compression cannot be read.
    """
    import tifffile
    import zarr

    try:
        file = tifffile.TiffFile(path)  # stays open: the arrays read from it
        series = file.series[0]
        compression = series.keyframe.compression
        if compression not in tifffile.TIFF.DECOMPRESSORS:
            name = tifffile.COMPRESSION(compression).name
            raise InputError(f"{path} is compressed by {name}, which cannot be read here: pip install -U imagecodecs.")
        arrays = [zarr.open_array(level.aszarr(level=0), mode="r") for level in series.levels]
        sizes, names = _metadata(file, series)
        alpha = _alpha(series.keyframe)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError, tifffile.TiffFileError) as error:
        raise InputError(f"Cannot open {path} as TIFF ({str(error).rstrip('.')}): the file is damaged.") from error
    shapes = [tuple(int(side) for side in array.shape) for array in arrays]
    axes = check_axes(axes or _axes(series.axes, shapes[0]), shapes, path)
    levels = tuple(_level(array, shapes[0], axes, sizes) for array in arrays)
    return ImageRecord(axes=axes, levels=levels, channel_names=names, alpha=alpha if "c" in axes else None)


def _alpha(page: Any) -> int | None:
    """Return the number of the sample that the file calls alpha."""
    extra = tuple(int(kind) for kind in page.extrasamples or ())
    found = [number for number, kind in enumerate(extra) if kind in ALPHA]
    return int(page.samplesperpixel) - len(extra) + found[0] if found else None


def _axes(letters: str, shape: tuple[int, ...]) -> list[str]:
    """Name tifffile's axes: samples are channels, an axis without a meaning is z, or t where there is a z.

    Where no axis is named, a last one that is too short for an image holds channels.
    """
    guess = guess_axes(shape)
    if guess[-1:] == ("c",) and set(letters) <= UNNAMED:
        return list(guess)
    known = [{"S": "c"}.get(letter, letter.lower()) for letter in letters]
    axes = []
    for letter in known:
        free = [axis for axis in "zt" if axis not in known and axis not in axes]
        axes.append(letter if letter in "tczyx" or not free else free[0])
    return axes


def _level(array: Any, finest: tuple[int, ...], axes: tuple[str, ...], sizes: Sizes) -> ImageLevel:
    """Scale a level by its shape; its first pixel's centre lies where the pixels that it stands for have theirs."""
    base = [sizes.get(axis, (1.0, ""))[0] for axis in axes]
    scale = [size * whole / side for size, whole, side in zip(base, finest, array.shape, strict=True)]
    shift = [(coarse - fine) / 2 for coarse, fine in zip(scale, base, strict=True)]
    return ImageLevel(array, tuple(scale), tuple(shift), tuple(sizes.get(axis, (1.0, ""))[1] for axis in axes))


def _metadata(file: Any, series: Any) -> tuple[Sizes, tuple[str, ...]]:
    """Return what the file says of its pixels' sizes and its channels."""
    if file.is_ome:
        return _ome_metadata(file.ome_metadata)
    page = series.keyframe
    if file.is_svs:
        from tifffile.tifffile import svs_description_metadata

        size = float(svs_description_metadata(page.description).get("MPP", 0))
        return _plane_sizes(size, size, "micrometer"), ()
    if file.is_lsm:
        about = file.lsm_metadata or {}
        metres = {axis: float(about.get(f"VoxelSize{axis.upper()}") or 0) for axis in "zyx"}
        return {axis: (size * 1e6, "micrometer") for axis, size in metres.items() if size > 0}, ()
    if file.is_imagej:
        found = file.imagej_metadata or {}
        unit = UNITS.get(str(found.get("unit", "")).replace("\\u00B5", "µ"), "")
        x, y = page.get_resolution()
        sizes = _plane_sizes(1 / y if y else 0, 1 / x if x else 0, unit) if unit else {}
        return {**sizes, **({"z": (float(found["spacing"]), unit)} if found.get("spacing", 0) > 0 else {})}, ()
    x, y = page.get_resolution("MICROMETER") if page.resolutionunit in (2, 3, 4, 5) else (0, 0)
    return specimen_sizes(y, x), ()


def _plane_sizes(y: float, x: float, unit: str) -> Sizes:
    return {"y": (y, unit), "x": (x, unit)} if y > 0 and x > 0 else {}


def _ome_metadata(xml: str) -> tuple[Sizes, tuple[str, ...]]:
    import tifffile

    image = _first(tifffile.xml2dict(xml)["OME"].get("Image", {}))
    pixels = image.get("Pixels", {})
    sizes: dict[str, tuple[float, str]] = {}
    for axis in "zyx":
        size = float(pixels.get(f"PhysicalSize{axis.upper()}") or 0)
        unit = str(pixels.get(f"PhysicalSize{axis.upper()}Unit") or "µm")
        if size > 0:
            sizes[axis] = (size, UNITS.get(unit, ""))
    channels = pixels.get("Channel", [])
    return sizes, tuple(
        str(channel.get("Name") or "") for channel in ([channels] if isinstance(channels, dict) else channels)
    )


def _first(items: Any) -> Any:
    return items if isinstance(items, dict) else items[0]
