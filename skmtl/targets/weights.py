"""What each label counts: sample weights, checked; labels that count nothing are left out.

Shapes: n rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from .columns import Column, of_one_type


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
        labels = of_one_type(column.labels[counts])  # a word among numbers may be gone
        kept.append(replace(column, labels=labels, mask=mask))
    return kept, [weight[c.mask, t] for t, c in enumerate(kept)]
