"""The target table, between what a user has and what the engine trains on.

`read_columns` takes any container apart into named columns with a mask of what is labelled;
`name_tasks` and `infer_kind` say what kind of task each is; `encode` makes two float arrays of them
all; `rebuild` puts predicted columns into the container that came in. Shapes: n rows, T tasks, V
encoded columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skmtl.tasks import Task

MAX_CLASSES = 20  # integers with more distinct values than this are taken for numbers
SURE_CLASSES = 10  # up to here "classes" is no guess worth a word
SURE_NUMBERS = 40  # from here "numbers" is none either


@dataclass(frozen=True)
class Column:
    """One column: ``labels`` holds the labelled rows only, in order; ``mask`` (n,) says which.

    ``parts`` names the columns of the table that it was joined of, if several.
    """

    name: Any
    labels: np.ndarray
    mask: np.ndarray
    dtype: Any
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Container:
    """What the target came in: ``kind`` is "vector", "array" or "frame" (with its columns).

    ``spans`` says which columns each task reads, where that is not the one of its name (`_spans`).
    """

    kind: str
    names: list[Any]
    dtypes: list[Any]
    columns: Any = None
    spans: Any = None


@dataclass(frozen=True)
class Targets:
    """Encoded table: ``values`` (n, V); ``weight`` (n, T), zero where unlabelled, None: all one.

    Columns stand in the order of the tasks they were encoded with.
    """

    values: np.ndarray
    weight: np.ndarray | None
    n_tasks: int


def read_columns(Y: Any) -> tuple[list[Column], Container]:
    """Take a target apart: DataFrame, Series, 1-D or 2-D array (also of objects), or lists."""
    if isinstance(Y, Mapping):
        raise TypeError(
            "y must be a DataFrame, an array or a list, one column a task. Found a "
            f"{type(Y).__name__} of columns: wrap it as pandas.DataFrame(y)."
        )
    if hasattr(Y, "toarray"):
        raise TypeError("y must be dense. Found a sparse matrix: pass y.toarray().")
    if isinstance(Y, pd.DataFrame):
        return _read_frame(Y)
    if isinstance(Y, pd.Series):
        name = "y" if Y.name is None else Y.name
        return [_from_series(Y, name)], Container("vector", [name], [Y.dtype])
    array = np.asarray(Y) if hasattr(Y, "__array__") else np.asarray(Y, dtype=object)
    if array.ndim == 0 or array.ndim > 2:
        raise ValueError(f"y must have one or two dimensions. Found shape {array.shape}.")
    if np.iscomplexobj(array):
        raise ValueError("Complex data not supported: y must hold real numbers or labels.")
    if array.ndim == 1:
        return [_from_array(array, "y")], Container("vector", ["y"], [array.dtype])
    names = [f"y{t}" for t in range(array.shape[1])]
    columns = [_from_array(array[:, t], name) for t, name in enumerate(names)]
    if not columns:
        raise ValueError("y must have at least one column. Found none.")
    return columns, Container("array", names, [array.dtype] * len(names))


def _read_frame(Y: pd.DataFrame) -> tuple[list[Column], Container]:
    names = list(Y.columns)
    if isinstance(Y.columns, pd.MultiIndex):
        raise ValueError(
            f"y must have plain column names, one a task. Found a MultiIndex: {names[:3]}. Join its "
            "levels, e.g. y.columns = y.columns.map('_'.join)."
        )
    if not names:
        raise ValueError("y must have at least one column. Found none.")
    if not Y.columns.is_unique:
        twice = list(Y.columns[Y.columns.duplicated()].unique())
        raise ValueError(f"y must have distinct column names. Found {twice} more than once.")
    columns = [_from_series(Y.iloc[:, t], name) for t, name in enumerate(names)]
    return columns, Container("frame", names, list(Y.dtypes), Y.columns)


def _from_series(column: pd.Series, name: Any) -> Column:
    mask = column.notna().to_numpy()
    present = column if mask.all() else column[mask]
    if isinstance(column.dtype, pd.CategoricalDtype):
        present = present.astype(column.dtype.categories.dtype)
    return _checked(name, present.to_numpy(), mask, column.dtype)


def _from_array(column: np.ndarray, name: Any) -> Column:
    mask = ~np.asarray(pd.isna(column))
    labels = column if mask.all() else column[mask]  # a view costs no memory
    return _checked(name, labels, mask, column.dtype)


def _checked(name: Any, labels: np.ndarray, mask: np.ndarray, dtype: Any) -> Column:
    if np.iscomplexobj(labels):
        raise ValueError(
            f"Complex data not supported: task {name!r} must hold real numbers or labels."
        )
    labels = _of_one_type(labels)
    if labels.dtype.kind == "O":
        strange = [v for v in labels if not isinstance(v, str | Real | np.bool_)]
    else:
        strange = [] if labels.dtype.kind in "biufUT" else labels[:1].tolist()
    if strange:
        raise ValueError(
            f"Task {name!r} must hold numbers, strings or booleans. Found {strange[0]!r} of type "
            f"{type(strange[0]).__name__}: convert the column."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        where = int(np.flatnonzero(mask)[~np.isfinite(labels)][0])
        raise ValueError(
            "Input y contains infinity or a value too large for dtype('float64'). Task "
            f"{name!r} must hold finite labels. Found {labels[~np.isfinite(labels)][0]} in row "
            f"{where}. Drop it, or set it to NaN to leave it unlabelled."
        )
    return Column(name, labels, mask, dtype)


def _of_one_type(labels: np.ndarray) -> np.ndarray:
    """Numbers or booleans in an array of objects as an array of these, if they are all there is."""
    if labels.dtype == object:
        labels = pd.Series(labels, dtype=object).infer_objects().to_numpy()
    return labels


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
        warnings.warn(
            f"Task {column.name!r} has {n_distinct} distinct whole numbers and is taken for "
            f"{kind}. Say tasks={{{column.name!r}: {kind!r}}} (or the other kind) to be sure.",
            UserWarning,
            stacklevel=4,
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


def align(
    columns: Sequence[Column], now: Container, fitted: Container, names: Sequence[Any]
) -> list[Column]:
    """Columns in the order of the fitted tasks: by name if both tables name them, else by place."""
    if len(columns) != len(names):
        raise ValueError(
            f"y must have one column for each of the tasks {list(names)}. Found {len(columns)}: "
            f"{[c.name for c in columns]}."
        )
    if now.kind != "frame" or fitted.kind != "frame":
        return [Column(n, c.labels, c.mask, c.dtype) for n, c in zip(names, columns, strict=True)]
    by_name = {c.name: c for c in columns}
    if set(by_name) != set(names):
        raise ValueError(
            f"y must have the columns seen in fit, {list(names)}. Found {list(by_name)}."
        )
    return [by_name[name] for name in names]


def read_weight(
    sample_weight: Any, n_rows: int, names: list[Any], given: Sequence[Any] | None = None
) -> np.ndarray | None:
    """Check sample weights of shape (n,) or (n, T); return (n, T), in the order of ``names``, or None.

    A DataFrame's columns have names; an array's are in the order ``given``, or that of ``names``.
    """
    if sample_weight is None:
        return None
    n_tasks = len(names)
    if isinstance(sample_weight, pd.DataFrame):
        if set(sample_weight.columns) != set(names):
            raise ValueError(
                f"sample_weight as a DataFrame must have a column for each of the tasks {names}. "
                f"Found {list(sample_weight.columns)}."
            )
        sample_weight = sample_weight[names]
        given = names
    numbers = np.asarray(sample_weight)
    if numbers.dtype == object:
        numbers = numbers if all(isinstance(w, Real) for w in numbers.flat) else numbers.astype(str)
    if numbers.dtype.kind not in "biufO":
        raise ValueError(f"sample_weight must hold numbers. Found {sample_weight!r}.")
    weight = numbers.astype(float)
    if weight.ndim == 0:
        weight = np.full(n_rows, float(weight))
    if weight.shape not in ((n_rows,), (n_rows, n_tasks)):
        raise ValueError(
            f"sample_weight must have shape ({n_rows},) or ({n_rows}, {n_tasks}), rows and tasks "
            f"of y. Found {weight.shape}."
        )
    bad = ~(weight >= 0) | np.isinf(weight)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"sample_weight must be finite and not negative. Found {weight[where]} at {where}."
        )
    if weight.ndim == 1:
        return np.broadcast_to(weight[:, None], (n_rows, n_tasks))
    return weight if given is None else weight[:, [list(given).index(name) for name in names]]


def weigh_columns(
    columns: Sequence[Column], weight: np.ndarray | None
) -> tuple[list[Column], list[np.ndarray]]:
    """Drop the labels whose weight is zero; return the columns and their labels' weights."""
    if weight is None:
        one = np.ones(1)  # repeated without memory
        return list(columns), [np.broadcast_to(one, len(c.labels)) for c in columns]
    kept = []
    for t, column in enumerate(columns):
        counts = weight[column.mask, t] > 0
        mask = column.mask & (weight[:, t] > 0)
        labels = _of_one_type(column.labels[counts])  # a word among numbers may be gone
        kept.append(replace(column, labels=labels, mask=mask))
    return kept, [weight[c.mask, t] for t, c in enumerate(kept)]


def encode(
    columns: Sequence[Column], tasks: Sequence[Task], weights: Sequence[np.ndarray], *, dtype: Any
) -> Targets:
    """Encode labelled rows with prepared tasks; missing ones are zero in values and weight."""
    n = len(columns[0].mask)
    values = np.zeros((n, sum(task.n_values for task in tasks)), dtype)
    weight: np.ndarray | None = None  # made when a label first is missing or does not count one
    at = 0
    for t, (column, task) in enumerate(zip(columns, tasks, strict=True)):
        encoded = task.encode(column.labels, name=column.name)
        values[column.mask, at : at + task.n_values] = encoded
        at += task.n_values
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
    columns, at = [], 0
    for t, task in enumerate(tasks):
        there = slice(None) if targets.weight is None else targets.weight[:, t] > 0
        strata = task.strata(targets.values[there, at : at + task.n_values])
        small = np.min_scalar_type(
            -1 - strata.max(initial=0)
        )  # there is one for every row and task
        columns.append(np.full(len(targets.values), -1, small))
        columns[-1][there] = strata
        at += task.n_values
    return np.stack(columns).T


def rebuild(
    container: Container, columns: Sequence[np.ndarray], *, numbers: Sequence[bool], index: Any
) -> Any:
    """Put predicted columns into the container that the target came in.

    ``numbers`` says of each column whether it is a regression, whose dtype is a float's whatever
    that of the targets was.
    """
    if container.kind == "vector":
        return columns[0]
    if container.kind == "frame":
        series = [
            pd.Series(values, index=index).astype(_dtype_out(dtype, number))
            for values, dtype, number in zip(columns, container.dtypes, numbers, strict=True)
        ]
        return pd.concat(series, axis=1).set_axis(container.columns, axis=1)
    kinds = {c.dtype.kind for c in columns}
    if any(kinds <= set(alike) for alike in ("f", "iu", "b", "U")):
        return np.column_stack(columns)
    out = np.empty((len(columns[0]), len(columns)), dtype=object)
    for t, values in enumerate(columns):
        out[:, t] = values
    return out


def _dtype_out(dtype: Any, number: bool) -> Any:
    if not number or pd.api.types.is_float_dtype(dtype):
        return dtype
    nullable = getattr(dtype, "na_value", None) is pd.NA and dtype.kind in "biu"
    return "Float64" if nullable else float


__all__ = [
    "Column",
    "Container",
    "Targets",
    "align",
    "categories_in_order",
    "encode",
    "infer_kind",
    "name_classes",
    "name_tasks",
    "read_columns",
    "read_weight",
    "rebuild",
    "stratify",
    "weigh_columns",
]
