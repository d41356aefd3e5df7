"""From the container of a target to its columns, and back.

Any container (DataFrame, Series, array, list) is taken apart into named columns, each with a mask of
what is labelled; predicted columns are put into the container that came in. Shapes: n rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skmtl.tasks import Task


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
    labels = of_one_type(labels)
    if labels.dtype.kind == "O":
        kinds = {
            kind for kind in set(map(type, labels)) if not issubclass(kind, str | Real | np.bool_)
        }
        strange = [v for v in labels if type(v) in kinds] if kinds else []
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


def of_one_type(labels: np.ndarray) -> np.ndarray:
    """Numbers or booleans in an array of objects as an array of these, if they are all there is."""
    if labels.dtype == object:
        labels = pd.Series(labels, dtype=object).infer_objects().to_numpy()
    return labels


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
        return [replace(c, name=n) for n, c in zip(names, columns, strict=True)]
    by_name = {c.name: c for c in columns}
    if set(by_name) != set(names):
        raise ValueError(
            f"y must have the columns seen in fit, {list(names)}. Found {list(by_name)}."
        )
    return [by_name[name] for name in names]


def settle_dtypes(
    container: Container, columns: Sequence[Column], prepared: Mapping[Any, Task]
) -> Container:
    """Give a column that has no label yet the dtype of the classes that were said to come."""
    dtypes = dict(zip(container.names, container.dtypes, strict=True))
    for c in columns:
        if not len(c.labels) and c.name in dtypes:
            classes = prepared[c.name].classes_.dtype  # type: ignore[attr-defined]
            numbers = classes.kind in "iuf" and getattr(dtypes[c.name], "kind", "") in "iuf"
            dtypes[c.name] = dtypes[c.name] if numbers else classes
    return replace(container, dtypes=list(dtypes.values()))


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
