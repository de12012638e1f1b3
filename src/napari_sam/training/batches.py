"""The batches of a run, made ahead of time by worker processes where there are some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.data.sampler import Batch, make_batch

__all__ = ["stream_batches"]


@dataclass(frozen=True)
class _Steps(Dataset[tuple[int, Batch]]):
    """Make the batch of any step; the same one every time."""

    samples: Sequence[Sample]
    weights: npt.NDArray[np.float64]
    config: TrainingConfig
    size: int
    crops: range

    def __getitem__(self, step: int) -> tuple[int, Batch]:
        return step, make_batch(self.samples, self.weights, self.config, self.size, step, self.crops)


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
        As for `make_batch`; `config.workers` processes work ahead, none: each batch is made when its turn comes.
    steps, crops
        Which steps, and which crops of each.
    """
    dataset = _Steps(samples, weights, config, size, crops)
    loader = DataLoader(dataset, batch_size=None, sampler=steps, num_workers=config.workers, collate_fn=_as_it_is)
    yield from loader


def _as_it_is(step: Any) -> Any:
    return step
