"""Labels beside predictions, task by task: what scorers and the table both start from.

In: a fitted estimator, rows, their targets and weights. Out: a `TaskRows` for each task.
Shapes: n rows, m labelled rows of a task, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import make_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length

from skmtl import _queries, _spans, targets
from skmtl._warn import warn
from skmtl.targets import Column
from skmtl.tasks.classification import find_classes

# where a meta-estimator keeps the one that it fitted
INSIDE = ("best_estimator_", "estimator_", "regressor_", "classifier_")


class Answers:
    """What a fitted estimator says of rows: asked at once for labels, once at most for more."""

    def __init__(self, estimator: Any, X: Any, spans: Any = None):
        self.estimator, self.X, self.spans = estimator, X, spans
        columns, self.container = targets.read_columns(estimator.predict(X))
        self.columns = _spans.join(columns, spans, predicted=True)

    def again(self, X: Any) -> Answers:
        """What it says of other rows."""
        return Answers(self.estimator, X, self.spans)

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

    ``kind`` is that of the task, or "ranking", or "multilabel", where labels are indicators
    (m, n_columns).

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
    weighed: bool = False  # also without sample weights
    judge: Any = None  # of a ranking: its metric, a function of truth, predictions and weights

    def labels(self, values: np.ndarray) -> np.ndarray:
        """Labels that positions among the classes stand for; numbers are as they are."""
        return values if self.classes is None else self.classes[values]


class _Known(NamedTuple):
    """What is known of a task, as in `TaskRows`; ``task`` is the `Task`, None of others' estimators."""

    name: Any
    kind: str
    metric: Any
    classes: Any
    task: Any = None


def read(
    estimator: Any, X: Any, y: Any, sample_weight: Any, qid: Any = None
) -> tuple[Answers, list[TaskRows]]:
    """Predictions and labels side by side, in the order of the estimator's tasks."""
    inner = _skmtl_inside(estimator)
    fitted = getattr(inner, "_container", None)
    spans = None if fitted is None else fitted.spans
    answers = Answers(estimator, X, spans)
    columns, container = targets.read_columns(y)
    check_consistent_length(answers.columns[0].mask, columns[0].mask)
    known = _known_tasks(estimator, inner, [c.name for c in columns])
    names = [task.name for task in known]
    if fitted is None or spans is None:
        form = answers.container
        columns = targets.align(columns, container, form, names)
    else:
        form = fitted
        columns = _spans.join(targets.align(columns, container, form, form.names), spans)
    given = _spans.as_given(names, container, form)
    weight = targets.read_weight(sample_weight, len(columns[0].mask), names, given)
    columns, weights = targets.weigh_columns(columns, weight)
    codes = _queries.number(qid, len(columns[0].mask))
    columns = _queries.attach(columns, [task.task for task in known], codes)
    rows = zip(known, columns, answers.columns, weights, strict=True)
    return answers, [_side_by_side(t, *row) for t, row in enumerate(rows)]


def _side_by_side(
    position: int, known: _Known, column: Column, answer: Column, weight: np.ndarray
) -> TaskRows:
    mask, problem = column.mask, "" if len(column.labels) else "it has no label here"
    labels, factor = column.labels, None
    if known.task is not None:
        labels, factor = known.task.compared(labels)
    judge = None
    if known.kind == "ranking":
        judge = _queries.judge(known.task, labels[:, 1])
        known, labels = known._replace(metric=make_scorer(judge)), labels[:, 0]
    predicted = as_numbers(answer.labels[mask], known.classes)
    try:
        truth = as_numbers(labels, known.classes)
    except ValueError as error:
        truth, problem = predicted, f"{error}"
    return TaskRows(
        name=known.name,
        position=position,
        kind=known.kind,
        metric=known.metric,
        classes=known.classes,
        mask=mask,
        truth=truth,
        predicted=predicted,
        weight=weight if factor is None else weight * factor,
        problem=problem,
        weighed=factor is not None,
        judge=judge,
    )


def _skmtl_inside(estimator: Any) -> Any:
    """The fitted estimator of skmtl in a pipeline or search; None if there is none."""
    inner = estimator
    while inner is not None and not hasattr(inner, "tasks_"):
        if isinstance(inner, Pipeline):
            inner = inner.steps[-1][1]
        else:
            inner = next((getattr(inner, name) for name in INSIDE if hasattr(inner, name)), None)
    return inner


def _known_tasks(estimator: Any, inner: Any, columns: list[Any]) -> list[_Known]:
    """What is known of each task, of skmtl's estimator inside or of the tags."""
    if inner is not None:
        return [
            _Known(
                name,
                _kind(task),
                task.scorer,
                None if task.several else getattr(task, "classes_", None),
                task,
            )
            for name, task in inner.tasks_.items()
        ]
    if is_regressor(estimator):
        return [_Known(name, "regression", "r2", None) for name in columns]
    if is_classifier(estimator):
        classes = estimator.classes_
        by_task = classes if isinstance(classes, list) else [classes]
        pairs = zip(columns, by_task, strict=len(columns) == len(by_task))
        return [_Known(name, "classification", "accuracy", classes) for name, classes in pairs]
    raise TypeError(
        "Parameter estimator must be a fitted estimator of skmtl, a pipeline or search with one "
        f"inside, or a classifier or regressor of scikit-learn. Found {estimator!r}."
    )


def _kind(task: Any) -> str:
    if task.several:
        return "multilabel"
    return "ranking" if task.by_query else task.kind


def as_numbers(labels: np.ndarray, classes: Any) -> np.ndarray:
    """Labels of a regression as floats, of a classification as positions among its classes."""
    if classes is None:
        return labels.astype(float)
    codes, unseen = find_classes(labels, classes)
    if unseen:
        raise ValueError(f"its labels {unseen} were not among the classes seen in fit")
    return codes


def warn_unscored(why: dict[Any, str], last: str = "") -> None:
    """Say in one warning which tasks have no score.

    ``why`` is empty for a task that has one.
    """
    told = [f"Task {name!r} has no score: {reason}." for name, reason in why.items() if reason]
    if told:
        warn(" ".join(told) + last, UndefinedMetricWarning)
