"""Make the pictures of README and docs from the real program: `make screenshots`, then look at them."""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
import numpy.typing as npt
import zarr
from PIL import Image, ImageDraw
from qtpy.QtWidgets import QApplication

import napari_sam as ns
from napari_sam.batch.tiles import plan_tiles
from napari_sam.cli.demo import draw_overlay, segment_sample
from napari_sam.data.synthetic import synthetic_scene
from napari_sam.io.label_store import open_labels
from napari_sam.sample_data import DemoSample, demo_sample, nuclei, stroma

if TYPE_CHECKING:
    from napari_sam.model.clip import Clip

IMAGES = Path(__file__).parent / "images"
WINDOW = (1500, 980)


def main() -> None:
    """Write the docks at work, overlays of the demo, of texts (`texts.png`) and of labels made in tiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder of the pictures (default %(default)s)")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    sample = demo_sample()
    Image.fromarray(draw_overlay(sample, segment_sample(sample))).save(folder / "demo.png", optimize=True)
    photograph_dock(sample, folder / "dock.png")
    photograph_auto(sample, folder / "auto.png")
    photograph_text(sample, folder / "text.png")
    draw_texts(folder / "texts.png")
    with tempfile.TemporaryDirectory() as place:
        photograph_batch(write_slide(sample, Path(place) / "slide.ome.zarr"), folder / "batch.png")
    draw_tiles(folder / "tiles.png")
    for path in sorted(folder.glob("*.png")):
        print(path, Image.open(path).size)


def photograph_dock(sample: DemoSample, path: Path) -> None:
    """Label all but one object by clicks in the dock, leave the last one's candidates open, and save the window."""
    viewer = napari.Viewer(title="napari", show=True)
    viewer.window.resize(*WINDOW)
    image = viewer.add_image(sample.image, name=sample.name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.set_image(image)
    dock.set_model("cells")
    *done, last = sample.clicks
    for click in done:
        dock.add_point(click, positive=True)
        dock.wait_idle(timeout=120)
        dock.accept()
    dock.add_point(last, positive=True)
    dock.wait_idle(timeout=120)
    save_window(viewer, path)


def photograph_auto(sample: DemoSample, path: Path) -> None:
    """Find all objects, filter them, settle some, mark two to be merged, and save the window."""
    viewer = napari.Viewer(title="napari", show=True)
    viewer.window.resize(*WINDOW)
    image = viewer.add_image(sample.image, name=sample.name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")
    dock.set_image(image)
    dock.set_model("cells")
    dock.run()
    dock.wait_idle(timeout=600)
    dock.set_filter(pred_iou_thresh=0.4, min_area=80, max_area=900, conditions=["solidity>0.85", "intensity_mean<175"])
    for label in list(dock.objects)[:5]:
        dock.accept(label)
    dock.switch_tool("accept")
    dock.wait_idle()
    save_window(viewer, path)


def photograph_text(sample: DemoSample, path: Path, clip: str | Clip = "bundled") -> None:
    """Ask for two kinds of objects, and save the window."""
    viewer = napari.Viewer(title="napari", show=True)
    viewer.window.resize(*WINDOW)
    image = viewer.add_image(sample.image, name=sample.name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Text")
    dock.set_image(image)
    dock.set_model("cells")
    dock.set_clip(clip)
    dock.set_texts(["large round nuclei", "small dark nuclei"])
    dock.run()
    dock.wait_idle(timeout=600)
    save_window(viewer, path)


def draw_texts(path: Path) -> None:
    """Ask two pictures for texts that the bundled CLIP knows, and for one that it does not; one panel each."""
    real = stroma()[:300, 200:600]
    drawn = synthetic_scene(np.random.default_rng(1), (300, 400), "stained").sample.image
    panels = []
    for image, texts in (
        (real, ("nuclei", "elongated blue nuclei", "mitochondria")),
        (drawn, ("large round nuclei", "small nuclei", "dark nuclei")),
    ):
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # about the unknown word
            found = [ns.segment_text(image, [text])[0] for text in texts]
        sample = DemoSample(name="", image=image, clicks=(), source="")
        panels.append(
            [write_on(draw_overlay(sample, *each, zoom=1), text) for *each, text in zip(found, texts, strict=True)]
        )
    Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in panels])).save(path, optimize=True)


def write_on(picture: npt.NDArray[np.uint8], text: str) -> npt.NDArray[np.uint8]:
    """Return (H + 24, W, 3) uint8: the picture below a line of text."""
    sheet = Image.new("RGB", (picture.shape[1], 24), "white")
    ImageDraw.Draw(sheet).text((6, 4), text, fill="black", font_size=15)
    return np.concatenate([np.asarray(sheet), picture])


def draw_tiles(path: Path) -> None:
    """Segment synthetic nuclei in small tiles, and save the labels with the tiles' edges."""
    image = nuclei((600, 900), seed=3).image
    with tempfile.TemporaryDirectory() as place:
        slide, output = Path(place) / "slide.zarr", Path(place) / "labels.zarr"
        zarr.create_array(slide, data=image[..., 0], chunks=(128, 128))
        *_, last = ns.segment_zarr(slide, output, tile=256, overlap=96)
        labels = open_labels(output, "cells").read({}, (0, 0, *image.shape[:2]))
    assert not last.failed
    picture = draw_overlay(DemoSample(name="slide", image=image, clicks=(), source=""), labels, zoom=1)
    for tile in plan_tiles(labels.shape, 256, 96):
        row0, col0, row1, col1 = tile.box
        picture[row0:row1, [col0, col1 - 1]] = picture[[row0, row1 - 1], col0:col1] = 255
    Image.fromarray(picture).save(path, optimize=True)


def photograph_batch(slide: Path, path: Path) -> None:
    """Segment an OME-Zarr in tiles, open the result, and save the window."""
    viewer = napari.Viewer(title="napari", show=True)
    viewer.window.resize(*WINDOW)
    group = zarr.open_group(slide, mode="r")
    viewer.add_image([group["0"], group["1"]], rgb=True, name="slide", scale=(0.5, 0.5), units=("um", "um"))
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Batch")
    dock.set_settings(tile=384, overlap=96)
    dock.run()
    dock.wait_idle(timeout=1800)
    dock.open_result()
    save_window(viewer, path)


def write_slide(sample: DemoSample, path: Path) -> Path:
    """Write the sample as an OME-Zarr 0.5 with two levels, four times as large by mirroring."""
    image = sample.image[..., :3]  # (H, W, 3)
    image = np.concatenate([image, image[:, ::-1]], axis=1)
    image = np.concatenate([image, image[::-1]], axis=0)
    group = zarr.create_group(path)
    datasets = []
    for number, step in enumerate((1, 2)):
        group.create_array(str(number), data=np.ascontiguousarray(image[::step, ::step]), chunks=(256, 256, 3))
        scale = [0.5 * step, 0.5 * step, 1.0]
        moved = [0.25 * (step - 1), 0.25 * (step - 1), 0.0]
        placed = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": moved}]
        datasets.append({"path": str(number), "coordinateTransformations": placed})
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"] + [{"name": "c", "type": "channel"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def save_window(viewer: napari.Viewer, path: Path) -> None:
    """Save a picture of the whole window and close it."""
    settle()
    window = viewer.screenshot(canvas_only=False, flash=False)  # (H, W, 4)
    Image.fromarray(window[..., :3]).save(path, optimize=True)
    viewer.close()


def settle(rounds: int = 20) -> None:
    """Let Qt and OpenGL draw what is pending."""
    for _ in range(rounds):
        QApplication.processEvents()


if __name__ == "__main__":
    main()
