"""A start from which the decoder knows at once where a prompt points."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_sam.errors import CheckpointError
from napari_sam.model.cell_encoder import Merge
from napari_sam.model.checkpoint import read_state_dict
from napari_sam.model.download import fetch_model
from napari_sam.model.registry import find_model
from napari_sam.model.sam import Sam
from napari_sam.model.transformer import Attention, TwoWayAttentionBlock
from napari_sam.paths import local_path

__all__ = ["point_tokens_at_their_place", "start_from"]


def point_tokens_at_their_place(model: Sam, gain: float = 1.6, width: float = 0.7, marker: float = 3.0) -> None:
    """Start with cross-attentions that look where a prompt points.

    From a plain start, training on small objects sits on empty masks for hundreds of steps until the decoder has found
    that out (on 128 x 128 scenes of nuclei, IoU after 240 steps: .01 plain, .43 with equal projections alone).

    - Queries and keys start equal, so tokens and image attend to each other where their positional encodings agree.
    - What a token's kind adds to its position starts small, so that the position decides.
    - Positions are encoded a little smoother (by `width`), so that the place is found from farther away.
    - What the image takes over from a token starts larger (by `marker`).
    """
    transformer = model.mask_decoder.transformer
    layers = cast("list[TwoWayAttentionBlock]", list(transformer.layers))
    attentions = [transformer.final_attn_token_to_image]
    for layer in layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in attentions:
        _tie(attention, gain)
    prompt_encoder = model.prompt_encoder
    kinds = [*prompt_encoder.point_embeddings, prompt_encoder.not_a_point_embed, prompt_encoder.no_mask_embed]
    with torch.no_grad():
        for kind in cast("list[nn.Embedding]", kinds):
            kind.weight.mul_(0.2)
        prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(width)
        for layer in layers:
            layer.cross_attn_image_to_token.out_proj.weight.mul_(marker)


@torch.no_grad()
def _tie(attention: Attention, gain: float) -> None:
    nn.init.orthogonal_(attention.q_proj.weight, gain=gain)
    attention.k_proj.weight.copy_(attention.q_proj.weight)
    nn.init.zeros_(attention.q_proj.bias)
    nn.init.zeros_(attention.k_proj.bias)


def start_from(model: Sam, source: str) -> list[str]:
    """Load the weights of a registered model or of a file, as far as they fit.

    Modules that the source lacks keep their start; those that add to others (`Merge`) then begin by adding nothing.

    Returns
    -------
    list of str
        Names of the parameters that the source lacks.

    Raises
    ------
    InputError
        If there is no such model or file.
    CheckpointError
        If nothing in it fits.
    """
    path = local_path(source) if local_path(source).is_file() else fetch_model(find_model(source))
    state = read_state_dict(path)
    own = model.state_dict()
    fitting = {key: value.float() for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise CheckpointError(f"Nothing in {path} fits the architecture {model.spec.architecture}: name another start.")
    model.load_state_dict(fitting, strict=False)
    missing = [key for key in own if key not in fitting]
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, Merge) and f"{name}.coarse.weight" in missing:
                for layer in (module.coarse, module.block.conv2):
                    nn.init.zeros_(layer.weight)
                    nn.init.zeros_(cast("Tensor", layer.bias))
    return missing
