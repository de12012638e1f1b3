"""From an image and prompts to masks: normalisation, windows, embeddings, the predictor and its worker thread."""

from __future__ import annotations

from napari_sam.inference.predictor import Predictor

__all__ = ["Predictor"]
