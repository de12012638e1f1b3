"""The whole model: image encoder, prompt encoder, mask decoder (SAM, section 3)."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.common import DropPath
from napari_sam.model.mask_decoder import MaskDecoder
from napari_sam.model.object_head import ObjectHead, ObjectMaps
from napari_sam.model.products import fast_products
from napari_sam.model.prompt_encoder import PromptEncoder
from napari_sam.model.text_prompt import TextPrompt

if TYPE_CHECKING:
    from napari_sam.model.build import SamSpec

__all__ = ["OF_TEXTS", "ImageEmbedding", "Sam", "weights_state"]

OF_TEXTS = ("text_head.", "text_decoder.")  # how the keys of weights for texts begin


@dataclass(frozen=True)
class ImageEmbedding:
    """Hold what the encoder made of B images.

    Parameters
    ----------
    features
        (B, C, h, w) embedding.
    skips
        Finer features for decoders that take them: (B, c1, 2h, 2w) and (B, c2, 4h, 4w), or ().
    """

    features: Tensor
    skips: tuple[Tensor, ...] = ()

    def of_image(self, number: int) -> ImageEmbedding:
        """Return what belongs to one of the images, B then being 1."""
        one = slice(number, number + 1)
        return ImageEmbedding(self.features[one], tuple(skip[one] for skip in self.skips))

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(t.numel() * t.element_size() for t in (self.features, *self.skips))


class Sam(nn.Module):
    """Assemble the three parts; sizes and preprocessing come from `spec`.

    Parameters
    ----------
    spec
        All size numbers, see `model.build.SamSpec`.
    image_encoder, prompt_encoder, mask_decoder
        The parts.
    object_head
        Maps of objects without a prompt, where the model has them.

    Attributes
    ----------
    text_head
        Turns vectors of a CLIP into prompts, where the model was trained with text; see `add_text_head`.
    text_decoder
        Decodes prompts with a text in the place of the mask decoder, where texts were added to a model that was done.
    """

    mask_threshold: float = 0.0
    pixel_mean: Tensor
    pixel_std: Tensor
    image_encoder: nn.Module
    prompt_encoder: PromptEncoder
    mask_decoder: MaskDecoder
    object_head: ObjectHead | None
    text_head: TextPrompt | None
    text_decoder: MaskDecoder | None

    def __init__(
        self,
        spec: SamSpec,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        object_head: ObjectHead | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.name = spec.architecture
        self.precision = "float32"
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.object_head = object_head
        self.text_head = None
        self.text_decoder = None
        self.register_buffer("pixel_mean", torch.tensor(spec.pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(spec.pixel_std).view(-1, 1, 1), persistent=False)
        self._fingerprint: tuple[Any, str] | None = None  # and of which state of the weights

    @property
    def img_size(self) -> int:
        """Side of the square input in pixels."""
        return self.spec.img_size

    @property
    def mask_size(self) -> int:
        """Side of the low-resolution masks."""
        return 4 * self.spec.grid

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """What the bulk of the work is computed in; weights and results are float32."""
        return cast("torch.dtype", getattr(torch, self.precision))

    @property
    def fingerprint(self) -> str:
        """Hash of all weights but those for texts (BLAKE2b, 32 hex digits); the same on any device.

        So embeddings and what was made without texts stay valid where a model gets a text head. It is computed anew
        when a weight was changed in place; who writes through `.data`, which PyTorch does not count, clears it.
        """
        state = weights_state(self)
        if self._fingerprint is None or self._fingerprint[0] != state:
            self._fingerprint = state, self._hash(texts=False)
        return self._fingerprint[1]

    @property
    def text_fingerprint(self) -> str:
        """Hash of the weights for texts alone; "" where there are none."""
        return "" if self.text_head is None else self._hash(texts=True)

    def drop_text_head(self) -> None:
        """Take the weights for texts away; points, boxes and masks stay what they are."""
        self.text_head = self.text_decoder = None

    def _hash(self, *, texts: bool) -> str:
        digest = hashlib.blake2b(self.spec.architecture.encode(), digest_size=16)
        for key, value in sorted(self.state_dict().items()):
            if key.startswith(OF_TEXTS) == texts:
                digest.update(key.encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def add_text_head(self, clip_width: int, *, decoder: bool = False) -> TextPrompt:
        """Give the model a new text head, of random weights, for vectors of so many numbers; return it.

        Its tokens are near that of no point at first, so texts beside points and boxes say little.

        Parameters
        ----------
        decoder
            Whether prompts with a text get a decoder of their own, at first a copy of the mask decoder: it can learn
            while points and boxes alone stay exactly what they are.
        """
        self.text_head = TextPrompt(clip_width, self.spec.embed_dim).to(self.device)
        with torch.no_grad():
            self.text_head.kind_embed.weight.copy_(self.prompt_encoder.not_a_point_embed.weight)
        self.text_head.train(self.training)
        self.text_decoder = copy.deepcopy(self.mask_decoder) if decoder else None
        return self.text_head

    def set_drop_path(self, rate: float) -> None:
        """Set how often the last block of the encoder is left out in training; earlier ones linearly less often."""
        drops = [module for module in self.image_encoder.modules() if isinstance(module, DropPath)]
        for number, drop in enumerate(drops, start=1):
            drop.rate = rate * number / len(drops)

    def encoder_steps(self) -> list[nn.Module]:
        """List the encoder's parts in the order in which they finish, for progress and cancelling."""
        return self.image_encoder.steps()  # type: ignore[operator]

    def preprocess(self, pixels: Tensor) -> Tensor:
        """Normalise (B, 3, h, w) RGB values 0 to 255 and pad them with zeros to (B, 3, img_size, img_size)."""
        x = pixels.to(self.device, torch.float32)
        if self.spec.preprocess != "medsam":  # MedSAM's pixels are used as they come, 0 to 1
            x = (x - self.pixel_mean) / self.pixel_std
        h, w = x.shape[-2:]
        return F.pad(x, (0, self.img_size - w, 0, self.img_size - h))

    def encode(self, pixels: Tensor | Sequence[Tensor]) -> ImageEmbedding:
        """Embed images.

        Parameters
        ----------
        pixels
            (B, 3, h, w) RGB, values 0 to 255, h and w at most `img_size`; or several such tensors of any sizes.
        """
        several = [pixels] if isinstance(pixels, Tensor) else pixels
        x = torch.cat([self.preprocess(images) for images in several])
        reduced = self.dtype != torch.float32
        with fast_products(), torch.autocast(self.device.type, dtype=self.dtype if reduced else None, enabled=reduced):
            out = self.image_encoder(x)
        features, skips = out if isinstance(out, tuple) else (out, ())
        return ImageEmbedding(features.float(), tuple(skip.float() for skip in skips))

    def find_objects(self, embedding: ImageEmbedding) -> ObjectMaps:
        """Return where the object head sees objects; only for models that have one (`object_head` is not None)."""
        assert self.object_head is not None  # noqa: S101 - stated above
        return self.object_head(embedding.skips[1])

    def decode(
        self,
        embedding: ImageEmbedding,
        *,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        texts: Tensor | None = None,
        multimask: bool,
    ) -> tuple[Tensor, Tensor]:
        """Predict the masks of n prompts.

        Parameters
        ----------
        embedding
            Of one image for all prompts, or of B images with n / B consecutive prompts each.
        points
            (n, k, 2) coordinates (x, y) in model pixels and (n, k) labels: 1 positive, 0 negative, -1 padding.
        boxes
            (n, 4) x0, y0, x1, y1 in model pixels.
        masks
            (n, 1, mask_size, mask_size) logits.
        texts
            (n, C) tokens of the text head.
        multimask
            Whether to offer three masks or the one for several prompts.

        Returns
        -------
        logits
            (n, 3 or 1, mask_size, mask_size).
        iou
            (n, 3 or 1) predicted IoU, in the model's order.
        """
        sparse, dense = self.prompt_encoder(points, boxes, masks, texts)
        decoder = self.mask_decoder if texts is None else self.text_decoder or self.mask_decoder
        maps = None
        if decoder.drawing is not None:
            maps = self.prompt_encoder.maps(points, boxes, masks, count=len(sparse))
        logits, iou = decoder(
            embedding.features, self.prompt_encoder.get_dense_pe(), sparse, dense, multimask, embedding.skips, maps
        )
        return logits, iou


def weights_state(module: nn.Module) -> tuple[tuple[int, int], ...]:
    """Return what changes when weights of a module are changed in place or replaced: place and count of each tensor."""
    return tuple(
        (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        for tensor in (*module.parameters(), *module.buffers())
    )
