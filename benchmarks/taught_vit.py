"""A ViT-B that segments blobs after a few minutes of training, for benchmarks whose work depends on what is found.

Random weights find nothing sensible: no mask repeats another, no object is larger than a point. Here the transformer
blocks compute as always but add nothing (their last layers are zero), so that embeddings are projected patches; neck,
prompt encoder and decoder learn synthetic nuclei from 16 x 16 cells of the embedding at a time. The weights are kept in
`build/`; delete them, or change anything here, to teach it anew.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import napari_sam as ns
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.losses.masks import sam_loss
from napari_sam.model.sam import Sam
from napari_sam.training.initialization import point_tokens_at_their_place

__all__ = ["taught_vit_b"]

STEPS, CROPS, OBJECTS = 1600, 2, 8
CELLS = 16  # of the embedding, along each side of a crop
FOLDER = Path(__file__).parents[1] / "build"


def taught_vit_b(seed: int = 0) -> Sam:
    """Return the model, teaching it if it is not in `build/`."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    file = FOLDER / f"taught_vit_b-{seed}-{digest}.safetensors"
    model = _plain_vit_b(seed)
    if not file.is_file():
        _teach(model, seed)
        FOLDER.mkdir(exist_ok=True)
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    model.load_state_dict(load_file(file))
    return model.eval()


def _plain_vit_b(seed: int) -> Sam:
    """Build a ViT-B whose blocks add nothing."""
    model = ns.build_model("vit_b", seed=seed)
    with torch.no_grad():
        for block in model.image_encoder.blocks:
            for layer in (block.attn.proj, block.mlp.lin2):
                layer.weight.zero_()
                layer.bias.zero_()
    return model


def _teach(model: Sam, seed: int) -> None:
    torch.manual_seed(seed)
    point_tokens_at_their_place(model)
    model.train().requires_grad_(False)
    learning = [model.image_encoder.patch_embed, model.image_encoder.neck, model.prompt_encoder, model.mask_decoder]
    parameters = [p.requires_grad_() for part in learning for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=STEPS, pct_start=0.1)
    began = time.perf_counter()
    for step in range(STEPS):
        rng = np.random.default_rng([seed, step])
        loss = torch.stack([_loss_of_a_crop(model, rng) for _ in range(CROPS)]).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"teaching: step {step + 1} of {STEPS}, loss {loss.item():.3f}, {time.perf_counter() - began:.0f} s")


def _loss_of_a_crop(model: Sam, rng: np.random.Generator) -> Tensor:
    size, zoom = CELLS * model.spec.stride, 2
    sample = synthetic_sample(rng, (size // zoom, size // zoom), "nuclei")
    image, labels = (
        np.kron(a, np.ones((zoom, zoom, *[1] * (a.ndim - 2)), a.dtype)) for a in (sample.image, sample.labels)
    )
    ids = np.flatnonzero(np.bincount(labels.ravel())[1:] > 64) + 1
    chosen = rng.choice(ids if len(ids) else [0], OBJECTS)
    masks = labels[None] == chosen[:, None, None]
    points = np.array([rng.permutation(np.argwhere(mask))[0][::-1] for mask in masks], np.float32)
    # the crop lies anywhere in the model's input, and its cells are decoded alone
    corner = rng.integers(0, model.spec.grid - CELLS, 2)
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() - model.pixel_mean) / model.pixel_std
    embedding = model.image_encoder.neck(model.image_encoder.patch_embed(x).permute(0, 3, 1, 2))
    pe = model.prompt_encoder.get_dense_pe()[..., corner[0] : corner[0] + CELLS, corner[1] : corner[1] + CELLS]
    xy = torch.from_numpy(points + corner[::-1].astype(np.float32) * model.spec.stride)[:, None]
    sparse, dense = model.prompt_encoder((xy, torch.ones(len(xy), 1, dtype=torch.int)), None, None)
    logits, iou = model.mask_decoder(embedding, pe, sparse, dense[..., :CELLS, :CELLS], multimask_output=True)
    target = nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).float()[:, None], 4 * CELLS)[:, 0]
    return sam_loss(logits, iou, target, focal=5.0, alpha=0.5)


if __name__ == "__main__":
    taught_vit_b()
