"""The table as tensors, and rows of many tasks gathered into one batch.

Shapes: n rows, d features, m outputs, N tasks or episodes, L rows of each at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .algorithms import Rows
from .episodes import Episodes
from .table import TaskTable

NEVER = -1e9  # added to the output of a class that a task has not; finite, so that 0 * NEVER is 0


@dataclass(frozen=True)
class MetaData:
    """Rows in the table's order: ``x`` (n, d), ``weight`` (n,), and ``y`` (n,), None for classes.

    ``n_ways`` is None where the output of a class is its code; else outputs are drawn anew for
    every episode. ``n_outputs`` is m.
    """

    table: TaskTable
    x: Tensor
    weight: Tensor
    y: Tensor | None
    n_ways: int | None
    n_outputs: int

    def to(self, device: str) -> MetaData:
        """The same on a device."""
        y = None if self.y is None else self.y.to(device)
        return replace(self, x=self.x.to(device), weight=self.weight.to(device), y=y)

    def episodes(self, drawn: Episodes) -> tuple[Rows, Rows]:
        """Support and query rows of each episode."""
        n, n_ways = drawn.groups.shape
        outputs = self._outputs_of(drawn.groups, np.broadcast_to(np.arange(n_ways), (n, n_ways)))
        offset = self.offset(outputs, drawn.groups_there)

        def gather(rows: np.ndarray, there: np.ndarray) -> Rows:
            repeated = np.broadcast_to(outputs[..., None], rows.shape)
            rows, there, of_rows = (a.reshape(n, -1) for a in (rows, there, repeated))
            return self.gather(rows, there, of_rows, offset)

        return (
            gather(drawn.support, drawn.support_there),
            gather(drawn.query, drawn.query_there),
        )

    def gather(
        self, rows: np.ndarray, there: np.ndarray, outputs: np.ndarray, offset: Tensor
    ) -> Rows:
        """Rows (N, L) of the table whose classes have these outputs (N, L)."""
        where = torch.from_numpy(rows).to(self.x.device)
        present = torch.from_numpy(there).to(self.x)
        if self.y is not None:
            values = self.y[where].unsqueeze(-1)
        else:
            classes = torch.from_numpy(np.ascontiguousarray(outputs)).to(where)
            values = torch.nn.functional.one_hot(classes, self.n_outputs).to(self.x)
        return Rows(self.x[where], values, self.weight[where] * present, offset)

    def outputs_of_rows(self) -> np.ndarray:
        """Output of the class of each row, (n,), when a task's classes keep their order."""
        table = self.table
        place = np.arange(len(table.codes)) - np.repeat(table.first_group[:-1], table.n_groups)
        return np.repeat(self._outputs_of(np.arange(len(table.codes)), place), table.n_rows)

    def offset(self, outputs: np.ndarray, there: np.ndarray) -> Tensor:
        """(N, m): zero for the outputs (N, W) that are there, `NEVER` for others."""
        if self.y is not None:
            return torch.zeros(len(outputs), 1).to(self.x)
        offset = np.full((len(outputs), self.n_outputs), NEVER)
        episode, way = np.nonzero(there)
        offset[episode, outputs[episode, way]] = 0
        return torch.from_numpy(offset).to(self.x)

    def _outputs_of(self, groups: np.ndarray, place: np.ndarray) -> np.ndarray:
        return self.table.codes[groups] if self.n_ways is None else place
