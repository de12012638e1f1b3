"""How much memory fine-tuning will take, told before it starts, and a refusal with advice where it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from napari_sam.errors import InputError
from napari_sam.model.build import build_from_spec
from napari_sam.model.lora import add_adapters
from napari_sam.model.sam import Sam
from napari_sam.training.finetune_settings import FinetuneSettings, finetune_settings

__all__ = ["check_memory", "estimate_memory", "free_memory"]

SPARE = 0.9  # of the free memory may be used
PASSING = 1.25  # what comes and goes besides what is kept for the backward pass
FIRST_STEP = 300_000_000  # bytes that libraries and allocator take at the first step, measured with `cells`
ADAM = 4  # gradient, two moments, copy of the best: numbers for each one that learns
CGROUP = Path("/sys/fs/cgroup")


def estimate_memory(model: Sam, settings: FinetuneSettings) -> int:
    """Return the bytes that fine-tuning takes beyond the loaded model.

    The activations are counted by running the model without data (PyTorch's "meta" device), so any size of model is
    estimated in seconds. Remembered embeddings are not counted: what does not fit goes to disk.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        twin = build_from_spec(model.spec)
        _choose_what_learns(twin, settings)
        encoder = _kept_by_encoder(twin, settings.batch)
        decoder = _kept_by_decoder(twin, settings.batch, settings.prompts)
    learning = sum(p.numel() for p in twin.parameters() if p.requires_grad)
    halved = 0.6 if model.dtype != torch.float32 else 1.0  # normalisation and tokens stay float32
    return int(FIRST_STEP + 4 * ADAM * learning + PASSING * (halved * encoder + decoder))


def check_memory(model: Sam, settings: FinetuneSettings, free: int | None = None) -> int:
    """Return the estimate if it fits.

    Parameters
    ----------
    model, settings
        What is to be fine-tuned, and how.
    free
        Bytes that may be used; None looks.

    Raises
    ------
    InputError
        If it does not fit, with settings that do.
    """
    needed = estimate_memory(model, settings)
    free = free_memory(model.device) if free is None else free
    if needed <= SPARE * free:
        return needed
    raise InputError(
        f"Fine-tuning {model.name} in mode {settings.mode} with batch {settings.batch} takes about {_giga(needed)} of "
        f"memory and {_giga(free)} are free on {model.device.type}: {_advice(model, settings, SPARE * free)}."
    )


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device; on a CPU no more than this process may still take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:  # a container or a batch job may have a limit of its own
        limit = int((CGROUP / "memory.max").read_text()) - int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return max(0, min(free, limit))


def _advice(model: Sam, settings: FinetuneSettings, limit: float) -> str:
    tried = [settings.changed(batch=batch) for batch in (settings.batch // 2, 1) if 0 < batch < settings.batch]
    tried += [finetune_settings(mode, {"batch": 1}) for mode in ("lora", "decoder") if mode != settings.mode]
    for other in tried:
        if estimate_memory(model, other) <= limit:
            mode = "" if other.mode == settings.mode else f"mode {other.mode} with "
            return f"take {mode}batch {other.batch}"
    return "free some memory, or take a smaller model such as cells or mobile_sam"


def _choose_what_learns(twin: Sam, settings: FinetuneSettings) -> None:
    if settings.mode == "decoder":
        twin.image_encoder.requires_grad_(False)
    elif settings.mode == "lora":
        add_adapters(twin, rank=settings.rank)


def _kept_by_encoder(twin: Sam, batch: int) -> int:
    """Count what one batch leaves for the backward pass, or at least its largest tensors where there is none."""
    side = twin.img_size
    with _counting(twin) as sizes:
        out: Any = twin.image_encoder(torch.zeros(batch, 3, side, side))
    features, skips = out if isinstance(out, tuple) else (out, ())
    found = sum(t.numel() * t.element_size() for t in (features, *skips))
    return sum(sizes.values()) + 2 * found  # its gradient is summed over the rounds


def _kept_by_decoder(twin: Sam, batch: int, prompts: int) -> int:
    spec, n = twin.spec, batch * prompts
    features = torch.zeros(batch, spec.embed_dim, spec.grid, spec.grid, requires_grad=True)
    skips: tuple[Tensor, ...] = ()
    if spec.encoder == "cell":
        widths = spec.cell_widths[1], spec.cell_widths[0]
        skips = tuple(torch.zeros(batch, w, spec.grid * 2 * i, spec.grid * 2 * i) for i, w in enumerate(widths, 1))
    points = torch.zeros(n, 3, 2), torch.ones(n, 3, dtype=torch.long)
    with _counting(twin) as sizes:
        sparse, dense = twin.prompt_encoder(points, None, torch.zeros(n, 1, twin.mask_size, twin.mask_size))
        twin.mask_decoder(features, twin.prompt_encoder.get_dense_pe(), sparse, dense, True, skips)
    losses = 12 * n * 3 * twin.mask_size**2 * 4  # logits and what focal and dice loss keep of them
    return sum(sizes.values()) + losses


@contextmanager
def _counting(model: nn.Module) -> Iterator[dict[int, int]]:
    """Collect the bytes of every tensor that is kept for the backward pass, each once, the weights left out."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            sizes[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), _FusedAttention():
        yield sizes


class _FusedAttention(TorchFunctionMode):
    """Keep of attention what the fused kernels keep: without data PyTorch would store all its weights."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and kwargs.get("attn_mask") is None:
            return _Fused.apply(*args)
        return func(*args, **kwargs)


class _Fused(torch.autograd.Function):
    """Stand in for attention where only memory counts."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return (..., d) of no meaning, with everything saved that a backward pass would want."""
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        ctx.save_for_backward(q, k, v, out)
        return out


def _giga(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
