"""Labels beside predictions, task by task: what scorers and the table both start from.

In: a fitted estimator, rows, their targets and weights. Out: a `TaskRows` for each task.
Shapes: n rows, m labelled rows of a task, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length

from skmtl import targets

# where a meta-estimator keeps the one that it fitted
INSIDE = ("best_estimator_", "estimator_", "regressor_", "classifier_")


class Answers:
    """What a fitted estimator says of rows: asked at once for labels, once at most for more."""

    def __init__(self, estimator: Any, X: Any):
        self.estimator, self.X = estimator, X
        self.columns, self.container = targets.read_columns(estimator.predict(X))

    @cached_property
    def _probabilities(self) -> Any:
        return self.estimator.predict_proba(self.X)

    def probabilities(self, task: TaskRows) -> np.ndarray | None:
        """Probabilities (n, C) of a classification; None where the estimator has none."""
        if not hasattr(self.estimator, "predict_proba"):
            return None
        by_task = self._probabilities
        if isinstance(by_task, Mapping):
            return by_task[task.name]
        return by_task[task.position] if isinstance(by_task, list) else by_task


@dataclass(frozen=True)
class TaskRows:
    """A task's labels beside its predictions, as positions among ``classes`` or as numbers.

    ``truth``, ``predicted`` and ``weight`` (m,) hold the rows of ``mask`` (n,); ``problem`` says
    why they cannot be compared, if so.
    """

    name: Any
    position: int
    kind: str
    metric: Any
    classes: Any
    mask: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    weight: np.ndarray
    problem: str

    def labels(self, values: np.ndarray) -> np.ndarray:
        return values if self.classes is None else self.classes[values]


def read(estimator: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Answers, list[TaskRows]]:
    """Predictions and labels side by side, in the order of the estimator's tasks."""
    answers = Answers(estimator, X)
    columns, container = targets.read_columns(y)
    check_consistent_length(answers.columns[0].mask, columns[0].mask)
    known = _known_tasks(estimator, [c.name for c in columns])
    names = [name for name, *_ in known]
    columns = targets.align(columns, container, answers.container, names)
    weight = targets.read_weight(sample_weight, len(columns[0].mask), names)
    columns, weights = targets.weigh_columns(columns, weight)
    tasks = []
    for t, (name, kind, metric, classes) in enumerate(known):
        mask, problem = columns[t].mask, "" if len(columns[t].labels) else "it has no label here"
        predicted = as_numbers(answers.columns[t].labels[mask], classes)
        try:
            truth = as_numbers(columns[t].labels, classes)
        except ValueError as error:
            truth, problem = predicted, f"{error}"
        tasks.append(
            TaskRows(name, t, kind, metric, classes, mask, truth, predicted, weights[t], problem)
        )
    return answers, tasks


def _known_tasks(estimator: Any, columns: list[Any]) -> list[tuple[Any, str, Any, Any]]:
    """Name, kind, scorer and classes of each task, of skmtl's estimator inside or of the tags."""
    inner = estimator
    while inner is not None and not hasattr(inner, "tasks_"):
        if isinstance(inner, Pipeline):
            inner = inner.steps[-1][1]
        else:
            inner = next((getattr(inner, name) for name in INSIDE if hasattr(inner, name)), None)
    if inner is not None:
        tasks = inner.tasks_.items()
        return [(n, t.kind, t.scorer, getattr(t, "classes_", None)) for n, t in tasks]
    if is_regressor(estimator):
        return [(name, "regression", "r2", None) for name in columns]
    if is_classifier(estimator):
        classes = estimator.classes_
        by_task = classes if isinstance(classes, list) else [classes]
        pairs = zip(columns, by_task, strict=len(columns) == len(by_task))
        return [(name, "classification", "accuracy", classes) for name, classes in pairs]
    raise TypeError(
        "Parameter estimator must be a fitted estimator of skmtl, a pipeline or search with one "
        f"inside, or a classifier or regressor of scikit-learn. Found {estimator!r}."
    )


def as_numbers(labels: np.ndarray, classes: Any) -> np.ndarray:
    """Labels of a regression as floats, of a classification as positions among its classes."""
    if classes is None:
        return labels.astype(float)
    try:
        codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        unseen = classes[codes] != labels
    except TypeError:  # labels of a type that does not compare with the classes'
        codes, unseen = np.zeros(len(labels), int), np.ones(len(labels), bool)
    if np.any(unseen):
        shown = list(dict.fromkeys(labels[unseen].tolist()))[:5]
        raise ValueError(f"its labels {shown} were not among the classes seen in fit")
    return codes


def warn_unscored(why: dict[Any, str], last: str = "") -> None:
    """Say in one warning, to the caller of the public function, which tasks have no score.

    ``why`` is empty for a task that has one.
    """
    told = [f"Task {name!r} has no score: {reason}." for name, reason in why.items() if reason]
    if told:
        warnings.warn(" ".join(told) + last, UndefinedMetricWarning, stacklevel=3)
