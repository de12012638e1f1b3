"""The authors' code with our weights, and the images that both see."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import napari_sam as ns
from napari_sam.sample_data import nuclei

__all__ = ["random_vit_b", "sample_image", "sample_pixels"]


def random_vit_b(seed: int = 0) -> tuple[Any, Any]:
    """Build our ViT-B and segment-anything's with the same random weights, position tables included."""
    from segment_anything import sam_model_registry

    ours = ns.build_model("vit_b", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name.endswith(("pos_embed", "rel_pos_h", "rel_pos_w")):  # zeros in a fresh model
                parameter.normal_(std=0.1, generator=generator)
    theirs = sam_model_registry["vit_b"]()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs.eval()


def sample_image(size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw a picture of nuclei: (size, size, 3) uint8."""
    return np.ascontiguousarray(nuclei((size, size), seed=seed).image)


def sample_pixels(size: int, seed: int = 0) -> torch.Tensor:
    """Return the same picture as (1, 3, size, size) float32, values 0 to 255."""
    return torch.from_numpy(sample_image(size, seed)).permute(2, 0, 1)[None].float()
