"""The two towers of a CLIP, built by open_clip from a configuration, and the tokenizer that belongs to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_sam.errors import DownloadError, InputError
from napari_sam.model.torch_imports import import_dynamo

__all__ = [
    "CLIP_SPECS",
    "MERGES",
    "ClipSpec",
    "Tokenizer",
    "build_tokenizer",
    "build_towers",
    "encode_short",
    "find_clip_spec",
    "guess_clip",
    "random_towers",
]

Tokenizer = Callable[[Sequence[str]], Tensor]
MERGES = Path(__file__).parent / "clip_merges.txt.gz"
BUNDLED_TOKENS = 3771  # 256 bytes, the same at the end of a word, the merges of MERGES, and two marks
_OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """Describe a CLIP as open_clip builds it.

    Parameters
    ----------
    architecture
        Its name here.
    config
        open_clip's configuration: `embed_dim`, `vision_cfg`, `text_cfg` and what else it knows.
    mean, std
        Of the colours, which are taken from 0 to 1.
    size_cue
        See `inference.mask_crops.crop_masks`: as the model was trained.
    """

    architecture: str
    config: dict[str, Any] = field(repr=False)
    mean: tuple[float, float, float] = _OPENAI[0]
    std: tuple[float, float, float] = _OPENAI[1]
    size_cue: float = 0.0

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return int(self.config["vision_cfg"].get("image_size", 224))

    @property
    def context(self) -> int:
        """Tokens of a text, both marks included."""
        return int(self.config["text_cfg"].get("context_length", 77))

    @property
    def tokenizer(self) -> str:
        """The tokenizer: "bundled", "simple" (open_clip's own), or its name on the Hugging Face hub."""
        if self.architecture == "clip_bundled":
            return "bundled"
        return str(self.config["text_cfg"].get("hf_tokenizer_name") or "simple")


_BIOMED_TEXT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
CLIP_SPECS: dict[str, ClipSpec] = {
    "clip_bundled": ClipSpec(
        architecture="clip_bundled",
        config={
            "embed_dim": 192,
            # convolutions learn shapes and sizes from few crops sooner than a ViT, in a quarter of the time
            "vision_cfg": {
                "timm_model_name": "regnetx_002",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": 64,
            },
            "text_cfg": {"context_length": 32, "vocab_size": BUNDLED_TOKENS, "width": 192, "heads": 3, "layers": 4},
        },
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        size_cue=0.5,
    ),
    "biomedclip": ClipSpec(
        architecture="biomedclip",
        config={
            "embed_dim": 512,
            "vision_cfg": {
                "timm_model_name": "vit_base_patch16_224",
                "timm_model_pretrained": False,
                "timm_pool": "",
                "timm_proj": "linear",
                "image_size": 224,
            },
            "text_cfg": {
                "hf_model_name": _BIOMED_TEXT,
                "hf_tokenizer_name": _BIOMED_TEXT,
                "hf_model_pretrained": False,
                "hf_proj_type": "mlp",
                "hf_pooler_type": "cls_last_hidden_state_pooler",
                "context_length": 256,
            },
        },
    ),
}


def find_clip_spec(architecture: str) -> ClipSpec:
    """Return the description of an architecture: one of ours, or any that open_clip knows by name.

    Raises
    ------
    InputError
        If there is none.
    """
    if architecture in CLIP_SPECS:
        return CLIP_SPECS[architecture]
    open_clip = _open_clip()
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise InputError(
            f"Unknown CLIP architecture {architecture!r}: choose one of {', '.join(CLIP_SPECS)}, or of "
            "open_clip.list_models(), such as ViT-B-32."
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    known = open_clip.get_pretrained_cfg(architecture, tags[-1]) if tags else {}
    mean, std = known.get("mean", _OPENAI[0]), known.get("std", _OPENAI[1])
    return ClipSpec(architecture=architecture, config=config, mean=mean, std=std)


def guess_clip(state: Mapping[str, Tensor]) -> str | None:
    """Tell whether a state dict is of the bundled CLIP's architecture; others cannot be told from their weights alone.

    (Models of one shape differ in their activation, of which the weights say nothing.)
    """
    text = CLIP_SPECS["clip_bundled"].config["text_cfg"]
    tokens, stem = state.get("token_embedding.weight"), state.get("visual.trunk.stem.conv.weight")
    if tokens is None or stem is None:
        return None
    return "clip_bundled" if tuple(tokens.shape) == (text["vocab_size"], text["width"]) else None


def build_towers(spec: ClipSpec) -> nn.Module:
    """Build both towers with random weights; open_clip's `CLIP` or `CustomTextCLIP`.

    Raises
    ------
    InputError
        If a package is missing that the architecture needs.
    DownloadError
        If the text tower's own configuration, which comes from the Hugging Face hub, cannot be had.
    """
    open_clip = _open_clip()
    config = deepcopy(spec.config)
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    _need_transformers(spec)
    try:
        return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    except OSError as error:
        raise _no_hub(spec) from error


def encode_short(towers: Any, tokens: Tensor) -> Tensor:
    """Return what open_clip's `CLIP.encode_text` does, (t, d), without the padding that all (t, context) tokens end in.

    No token looks at a later one, so the outcome is the same and takes a third of the time for short captions.
    """
    length = int((tokens != 0).sum(dim=1).max())
    tokens = tokens[:, :length]
    x = towers.token_embedding(tokens) + towers.positional_embedding[:length]
    x = towers.ln_final(towers.transformer(x, attn_mask=towers.attn_mask[:length, :length]))
    last = tokens.argmax(dim=-1)  # the mark at the end has the largest number
    return x[torch.arange(len(x)), last] @ towers.text_projection


def build_tokenizer(spec: ClipSpec) -> Tokenizer:
    """Return what turns n texts into (n, context) int64 tokens; see `build_towers` for what is raised."""
    tokenizer = _open_clip().tokenizer
    if spec.tokenizer == "bundled":
        return tokenizer.SimpleTokenizer(bpe_path=str(MERGES), context_length=spec.context)
    if spec.tokenizer == "simple":
        return tokenizer.SimpleTokenizer(context_length=spec.context)
    _need_transformers(spec)
    try:
        return tokenizer.HFTokenizer(spec.tokenizer, context_length=spec.context)
    except OSError as error:
        raise _no_hub(spec) from error


def _open_clip() -> Any:
    """Import open_clip, which takes a second; in a program with windows so that it can draw on."""
    if "qtpy" in sys.modules:
        import_dynamo()
    import open_clip

    return open_clip


def _need_transformers(spec: ClipSpec) -> None:
    if "hf_model_name" not in spec.config["text_cfg"] and spec.tokenizer in ("bundled", "simple"):
        return
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"The text tower of {spec.architecture!r} needs the package transformers: run pip install transformers, "
            "or choose another CLIP."
        ) from error


def _no_hub(spec: ClipSpec) -> DownloadError:
    return DownloadError(
        f"Cannot fetch the text tower's configuration and vocabulary {spec.tokenizer!r} of {spec.architecture!r} from "
        "the Hugging Face hub: connect to the internet once, or choose another CLIP."
    )


def random_towers(spec: ClipSpec, seed: int) -> nn.Module:
    """Build towers whose random weights depend on the seed only; the generator of the program is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_towers(spec)
