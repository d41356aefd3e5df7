"""An estimator for some of the tasks it was made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline


def last_step(model: Any) -> Any:
    """The estimator of skmtl in a model: its last step, where it is a Pipeline."""
    return model[-1] if isinstance(model, Pipeline) else model


def weight_params(model: Any, sample_weight: Any) -> dict[str, Any]:
    """Parameters of the model's ``fit`` that bring sample weights, if any, to its last step."""
    if sample_weight is None:
        return {}
    step = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    return {f"{step}sample_weight": sample_weight}


def for_tasks(estimator: Any, names: Sequence[Any], every: Sequence[Any]) -> Any:
    """A clone for the tasks ``names`` out of ``every``: what it says of the others is left out.

    For one task alone, weights, schedule and a relation between tasks say nothing and are left out too.
    """
    model = clone(estimator)
    last = last_step(model)
    _require_single_columns(last.tasks)
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


def _require_single_columns(tasks: Any) -> None:
    """Raise where a task reads several columns of y: which rows of a table are tasks is then open."""
    specs = tasks.items() if isinstance(tasks, Mapping) else [("y", tasks)]
    for name, spec in specs:
        if getattr(spec, "several", False) or getattr(spec, "exposure", None) is not None:
            raise ValueError(
                f"Each task must be a column of y, to be trained with and without the others. Found "
                f"task {name!r}: {spec!r}."
            )
