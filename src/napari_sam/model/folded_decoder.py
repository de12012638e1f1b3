"""The mask decoder for many prompts on one image: the mathematics of `MaskDecoder` in far fewer operations.

A prompt has about 7 tokens and the image thousands. So instead of projecting the image for every prompt, the
projections are folded into the tokens: `q · (W_k x) = (q W_k) · x` and `sum a (W_v x) = W_v (sum a x)`. What does not
depend on the prompt (positions, and in the first layer the image itself) is projected once an image. Masks are made
only of the prompts that are asked for, in an order of axes that needs no transposed copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.products import fast_products
from napari_sam.model.sam import ImageEmbedding, Sam

if TYPE_CHECKING:
    from napari_sam.model.mask_decoder import MaskDecoder
    from napari_sam.model.transformer import Attention, TwoWayAttentionBlock

__all__ = ["Attended", "FoldedDecoder", "decoder_for_texts"]


@dataclass(frozen=True)
class Attended:
    """What the transformer made of n prompts.

    Parameters
    ----------
    tokens
        (n, 4, C) mask tokens.
    image
        (n, h * w, C) image as each prompt sees it.
    iou_token
        (n, C) token of which the IoU is predicted.
    iou
        (n, 4) float32 predicted IoU; decoders that draw correct it by the masks.
    maps
        (n, MAP_CHANNELS, 2h, 2w) prompts, for decoders that draw.
    """

    tokens: Tensor
    image: Tensor
    iou_token: Tensor
    iou: Tensor
    maps: Tensor | None = None

    def offered(self, multimask: bool) -> Tensor:
        """(n, 3 or 1) predicted IoU of the masks for one prompt, or of the one for several prompts."""
        return self.iou[:, 1:] if multimask else self.iou[:, :1]


class FoldedDecoder:
    """Decode prompts on one image; for inference only.

    Parameters
    ----------
    model
        Whose mask decoder is used; weights changed later are not noticed.
    embedding
        Of one image.
    dtype
        Of the work on the image, None for the model's precision; tokens are float32 always.
    texts
        Whether prompts with a text will be decoded, for which a model may have a decoder of its own.
    """

    def __init__(
        self, model: Sam, embedding: ImageEmbedding, dtype: torch.dtype | None = None, *, texts: bool = False
    ) -> None:
        dtype = dtype or model.dtype
        self.embedding = embedding
        self.dtype = dtype
        self._prompt_encoder = model.prompt_encoder
        self._decoder = (model.text_decoder if texts else None) or model.mask_decoder
        self._grid = embedding.features.shape[-2:]
        position = model.prompt_encoder.get_dense_pe().flatten(2)[0].T  # [h*w, c]
        plain = embedding.features + model.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        self._image = plain.flatten(2)[0].T.contiguous().to(dtype)  # [h*w, c]
        transformer = self._decoder.transformer
        layers = [cast("TwoWayAttentionBlock", layer) for layer in transformer.layers]
        # where the keys' and queries' positions enter: [heads, d, h*w]
        self._key_positions = [_heads(F.linear(position, a.k_proj.weight), a).to(dtype) for a in self._to_image()]
        self._query_positions = [
            _heads(layer.cross_attn_image_to_token.q_proj(position), layer.cross_attn_image_to_token).to(dtype)
            for layer in layers
        ]
        first = layers[0]
        image = self._image.float()
        to_image, to_tokens = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        self._first_keys = _heads(F.linear(image, to_image.k_proj.weight), to_image).to(dtype) + self._key_positions[0]
        self._first_values = _heads(to_image.v_proj(image), to_image).to(dtype).transpose(1, 2).contiguous()
        self._first_queries = (
            _heads(F.linear(image, to_tokens.q_proj.weight), to_tokens).to(dtype) + self._query_positions[0]
        )
        self._upscaling = None if self.draws else _Upscaling(self._decoder, embedding.skips, dtype)
        with torch.inference_mode():
            self.objects = None if texts or model.object_head is None else model.find_objects(embedding)

    @property
    def draws(self) -> bool:
        """Whether masks correct what the tokens say of their IoU, so that it is not known before them."""
        return self._decoder.drawing is not None

    @property
    def nbytes(self) -> int:
        """Bytes kept for the image."""
        own = [self._image, self._first_keys, self._first_values, self._first_queries]
        own += [] if self._upscaling is None else self._upscaling.skips
        own += [*self._key_positions, *self._query_positions]
        return self.embedding.nbytes + sum(t.numel() * t.element_size() for t in own)

    @torch.inference_mode()
    def attend(
        self,
        *,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        texts: Tensor | None = None,
    ) -> Attended:
        """Run the transformer for n prompts, given as for `Sam.decode`."""
        with fast_products():
            return self._attend(points, boxes, masks, texts)

    def _attend(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        texts: Tensor | None,
    ) -> Attended:
        sparse, dense = self._prompt_encoder(points, boxes, masks, texts)
        decoder = self._decoder
        start = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([start.expand(len(sparse), -1, -1), sparse], dim=1)  # [n, t, c]
        image = None
        if masks is not None:
            image = (self.embedding.features + dense).flatten(2).transpose(1, 2).to(self.dtype)  # [n, h*w, c]
        transformer = decoder.transformer
        queries = tokens
        for number, layer in enumerate(transformer.layers):
            queries, image = self._layer(number, cast("TwoWayAttentionBlock", layer), queries, image, tokens)
        assert image is not None  # noqa: S101 - there is a layer
        last = transformer.final_attn_token_to_image
        queries = queries + self._read(last, queries + tokens, image, self._key_positions[-1])
        hidden = transformer.norm_final_attn(queries)
        iou = decoder.iou_prediction_head(hidden[:, 0])
        maps = self._prompt_encoder.maps(points, boxes, masks, count=len(sparse)) if self.draws else None
        return Attended(hidden[:, 1 : 1 + decoder.num_mask_tokens], image, hidden[:, 0], iou.float(), maps)

    @torch.inference_mode()
    def masks(
        self, attended: Attended, prompts: Tensor | slice = slice(None), *, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the (k, 3 or 1, 4h, 4w) float32 logits of some of the prompts, and their (k, 3 or 1) predicted IoU."""
        chosen = range(1, self._decoder.num_mask_tokens) if multimask else range(1)
        mlps = self._decoder.output_hypernetworks_mlps
        tokens = attended.tokens[prompts]
        weights = torch.stack([mlps[i](tokens[:, i]) for i in chosen], dim=-1)  # [k, c/8, m]
        iou = attended.offered(multimask)[prompts]
        with fast_products():
            if self._upscaling is not None:
                return self._upscaling(attended.image[prompts], weights, self._grid), iou
            return self._draw(attended.image[prompts], cast("Tensor", attended.maps)[prompts], weights, iou)

    def _draw(self, image: Tensor, maps: Tensor, weights: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and corrected IoUs of a (k, h*w, C) image and (k, C/8, m) weights of the mask tokens."""
        reduced = self.dtype != torch.float32
        image = image.transpose(1, 2).unflatten(2, self._grid)  # [k, h*w, c] -> [k, c, h, w]
        with torch.autocast(image.device.type, dtype=self.dtype if reduced else None, enabled=reduced):
            features = self._decoder.upscale(image, self.embedding.skips, maps).float()
        logits = torch.einsum("kchw,kcm->kmhw", features, weights.float())
        quality = self._decoder.quality
        return logits, iou if quality is None else quality(iou, logits, features)

    def _to_image(self) -> list[Attention]:
        transformer = self._decoder.transformer
        layers = [cast("TwoWayAttentionBlock", layer) for layer in transformer.layers]
        return [*(layer.cross_attn_token_to_image for layer in layers), transformer.final_attn_token_to_image]

    def _layer(
        self, number: int, layer: TwoWayAttentionBlock, queries: Tensor, image: Tensor | None, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run one layer; `image` None stands for the image as it is, the same for all prompts."""
        if layer.skip_first_layer_pe:
            queries = layer.self_attn(queries, queries, queries)
        else:
            q = queries + tokens
            queries = queries + layer.self_attn(q, q, queries)
        queries = layer.norm1(queries)
        to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        if image is None:
            read = self._read_first(to_image, queries + tokens)
        else:
            read = self._read(to_image, queries + tokens, image, self._key_positions[number])
        queries = layer.norm2(queries + read)
        queries = layer.norm3(queries + layer.mlp(queries))
        positions = self._first_queries if image is None else self._query_positions[number]
        image = self._write(to_tokens, queries + tokens, queries, image, positions)
        return queries, _normalize(image, layer.norm4)

    def _read(self, attention: Attention, q: Tensor, image: Tensor, positions: Tensor) -> Tensor:
        """Let tokens attend to the image: (n, t, C). The keys' bias moves all logits alike, so it is left out."""
        query = _split(attention.q_proj(q), attention)  # [n, heads, t, d]
        query = query * query.shape[-1] ** -0.5
        folded = query @ _per_head(attention.k_proj, attention.num_heads)  # [n, heads, t, c]
        logits = (query.to(self.dtype) @ positions).flatten(1, 2)  # [n, heads*t, h*w]
        logits.baddbmm_(folded.flatten(1, 2).to(self.dtype), image.transpose(1, 2))
        found = logits.softmax(-1) @ image  # [n, heads*t, c]
        found = found.to(q.dtype).unflatten(1, (attention.num_heads, -1))
        value = found @ _per_head(attention.v_proj, attention.num_heads).transpose(1, 2)  # [n, heads, t, d]
        return attention.out_proj(value.transpose(1, 2).flatten(2) + attention.v_proj.bias)

    def _read_first(self, attention: Attention, q: Tensor) -> Tensor:
        """Let tokens attend to the image as it is, whose keys and values are there already."""
        n, t, _ = q.shape
        query = _split(attention.q_proj(q), attention)
        query = (query * query.shape[-1] ** -0.5).transpose(0, 1).flatten(1, 2)  # [heads, n*t, d]
        found = (query.to(self.dtype) @ self._first_keys).softmax(-1) @ self._first_values
        found = found.to(q.dtype).unflatten(1, (n, t)).permute(1, 2, 0, 3)  # [heads, n*t, d] -> [n, t, heads, d]
        return attention.out_proj(found.flatten(2))

    def _write(self, attention: Attention, k: Tensor, v: Tensor, image: Tensor | None, positions: Tensor) -> Tensor:
        """Let the image attend to tokens, and add what it found: (n, h*w, C)."""
        heads = attention.num_heads
        key = _split(attention.k_proj(k), attention)  # [n, heads, t, d]
        key = key * key.shape[-1] ** -0.5
        logits = key.to(self.dtype) @ positions  # [n, heads, t, h*w]
        if image is not None:
            folded = (key @ _per_head(attention.q_proj, attention.num_heads)).flatten(1, 2).to(self.dtype)
            logits.flatten(1, 2).baddbmm_(folded, image.transpose(1, 2))
        share = logits.softmax(2).flatten(1, 2)  # over the tokens of each head
        value = _split(attention.v_proj(v), attention) @ _per_head_out(attention.out_proj, heads)  # [n, heads, t, c]
        value = (value + attention.out_proj.bias / heads).flatten(1, 2).to(self.dtype)  # shares add up to 1 a head
        base = self._image.expand(len(k), -1, -1) if image is None else image
        return torch.baddbmm(base, share.transpose(1, 2), value)


def decoder_for_texts(model: Sam, decoder: FoldedDecoder) -> FoldedDecoder:
    """Return what decodes prompts with a text on a decoder's image: another one where the model has one for texts."""
    return decoder if model.text_decoder is None else FoldedDecoder(model, decoder.embedding, decoder.dtype, texts=True)


class _Upscaling:
    """The decoder's up-scaling with the pixels of each cell kept together: matrix products without copies."""

    def __init__(self, decoder: MaskDecoder, skips: tuple[Tensor, ...], dtype: torch.dtype) -> None:
        up1, self._norm, _, up2, _ = decoder.output_upscaling
        ups = [cast("nn.ConvTranspose2d", up) for up in (up1, up2)]
        self._weights = [up.weight.permute(0, 2, 3, 1).flatten(1).to(dtype) for up in ups]  # [c, 4 * out]
        self._biases = [cast("Tensor", up.bias).repeat(4).to(dtype) for up in ups]
        self._dtype = dtype
        self.skips: list[Tensor] = []  # [h*w, 4 * c/4] and [h*w, 4, 4 * c/8]
        for number, skip in enumerate(skips):
            fine = decoder.skip_proj[number](skip)[0]  # [c, s*h, s*w] with s = 2, 4
            c, height, width = fine.shape
            h, w = height >> (number + 1), width >> (number + 1)
            fine = fine.view(c, h, *[2] * (number + 1), w, *[2] * (number + 1))
            # [c, h, y, (y), w, x, (x)] -> [h, w, y, x, (y, x), c]
            order = (1, 3, 2, 4, 0) if number == 0 else (1, 4, 2, 5, 3, 6, 0)
            shape = (h * w, 4 * c) if number == 0 else (h * w, 4, 4 * c)
            self.skips.append(fine.permute(order).reshape(shape).to(dtype))

    def __call__(self, image: Tensor, weights: Tensor, grid: tuple[int, int] | torch.Size) -> Tensor:
        """Return (k, m, 4h, 4w) float32 logits for a (k, h*w, C) image and (k, C/8, m) weights of the mask tokens."""
        k, cells, c = image.shape
        x = torch.addmm(self._biases[0], image.reshape(-1, c), self._weights[0])  # [k*h*w, 4 * c/4]
        if self.skips:
            x = x.view(k, cells, -1) + self.skips[0]
        width = self._weights[1].shape[0]
        x = F.gelu(_normalize(x.reshape(-1, width), self._norm))
        x = torch.addmm(self._biases[1], x, self._weights[1])  # [k*h*w*4, 4 * c/8]
        if self.skips:
            x = x.view(k, cells, 4, -1) + self.skips[1]
        x = F.gelu(x).view(k, cells * 16, -1)
        logits = torch.bmm(x, weights.to(self._dtype))  # [k, h*w*16, m]
        h, w = grid
        # [k, h, w, y, x, y, x, m] -> [k, m, h, y, y, w, x, x]
        logits = logits.view(k, h, w, 2, 2, 2, 2, -1).permute(0, 7, 1, 3, 5, 2, 4, 6)
        return logits.reshape(k, -1, 4 * h, 4 * w).float()


def _normalize(x: Tensor, norm: nn.Module) -> Tensor:
    weight, bias = cast("Tensor", norm.weight).to(x.dtype), cast("Tensor", norm.bias).to(x.dtype)
    return F.layer_norm(x, (x.shape[-1],), weight, bias, cast("float", norm.eps))


def _split(x: Tensor, attention: Attention) -> Tensor:
    return x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)  # [n, t, heads*d] -> [n, heads, t, d]


def _heads(x: Tensor, attention: Attention) -> Tensor:
    return x.T.unflatten(0, (attention.num_heads, -1)).contiguous()  # [h*w, heads*d] -> [heads, d, h*w]


def _per_head(projection: nn.Linear, heads: int) -> Tensor:
    return projection.weight.unflatten(0, (heads, -1))  # [heads*d, c] -> [heads, d, c]


def _per_head_out(projection: nn.Linear, heads: int) -> Tensor:
    return projection.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)  # [c, heads*d] -> [heads, d, c]
