"""What there is to learn. Shapes: m rows of inputs, n labelled rows, d features, T tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmtl.sharing import Network
from skmtl.targets import Container, Targets, stratify
from skmtl.tasks import Task, TaskLosses
from skmtl.training import (
    Bounds,
    Rows,
    SparseRows,
    TrainingData,
    clip_bounds,
    open_bounds,
    validation_split,
)

from .build import decay
from .plan import Plan
from .table import (
    PRECISE,
    labelled_rows,
    linear_fits,
    merge_equal_rows,
    scaled,
    to_device,
    warn_if_unscaled,
)


class Lesson:
    """What there is to learn, before it is said how: a table on the device, and what it looks like.

    Parameters
    ----------
    x : Tensor of shape (m, d)
        On the device.
    table : Targets
        Encoded labels of n rows, in the engine's order of tasks.
    criterion : TaskLosses
    where : ndarray of shape (n,) or None
        The row of x of each label; None: the same.

    Attributes
    ----------
    labelled : Tensor
        Rows with a label.
    n_apart : int
        How many rows, or sets of rows that stay together, can be held back.
    draw : callable or None
        What makes the batches of an epoch, where it is not `TrainBatches`.
    """

    def __init__(
        self,
        x: Tensor | SparseRows,
        table: Targets,
        criterion: TaskLosses,
        where: np.ndarray | None = None,
    ):
        if len(table.values) <= PRECISE:
            own = x if where is None else x[torch.from_numpy(where)]
            rows = own.keys() if isinstance(own, SparseRows) else own.cpu().numpy()
            first, table = merge_equal_rows(rows, table)
            if where is None:  # x is ours alone: cut it, so that no batch looks up its rows
                x = x[torch.from_numpy(first)]
            else:
                where = where[first]
        self.table, self.criterion = table, criterion
        self.labelled = labelled_rows(table)
        self.n_apart = len(self.labelled)
        self.draw: Any = None
        device, weight = str(x.device), table.weight
        self.data = TrainingData(
            x,
            to_device(table.values, device),
            None if weight is None else to_device(scaled(weight, table.values.dtype), device),
            None if where is None else to_device(where, device),
        )
        self._splits: dict[Any, Rows] = {}

    @cached_property
    def n_labels(self) -> list[int]:
        """Labels of each task, in the engine's order."""
        if self.table.weight is None:
            return [len(self.labelled)] * self.table.n_tasks
        return (self.table.weight > 0).sum(axis=0).tolist()

    @cached_property
    def bounds(self) -> Bounds:
        """Where inputs are clipped."""
        return clip_bounds(self.data, self.labelled)

    def bounds_for(self, plan: Plan) -> Bounds:
        """Where inputs are clipped; what a trunk sees is not, nor are sparse ones."""
        return open_bounds(self.data) if self.is_raw(plan) else self.bounds

    def is_raw(self, plan: Plan) -> bool:
        """Whether inputs are no columns of numbers whose size tells anything."""
        return plan.trunk is not None or isinstance(self.data.x, SparseRows)

    @cached_property
    def ease(self) -> list[float]:
        """Share of each task's variance that a ridge explains."""
        return linear_fits(self.data, self.table, self.criterion.tasks)

    def decay(self, network: Network, alpha: float) -> dict[str, float | Tensor]:
        """L2 gradient factor of each parameter."""
        return decay(network, self.table, alpha, len(self.labelled))

    def warn_if_unscaled(self, names: Sequence[str] | None) -> None:
        """Warn of inputs that are far from standardised."""
        warn_if_unscaled(self.data, self.labelled, names)

    def split(self, fraction: float, seeds: Sequence[int]) -> Rows:
        """Rows to train and to validate each member on."""
        key = (fraction, *seeds)
        if key not in self._splits:  # all candidates of a search split a fold alike
            train, valid = validation_split(self._strata(), fraction=fraction, seeds=seeds)
            if not self._all_labelled:
                labelled = self.labelled.numpy()
                train, valid = labelled[train], labelled[valid]
            self._splits[key] = Rows(torch.from_numpy(train), torch.from_numpy(valid))
        return self._splits[key]

    @property
    def _all_labelled(self) -> bool:
        return len(self.labelled) == len(self.table.values)

    def _strata(self) -> np.ndarray:
        """Of the labels of the labelled rows, (n_labelled, T)."""
        strata = stratify(self.table, self.criterion.tasks)
        return strata if self._all_labelled else strata[self.labelled.numpy()]


class Reading(NamedTuple):
    """What was read of a table of targets: tasks in its order, its form, labels a task, a lesson."""

    prepared: dict[Any, Task]
    container: Container
    n_labels: dict[Any, int]
    lesson: Lesson
