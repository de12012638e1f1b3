"""Several processes, started by `torchrun`, that share the crops of each step and add up their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from napari_sam.errors import InputError
from napari_sam.training.step import StepResult

__all__ = ["Team", "join_team"]


@dataclass(frozen=True)
class Team:
    """Tell which of how many processes this is.

    Parameters
    ----------
    rank, size
        Number of this process, from 0, and of all.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def parts(self, batch: int, accumulate: int) -> list[range]:
        """Return the crops of each of this process's turns.

        Raises
        ------
        InputError
            If the batch cannot be shared evenly.
        """
        count = self.size * accumulate
        if batch % count:
            raise InputError(
                f"A batch of {batch} crops cannot be shared by {self.size} processes in {accumulate} turns each: "
                f"set batch to a multiple of {count}."
            )
        length = batch // count
        starts = [(self.rank * accumulate + turn) * length for turn in range(accumulate)]
        return [range(start, start + length) for start in starts]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, so that each has that of the whole batch."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:  # not used here, but perhaps by others
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def mean(self, result: StepResult) -> StepResult:
        """Return the mean report of all processes."""
        if self.size == 1:
            return result
        everyone: list[StepResult | None] = [None] * self.size
        dist.all_gather_object(everyone, result)
        return StepResult.mean([each for each in everyone if each is not None])

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


def join_team(device: str) -> Team:
    """Join the processes that `torchrun` started; alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Team(dist.get_rank(), dist.get_world_size())
