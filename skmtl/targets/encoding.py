"""All columns as two float arrays, what the engine trains on.

Shapes: n rows, T tasks, V numbers that encode the labels of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from skmtl.tasks import Task

from .columns import Column


@dataclass(frozen=True)
class Targets:
    """Encoded table: ``values`` (n, V); ``weight`` (n, T), zero where unlabelled, None: all one.

    Columns stand in the order of the tasks they were encoded with.
    """

    values: np.ndarray
    weight: np.ndarray | None
    n_tasks: int


def value_columns(tasks: Sequence[Task]) -> list[slice]:
    """Which of the V columns of the values are those of each task."""
    ends = list(accumulate(task.n_values for task in tasks))
    return [slice(end - task.n_values, end) for end, task in zip(ends, tasks, strict=True)]


def encode(
    columns: Sequence[Column], tasks: Sequence[Task], weights: Sequence[np.ndarray], *, dtype: Any
) -> Targets:
    """Encode labelled rows with prepared tasks; missing ones are zero in values and weight."""
    n = len(columns[0].mask)
    places = value_columns(tasks)
    values = np.zeros((n, places[-1].stop), dtype)
    weight: np.ndarray | None = None  # made when a label first is missing or does not count one
    for t, (column, task, place) in enumerate(zip(columns, tasks, places, strict=True)):
        encoded = task.encode(column.labels, name=column.name)
        values[column.mask, place] = encoded
        factor = task.label_weight(encoded)
        counts = weights[t] if factor is None else weights[t] * factor
        if weight is None and (len(column.labels) < n or not np.all(counts == 1)):
            weight = np.ones((n, len(tasks)))
        if weight is not None:
            weight[:, t] = 0
            weight[column.mask, t] = counts
    return Targets(values, weight, len(tasks))


def stratify(targets: Targets, tasks: Sequence[Task]) -> np.ndarray:
    """Integers (n, T) that group alike labels of a task; -1 where unlabelled."""
    columns = []
    for t, (task, place) in enumerate(zip(tasks, value_columns(tasks), strict=True)):
        there = slice(None) if targets.weight is None else targets.weight[:, t] > 0
        strata = task.strata(targets.values[there, place])
        small = np.min_scalar_type(-1 - strata.max(initial=0))  # one for every row and task
        columns.append(np.full(len(targets.values), -1, small))
        columns[-1][there] = strata
    return np.stack(columns).T
