"""Which library multiplies float32 matrices on the CPU.

PyTorch hands them to MKL, which runs at about half speed on AMD processors with AVX-512; oneDNN, which PyTorch carries
as well, does not (docs/performance.md). The only switch that chooses it is the one that *allows* lower precision
inside products, so it is turned on only where a trial shows that none is lost.
"""

from __future__ import annotations

import functools
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

__all__ = ["fast_products"]

EXACT = 1e-5  # of the largest value: float32 stays below 1e-6, bfloat16 is at 4e-3


@contextmanager
def fast_products() -> Iterator[None]:
    """Multiply float32 matrices on the CPU with the faster library, in float32 as before."""
    if not _onednn_pays():
        yield
        return
    _SWITCH.turn_on()
    try:
        yield
    finally:
        _SWITCH.turn_off()


class _Switch:
    """Count who is inside: the setting is the whole process's, so only the last thread out may put it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: Any = None

    def turn_on(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = _settings().fp32_precision
                _settings().fp32_precision = "bf16"
            self._inside += 1

    def turn_off(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _settings().fp32_precision = self._before


_SWITCH = _Switch()


@functools.cache
def _onednn_pays() -> bool:
    settings = _settings()
    known = hasattr(settings, "fp32_precision")  # since PyTorch 2.9
    if not known or not torch.backends.mkldnn.is_available() or not _is_amd_avx512():
        return False
    _SWITCH.turn_on()
    try:
        return all(_error(shape) < EXACT for shape in ((1, 512, 768, 1024), (2, 256, 64, 2048)))
    finally:
        _SWITCH.turn_off()


def _settings() -> Any:
    return getattr(torch.backends.mkldnn, "matmul", None)


def _error(shape: tuple[int, int, int, int]) -> float:
    """Return the largest error of a batch of products, relative to the largest value."""
    batch, rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(batch, rows, inner, generator=generator)
    b = torch.randn(batch, inner, columns, generator=generator)
    true = a.double() @ b.double()
    return float(((a @ b).double() - true).abs().max() / true.abs().max())


def _is_amd_avx512() -> bool:
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    cpuinfo = Path("/proc/cpuinfo")
    name = cpuinfo.read_text() if cpuinfo.exists() else platform.processor()
    return "AuthenticAMD" in name
