"""Numbers the model computes with, and which are the fastest that a device does well."""

from __future__ import annotations

import torch

from napari_sam.model.build import SamSpec

__all__ = ["PRECISIONS", "best_precision"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def best_precision(device: torch.device, spec: SamSpec) -> str:
    """Return the fastest precision whose masks agree with those of float32 (tests/parity/test_precision.py).

    bfloat16 where the processor multiplies it natively. Small models gain nothing from it on a CPU.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu" and spec.encoder == "vit" and _cpu_has_bfloat16():
        return "bfloat16"
    return "float32"


def _cpu_has_bfloat16() -> bool:
    return any(
        check is not None and check()
        for check in (getattr(torch.cpu, f"_is_{what}_supported", None) for what in ("avx512_bf16", "amx_tile"))
    )
