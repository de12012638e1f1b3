"""Make `docs/images/synthetic.png`: some synthetic scenes of every kind, the last of each with its outlines."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from napari_sam.data.scene import Scene
from napari_sam.data.synthetic import KINDS, synthetic_scene

SIDE = 180
SCENES = 3  # of each kind
ACROSS = 2  # kinds
TITLE = 14  # pixels above each kind


def main() -> None:
    """Draw the sheet with fixed seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images" / "synthetic.png")
    path: Path = parser.parse_args().output
    rows = -(-len(KINDS) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * SCENES * SIDE, rows * (SIDE + TITLE)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, kind in enumerate(KINDS):
        left, top = number % ACROSS * SCENES * SIDE, number // ACROSS * (SIDE + TITLE)
        pen.text((left + 2, top + 1), kind, fill="black")
        for seed in range(SCENES):
            scene = synthetic_scene(np.random.default_rng([seed, number]), (SIDE, SIDE), kind)
            pixels = outlined(scene) if seed == SCENES - 1 else scene.sample.image
            sheet.paste(Image.fromarray(pixels), (left + seed * SIDE, top + TITLE))
    # a palette: noise makes large files
    sheet.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, sheet.size, f"{path.stat().st_size / 1000:.0f} kB")


def outlined(scene: Scene) -> npt.NDArray[np.uint8]:
    """Return the picture with the rims of objects in yellow and of parts in cyan."""
    image = scene.sample.image.copy()
    for labels, colour in ((scene.sample.labels, (255, 220, 0)), (scene.parts, (0, 220, 255))):
        rim = np.zeros(labels.shape, bool)
        rim[:-1] |= labels[:-1] != labels[1:]
        rim[:, :-1] |= labels[:, :-1] != labels[:, 1:]
        image[rim] = colour
    return image


if __name__ == "__main__":
    main()
