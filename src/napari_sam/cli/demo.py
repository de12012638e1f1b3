"""`napari-sam demo`: segment a real sample image with the bundled model and show it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_sam.sample_data import DemoSample

__all__ = ["demo"]


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Write pictures even if there is a display.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the pictures.")] = Path("demo-output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Segment a real sample image with the bundled model; open napari on it, or write pictures without a display."""
    from napari_sam.sample_data import demo_sample

    sample = demo_sample()
    started = time.perf_counter()
    labels = segment_sample(sample)
    summary: dict[str, object] = {
        "sample": sample.name,
        "objects": len(set(labels.ravel().tolist()) - {0}),
        "seconds": round(time.perf_counter() - started, 2),
    }
    say(
        f"Segmented {summary['objects']} objects in {summary['seconds']} s with the model `cells` ({sample.source}).",
        quiet=as_json,
    )
    reason = "--headless was given" if headless else why_no_window()
    if reason is None:
        say("Opening napari; close its window to come back.", quiet=as_json)
        reason = open_viewer(labels)
    if reason is not None:
        paths = write_pictures(sample, labels, output)
        say(f"No window, because {reason}: wrote {paths[0]} and {paths[1]}.", quiet=as_json)
        summary |= {"labels": str(paths[0]), "overlay": str(paths[1])}
    if as_json:
        typer.echo(json.dumps(summary | {"window": reason is None}))


def segment_sample(sample: DemoSample) -> npt.NDArray[np.int32]:
    """Segment one object for each click: (H, W) int32 labels, 1 for the first click."""
    from napari_sam.inference.predictor import Predictor
    from napari_sam.model.load import load_model
    from napari_sam.pipeline.segment import segment_objects
    from napari_sam.types import Prompts

    predictor = Predictor(load_model("cells"))
    predictor.set_image(sample.image)
    prompts = {
        number: Prompts(points=((float(row), float(col)),), labels=(1,))
        for number, (row, col) in enumerate(sample.clicks, start=1)
    }
    return segment_objects(predictor, prompts)


def why_no_window() -> str | None:
    """Return why napari cannot open here, or None if it can as far as can be told without starting it."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display"
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed"
    if not any(importlib.util.find_spec(name) for name in ("PyQt6", "PySide6", "PyQt5", "PySide2")):
        return 'no Qt binding is installed (pip install "napari-sam-stack[all]" brings one)'
    return None


def open_viewer(labels: npt.NDArray[np.int32]) -> str | None:
    """Show the labels in napari, in a process of its own, until it is closed; return why it could not, or None."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        np.save(path, labels)
        command = [sys.executable, "-m", "napari_sam.widgets.demo_viewer", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as viewer:  # noqa: S603 (our own module)
            try:
                _, message = viewer.communicate()
            except KeyboardInterrupt:
                viewer.terminate()
                viewer.communicate()
                return None
        if not path.exists():  # the viewer removes the file once its window is open
            return None
    lines = message.strip().splitlines() or [f"its process ended with exit status {viewer.returncode}"]
    told = next((line for line in lines if "could not" in line), lines[-1])  # Qt goes on after its reason
    return f"napari could not open ({told.strip().rstrip('.')})"


def write_pictures(sample: DemoSample, labels: npt.NDArray[np.int32], folder: Path) -> tuple[Path, Path]:
    """Write `labels.png` (16-bit) and `overlay.png` (colours, outlines and clicks over the picture)."""
    from PIL import Image

    from napari_sam.errors import InputError
    from napari_sam.io.images import write_labels

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {folder} ({error.strerror}): choose another with --output.") from None
    labels_path, overlay_path = folder / "labels.png", folder / "overlay.png"
    write_labels(labels_path, labels)
    Image.fromarray(draw_overlay(sample, labels)).save(overlay_path)
    return labels_path, overlay_path


def draw_overlay(sample: DemoSample, labels: npt.NDArray[np.int32], zoom: int = 2) -> npt.NDArray[np.uint8]:
    """Draw coloured labels, their outlines and the clicks: (zoom * H, zoom * W, 3) uint8."""
    import numpy as np
    from skimage.color import gray2rgb, label2rgb
    from skimage.draw import disk
    from skimage.segmentation import find_boundaries

    big = labels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    image = sample.image if sample.image.ndim == 3 else gray2rgb(sample.image)
    picture = image.repeat(zoom, axis=0).repeat(zoom, axis=1) / 255
    inside = big > 0
    picture[inside] = 0.65 * picture[inside] + 0.35 * label2rgb(big, bg_label=0)[inside]
    picture[find_boundaries(big, mode="inner")] = (1, 1, 0)
    for row, col in sample.clicks:
        spot = disk((zoom * row + zoom / 2, zoom * col + zoom / 2), 2.5, shape=big.shape)
        picture[spot] = (1, 0, 0)
    return (picture * 255).round().astype(np.uint8)


def say(message: str, *, quiet: bool) -> None:
    """Print one sentence on standard output, which belongs to the summary alone when `quiet`."""
    if not quiet:
        typer.echo(message)
