"""The package's sample pictures as napari layers (contributed in `napari.yaml`)."""

from __future__ import annotations

from typing import Any

from napari_sam import sample_data

__all__ = ["cell_layers", "nuclei_layers", "tissue_layers"]

LayerData = tuple[Any, dict[str, Any], str]


def tissue_layers() -> list[LayerData]:
    """Return a stained section of colon glands: one (512, 512, 3) image layer."""
    return [(sample_data.tissue(), {"name": "tissue"}, "image")]


def cell_layers() -> list[LayerData]:
    """Return a floating cell in quantitative phase: one (660, 550) image layer."""
    return [(sample_data.cell(), {"name": "cell"}, "image")]


def nuclei_layers() -> list[LayerData]:
    """Return drawn nuclei and their true labels: a (512, 512, 3) image layer and a (512, 512) labels layer."""
    sample = sample_data.nuclei()
    return [
        (sample.image, {"name": "nuclei"}, "image"),
        (sample.labels, {"name": "true nuclei", "visible": False}, "labels"),
    ]
