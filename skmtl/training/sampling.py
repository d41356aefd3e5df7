"""Batches in which tasks are drawn more often, or more seldom, than they have rows.

Shapes: n rows in all, K members, T tasks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from .batches import TrainBatches


class SampledBatches(TrainBatches):
    """As many rows an epoch as there are, of which each task has a given share.

    The rows of a task are drawn in rounds: none comes again before all have come as often. A table
    that is a single batch is served whole, since means of tasks do not depend on how often they are
    drawn.

    Parameters
    ----------
    *args : object
        As in `TrainBatches`.
    tasks : Tensor of int, shape (n,)
        Task of each row of the table.
    shares : Tensor of shape (T,)
        Share of each task, summing to one.
    """

    def __init__(self, *args: Any, tasks: Tensor, shares: Tensor):
        super().__init__(*args)
        self.tasks, self.shares = tasks, shares

    def _places(self, n_rows: int) -> Tensor:
        """Positions (K, n_rows) of each member's rows, as they are drawn."""
        return torch.stack(
            [
                self._draw(self.tasks[rows.cpu()], generator)
                for rows, generator in zip(self.rows, self.generators, strict=True)
            ]
        )

    def _draw(self, tasks: Tensor, generator: Generator) -> Tensor:
        """Positions (n,) of rows with these tasks, in random order."""
        n, present = len(tasks), torch.bincount(tasks, minlength=len(self.shares)) > 0
        shares = self.shares * present
        ends = (shares.cumsum(0) / shares.sum() * n).round().long()
        ends[-1] = n
        wanted = torch.diff(ends, prepend=ends.new_zeros(1)).tolist()
        drawn = []
        for task, count in enumerate(wanted):
            own = (tasks == task).nonzero()[:, 0]
            while count > 0:
                round_of = own[torch.randperm(len(own), generator=generator)][:count]
                drawn.append(round_of)
                count -= len(round_of)
        return torch.cat(drawn)[torch.randperm(n, generator=generator)]
