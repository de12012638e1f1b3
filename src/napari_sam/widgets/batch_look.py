"""What lies at a place, and what a batch job would make of it, found out without reading pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import InputError
from napari_sam.io.label_store import labels_exist, open_labels
from napari_sam.io.large_image import LargeImage, list_wells, open_large_image
from napari_sam.io.zarr_location import is_remote
from napari_sam.model.torch_imports import load_torch_libraries

if TYPE_CHECKING:
    from napari_sam.config.batch import BatchSettings

__all__ = ["Found", "Plan", "duration_text", "look_at", "plan_job", "suggest_output"]

LABEL_BYTES = 4
PYRAMID = 4 / 3  # all levels together, of the finest


@dataclass(frozen=True, kw_only=True)
class Found:
    """Hold what lies at a place: an image, or the images of a plate, which are taken to be alike."""

    location: str
    kind: str
    image: LargeImage
    wells: int

    @property
    def holds_labels(self) -> bool:
        """Whether the image is one that labels can be written into."""
        return bool(self.image.version) and not self.location.startswith(("http://", "https://"))

    @property
    def levels(self) -> list[str]:
        """The levels in words: "1: 2048 x 2048, 0.5 µm"."""
        row, col = self.image.axes.index("y"), self.image.axes.index("x")
        texts = []
        for number, level in enumerate(self.image.levels):
            unit = {"": "", "micrometer": " µm", "nanometer": " nm"}.get(level.units[row], f" {level.units[row]}")
            size = f", {level.scale[row]:.3g}{unit}" if unit or level.scale[row] != 1 else ""
            texts.append(f"{number}: {level.array.shape[row]} x {level.array.shape[col]}{size}")
        return texts

    @property
    def text(self) -> str:
        """All of it for people, as rich text."""
        image = self.image
        sizes = ", ".join(f"{axis} {size}" for axis, size in image.sizes.items())
        lines = [f"<b>{escape(self.kind)}</b>, {image.dtype}, {sizes}"]
        if self.wells:
            lines.append(f"Plate of {self.wells} images; the first is shown here")
        lines.append(f"{_count(len(image.levels), 'level')}; {escape(_channels_text(image))}")
        return "<br>".join(lines)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Hold what a job would do.

    Parameters
    ----------
    label
        Name of the labels.
    images, planes, tiles, pixels
        How many there are, of all images together.
    goals
        By the name of each image ("" where there is no plate) its location and the OME-Zarr that gets its labels.
    there
        Those of the names whose labels exist, finished or not.
    done
        Tiles that an earlier job has done; None where there was no job.
    begun
        Those of `there` that a job has not finished, with the tiles that it has done: the number of the plane and the
        file with what was found there.
    complete
        Whether that job has nothing left to do.
    job_settings
        Of the earlier job, as plain values.
    other_job
        Whether they are other ones than those of this plan, so that the job cannot be continued.
    free
        Bytes free at the output, None where that is not known.
    """

    label: str
    images: int
    planes: int
    tiles: int
    pixels: int
    goals: Mapping[str, tuple[str, str]]
    there: tuple[str, ...]
    done: int | None
    begun: Mapping[str, tuple[tuple[int, Path], ...]]
    complete: bool
    job_settings: dict[str, Any] | None
    other_job: bool
    free: int | None

    @property
    def label_bytes(self) -> float:
        """Size of the labels and their pyramid before they are packed."""
        return self.pixels * LABEL_BYTES * PYRAMID

    def text(self, rate: float) -> str:
        """All of it for people, as rich text; `rate` is in megapixels a second, 0 if it was never measured."""
        images = f"{self.images} images, " if self.images > 1 else ""
        mega = self.pixels / 1e6
        work = f"{images}{_count(self.planes, 'plane')}, {_count(self.tiles, 'tile')}, {_number(mega)} megapixels"
        disk = f"Disk: at most {_bytes(self.label_bytes)}"
        if self.free is not None:
            disk += f", {_bytes(self.free)} are free"
        left = mega * (1 - (0 if self.other_job else self.done or 0) / max(1, self.tiles))
        time = "Time: unknown until the first tile is done"
        if rate:
            time = f"Time: about {duration_text(left / rate)}, at the {_number(rate)} megapixels/s measured last"
        lines = [work, time, disk]
        if self.other_job:
            lines.append("<b>A job with other settings lies there</b>: take them over, or choose another name.")
        elif self.complete:
            lines = [
                work,
                disk,
                "<b>All is done</b>: <b>Open result</b> shows it; Run looks whether the image changed.",
            ]
        elif self.done is not None and self.done < self.tiles:
            lines.append(
                f"<b>A job lies there</b>, {self.done} of {self.tiles} tiles are done: <b>Go on</b> continues it."
            )
            if self.begun:
                lines.append("<b>Open result</b> shows those tiles.")
        elif self.done is not None:
            lines = [
                work,
                disk,
                "<b>A job lies there</b>, all tiles are done: <b>Go on</b> writes the labels.",
            ]
        elif self.there:
            name = escape(self.label)
            lines.append(f"<b>There are labels {name}</b> that no job made: choose another name, or tick both boxes.")
        return "<br>".join(lines)


def look_at(location: str, settings: BatchSettings | None = None) -> Found:
    """Open what lies at a place, at the level that the settings ask for.

    Raises
    ------
    InputError
        If there is no image.
    """
    wells = list_wells(location)
    place = wells[0] if wells else location
    if settings is not None and settings.pixel_size:
        image = open_large_image(place, pixel_size=settings.pixel_size)
    else:
        image = open_large_image(place, level=settings.level if settings else 0)
    if image.version:
        kind = f"OME-Zarr {image.version}"
    else:
        kind = "TIFF" if location.lower().endswith((".tif", ".tiff")) else "Zarr array"
    return Found(location=location, kind=kind, image=image, wells=len(wells))


def plan_job(found: Found, output: str | None, settings: BatchSettings) -> Plan:
    """Tell what a job would do, and what an earlier one did.

    Raises
    ------
    InputError
        If an image cannot be opened, or the file of the earlier job is damaged.
    """
    load_torch_libraries()
    from napari_sam.batch.journal import job_folder, read_parameters
    from napari_sam.batch.segment_zarr import plan_batch

    plan = plan_batch(found.location, output, settings)
    done: int | None = None
    record: dict[str, Any] | None = None
    tiles: dict[str, tuple[tuple[int, Path], ...]] = {}
    for location, goal, name in plan.images:
        folder = job_folder(location, goal, settings.label)
        known = read_parameters(folder)
        if known is not None:
            tiles[name] = _tiles_done(folder)
            done = (done or 0) + len(tiles[name])
            record = record or known.get("settings")
    goals = {name: (location, goal or location) for location, goal, name in plan.images}
    there = tuple(name for name, (_, goal) in goals.items() if labels_exist(goal, settings.label))
    finished = {name for name in there if _is_finished(goals[name][1], settings.label)}
    return Plan(
        label=settings.label,
        images=len(plan.images),
        planes=len(plan.images) * len(found.image.planes()),
        tiles=plan.tiles,
        pixels=plan.pixels,
        goals=goals,
        there=there,
        done=done,
        begun={name: tiles[name] for name in there if name not in finished and tiles.get(name)},
        complete=done is not None and done >= plan.tiles and len(finished) == len(goals),
        job_settings=record,
        other_job=record is not None and record != _job_record(settings),
        free=_free(output or found.location),
    )


def suggest_output(location: str) -> str:
    """Return a place for the labels of an image that cannot hold them: beside it, or in the home folder."""
    name = location.rstrip("/").replace("\\", "/").rsplit("/", 1)[-1]
    stem = name.split(".")[0] or "image"
    folder = Path.home() if is_remote(location) else Path(location).parent
    return str(folder / f"{stem}-labels.zarr")


def duration_text(seconds: float) -> str:
    """Return "40 s", "3 min" or "2 h 05 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _job_record(settings: BatchSettings) -> dict[str, Any]:
    return {name: value for name, value in settings.as_record().items() if name != "retries"}


def _is_finished(goal: str, label: str) -> bool:
    """Tell whether a job has written the last of its labels, which exist: what they were made of."""
    return open_labels(goal, label, "r").provenance is not None


def _tiles_done(folder: Path) -> tuple[tuple[int, Path], ...]:
    """List the tiles that a job has done: the number of the plane, and the file."""
    journal = folder / "journal.jsonl"
    try:
        lines = journal.read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"Cannot read the journal {journal} ({error.strerror}): check the disk.") from error
    units: dict[str, None] = {}
    for line in lines:
        if line.startswith(b'{"unit":"tiles ') and line.endswith(b"}"):
            units[json.loads(line)["unit"].removeprefix("tiles ")] = None
    return tuple((int(unit.partition("-")[0]), folder / "tiles" / f"{unit}.npz") for unit in units)


def _free(place: str) -> int | None:
    if is_remote(place):
        return None
    path = Path(place).absolute()
    there = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    return shutil.disk_usage(there).free if there is not None else None


def _channels_text(image: LargeImage) -> str:
    names = image.channel_names
    if not names:
        return "no channels"
    if names == tuple(map(str, range(len(names)))):
        return f"{_count(len(names), 'channel')} without names"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"{_count(len(names), 'channel')}: {shown}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.1f} MB"
