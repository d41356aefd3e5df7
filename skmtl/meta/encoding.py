"""Labels as numbers and back: what meta-training settles about the target.

Shapes: n rows, d features, m outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from skmtl._checks import listed

from .data import MetaData
from .table import Labels, TaskTable, check_classes, group_rows


@dataclass(frozen=True)
class Encoding:
    """How labels are read. ``classes`` are those of all tasks, None where each task has its own.

    ``n_ways`` is the largest number of classes of such a task. Numbers are taken as multiples of
    ``scale`` above ``mean``.
    """

    kind: str
    classes: np.ndarray | None = None
    n_ways: int | None = None
    mean: float = 0.0
    scale: float = 1.0

    @property
    def n_outputs(self) -> int:
        """Outputs of the network, m."""
        if self.kind == "regression":
            return 1
        if self.n_ways is not None:
            return self.n_ways
        return 0 if self.classes is None else len(self.classes)

    def learn(self, labels: Labels, *, standardize: bool) -> Encoding:
        """Take classes, or mean and scale, from the labels of all tasks."""
        if self.kind == "classification":
            return self if self.n_ways else replace(self, classes=np.unique(labels.values))
        if not standardize:
            return self
        values = labels.values.astype(float)
        mean = float(np.average(values, weights=labels.weight))
        scale = float(np.sqrt(np.average((values - mean) ** 2, weights=labels.weight)))
        return replace(self, mean=mean, scale=scale if scale > 0 else 1.0)

    def read(
        self, X: np.ndarray, labels: Labels, ids: list[Any], tasks: np.ndarray, *, name: str
    ) -> tuple[MetaData, np.ndarray]:
        """Rows by task and class, and the classes of the table's groups, (G,).

        ``ids`` are the tasks' and ``tasks`` (n,) the position among them of each row of X.
        ``name`` says in errors which argument the labels are.
        """
        if not len(labels.rows):
            raise ValueError(f"{name} has no label with a weight above zero in {len(X)} rows.")
        codes, classes = self._encode(labels, name)
        table = group_rows(ids, tasks[labels.rows], codes)
        rows = labels.rows[table.order]
        numbers = None
        if self.kind == "regression":
            values = (labels.values.astype(X.dtype) - self.mean) / self.scale
            numbers = torch.from_numpy(values[table.order].astype(X.dtype))
        data = MetaData(
            table,
            torch.from_numpy(X[rows]),
            torch.from_numpy(labels.weight[table.order].astype(X.dtype)),
            numbers,
            self.n_ways,
            self.n_outputs,
        )
        return data, classes[table.codes] if len(classes) else classes

    def check_ways(self, table: TaskTable, *, name: str) -> None:
        """Raise for tasks of more classes than the network has outputs."""
        if self.n_ways is None:
            return
        bad = [table.ids[t] for t in np.flatnonzero(table.n_groups > self.n_ways)]
        if bad:
            raise ValueError(
                f"{listed('Task', bad)} of {name} have more than n_ways={self.n_ways} classes. Pass "
                "tasks of fewer classes, or fit with a larger n_ways."
            )

    def _encode(self, labels: Labels, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Code of each label, (n,), and what the codes stand for."""
        if self.kind == "regression":
            if labels.values.dtype.kind not in "biuf":
                raise ValueError(
                    f"{name} must hold numbers, as in fit. Found {labels.values[0]!r} of type "
                    f"{type(labels.values[0]).__name__}."
                )
            return np.zeros(len(labels.values), int), np.empty(0)
        if self.classes is None:
            check_classes(labels.values, name)
            classes, codes = np.unique(labels.values, return_inverse=True)
            return codes, classes
        codes = pd.Index(self.classes).get_indexer(pd.Index(labels.values))
        if (codes < 0).any():
            unknown = list(dict.fromkeys(labels.values[codes < 0].tolist()))
            raise ValueError(
                f"{listed('Label', unknown)} of {name} are not among the classes of the tasks that "
                f"were learned, {self.classes.tolist()}. For tasks of new classes, set n_ways."
            )
        return codes, self.classes
