"""What kind of task each column is, and which classes it has: as its labels or the user say.

Shapes: n rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmtl._warn import warn
from skmtl.tasks import Task

from .columns import Column

MAX_CLASSES = 20  # integers with more distinct values than this are taken for numbers
SURE_CLASSES = 10  # up to here "classes" is no guess worth a word
SURE_NUMBERS = 40  # from here "numbers" is none either


def categories_in_order(column: Column) -> np.ndarray | None:
    """Categories of an ordered categorical, from low to high; None of other columns."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
        return column.dtype.categories.to_numpy()
    return None


def infer_kind(column: Column) -> str:
    """Guess a column's kind from its labels, warning where the guess is close.

    Floats with a fraction are regression; ordered categories ordinal; booleans, strings and other
    categories classification; whole numbers classification up to 20 distinct values, regression
    above.
    """
    labels = column.labels
    if categories_in_order(column) is not None:
        return "ordinal"
    if isinstance(column.dtype, pd.CategoricalDtype) or labels.dtype.kind not in "iuf":
        return "classification"
    if labels.dtype.kind == "f" and np.any(labels != np.floor(labels)):
        return "regression"
    n_distinct = len(np.unique(labels))
    kind = "classification" if n_distinct <= MAX_CLASSES else "regression"
    if SURE_CLASSES < n_distinct < SURE_NUMBERS:
        warn(
            f"Task {column.name!r} has {n_distinct} distinct whole numbers and is taken for "
            f"{kind}. Say tasks={{{column.name!r}: {kind!r}}} (or the other kind) to be sure."
        )
    return kind


def name_tasks(tasks: Any, columns: Sequence[Column]) -> list[Any]:
    """What the parameter ``tasks`` says of each column: a name, a Task, or "infer"."""
    names = [c.name for c in columns]
    if isinstance(tasks, str | Task):
        return [tasks] * len(columns)
    if isinstance(tasks, Mapping):
        unknown = [name for name in tasks if name not in names]
        if unknown:
            raise ValueError(
                f"Parameter tasks names {unknown}, which y has not. y's columns are {names}."
            )
        return [tasks.get(name, "infer") for name in names]
    if isinstance(tasks, list | tuple):
        if len(tasks) != len(names):
            raise ValueError(
                f"Parameter tasks must name one task a column: {len(names)} for {names}. "
                f"Found {len(tasks)}."
            )
        return list(tasks)
    raise TypeError(
        "Parameter tasks must be 'infer', a kind of task, a dict from column to kind, or a list. "
        f"Found {tasks!r}."
    )


def name_classes(classes: Any, names: Sequence[Any]) -> dict[Any, Any]:
    """What `partial_fit` was told of classes, by task; an array is meant for the only task."""
    if classes is None:
        return {}
    if isinstance(classes, list | tuple) and len(classes) == len(names) > 1:
        classes = dict(zip(names, classes, strict=True))  # the form of `classes_`
    if not isinstance(classes, Mapping):
        if len(names) > 1:
            raise TypeError(
                f"classes must be a dict from task to its class labels; the tasks are {names}. "
                f"Found {classes!r}."
            )
        classes = {names[0]: classes}
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise ValueError(f"classes names {unknown}, which y has not. y's columns are {names}.")
    for name, labels in classes.items():
        listed = isinstance(labels, list | tuple | np.ndarray | pd.Series | pd.Index)
        if not listed or not len(labels) or pd.isna(np.asarray(labels, dtype=object)).any():
            raise ValueError(
                f"classes of task {name!r} must be a list of class labels, none missing. Found "
                f"{labels!r}."
            )
    return dict(classes)
