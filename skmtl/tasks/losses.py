"""All tasks of a table at once: where each one's columns lie, and their losses and scores.

Tasks of one kind lie side by side, so that one call evaluates them together: twenty regressions
cost one subtraction, not twenty. Inside the engine tasks therefore stand in `order`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .base import Task


class Group(NamedTuple):
    """Tasks of one kind: a representative, how many, and their slices of T, C and V."""

    task: Task
    size: int
    tasks: slice
    outputs: slice
    values: slice


class TaskLosses(nn.Module):
    """Loss of every task: its weighted mean over the labelled samples of the batch.

    Parameters
    ----------
    tasks : list of Task
        Prepared tasks, in the order of the target table.

    Attributes
    ----------
    order : list of int
        Position in the table of each task, in the engine's order (kinds side by side).
    tasks : list of Task
        The tasks, in the engine's order.
    groups : list of Group
    """

    def __init__(self, tasks: list[Task]):
        super().__init__()
        keys = list(dict.fromkeys(t.key for t in tasks))
        self.order = sorted(range(len(tasks)), key=lambda i: keys.index(tasks[i].key))
        self.tasks = [tasks[i] for i in self.order]
        self.groups: list[Group] = []
        t = c = v = 0
        for key in keys:
            members = [task for task in self.tasks if task.key == key]
            task, size = members[0], len(members)
            ends = t + size, c + size * task.n_outputs, v + size * task.n_values
            self.groups.append(
                Group(task, size, slice(t, ends[0]), slice(c, ends[1]), slice(v, ends[2]))
            )
            t, c, v = ends

    @property
    def task_outputs(self) -> list[int]:
        """Number of output columns of each task, in the engine's order."""
        return [task.n_outputs for task in self.tasks]

    def forward(
        self, outputs: Tensor, values: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Losses and the label weight behind them.

        Parameters
        ----------
        outputs : Tensor of shape (K, b, C)
        values : Tensor of shape (K, b, V)
        weight : Tensor of shape (K, b, T) or None
            Zero where a label is missing; None: every label is there and counts one.

        Returns
        -------
        losses : Tensor of shape (K, T)
            Exactly zero, with zero gradient, for a task with no label in the batch.
        total : Tensor of shape (K, T) or None
            Summed label weight; None where `weight` is None.
        """
        if weight is None:
            return self._over_groups(
                outputs, values, lambda sample_loss, _: sample_loss.mean(1)
            ), None
        total = weight.sum(1)
        share = weight / total.clamp(min=torch.finfo(total.dtype).tiny).unsqueeze(1)
        losses = self._over_groups(
            outputs, values, lambda sample_loss, g: (sample_loss * share[..., g.tasks]).sum(1)
        )
        return losses, total

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor | None) -> Tensor:
        """Validation score of every task, shape (K, T); NaN where it has no label."""
        if weight is None:
            weight = outputs.new_ones((*outputs.shape[:2], len(self.tasks)))
        scores = [
            g.task.score(*self._columns(g, outputs, values), weight[..., g.tasks])
            for g in self.groups
        ]
        return torch.cat(scores, -1)

    def activate(self, outputs: Tensor) -> list[Tensor]:
        """Activated outputs averaged over the members: a tensor (b, G, m) for each group."""
        activated = [
            g.task.activate(self._unfold(outputs, g.outputs, g.size, g.task.n_outputs))
            for g in self.groups
        ]
        return [a[0] if len(a) == 1 else a.mean(0) for a in activated]

    def by_task(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Arrays (n, G, m) of the groups as arrays (n, m) of the tasks, in the table's order."""
        engine = [array[:, i] for array in arrays for i in range(array.shape[1])]
        columns = dict(zip(self.order, engine, strict=True))
        return [columns[t] for t in range(len(columns))]

    def _over_groups(self, outputs: Tensor, values: Tensor, reduce: Any) -> Tensor:
        losses = [
            reduce(g.task.sample_loss(*self._columns(g, outputs, values)), g) for g in self.groups
        ]
        return losses[0] if len(losses) == 1 else torch.cat(losses, -1)

    def _columns(self, g: Group, outputs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Columns of a group, (K, b, G, m) each; where m is one, (K, b, G)."""
        return (
            self._unfold(outputs, g.outputs, g.size, g.task.n_outputs),
            self._unfold(values, g.values, g.size, g.task.n_values),
        )

    def _unfold(self, columns: Tensor, own: slice, size: int, width: int) -> Tensor:
        if len(self.groups) > 1:  # a slice is a node for autograd: not for nothing
            columns = columns[..., own]
        return columns if width == 1 else columns.unflatten(-1, (size, width))
