"""Importing PyTorch, and what its optimizers and torchvision need, into a process that draws with OpenGL."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
from pathlib import Path

__all__ = ["import_dynamo", "load_torch_libraries"]

# what `import torch` loads, and how: the first brings the libraries of CUDA, whose names all others must see
_LIBRARIES = {"libtorch_global_deps": getattr(ctypes, "RTLD_GLOBAL", 0), "libtorch_python": 0}


def load_torch_libraries() -> None:
    """Load PyTorch's libraries without holding up other threads; the import that follows is quick then.

    Python imports a library with its lock held, so that for a second no other thread runs and a window freezes. Where
    a library is not found, the import itself does it all.
    """
    if "torch" in sys.modules or os.name != "posix":
        return
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    with contextlib.suppress(AttributeError, OSError):  # no dlopen in this C library
        load = ctypes.CDLL(None).dlopen  # a call through ctypes lets go of the lock
        load.restype, load.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
        for name, mode in _LIBRARIES.items():
            file = Path(found.origin).parent / "lib" / f"{name}{suffix}"
            if file.is_file():
                load(os.fsencode(file), os.RTLD_NOW | mode)


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
