"""Train a text head for a model that is otherwise done: encoder, points and boxes stay exactly what they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_sam.config.caption_words import FACETS
from napari_sam.config.text_head import TextHeadConfig
from napari_sam.data.caption_objects import SCENES, ObjectSet, describe_labels, describe_scene, known_facts
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sample import Sample, random_crop
from napari_sam.errors import InputError
from napari_sam.losses.masks import mask_iou, sam_loss
from napari_sam.model.clip import Clip
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.training.prompt_simulation import Chance, PromptState
from napari_sam.training.run_folder import save_weights
from napari_sam.training.text_rounds import NamedObjects, named_objects, new_text_head, text_masks, text_tokens

__all__ = ["TextHeadProgress", "train_text_head"]

KIND = list(FACETS).index("kind")
BACKGROUND = FACETS["kind"].index("background")


@dataclass(frozen=True, kw_only=True)
class TextHeadProgress:
    """Report one finished step of `total`.

    Parameters
    ----------
    step, total
        How far the run is.
    loss
        Of the text alone and of text and a point.
    alone, with_point
        IoU of all that a text names, and of the one object that text and point name.
    seconds
        Time of the step.
    """

    step: int
    total: int
    loss: float
    alone: float
    with_point: float
    seconds: float


def train_text_head(
    model: Sam, clip: Clip, images: Sequence[LabelledImage], config: TextHeadConfig, file: Path
) -> Iterator[TextHeadProgress]:
    """Train a text head, and write the model with it, float16 safetensors, at the end.

    Each step draws crops of labelled images and synthetic scenes, names some objects of each by crops of them or by
    captions, and learns from two rounds: the text alone shall give everything of which the same is true, text and a
    point the one object.

    Parameters
    ----------
    model
        Of which nothing else changes: `config.decoder` trains a copy of the mask decoder.
    clip
        That the texts will be read with.
    images
        With labels; none where `config.synthetic` is 1.
    file
        To write; existing ones are replaced.

    Raises
    ------
    InputError
        If there are no images to learn from, or the gradient is not finite.
    """
    if not len(images) and config.synthetic < 1:
        raise InputError("No training data given: name folders with images/ and labels/, or set synthetic to 1.")
    if config.threads:
        torch.set_num_threads(config.threads)
    new_text_head(model, clip, config.seed, decoder=config.decoder)
    learning = _unfreeze(model)
    rates = [config.lr, config.lr * config.decoder_lr][: len(learning)]
    optimizer = torch.optim.AdamW([{"params": part} for part in learning], weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, config.steps + 1, pct_start=0.1)
    for step in range(1, config.steps + 1):
        started = time.perf_counter()
        optimizer.zero_grad()
        loss, alone, with_point = _step(model, clip, images, config, step)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(chain(*learning), 1.0))
        if not np.isfinite(norm):
            raise InputError(f"The gradient of step {step} is not finite: lower the setting lr ({config.lr}).")
        optimizer.step()
        schedule.step()
        yield TextHeadProgress(
            step=step,
            total=config.steps,
            loss=float(loss.detach()),
            alone=alone,
            with_point=with_point,
            seconds=time.perf_counter() - started,
        )
    model.requires_grad_(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"architecture": model.spec.architecture, "clip": clip.fingerprint, "clip_name": clip.name}
    save_weights(model.state_dict(), file, about)


def _unfreeze(model: Sam) -> list[list[nn.Parameter]]:
    """Let only the parts for texts learn; return the parameters of each."""
    model.eval().requires_grad_(False)
    parts = [part for part in (model.text_head, model.text_decoder) if part is not None]
    return [list(part.requires_grad_(True).parameters()) for part in parts]


def _step(
    model: Sam, clip: Clip, images: Sequence[LabelledImage], config: TextHeadConfig, step: int
) -> tuple[Tensor, float, float]:
    """Return the loss and the IoUs of one step."""
    rng = np.random.default_rng((config.seed, step))
    sets: list[npt.NDArray[np.uint8]] = []
    own: list[npt.NDArray[np.bool_]] = []
    parts: list[NamedObjects] = []
    while len(sets) < config.batch:
        found = _draw(images, config, model.img_size, rng)
        objects = np.flatnonzero(found.codes[:, KIND] != BACKGROUND)
        if not len(objects):
            continue
        chosen = rng.choice(objects, config.prompts, replace=len(objects) < config.prompts).tolist()
        parts.append(named_objects(clip, found, chosen, model.mask_size, rng, captions=config.captions))
        own.append(np.stack([found.records[i].mask for i in chosen]))
        sets.append(found.image)
    named = NamedObjects.join(parts).to(model.device)
    embedding = _embed(model, np.stack(sets))
    target = nn.functional.adaptive_avg_pool2d(
        torch.from_numpy(np.concatenate(own)).to(model.device)[:, None].float(), model.mask_size
    )[:, 0]
    state = PromptState(
        target=target, img_size=model.img_size, chance=Chance(generator=torch.Generator().manual_seed(step))
    )
    state.add_first(box=False)
    weights = {"focal": config.focal_weight, "alpha": 0.5}
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
        masks, quality, meant = text_masks(model, embedding, named)
        logits, iou = model.decode(embedding, texts=text_tokens(model, named), multimask=False, **state.prompts())  # type: ignore[arg-type]
    logits = logits.float()
    loss = sam_loss(logits, iou.float(), target, **weights)
    alone = 0.0
    if len(meant):
        loss = loss + sam_loss(masks, quality, meant, **weights)
        best = masks.detach()[torch.arange(len(meant)), quality.argmax(dim=1)]
        alone = float(mask_iou(best, meant).mean())
    return loss, alone, float(mask_iou(logits.detach()[:, 0], target).mean())


@torch.no_grad()
def _embed(model: Sam, images: npt.NDArray[np.uint8]) -> ImageEmbedding:
    return model.encode(torch.from_numpy(images).permute(0, 3, 1, 2))  # [b, s, s, 3] -> [b, 3, s, s]


def _draw(images: Sequence[LabelledImage], config: TextHeadConfig, size: int, rng: np.random.Generator) -> ObjectSet:
    """Return a crop of an image, or a scene, and its objects."""
    if rng.random() < config.synthetic:
        return describe_scene(rng, (size, size), str(rng.choice(list(SCENES))))
    image = images[int(rng.integers(len(images)))]
    modality, kind = known_facts(image)
    crop: Sample = random_crop(image.sample(), rng, size, config.scale)
    return describe_labels(crop, rng, modality=modality, kind=kind)
