"""Segment Anything, whole, inside napari.

Public names load on first use, so `import napari_sam` is quick and imports no torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam.batch.segment_zarr import segment_zarr
    from napari_sam.config.auto import AutoSettings
    from napari_sam.config.batch import BatchSettings
    from napari_sam.config.text import TextSettings
    from napari_sam.errors import NapariSamError
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.inference.predictor import Predictor
    from napari_sam.model.build import build_model
    from napari_sam.model.clip import load_clip
    from napari_sam.model.load import load_model
    from napari_sam.ops.label_image import masks_to_labels
    from napari_sam.ops.mask_record import MaskRecord
    from napari_sam.ops.measurements import measure
    from napari_sam.pipeline.text_segment import segment_text
    from napari_sam.types import Prediction, Prompts

__version__ = "0.1.0"
__all__ = [
    "AutoSettings",
    "AutomaticMaskGenerator",
    "BatchSettings",
    "MaskRecord",
    "NapariSamError",
    "Prediction",
    "Predictor",
    "Prompts",
    "TextSettings",
    "__version__",
    "build_model",
    "load_clip",
    "load_model",
    "masks_to_labels",
    "measure",
    "segment_text",
    "segment_zarr",
]

_HOMES = {
    "AutoSettings": "napari_sam.config.auto",
    "AutomaticMaskGenerator": "napari_sam.inference.mask_generator",
    "BatchSettings": "napari_sam.config.batch",
    "MaskRecord": "napari_sam.ops.mask_record",
    "NapariSamError": "napari_sam.errors",
    "Prediction": "napari_sam.types",
    "Predictor": "napari_sam.inference.predictor",
    "Prompts": "napari_sam.types",
    "TextSettings": "napari_sam.config.text",
    "build_model": "napari_sam.model.build",
    "load_clip": "napari_sam.model.clip",
    "load_model": "napari_sam.model.load",
    "masks_to_labels": "napari_sam.ops.label_image",
    "measure": "napari_sam.ops.measurements",
    "segment_text": "napari_sam.pipeline.text_segment",
    "segment_zarr": "napari_sam.batch.segment_zarr",
}


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name when the name is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _warn_of_namesake() -> None:
    """Warn if the other project that installs an import package `napari_sam` is installed beside this one."""
    try:
        version = importlib.metadata.version("napari-sam")
    except importlib.metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"Another project, napari-sam {version}, is installed beside napari-sam-stack and both provide the import "
        "package `napari_sam`, so either may break: uninstall both, then install only the one you want.",
        stacklevel=3,
    )


_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
if not any(name in os.environ for name in _WAITING):
    # read when torch is first imported: threads that wait for each other sleep; spinning, which is the libraries'
    # choice, wastes the cores where other programs want them as well (docs/performance.md)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
if sys.platform == "darwin":  # read when torch is first imported: operators that MPS lacks run on the CPU
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
_warn_of_namesake()
