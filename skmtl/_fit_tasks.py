"""Different rows per task: tables put below one another, a row with a label in its task's column.

In: a table of inputs and labels per task. Out: one X, one target table, and how often each task is
drawn. Shapes: n rows in all, d features, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch

from skmtl.training import Ready, SampledBatches

NULLABLE = {"b": "boolean", "i": "Int64", "u": "UInt64"}  # whose columns can miss a label


def stack_tables(tables: Any) -> tuple[Any, pd.DataFrame, list[int]]:
    """Put tables below one another: X, targets with a column per task, rows of each task.

    Parameters
    ----------
    tables : dict from task to (X, y)
    """
    if not isinstance(tables, Mapping) or not tables:
        raise TypeError(
            "tables must be a dict from task to its (X, y), with a task at least. Found "
            f"{tables if isinstance(tables, Mapping) else type(tables).__name__!r}."
        )
    pairs = {name: _read(name, pair) for name, pair in tables.items()}
    sizes = [len(y) for _, y in pairs.values()]
    ends = np.cumsum(sizes)
    columns = {}
    for (name, (_, y)), end in zip(pairs.items(), ends, strict=True):
        dtype: Any = (
            NULLABLE.get(y.dtype.kind, y.dtype) if isinstance(y.dtype, np.dtype) else y.dtype
        )
        own = y.astype(dtype).set_axis(range(end - len(y), end))
        columns[name] = own.reindex(range(ends[-1]))
    return _common(pairs), pd.DataFrame(columns), sizes


def _read(name: Any, pair: Any) -> tuple[Any, pd.Series]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(
            f"Task {name!r}: tables must hold a pair (X, y). Found {type(pair).__name__}."
        )
    X, y = pair
    if not isinstance(X, pd.DataFrame):
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"Task {name!r}: X must have two dimensions. Found shape {X.shape}.")
    y = y if isinstance(y, pd.Series) else pd.Series(_one_column(name, y))
    if len(X) != len(y):
        raise ValueError(
            f"Task {name!r}: X and y must have as many rows. Found {len(X)} and {len(y)}."
        )
    return X, y


def _one_column(name: Any, y: Any) -> np.ndarray:
    array = np.asarray(y)
    if array.ndim != 1:
        raise ValueError(
            f"Task {name!r}: y must be one column, shape (n,). Found shape {array.shape}."
        )
    return array


def _common(pairs: dict[Any, tuple[Any, pd.Series]]) -> Any:
    """All inputs below one another, in the columns of the first."""
    (first, (like, _)), *others = pairs.items()
    framed = isinstance(like, pd.DataFrame)
    inputs = [like]
    for name, (X, _) in others:
        if isinstance(X, pd.DataFrame) != framed:
            raise TypeError(
                f"Tasks {first!r} and {name!r}: the X of all tasks must be DataFrames, or all arrays."
            )
        if framed and (set(X.columns) != set(like.columns) or X.shape[1] != like.shape[1]):
            odd = sorted(map(str, set(X.columns) ^ set(like.columns)))
            raise ValueError(
                f"Task {name!r}: X must have the columns of task {first!r}. Found in one of the two "
                f"only: {odd[:5]}."
            )
        if X.shape[1] != like.shape[1]:
            raise ValueError(
                f"Task {name!r}: X must have {like.shape[1]} columns as that of task {first!r}. Found "
                f"{X.shape[1]}."
            )
        inputs.append(X[like.columns] if framed else X)
    return pd.concat(inputs, ignore_index=True) if framed else np.concatenate(inputs)


def shares_of(sampling: Any, sizes: list[int]) -> np.ndarray | None:
    """Share of each task among the rows drawn in an epoch; None: every row once."""
    accepted = "'proportional', 'even' or a temperature, a number of 1 or more"
    if isinstance(sampling, str):
        if sampling not in ("proportional", "even"):
            raise ValueError(f"sampling must be {accepted}. Found {sampling!r}.")
        temperature = 1.0 if sampling == "proportional" else np.inf
    elif isinstance(sampling, Real) and not isinstance(sampling, bool):
        temperature = float(sampling)
        if not temperature >= 1:
            raise ValueError(f"sampling must be {accepted}. Found {sampling!r}.")
    else:
        raise TypeError(f"sampling must be {accepted}. Found {sampling!r}.")
    if temperature == 1:
        return None
    raised = np.asarray(sizes, dtype=float) ** (1 / temperature)
    return raised / raised.sum()


def drawing(ready: Ready, shares: np.ndarray | None) -> Ready:
    """Have a net draw tasks by these shares, in the order of its criterion."""
    if shares is None:
        return ready
    net, data, rows = ready
    weight = data.weight
    if weight is None:  # of a single task
        return ready
    draw = partial(
        SampledBatches,
        tasks=weight.argmax(1).cpu(),
        shares=torch.from_numpy(shares[net.criterion_.order]),
    )
    return Ready(net, data, rows._replace(draw=draw))
