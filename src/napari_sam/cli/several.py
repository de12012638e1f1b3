"""Any command for one image, made one for several: a folder of results, and a table of what was done."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import inspect
import io
import json as json_
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

import napari_sam
from napari_sam.errors import InputError, NapariSamError

__all__ = ["TABLE", "several"]

TABLE = "napari-sam-results.csv"
COLUMNS = ("image", "output", "command", "state", "objects", "seconds", "error", "key", "written")
DONE, FAILED, WAITING, PARTLY = "done", "failed", "waiting", "partly done"
TABLES = (".csv", ".geojson", ".json", ".zip")
IMAGES = "An image; or several, a folder, or a pattern as 'plate/*.tif', with -o FOLDER."


@dataclass
class _Task:
    """Hold one image of several: what is run, and what became of it."""

    command: Callable[..., None]
    image: str
    output: str
    options: dict[str, Any]
    key: str
    quiet: bool = True
    state: str = WAITING
    objects: int = 0
    seconds: float = 0.0
    error: str = ""
    note: str = ""
    written: str = ""

    def row(self) -> dict[str, Any]:
        return {name: self.command.__name__ if name == "command" else getattr(self, name) for name in COLUMNS}


def several(command: Callable[..., None], *, suffix: str = "", skips: bool = True) -> Callable[..., None]:
    """Return the command for any number of images.

    Its first parameter becomes a list. One image goes to the command as it is; of several each is given to it with an
    output of its own in the folder `output`: the image's stem with `suffix`. What fails is named, the rest is done.

    Parameters
    ----------
    command
        With the parameters `image`, `output` and `json`; prints a summary with `count` where that is set.
    suffix
        Extension of the results; `--format` chooses another where it is one of a label image. "" makes folders.
    skips
        Whether what was done is passed over; else the command itself sees to that, and to processes.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)

    @functools.wraps(command)
    def run(image: list[str], **options: Any) -> None:
        extra = {name: options.pop(name) for name in ("workers", "format_", "restart") if name in added}
        if not _meant(image, options.get("output"), folder=skips):
            command(image=kind(image[0]), **options)
            return
        ending = str(extra.get("format_") or suffix)
        tasks = _plan(command, image, options, ending if ending.startswith(".") or not ending else f".{ending}")
        if skips:
            _run(tasks, options, **{name.rstrip("_"): extra[name] for name in ("workers", "restart")}, skips=True)
        else:
            for task in tasks:
                task.quiet = False
            _run(tasks, options, workers=1, restart=True, skips=False)

    kind = get_type_hints(command)["image"]
    added: dict[str, tuple[Any, Any, str]] = {}
    if skips:
        added["workers"] = (int, 1, "Of several images: processes.")
        added["format_"] = (str, suffix, "Of several images: extension of the results.")
        added["restart"] = (bool, False, "Of several images: do again what is done.")
    listed = []
    annotations: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        annotations[name] = hints[name]
        if name == "image":
            annotations[name] = Annotated[list[str], typer.Argument(help=IMAGES)]
        listed.append(parameter.replace(annotation=annotations[name], kind=inspect.Parameter.KEYWORD_ONLY))
    for name, (what, default, text) in added.items():
        flag = "--" + name.rstrip("_")
        annotations[name] = Annotated[what, typer.Option(flag, help=text)]
        listed.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotations[name])
        )
    run.__signature__ = signature.replace(parameters=listed)  # type: ignore[attr-defined]
    run.__annotations__ = {**annotations, "return": None}
    return run


def _meant(images: Sequence[str], output: Path | str | None, *, folder: bool) -> bool:
    """Tell whether several images are meant: by their names, or as the output is a folder."""
    from napari_sam.io.image_list import names_several

    if names_several(images):
        return True
    if not folder or output is None:
        return False
    zarr = str(output).rstrip("/").lower().endswith(".zarr")
    return not zarr and (str(output).endswith(os.sep) or Path(output).is_dir())


def _plan(command: Callable[..., None], images: Sequence[str], options: dict[str, Any], suffix: str) -> list[_Task]:
    """Name a result for each image; check that none replaces an image."""
    from napari_sam.io.image_list import list_images_of, name_results
    from napari_sam.io.output_place import keep_inputs

    listed = list_images_of(images)
    output = options.get("output")
    if options.get("replay") is not None:
        raise InputError("--replay is for one image: leave it out, or give the image of the journal.")
    if output is not None and Path(output).suffix and not Path(output).is_dir():
        raise InputError(f"--output is {output}, but there are several images ({len(listed)}): give a folder.")
    folder = Path(output) if output is not None else None
    tasks = []
    for image, name in zip(listed, name_results(listed), strict=True):
        own = {option: value for option, value in options.items() if option != "json"}
        if folder is not None:
            place = folder / f"{name}{suffix}"
            own["output"] = str(place) if isinstance(output, str) else place
            keep_inputs(own["output"], listed)
        if own.get("prompts") is not None and Path(own["prompts"]).is_dir():
            own["prompts"] = _table_of(Path(own["prompts"]), name, type(own["prompts"]))
        for option in ("export", "export_coco", "measure"):
            if own.get(option):
                many = own[option] if isinstance(own[option], list) else [own[option]]
                placed = [_beside(file, folder, name) for file in many]
                own[option] = placed if isinstance(own[option], list) else placed[0]
                for file in placed:
                    keep_inputs(file, listed, "objects")
        target = str(own.get("output") or "")
        tasks.append(_Task(command, str(image), target, own, _key(command, image, own)))
    return tasks


def _table_of(folder: Path, name: str, kind: type) -> Any:
    """Return the table of prompts in a folder that has an image's name."""
    found = next((folder / f"{name}{ending}" for ending in TABLES if (folder / f"{name}{ending}").is_file()), None)
    return kind(found or folder / f"{name}.csv")


def _beside(file: Path, folder: Path | None, name: str) -> Path:
    """Return where the export of one of several images goes: beside its labels, with its name."""
    ending = Path(file).suffix or (file.name if file.name.startswith(".") else "")
    if not ending:
        raise InputError(f"The export {file} has no extension: give an extension, as .csv or .geojson.")
    return (folder or Path()) / f"{name}{ending}"


def _key(command: Callable[..., None], image: Path, options: dict[str, Any]) -> str:
    """Return a digest of all that a result comes from: program, options, image, weights, tables."""
    files = [image, *(image / name for name in ("zarr.json", ".zattrs", "0")), options.get("checkpoint")]
    files += [options.get(name) for name in ("prompts", "settings", "mask", "clip_checkpoint")]
    files += [_weights(options.get("model"))]
    said = {name: repr(value) for name, value in sorted(options.items()) if name not in ("json", "device")}
    content = [napari_sam.__version__, command.__name__, str(image.absolute()), said, [_stamp(file) for file in files]]
    return hashlib.sha256(json_.dumps(content).encode()).hexdigest()[:16]


def _stamp(path: Any) -> str:
    """Return what changes when a file is written: its size and time; "" where there is none."""
    try:
        known = os.stat(path)
    except (OSError, TypeError, ValueError):
        return ""
    return f"{known.st_size}-{known.st_mtime_ns}"


def _weights(name: Any) -> Path | None:
    from napari_sam.model.registry import find_model
    from napari_sam.model.weights_files import find_file

    try:
        found = find_file(find_model(str(name)))
    except InputError:  # said by the command itself
        return None
    return found.path if found is not None else None


def _run(tasks: list[_Task], options: dict[str, Any], *, workers: int, restart: bool, skips: bool) -> None:
    """Do what is not done yet, and say what became of each image."""
    if workers < 1:
        raise InputError(f"--workers is {workers}: give 1 or more.")
    started = time.perf_counter()
    output, json = options.get("output"), bool(options.get("json"))
    table = None
    if output is not None:
        folder = Path(output)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot make the folder {folder} ({error.strerror}): choose another.") from error
        table = folder / TABLE
    if skips:
        _remember(tasks, table, restart=restart)
    waiting = [task for task in tasks if task.state == WAITING]
    skipped = [task for task in tasks if task.state == DONE]
    for task in tasks:
        if task.error:
            typer.echo(f"{task.image}: {task.error}", err=True)
    _write(table, tasks)
    for number, task in enumerate(_work(waiting, workers), start=1):
        _write(table, tasks)
        if not json:
            typer.echo(f"{number}/{len(waiting)} {task.image}: {_said(task)}")
        if task.error or task.note:
            typer.echo(f"{task.image}: {task.error or task.note}", err=True)
    failed = [task for task in tasks if task.state in (FAILED, PARTLY)]
    seconds = round(time.perf_counter() - started, 2)
    if json:
        summary = {
            "images": [
                {name: task.row()[name] for name in COLUMNS if name not in ("key", "written")} for task in tasks
            ],
            "count": sum(task.objects for task in tasks),
            "skipped": len(skipped),
            "failed": [task.image for task in failed],
            "table": str(table or ""),
            "seconds": seconds,
        }
        typer.echo(json_.dumps(summary))
    else:
        before = f", {len(skipped)} of them before" if skipped else ""
        where = f"; the table is {table}" if table else ""
        typer.echo(f"{len(tasks) - len(failed)} of {len(tasks)} images are done{before} ({seconds} s){where}.")
    if failed:
        raise typer.Exit(1)


def _said(task: _Task) -> str:
    if task.state == FAILED:
        return FAILED
    objects = f"{task.objects} object{'' if task.objects == 1 else 's'}"
    return f"{objects} ({task.seconds} s)" + (f", {PARTLY}" if task.state == PARTLY else "")


def _remember(tasks: list[_Task], table: Path | None, *, restart: bool) -> None:
    """Note what an earlier run has done, as the table says; what somebody else has made or changed stays.

    Raises
    ------
    InputError
        If a result is there that no run of this command made.
    """
    rows = _read(table)
    for task in tasks:
        row = rows.get(task.output)
        if not Path(task.output).exists():
            continue
        task.written = row["written"] if row else ""
        if row is None or row["command"] != task.command.__name__:
            raise InputError(f"{task.output} is there, and no run of this command made it: choose another folder.")
        if row["state"] == DONE and row["key"] == task.key and not restart:
            task.state, task.objects, task.seconds = DONE, int(row["objects"]), float(row["seconds"])
        elif row["written"] and row["written"] != _stamp(task.output):
            task.state = FAILED
            task.error = f"{task.output} was changed since it was made, and is kept: move it away to make it anew."


def _read(table: Path | None) -> dict[str, dict[str, str]]:
    """Return the rows of a table by output.

    Raises
    ------
    InputError
        If it is no such table.
    """
    if table is None or not table.is_file():
        return {}
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {row["output"]: {name: row[name] for name in COLUMNS} for row in rows}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read {table} ({error}): remove it, or choose another folder.") from error


def _write(table: Path | None, tasks: Sequence[_Task]) -> None:
    """Write what is known of each image; rows of earlier runs on other images stay."""
    from napari_sam.io.atomic_file import write_whole

    if table is None:
        return
    rows: dict[str, dict[str, Any]] = {**_read(table)}
    rows |= {task.output or task.image: task.row() for task in tasks}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows.values())
    write_whole(table, stream.getvalue().encode())


def _work(tasks: list[_Task], workers: int) -> Iterator[_Task]:
    """Do the tasks here or in processes; yield each when it is finished."""
    from rich.console import Console
    from rich.progress import track

    def shown(events: Iterator[_Task]) -> Iterator[_Task]:
        console, hidden = Console(stderr=True), not sys.stderr.isatty() or len(tasks) < 2
        return iter(track(events, "images", total=len(tasks), console=console, disable=hidden))

    if workers == 1 or len(tasks) < 2:
        yield from shown(_done(task) for task in tasks)
        return
    import multiprocessing

    count = min(workers, len(tasks))
    pool = ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_share_cores,
        initargs=(count,),
    )
    try:
        futures: dict[Future[_Task], _Task] = {pool.submit(_done, task): task for task in tasks}

        def finished() -> Iterator[_Task]:
            for future in as_completed(futures):
                task = futures[future]
                try:
                    made = future.result()
                except Exception as error:
                    task.state, task.error = FAILED, f"its process ended ({error or type(error).__name__})"
                else:
                    for name in ("state", "objects", "seconds", "error", "note", "written"):
                        setattr(task, name, getattr(made, name))
                yield task

        yield from shown(finished())
    finally:
        pool.shutdown(cancel_futures=True)


def _share_cores(processes: int) -> None:
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))


def _done(task: _Task) -> _Task:
    """Run the command on one image, its words caught; return the task with what became of it."""
    out, err = io.StringIO(), io.StringIO()
    started = time.perf_counter()
    status = 0
    try:
        with contextlib.ExitStack() as caught:
            caught.enter_context(contextlib.redirect_stdout(out))
            if task.quiet:  # others have a bar of their own
                caught.enter_context(contextlib.redirect_stderr(err))
            task.command(image=get_type_hints(task.command)["image"](task.image), json=True, **task.options)
    except typer.Exit as exit_:
        status = exit_.exit_code
    except (NapariSamError, MemoryError) as error:
        task.error, status = " ".join(str(error).split()) or "there is not enough memory", 2
    task.seconds = round(time.perf_counter() - started, 2)
    lines = out.getvalue().strip().splitlines()
    summary = json_.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    task.written = _stamp(task.output)
    task.objects = int(summary.get("count", summary.get("encoded", 0)))
    task.state = {0: DONE, 1: PARTLY}.get(status, FAILED)
    said = " ".join(err.getvalue().split()) or ("some of it failed" if status else "")
    task.error, task.note = (task.error or said, "") if status else ("", said)
    return task
