"""Which task each column is: as the parameter `tasks` says of it, or else as its labels do.

In: columns, with their labels' weights. Out: tasks that have learned from these, in the table's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skmtl import _spans, targets, tasks
from skmtl._resolve import resolve
from skmtl.targets import Column
from skmtl.tasks import Task


class ColumnTasks:
    """Prepares the tasks of an estimator."""

    _takes: str | None = None  # the one kind that there is room for; None: all
    tasks: Any
    tasks_: dict[Any, Task]

    def _tasks_of(
        self,
        columns: Sequence[Column],
        label_weights: Sequence[np.ndarray],
        classes: Any,
        *,
        first: bool,
    ) -> dict[Any, Task]:
        """Task of each column: prepared at first, afterwards what was learned so far."""
        known = targets.name_classes(classes, [c.name for c in columns])
        if first:
            return self._prepare_tasks(columns, label_weights, known)
        self._check_tasks_are_the_same(columns, known)
        return self.tasks_

    def _prepare_tasks(
        self,
        columns: Sequence[Column],
        label_weights: Sequence[np.ndarray],
        known: dict[Any, Any],
    ) -> dict[Any, Task]:
        """Task of each column, in the table's order, with what it learns from the labels."""
        prepared = {}
        for column, weight, spec in zip(
            columns, label_weights, targets.name_tasks(self.tasks, columns), strict=True
        ):
            if not len(column.labels) and column.name not in known:
                raise ValueError(
                    f"Task {column.name!r} has no label with a weight above zero in {len(column.mask)} "
                    "rows. Leave the column out, or give it a label; in a first partial_fit, or its "
                    "classes."
                )
            if isinstance(spec, str) and spec == "infer":
                spec = self._infer_kind(column) if len(column.labels) else "classification"
            task = self._resolve_task(spec, column)
            classes = _spans.classes_of(column, task, known.get(column.name))
            prepared[column.name] = task.prepare(
                column.labels, weight, name=column.name, classes=classes
            )
        return prepared

    def _resolve_task(self, spec: Any, column: Column) -> Task:
        task = resolve(spec, tasks, Task, parameter=f"tasks[{column.name!r}]")
        if self._takes not in (None, task.kind):
            raise ValueError(
                f"Task {column.name!r}: {type(self).__name__} takes {self._takes} tasks. Found "
                f"{task!r}: use MultiTaskClassifierRegressor."
            )
        return task

    def _check_tasks_are_the_same(self, columns: Sequence[Column], known: dict[Any, Any]) -> None:
        """Raise if the parameter `tasks`, or classes said now, are not what was learned so far."""
        for column, spec in zip(columns, targets.name_tasks(self.tasks, columns), strict=True):
            task = self.tasks_[column.name]
            asked = task if spec == "infer" else self._resolve_task(spec, column)
            if repr(asked) != repr(task):
                raise ValueError(
                    f"Task {column.name!r} was learned as {task!r}, and now tasks asks for {asked!r}. "
                    "Fit a clone to start anew."
                )
            if column.name in known:
                now, then = np.unique(known[column.name]).tolist(), getattr(task, "classes_", [])
                if now != list(then):
                    raise ValueError(
                        f"classes of task {column.name!r} must be those of the first call, "
                        f"{list(then)}. Found {now}."
                    )

    def _infer_kind(self, column: Column) -> str:
        return targets.infer_kind(column)
