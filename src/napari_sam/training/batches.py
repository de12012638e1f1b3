"""The batches of a run, made ahead of time by worker processes where there are some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.data.sampler import Batch, make_batch

__all__ = ["stream_batches", "stream_steps"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Steps(Dataset[tuple[int, Any]]):
    """Make the batch of any step; the same one every time."""

    make: Callable[[int], Any]

    def __getitem__(self, step: int) -> tuple[int, Any]:
        return step, _share(self.make(step)) if get_worker_info() is not None else self.make(step)


def stream_steps(make: Callable[[int], T], steps: range, workers: int) -> Iterator[tuple[int, T]]:
    """Yield each step and what `make` makes of it, in order.

    `workers` processes work ahead; with none, each is made when its turn comes.
    """
    loader = DataLoader(_Steps(make), batch_size=None, sampler=steps, num_workers=workers, collate_fn=_as_it_is)
    for step, made in loader:
        yield step, made() if isinstance(made, _Shared) else made


def stream_batches(
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    config: TrainingConfig,
    size: int,
    steps: range,
    crops: range,
) -> Iterator[tuple[int, Batch]]:
    """Yield the number and the batch of each step, in order.

    Parameters
    ----------
    samples, weights, config, size
        As for `make_batch`; see `stream_steps` for `config.workers`.
    steps, crops
        Which steps, and which crops of each.
    """
    make = partial(make_batch, samples, weights, config, size, crops=crops)
    yield from stream_steps(make, steps, config.workers)


def _as_it_is(step: Any) -> Any:
    return step


@dataclass(frozen=True)
class _Shared:
    """A record on its way from a worker: its arrays as tensors, which cross through shared memory instead of a pipe."""

    record: type
    arrays: dict[str, torch.Tensor]

    def __call__(self) -> Any:
        return self.record(**{name: tensor.numpy() for name, tensor in self.arrays.items()})


def _share(made: Any) -> Any:
    if not is_dataclass(made) or isinstance(made, type):
        return made
    values = {field.name: getattr(made, field.name) for field in fields(made)}
    if not all(isinstance(value, np.ndarray) for value in values.values()):
        return made
    return _Shared(type(made), {name: torch.from_numpy(value) for name, value in values.items()})
