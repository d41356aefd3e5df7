"""What becomes of a table on its way to the device: precision, equal rows, labelled rows, tensors.

Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor

from skmtl._warn import warn
from skmtl.targets import Targets, value_columns
from skmtl.tasks import Task
from skmtl.training import SparseRows, TrainingData

LOOK = 2000  # rows looked at to tell whether the inputs are standardised
FAR = 100.0  # a column's size, or times the median column's, from which they are not
PRECISE = 1000  # rows up to which all is float64 and equal rows are merged: cheap there


def precision(n_rows: int, device: str) -> Any:
    """Dtype of a new network and its data.

    In float32, two orders of summation part within a few hundred steps: only float64 lets a weight of
    two equal a repeated row, and a row predicted alone equal itself among others.
    """
    return np.float64 if n_rows <= PRECISE and device == "cpu" else np.float32


def merge_equal_rows(X: np.ndarray, table: Targets) -> tuple[np.ndarray, Targets]:
    """Positions of rows that differ in inputs or labels, and those with the weights of their equals.

    A weight of two then is a repeated row in everything that follows, and copies of a row cannot
    stand on both sides of a validation split. The rows come in an order of their own, so that of
    the table does not matter, nor that of its columns.
    """
    weight = np.ones((len(X), table.n_tasks)) if table.weight is None else table.weight
    key = np.hstack([X, table.values, weight > 0])
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = _order_of_rows(X[first], table.values[first], weight[first] > 0)
    first, inverse = first[order], np.argsort(order)[inverse.reshape(-1)]
    merged = np.zeros((len(first), table.n_tasks), X.dtype)
    np.add.at(merged, inverse, weight)
    return first, replace(
        table, values=table.values[first], weight=None if np.all(merged == 1) else merged
    )


def _order_of_rows(X: np.ndarray, values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Sort distinct rows by inputs, and those of equal inputs by labels.

    Which of the labels' columns leads is told by what is in it, not by where it stands.
    """
    distinct, inputs = np.unique(X, axis=0, return_inverse=True)
    inputs = inputs.reshape(-1)
    if len(distinct) == len(X):
        return np.argsort(inputs)
    labelled = there.any(axis=1)  # others take no part in a fit

    def content(column: np.ndarray) -> list[Any]:
        own = column[labelled].astype(float)
        own = own[np.lexsort([own, inputs[labelled]])]
        return np.round(own, 9).tolist()  # the unit of labels, which rounds them, leads nothing

    columns = sorted([*values.T, *there.T], key=content)
    return np.lexsort([*reversed(columns), inputs])


def labelled_rows(table: Targets) -> Tensor:
    """Rows with a label of some task, (n_labelled,); the others take no part in a fit."""
    if table.weight is None:
        return torch.arange(len(table.values), dtype=torch.int32)
    there = (table.weight > 0).any(axis=1)
    return torch.from_numpy(np.flatnonzero(there).astype(np.int32))


def inputs_to_device(X: Any, device: str) -> Tensor | SparseRows:
    """Inputs where the network is; sparse ones stay as they are until a batch is made of them."""
    return SparseRows(X.tocsr(), device) if issparse(X) else to_device(X, device)


def to_device(array: np.ndarray, device: str) -> Tensor:
    """Return the array as a tensor on the device, without a copy where that is the CPU."""
    if any(step < 0 for step in array.strides):
        array = array.copy()  # torch knows no negative strides
    with warnings.catch_warnings():
        # a read-only memory map is fine: nothing here writes to the table
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)


def scaled(weight: np.ndarray, dtype: Any) -> np.ndarray:
    """Weights over their task's largest, which a mean does not notice and float32 can hold."""
    peak = weight.max(axis=0)
    return (weight / np.where(peak > 0, peak, 1)).astype(dtype)


def warn_if_unscaled(data: TrainingData, labelled: Tensor, names: Sequence[str] | None) -> None:
    """Warn of inputs that are far from standardised, naming the worst column."""
    some = labelled[:: max(1, len(labelled) // LOOK)].to(data.x.device)
    inputs = data.inputs(some.unsqueeze(0))[0]
    size = inputs.double().square().mean(0).sqrt().cpu().numpy()
    worst = int(np.argmax(size))
    usual = np.median(size[size > 0]) if (size > 0).any() else 1.0
    if size[worst] == 0 or (1 / FAR < size[worst] < FAR and size[worst] < FAR * usual):
        return
    name = f"column {worst}" if names is None else f"column {names[worst]!r}"
    warn(
        f"The inputs are far from standardised: {name} of X has a root mean square of "
        f"{size[worst]:.3g}, the median column {usual:.3g}. Networks learn poorly from that: put a "
        "StandardScaler before the estimator."
    )


def linear_fits(data: TrainingData, table: Targets, tasks: Sequence[Task]) -> list[float]:
    """Share of each task's variance that a ridge explains on rows it has not seen.

    ``tasks`` in the order of the table; for classes, the variance of their indicators.
    """
    from sklearn.linear_model import RidgeCV  # a quarter of what importing skmtl adds to sklearn's

    shares = []
    for t, (task, place) in enumerate(zip(tasks, value_columns(tasks), strict=True)):
        weight = np.ones(len(table.values)) if table.weight is None else table.weight[:, t]
        rows = np.flatnonzero(weight > 0)
        rows = rows[:: max(1, len(rows) // LOOK)]
        values = table.values[rows, place].astype(float)
        if task.by_query:
            values = values[:, :1]  # the number of a query is no target
        if task.kind == "classification":
            groups = task.strata(values)
            values = (groups[:, None] == np.unique(groups)).astype(float)
        variance = values.var(axis=0).mean()
        at = torch.from_numpy(rows).to(data.x.device).unsqueeze(0)
        inputs = data.inputs(at)[0].double().cpu().numpy()
        ridge = RidgeCV(np.logspace(-2, 4, 7)).fit(inputs, values)
        shares.append(1 + ridge.best_score_ / variance if variance > 0 else 0.0)
    return shares
