"""A CLIP of open_clip's that trains in milliseconds a step."""

from __future__ import annotations

from napari_sam.model.clip_towers import BUNDLED_TOKENS, ClipSpec

TINY_CLIP = ClipSpec(
    architecture="clip_bundled",  # takes its place, tokenizer included
    config={
        "embed_dim": 32,
        "vision_cfg": {"image_size": 16, "patch_size": 4, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"context_length": 32, "vocab_size": BUNDLED_TOKENS, "width": 32, "heads": 2, "layers": 1},
    },
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    size_cue=0.5,
)
