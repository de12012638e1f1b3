"""ONNX files of encoder and decoder; the decoder's names and meanings are those of the authors' own export."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from napari_sam.errors import InputError
from napari_sam.model.sam import Sam

__all__ = ["OPSET", "DecoderForOnnx", "EncoderForOnnx", "export_onnx"]

OPSET = 18
LARGEST_FILE = 1_900_000_000  # bytes: ONNX files end at 2 GiB; what is larger keeps its weights in a file beside it


class EncoderForOnnx(nn.Module):
    """Image in, embedding out.

    Input `image`: (1, 3, S, S) float32 RGB, 0 to 255, the long side scaled to the model's input S, the rest filled with
    the model's mean colour (which is 0 once normalised). Outputs: `image_embeddings` (1, C, h, w), and for models with
    finer features `skip_features_0` (1, c, 2h, 2w) and `skip_features_1` (1, c', 4h, 4w).
    """

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.encoder = model.image_encoder
        self.plain = model.spec.preprocess == "medsam"  # MedSAM's pixels are used as they come, 0 to 1
        self.register_buffer("mean", model.pixel_mean.clone(), persistent=False)
        self.register_buffer("deviation", model.pixel_std.clone(), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the embedding and the finer features, if there are any."""
        mean, deviation = cast("Tensor", self.mean), cast("Tensor", self.deviation)
        out: Any = self.encoder(image if self.plain else (image - mean) / deviation)
        return (out[0], *out[1]) if isinstance(out, tuple) else (out,)


class DecoderForOnnx(nn.Module):
    """Embedding and prompts of one object in, masks at the size of the image out.

    Inputs as in the authors' `SamOnnxModel`: `image_embeddings` (1, C, h, w); `point_coords` (1, k, 2) x, y in model
    pixels; `point_labels` (1, k) float32: 1 object, 0 not, 2 and 3 first and second corner of a box, -1 padding (to be
    added as (0, 0) where there is no box); `mask_input` (1, 1, 4h, 4w) logits; `has_mask_input` (1,) 0 or 1;
    `orig_im_size` (2,) float32 height and width of the image before scaling. Then the encoder's finer features, if any.
    Outputs: `masks` (1, 4, H, W) logits, the first for several prompts, the others for an ambiguous one;
    `iou_predictions` (1, 4); `low_res_masks` (1, 4, 4h, 4w).
    """

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.prompts = model.prompt_encoder
        self.decoder = model.mask_decoder
        self.stretched = model.spec.preprocess == "medsam"
        # computed once: it depends on nothing
        self.register_buffer("dense_position", model.prompt_encoder.get_dense_pe().detach().clone(), persistent=False)

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
        skip_features_0: Tensor | None = None,
        skip_features_1: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return masks, predicted IoUs and masks at low resolution."""
        sparse = self._embed_points(point_coords, point_labels)
        given = self.prompts.mask_downscaling(mask_input)
        plain = self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        dense = has_mask_input * given + (1 - has_mask_input) * plain
        position = cast("Tensor", self.dense_position)
        skips = tuple(skip for skip in (skip_features_0, skip_features_1) if skip is not None)
        maps = None
        if self.decoder.drawing is not None:
            maps = self._maps(point_coords, point_labels, mask_input, has_mask_input)
        masks, iou = self.decoder.predict_masks(image_embeddings, position, sparse, dense, skips, maps)
        return self._enlarge(masks, orig_im_size), iou, masks

    def _maps(self, coords: Tensor, labels: Tensor, mask: Tensor, has_mask: Tensor) -> Tensor:
        """Draw the prompts of one object, whose box comes as two points."""
        corners = [((labels == kind).float()[..., None] * coords).sum(1) for kind in (2, 3)]
        boxed = (labels == 2).float().amax(1)[:, None, None, None]
        maps = self.prompts.maps((coords, labels), torch.cat(corners, 1), mask, count=1)
        points, box, given = maps[:, :-4], maps[:, -4:-2], maps[:, -2:]
        return torch.cat([points, box * boxed, given * has_mask], 1)

    def _embed_points(self, coords: Tensor, labels: Tensor) -> Tensor:
        tokens = self.prompts.pe_layer(coords + 0.5, self.prompts.img_size)
        kind = labels.unsqueeze(-1)
        tokens = torch.where(kind == -1, self.prompts.not_a_point_embed.weight, tokens)
        for number, embedding in enumerate(self.prompts.point_embeddings):
            tokens = torch.where(kind == number, tokens + cast("nn.Embedding", embedding).weight, tokens)
        return tokens

    def _enlarge(self, masks: Tensor, size: Tensor) -> Tensor:
        """Resize (1, 4, m, m) to the input, drop the padding, resize to the image: two products for each axis.

        As products of matrices and not by `interpolate`, since the sizes are values of a tensor.
        """
        side = self.prompts.img_size
        shown = torch.full_like(size, side) if self.stretched else torch.floor(side / size.max() * size + 0.5)
        first = _bilinear(torch.arange(side, device=size.device), torch.tensor(float(side)), masks.shape[-1])  # [s, m]
        along = []
        for axis in (0, 1):
            length = size[axis].to(torch.int64).item()
            torch._check(length >= 2)
            pixels = torch.arange(length, device=size.device)
            second = _bilinear(pixels, size[axis], side, shown[axis])  # [length, s]
            along.append(second @ first)
        rows, cols = along
        return torch.matmul(torch.matmul(rows, masks), cols.transpose(0, 1))  # [H, m] [1, 4, m, m] [m, W]


def _bilinear(pixels: Tensor, length: Tensor, sources: int, used: Tensor | None = None) -> Tensor:
    """Return the (length, sources) weights by which `interpolate` (bilinear, corners not aligned) resizes.

    Parameters
    ----------
    pixels
        0, 1, ... length - 1.
    length
        The same number as a float tensor.
    sources
        Columns of the matrix.
    used
        How many of them are resized; all if None.
    """
    limit = torch.tensor(float(sources)) if used is None else used
    at = torch.clamp((pixels + 0.5) * (limit / length) - 0.5, min=0)
    at = torch.minimum(at, limit - 1)
    return torch.relu(1 - (at[:, None] - torch.arange(sources, device=pixels.device)).abs())


def export_onnx(model: Sam, path: Path) -> tuple[Path, Path]:
    """Write `NAME.encoder.onnx` and `NAME.decoder.onnx` beside where `NAME.onnx` would be.

    Raises
    ------
    InputError
        If the extra `export` is not installed, or a file cannot be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"ONNX export needs the package {missing[0]}: run `pip install napari-sam-stack[export]`.")
    stem = path.name[: -len(path.suffix)]
    files = path.with_name(f"{stem}.encoder.onnx"), path.with_name(f"{stem}.decoder.onnx")
    device = model.device
    model.cpu()
    try:
        features, *skips = _export_encoder(model, files[0])
        _export_decoder(model, files[1], features, skips)
    finally:
        model.to(device)
    return files


def _export_encoder(model: Sam, file: Path) -> tuple[Tensor, ...]:
    encoder = EncoderForOnnx(model).eval()
    image = torch.zeros(1, 3, model.img_size, model.img_size)
    with torch.no_grad():
        out = encoder(image)
    names = ["image_embeddings", *(f"skip_features_{i}" for i in range(len(out) - 1))]
    _export(encoder, (image,), file, ["image"], names, None)
    return out


def _export_decoder(model: Sam, file: Path, features: Tensor, skips: list[Tensor]) -> None:
    side = model.mask_size
    size = torch.tensor([float(model.img_size), model.img_size - 3.0])
    points = torch.zeros(1, 5, 2), torch.tensor([[1.0, 0.0, 2.0, 3.0, -1.0]])
    inputs = (features, *points, torch.zeros(1, 1, side, side), torch.zeros(1), size, *skips)
    names = ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"]
    names += [f"skip_features_{i}" for i in range(len(skips))]
    several = torch.export.Dim("num_points", min=1, max=4096)
    shapes: tuple[Any, ...] = (None, {1: several}, {1: several}, None, None, None)
    shapes += tuple(None for _ in skips)
    outputs = ["masks", "iou_predictions", "low_res_masks"]
    _export(DecoderForOnnx(model).eval(), inputs, file, names, outputs, shapes)


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], file: Path, names: list[str], outputs: list[str], shapes: Any
) -> None:
    """Export to a folder of its own, then move what came out to its place."""
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    try:
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}.") as folder, _quietly():
            torch.onnx.export(
                module,
                inputs,
                os.path.join(folder, file.name),
                input_names=names,
                output_names=outputs,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                external_data=size > LARGEST_FILE,
                dynamo=True,
                verbose=False,
            )
            for part in sorted(os.listdir(folder), reverse=True):  # weights beside it come before the file itself
                os.replace(os.path.join(folder, part), file.with_name(part))
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror or error}; choose another place.") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's remarks on its own workings from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
