"""The task that each row of a table says it belongs to.

In: X with a column of tasks, or X and the task of each row. Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length

MAX_TASKS = 2**24  # float32 counts no further


class OfTasks(NamedTuple):
    """Inputs, and the task of each row, or None where a column of the inputs says it."""

    X: Any
    task: Any


def labels_of(X: OfTasks, column: Any) -> tuple[Any, np.ndarray]:
    """Features and the label of each row's task."""
    table = X.X
    if hasattr(table, "toarray"):
        raise TypeError("X must be dense where rows have a task each. Found a sparse matrix.")
    if X.task is not None:
        labels = np.asarray(X.task)
        if labels.ndim != 1:
            raise ValueError(f"sample_task must have shape (n,). Found {labels.shape}.")
        check_consistent_length(table, labels)
        features, said = table, "sample_task"
    else:
        at = _place(table, column)
        said = f"task_column={column!r}"
        if isinstance(table, pd.DataFrame):
            labels = np.asarray(table.iloc[:, at])
            features = table.iloc[:, [i for i in range(table.shape[1]) if i != at]]
        else:
            table = table if isinstance(table, np.ndarray) else np.asarray(table, dtype=object)
            labels, features = table[:, at], np.delete(table, at, axis=1)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise ValueError(
            f"{said} must name a task in every row. Found {int(missing.sum())} missing (first: row "
            f"{int(np.flatnonzero(missing)[0])}). Drop these rows, or give them a task of their own."
        )
    return features, labels


def _place(table: Any, column: Any) -> int:
    """Position of the task column."""
    names = list(getattr(table, "columns", []))
    if column in names:
        return names.index(column)
    shape = np.shape(table)
    if isinstance(column, Integral) and not isinstance(column, bool):
        if len(shape) == 2 and -shape[1] <= column < shape[1]:
            return int(column) % shape[1]
        found = f"X has shape {shape}"
    elif isinstance(column, str):
        found = f"X has columns {names[:10]}" if names else "X has no column names"
    else:
        raise TypeError(
            "Parameter task_column must be the name or the position of a column of X, or None. "
            f"Found {column!r}."
        )
    raise ValueError(
        f"Parameter task_column must be the name or the position of a column of X. Found {column!r}; "
        f"{found}."
    )


def numbered(labels: np.ndarray) -> np.ndarray:
    """Labels of the tasks, sorted."""
    found = np.asarray(pd.factorize(labels, sort=True)[1])
    if len(found) > MAX_TASKS:
        raise ValueError(f"There may be {MAX_TASKS:,} tasks at most. Found {len(found):,}.")
    return found


def positions(
    known: np.ndarray, labels: np.ndarray, where: np.ndarray | None, *, may_be_new: bool
) -> np.ndarray:
    """Position in ``known`` of each row's task, -1 if it is not there.

    ``where`` says which rows are to train on, and must be there.
    """
    own = pd.Index(known).get_indexer(pd.Index(labels))
    strange = own < 0 if where is None else (own < 0) & where
    if strange.any() and (where is not None or not may_be_new):
        shown = list(dict.fromkeys(labels[strange].tolist()))
        cure = "fit a clone to start anew" if where is not None else "unseen='shared' answers"
        raise ValueError(
            f"{len(shown)} tasks were not seen in fit: {shown[:5]}. There are {len(known)}, see "
            f"task_labels_; {cure}."
        )
    return own if where is None else np.where(where, own, 0)
