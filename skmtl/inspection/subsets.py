"""An estimator for some of the tasks it was made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import _routing_enabled

from skmtl._spans import spans_of


def last_step(model: Any) -> Any:
    """The estimator of skmtl in a model: its last step, where it is a Pipeline."""
    return model[-1] if isinstance(model, Pipeline) else model


def row_params(model: Any, sample_weight: Any = None, qid: Any = None) -> dict[str, Any]:
    """Parameters of the model's ``fit`` that bring what is said of rows to its last step.

    Where metadata routing is on, a Pipeline hands them to whoever has asked for them.
    """
    named = isinstance(model, Pipeline) and not _routing_enabled()
    step = f"{model.steps[-1][0]}__" if named else ""
    given = {"sample_weight": sample_weight, "qid": qid}
    return {f"{step}{name}": value for name, value in given.items() if value is not None}


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
