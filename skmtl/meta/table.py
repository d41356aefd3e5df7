"""From X, y and task ids to rows in order of task and class, checked.

Shapes: n rows with a label, d features, m outputs, T tasks, G groups: a task's rows of one class, or
all rows of a task whose target is a number.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skmtl._checks import listed
from skmtl.targets import Column, infer_kind, read_columns, read_weight
from skmtl.tasks.classification import refuse_fractions, sort_classes


@dataclass(frozen=True)
class Labels:
    """The rows that have a label and a weight: ``rows`` (n,), their labels and weights (n,)."""

    column: Column
    rows: np.ndarray
    weight: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """Labels (n,) as they came."""
        return self.column.labels


@dataclass(frozen=True)
class TaskTable:
    """Groups of rows. ``order`` (n,) lists the rows group by group.

    Groups of a task stand side by side, in the order of its classes: ``first_group`` (T + 1,) says
    where each task's begin, ``first_row`` (G + 1,) where each group's rows begin in ``order``.
    ``codes`` (G,) are positions of the groups' classes among all; zeros for numbers.
    """

    ids: list[Any]
    order: np.ndarray
    first_row: np.ndarray
    first_group: np.ndarray
    codes: np.ndarray

    @property
    def n_rows(self) -> np.ndarray:
        """Rows of each group, (G,)."""
        return np.diff(self.first_row)

    @property
    def n_groups(self) -> np.ndarray:
        """Groups of each task, (T,)."""
        return np.diff(self.first_group)


def read_labels(y: Any, n_rows: int, sample_weight: Any) -> Labels:
    """Check a target and weights; keep what is labelled and weighs more than nothing."""
    if y is None:
        raise ValueError("MetaLearner requires y to be passed, but the target y is None.")
    columns, container = read_columns(y)
    if len(columns) > 1:
        raise ValueError(f"y must be one column, (n,). Found {len(columns)} columns.")
    if container.kind != "vector":
        column_or_1d(np.zeros((len(columns[0].mask), 1)), warn=True)
    [column] = columns
    check_consistent_length(np.empty(n_rows), column.mask)
    given = read_weight(sample_weight, n_rows, [column.name])
    weight = np.ones(n_rows) if given is None else given[:, 0]
    counts = column.mask & (weight > 0)
    kept = Column(column.name, column.labels[counts[column.mask]], counts, column.dtype)
    return Labels(kept, np.flatnonzero(counts), weight[counts])


def read_kind(kind: str, labels: Labels) -> str:
    """Return "regression" or "classification", guessed from the labels on request."""
    if kind == "infer":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it names a parameter of another estimator
            kind = infer_kind(labels.column)
    if kind == "regression" and labels.values.dtype.kind not in "biuf":
        raise ValueError(
            f"y must hold numbers where kind is 'regression'. Found {labels.values[0]!r} of type "
            f"{type(labels.values[0]).__name__}."
        )
    if kind == "classification":
        check_classes(labels.values, "y")
    return kind


def check_classes(values: np.ndarray, name: str) -> None:
    """Raise for labels that are no classes, or of types that do not sort."""
    refuse_fractions(values, name, "kind='regression'")
    sort_classes(values, name)


def read_tasks(sample_task: Any, n_rows: int) -> tuple[list[Any], np.ndarray]:
    """Ids of the tasks, sorted, and the position among them of each row's task, (n,)."""
    if sample_task is None:
        warnings.warn(
            "Without sample_task all rows are one task, and what is learned can only be how to "
            "learn it from few of its rows. Pass the task of each row as sample_task.",
            UserWarning,
            stacklevel=4,
        )
        return [0], np.zeros(n_rows, int)
    series = pd.Series(sample_task) if np.ndim(sample_task) == 1 else None
    if series is None:
        raise ValueError(
            f"sample_task must be one-dimensional, ({n_rows},). Found shape {np.shape(sample_task)}."
        )
    if len(series) != n_rows:
        raise ValueError(
            f"sample_task must have a task for each of the {n_rows} rows. Found {len(series)}."
        )
    missing = series.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"sample_task must say the task of every row. Found {missing.sum()} missing (first: row "
            f"{int(np.flatnonzero(missing)[0])}). Drop these rows, or give them a task."
        )
    codes, ids = pd.factorize(series, sort=len({type(v) for v in series.unique()}) == 1)
    return list(ids), codes


def group_rows(ids: list[Any], tasks: np.ndarray, codes: np.ndarray) -> TaskTable:
    """Sort rows by task, then by class; ``tasks`` and ``codes`` (n,) are those of each row.

    Tasks of which no row has a label are left out, with a warning.
    """
    there = np.unique(tasks)
    if len(there) < len(ids):
        without = [ids[t] for t in sorted(set(range(len(ids))) - set(there.tolist()))]
        warnings.warn(
            f"{listed('Task', without)} without a label are left out.", UserWarning, stacklevel=4
        )
    order = np.lexsort((codes, tasks))
    pairs = np.column_stack([tasks, codes])[order]
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(1)])
    of_group = pairs[starts]
    first_group = np.flatnonzero(np.r_[True, of_group[1:, 0] != of_group[:-1, 0]])
    return TaskTable(
        ids=[ids[t] for t in there],
        order=order,
        first_row=np.append(starts, len(order)),
        first_group=np.append(first_group, len(starts)),
        codes=of_group[:, 1],
    )


def check_tasks(table: TaskTable, kind: str, n_support: int, n_ways: int | None, name: str) -> None:
    """Raise for tasks that cannot be split into support and query; warn of small ones.

    A class of one row serves as support where every class of its task is drawn, as others are
    queried; with ``n_ways`` it might be drawn among its like.
    """
    starts = table.first_group[:-1]
    of_one_class = table.n_groups < 2
    if kind == "classification" and of_one_class.any():
        bad = [table.ids[t] for t in np.flatnonzero(of_one_class)]
        raise ValueError(
            f"{listed('Task', bad)} of {name} have labels of one class only. A classification task "
            "has two classes or more."
        )
    smallest = np.minimum.reduceat(table.n_rows, starts)
    largest = np.maximum.reduceat(table.n_rows, starts)
    unit = "rows of each class" if n_ways else "labelled rows"
    bad = [table.ids[t] for t in np.flatnonzero((smallest if n_ways else largest) < 2)]
    if bad:
        raise ValueError(
            f"{listed('Task', bad)} of {name} have fewer than two {unit}, one for the support set and "
            f"one to query. Pass more rows, or leave them out (n_samples = {len(table.order)})."
        )
    small = [table.ids[t] for t in np.flatnonzero(smallest <= n_support)]
    if small:
        of_what = "rows of a class" if kind == "classification" else "labelled rows"
        warnings.warn(
            f"{listed('Task', small)} of {name} have no more than n_support={n_support} {of_what}. "
            "One of them is left to query, and the support set is smaller.",
            UserWarning,
            stacklevel=5,
        )
