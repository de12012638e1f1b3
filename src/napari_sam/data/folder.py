"""The former place of `load_samples`."""

from __future__ import annotations

from napari_sam.data.sample_store import load_samples

__all__ = ["load_samples"]
