"""Several images at once: from folders, patterns and names to files, and a name for each result."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from napari_sam.errors import InputError

__all__ = ["image_stem", "list_images_of", "name_results", "names_several"]

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".svs", ".ndpi", ".lsm", ".qptiff", ".scn", ".npy"),
    *(".zarr", ".ozx", ".czi", ".nd2", ".lif", ".nii", ".nii.gz", ".dcm"),
)
DOUBLE = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.zarr", ".ome.png", ".nii.gz", ".tar.gz")
ZARR = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


def names_several(arguments: Sequence[str | Path]) -> bool:
    """Tell whether arguments name several images: several places, a pattern, or a folder of images."""
    return len(arguments) > 1 or any(_is_pattern(str(place)) or _is_folder(Path(place)) for place in arguments)


def list_images_of(arguments: Sequence[str | Path]) -> list[Path]:
    """Return the images that arguments name, each once, in the order of the arguments, those of a folder by name.

    Parameters
    ----------
    arguments
        Files, Zarrs, folders (of which the images, not those of folders inside), and patterns such as `plate/*.tif`.

    Raises
    ------
    InputError
        If a place is not there, or there is no image in a folder or for a pattern.
    """
    found: dict[Path, None] = {}
    for place in map(str, arguments):
        if _is_pattern(place):
            images = [Path(name) for name in sorted(glob.glob(place, recursive=True)) if _is_image(Path(name))]
            if not images:
                raise InputError(f"No image is called {place}: give a pattern such as 'images/*.tif'.")
        elif _is_folder(Path(place)):
            images = sorted(path for path in Path(place).iterdir() if _is_image(path))
            if not images:
                raise InputError(f"There are no images in the folder {place}: give one that holds some.")
        else:
            images = [Path(place)]
            if not images[0].exists() and ".zarr" not in place:
                raise InputError(f"There is no file {place}: give an existing image, folder or pattern.")
        found |= dict.fromkeys(images)
    return list(found)


def image_stem(image: Path) -> str:
    """Return the name of an image without its extension: `a` of `a.ome.tif`."""
    name = image.name
    double = next((ending for ending in DOUBLE if name.lower().endswith(ending)), "")
    return name[: -len(double)] if double else image.stem


def name_results(images: Sequence[Path]) -> list[str]:
    """Return a name without extension for the result of each image, all different, whatever the case of letters.

    The stem; where several images have the same, their whole names (`a.png`, `a.tif`), or those with their folder
    (`day1_a`, `day2_a`), or with a number.
    """
    forms = (
        image_stem,
        lambda image: image.name,
        lambda image: f"{image.absolute().parent.name}_{image_stem(image)}",
        lambda image: f"{image.absolute().parent.name}_{image.name}",
    )
    names = [""] * len(images)
    open_ = list(range(len(images)))
    taken: set[str] = set()
    for form in forms:
        candidates = {place: form(images[place]) for place in open_}
        lower = [name.lower() for name in candidates.values()]
        for place, name in candidates.items():
            if lower.count(name.lower()) == 1 and name.lower() not in taken:
                names[place] = name
        taken |= {names[place].lower() for place in open_ if names[place]}
        open_ = [place for place in open_ if not names[place]]
    for place in open_:
        number = next(k for k in range(2, len(images) + 2) if f"{image_stem(images[place])}_{k}".lower() not in taken)
        names[place] = f"{image_stem(images[place])}_{number}"
        taken.add(names[place].lower())
    return names


def _is_pattern(place: str) -> bool:
    return any(letter in place for letter in "*?[") and not Path(place).exists() and "://" not in place


def _is_folder(path: Path) -> bool:
    """Tell whether a place is a folder of images, rather than an image that is a folder."""
    if not path.is_dir() or any((path / name).exists() for name in ZARR) or ".zarr" in path.suffix.lower():
        return False
    return not any(file.suffix.lower() == ".dcm" for file in path.iterdir())  # a series is one image


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.name.lower().endswith(EXTENSIONS)
