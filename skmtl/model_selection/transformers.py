"""What stands before an estimator in a Pipeline: fitted, and applied, once for all candidates.

Shapes: n rows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import joblib
from sklearn.base import clone
from sklearn.pipeline import Pipeline

Steps = list[tuple[str, Any]]


def told_apart(model: Pipeline) -> Hashable:
    """What two pipelines have in common whose transformers are the same."""
    try:
        return joblib.hash(model.steps[:-1])
    except Exception:  # noqa: BLE001 - what cannot be pickled, a lambda say, is like nothing else
        return id(model)


def fit_transformers(
    model: Pipeline, X: Any, y: Any, scored: Sequence[Any]
) -> tuple[Steps, Steps, Any]:
    """Fit the steps before the last.

    Parameters
    ----------
    X, y : array-likes of shape (n, ...)
        Rows to learn from.
    scored : sequence of tables
        On which candidates will be scored, and which nobody changes meanwhile.

    Returns
    -------
    steps : list of (str, transformer)
    remembering : list of (str, transformer)
        Copies that transform each of ``scored`` only once.
    transformed : array-like
        What they make of X.
    """
    before = clone(model)[:-1]
    inputs = before.fit_transform(X, y) if len(before) else X
    known = list(scored)
    remembering = [(name, _remembering(step, known)) for name, step in before.steps]
    return before.steps, remembering, inputs


def _remembering(transformer: Any, known: list[Any]) -> Any:
    if not hasattr(transformer, "transform"):
        return transformer
    own = copy.copy(transformer)
    own.transform = Remembered(transformer.transform, known)
    return own


class Remembered:
    """A function of tables that keeps what it makes of those that are known.

    These do not change; nor does what is made of them, which is then known to the next transformer.
    """

    def __init__(self, function: Callable[..., Any], known: list[Any]):
        self.function, self.known = function, known
        self.results: list[tuple[Any, Any]] = []

    def __call__(self, X: Any, **params: Any) -> Any:
        """Result for X."""
        if params or not any(X is table for table in self.known):
            return self.function(X, **params)
        for table, result in self.results:
            if table is X:
                return result
        result = self.function(X)
        self.results.append((X, result))
        self.known.append(result)
        return result
