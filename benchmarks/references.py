"""The authors' code with our weights, and the images that both see."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import napari_sam as ns
from napari_sam.sample_data import nuclei

__all__ = [
    "agreement",
    "authors_vit_b",
    "click_agreement",
    "predictors",
    "random_vit_b",
    "sample_image",
    "sample_pixels",
]


LOUDER = 10


def random_vit_b(seed: int = 0) -> tuple[Any, Any]:
    """Build our ViT-B and segment-anything's with the same random weights, position tables included."""
    ours = ns.build_model("vit_b", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name.endswith(("pos_embed", "rel_pos_h", "rel_pos_w")):  # zeros in a fresh model
                parameter.normal_(std=0.1, generator=generator)
        quality = ours.mask_decoder.iou_prediction_head.layers[-1]
        quality.weight.mul_(0.2)
        quality.bias.fill_(0.5)  # between 0 and 1, as trained weights predict
        for mlp in ours.mask_decoder.output_hypernetworks_mlps:  # logits as loud as trained ones
            mlp.layers[-1].weight.mul_(LOUDER)
            mlp.layers[-1].bias.mul_(LOUDER)
    return ours, authors_vit_b(ours)


def authors_vit_b(ours: Any) -> Any:
    """Build segment-anything's ViT-B with the weights of ours."""
    from segment_anything import sam_model_registry

    theirs = sam_model_registry["vit_b"]()
    theirs.load_state_dict(ours.state_dict())
    return theirs.eval()


def predictors(seed: int = 0) -> tuple[Any, Any]:
    """Return our predictor and segment-anything's with the same random ViT-B, a 1024 x 1024 picture encoded in both."""
    from segment_anything import SamPredictor

    model, reference = random_vit_b(seed)
    ours, theirs = ns.Predictor(model), SamPredictor(reference)
    image = sample_image(model.img_size)
    ours.set_image(image, normalization="none")
    theirs.set_image(image)
    return ours, theirs


def agreement(ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the IoU of each pair of (n, H, W) masks; 1 where both are empty."""
    both = np.logical_and(ours, theirs).sum(axis=(1, 2))
    either = np.logical_or(ours, theirs).sum(axis=(1, 2))
    return np.divide(both, either, out=np.ones(len(both)), where=either > 0)


def click_agreement(model: Any, other: Any, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the IoUs of the masks that two of our models make of a grid of 8 x 8 clicks on one image."""
    predictors = [ns.Predictor(model), ns.Predictor(other)]
    for predictor in predictors:
        predictor.set_image(image, normalization="none")
    height, width = image.shape[:2]
    ious = []
    for row in np.linspace(height / 16, height - height / 16, 8):
        for col in np.linspace(width / 16, width - width / 16, 8):
            one, two = (predictor.predict(points=[(row, col)], multimask=False).masks for predictor in predictors)
            ious.append(agreement(one, two))
    return np.concatenate(ious)


def sample_image(size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw a picture of nuclei: (size, size, 3) uint8."""
    return np.ascontiguousarray(nuclei((size, size), seed=seed).image)


def sample_pixels(size: int, seed: int = 0) -> torch.Tensor:
    """Return the same picture as (1, 3, size, size) float32, values 0 to 255."""
    return torch.from_numpy(sample_image(size, seed)).permute(2, 0, 1)[None].float()
