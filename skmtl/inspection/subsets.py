"""Some of the tasks of a table: their columns, and an estimator that is asked for no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from skmtl._spans import spans_of

from .pipelines import last_step


def table_of(y: Any) -> pd.DataFrame:
    """Targets as a DataFrame, its columns called as the estimators call the tasks of an array."""
    if isinstance(y, pd.DataFrame):
        return y
    array = np.asarray(y)
    if array.ndim == 1:
        name = getattr(y, "name", None)
        return pd.DataFrame({"y" if name is None else name: array})
    return pd.DataFrame(array).add_prefix("y")


def read_by(estimator: Any, columns: Sequence[Any]) -> dict[Any, list[Any]]:
    """Columns of y that each task reads: what it predicts, and what it reads beside that."""
    spans = spans_of(last_step(estimator).tasks, columns)
    if spans is None:
        return {name: [name] for name in columns}
    return {name: [*span.labels, *span.beside] for name, span in spans.items()}


def columns_for(names: Sequence[Any], reads: Mapping[Any, Sequence[Any]], y: pd.DataFrame) -> list:
    """Columns of y that these tasks read, in its order."""
    return [column for column in y if any(column in reads[name] for name in names)]


def for_tasks(estimator: Any, names: Sequence[Any], every: Sequence[Any]) -> Any:
    """A clone for the tasks ``names`` out of ``every``: what it says of the others is left out.

    For one task alone, weights, schedule and a relation between tasks say nothing and are left out too.
    """
    model = clone(estimator)
    last = last_step(model)
    positions = [list(every).index(name) for name in names]
    for parameter in ("tasks", "loss_weights"):
        value = getattr(last, parameter)
        if isinstance(value, Mapping) or hasattr(value, "to_dict"):
            kept = {name: value[name] for name in names if name in value}
            last.set_params(**{parameter: kept or ("infer" if parameter == "tasks" else None)})
        elif isinstance(value, list | tuple | np.ndarray):
            last.set_params(**{parameter: [value[t] for t in positions]})
    if len(names) == 1:
        last.set_params(loss_weights=None, schedule="joint")
        for parameter, value in last.get_params().items():
            if parameter in ("relation", "sharing__relation") and not isinstance(value, str):
                last.set_params(**{parameter: "learned"})
    return model
