"""All tasks of a table at once: where each one's columns lie, and their losses and scores.

Tasks of one kind lie side by side, so that one call evaluates them together: twenty regressions
cost one subtraction, not twenty. Inside the engine tasks therefore stand in `order`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .base import Task

Values = Tensor | tuple[Tensor, ...]  # (K, b, V), or what `TaskLosses.read` makes of it


class Group(NamedTuple):
    """Tasks with equal `key`: one of them, and how many there are."""

    task: Task
    size: int


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

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skmtl.tasks import RegressionTask, TaskLosses
    >>> task = RegressionTask().prepare(np.array([0.0, 2.0]), np.ones(2), name="price")
    >>> losses = TaskLosses([task])
    >>> weight = torch.tensor([[[1.0], [0.0]]])  # the second row's label is missing
    >>> loss, total = losses(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [9.0]]]), weight)
    >>> loss.tolist(), total.tolist()  # of one member and one task
    ([[0.5]], [[1.0]])
    """

    def __init__(self, tasks: list[Task]):
        super().__init__()
        keys = list(dict.fromkeys(t.key for t in tasks))
        self.order = sorted(range(len(tasks)), key=lambda i: keys.index(tasks[i].key))
        self.tasks = [tasks[i] for i in self.order]
        sizes = [sum(task.key == key for task in tasks) for key in keys]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.groups = [Group(self.tasks[i], n) for i, n in zip(starts, sizes, strict=True)]
        self._output_shapes = [(g.size, g.task.n_outputs) for g in self.groups]
        self._value_shapes = [(g.size, g.task.n_values) for g in self.groups]
        self._by_query = any(g.task.by_query for g in self.groups)

    @property
    def signature(self) -> Hashable:
        """What two of these have in common whose losses are one computation."""
        return tuple(self.order), tuple((g.task.key, g.size) for g in self.groups)

    @property
    def task_outputs(self) -> list[int]:
        """Number of output columns of each task, in the engine's order."""
        return [task.n_outputs for task in self.tasks]

    @property
    def task_constants(self) -> list[int]:
        """How many of them, the last ones, do not depend on the inputs."""
        return [task.n_constants for task in self.tasks]

    def read(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values (K, b, V) by group, (K, b, G) or (K, b, G, n_values), as `Task.read` has them."""
        parts = _split(values, self._value_shapes)
        return tuple(g.task.read(part) for g, part in zip(self.groups, parts, strict=True))

    def forward(
        self, outputs: Tensor, values: Values, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Losses and the label weight behind them.

        Parameters
        ----------
        outputs : Tensor of shape (K, b, C)
        values : Tensor of shape (K, b, V), or what `read` makes of it
        weight : Tensor of shape (K, b, T) or None
            Zero where a label is missing; None: every label is there and counts one.

        Returns
        -------
        losses : Tensor of shape (K, T)
            Exactly zero, with zero gradient, for a task with no label in the batch.
        total : Tensor of shape (K, T) or None
            Summed label weight; None where `weight` is None.
        """
        sample_losses = self._sample_losses(outputs, values, weight)  # (K, b, T)
        if weight is None:
            return sample_losses.mean(1), None
        total = weight.sum(1)
        share = weight / total.clamp(min=torch.finfo(total.dtype).tiny).unsqueeze(1)
        return (sample_losses * share).sum(1), total

    def score(self, outputs: Tensor, values: Values, weight: Tensor | None) -> Tensor:
        """Validation score of every task, shape (K, T); NaN where it has no label."""
        if weight is None:
            weight = outputs.new_ones(()).expand(*outputs.shape[:2], len(self.tasks))
        weights = weight.split([g.size for g in self.groups], -1)
        parts = zip(self.groups, self._outputs(outputs), self._values(values), weights, strict=True)
        scores = [g.task.score(o, v, w) for g, o, v, w in parts]
        return torch.cat(scores, -1)

    def activate(self, outputs: Tensor) -> list[Tensor]:
        """Activated outputs averaged over the members: a tensor (b, G, m) for each group."""
        return [a[0] if len(a) == 1 else a.mean(0) for a in self.activate_members(outputs)]

    def activate_members(self, outputs: Tensor) -> list[Tensor]:
        """Activated outputs of every member: a tensor (K, b, G, m) for each group."""
        parts = zip(self.groups, self._outputs(outputs), strict=True)
        return [g.task.activate(o) for g, o in parts]

    def by_task(self, groups: list[Any]) -> list[Any]:
        """Arrays or tensors (..., G, m) of the groups as those of the tasks, in the table's order."""
        engine = [group[..., i, :] for group in groups for i in range(group.shape[-2])]
        columns = dict(zip(self.order, engine, strict=True))
        return [columns[t] for t in range(len(columns))]

    def _sample_losses(
        self,
        outputs: Tensor,
        values: Values,
        weight: Tensor | None = None,
    ) -> Tensor:
        parts = zip(self.groups, self._outputs(outputs), self._values(values), strict=True)
        if self._by_query and weight is not None:
            weights = weight.split([g.size for g in self.groups], -1)
            losses = [
                g.task.query_loss(o, v, w) if g.task.by_query else g.task.sample_loss(o, v)
                for (g, o, v), w in zip(parts, weights, strict=True)
            ]
        else:
            losses = [g.task.sample_loss(o, v) for g, o, v in parts]
        return losses[0] if len(losses) == 1 else torch.cat(losses, -1)

    def _outputs(self, outputs: Tensor) -> list[Tensor]:
        return _split(outputs, self._output_shapes)

    def _values(self, values: Values) -> tuple[Tensor, ...]:
        return values if isinstance(values, tuple) else self.read(values)


def _split(columns: Tensor, shapes: list[tuple[int, int]]) -> list[Tensor]:
    """Columns (K, b, sum of G m) by group, (K, b, G, m) each; where m is one, (K, b, G).

    One split is one node for autograd, where a slice per group would be a node each.
    """
    widths = [size * width for size, width in shapes]
    parts = columns.split(widths, -1) if len(shapes) > 1 else (columns,)
    return [
        part if width == 1 else part.unflatten(-1, (size, width))
        for part, (size, width) in zip(parts, shapes, strict=True)
    ]
