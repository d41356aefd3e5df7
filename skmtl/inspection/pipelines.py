"""A model to inspect: an estimator of skmtl, alone or as the last step of a Pipeline."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import _routing_enabled


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
