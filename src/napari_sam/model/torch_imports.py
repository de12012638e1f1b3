"""Importing what PyTorch's optimizers and torchvision need into a process that draws with OpenGL."""

from __future__ import annotations

import importlib
import sys

__all__ = ["import_dynamo"]


def import_dynamo() -> None:
    """Import `torch._dynamo`, which optimizers, the "meta" device and torchvision import, without triton.

    Triton's library brings an LLVM of its own; loaded after Mesa's OpenGL, which has another, it crashes the process.
    Only `torch.compile` needs it. Does nothing where either is loaded already.
    """
    if "torch._dynamo" in sys.modules or "triton" in sys.modules:
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # makes `import triton` fail
    try:
        importlib.import_module("torch._dynamo")
    finally:
        del sys.modules["triton"]
