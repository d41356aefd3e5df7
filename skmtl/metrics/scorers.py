"""Scorers of one task and of all: callables for `scoring`.

A scorer of scikit-learn takes an estimator of one target. `OneTask` is one: it gives the
answers that the fitted estimator gave for all tasks at once. Shapes: n rows, T tasks, C classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import UNCHANGED, MetadataRequest
from sklearn.utils.metaestimators import available_if

from skmtl._checks import check_choice, check_number

from .reading import Answers, TaskRows, as_numbers, read, warn_unscored

MEAN = "mean"  # the key of the mean over tasks
# defined over all classes, also those that no row here has; scikit-learn asks for these as `labels`
OVER_ALL_CLASSES = {
    "d2_brier_score",
    "d2_log_loss_score",
    "neg_brier_score",
    "neg_log_loss",
    "top_k_accuracy",
}


def multitask_scorer(metrics=None, average="mean", *, single=False):
    """Make a scorer of every task and their mean, for scikit-learn's searches and validations.

    A missing label is left out of its task's score. A task without a score (no label among these
    rows, or one class only; labels that training never saw; a metric that fails) is NaN, and the
    mean is over the others; a warning says which they are, and why. Where no task has a score,
    the mean is NaN.

    Parameters
    ----------
    metrics : dict or None, default=None
        From task to a name of `sklearn.metrics.get_scorer_names` or a callable
        ``scorer(estimator, X, y)``, as `make_scorer` makes them. It gets the labelled rows, and an
        estimator that is a classifier or regressor of this task. Tasks left out, or all, get the
        metric of their kind: accuracy, R².
    average : "mean" or dict, default="mean"
        Weights >= 0 of the tasks in the mean; tasks that a dict leaves out have weight 1.
    single : bool, default=False
        Whether the scorer returns the mean alone, a float: for `cross_val_score`, `learning_curve`,
        `validation_curve` and the Halving searches, which take no dict.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None, qid=None)`` returns a dict from task, as a
        string, and "mean" to float; greater is better. Use it with ``refit="mean"``. Weights are of
        shape (n,) or (n, T); ``qid`` (n,) is the query of each row, which a `RankingTask` needs. With
        metadata routing, ask for them by ``scorer.set_score_request``.

    See Also
    --------
    task_scorer : One task's score.
    score_table : Several metrics of every task.

    Notes
    -----
    Classifiers and regressors of scikit-learn are scored too, on one column or several. A metric
    that fails on the predictions of some candidates only, as neg_mean_squared_log_error does on
    negative ones, leaves these with a mean over other tasks, which does not compare: mind the
    warning. A name that is none of the estimator's tasks can be noticed only when the scorer is
    called; searches turn the error into a warning, unless ``error_score="raise"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV, ShuffleSplit
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> from skmtl.metrics import multitask_scorer
    >>> X, species = load_iris(return_X_y=True, as_frame=True)
    >>> y = pd.DataFrame({"species": species, "petal": X.pop("petal width (cm)")})
    >>> y.loc[::5, "petal"] = None  # missing labels
    >>> search = GridSearchCV(
    ...     MultiTaskClassifierRegressor(n_members=1, random_state=0),
    ...     {"hidden_layer_sizes": [(), (32,)]},
    ...     scoring=multitask_scorer({"species": "f1_macro"}),
    ...     refit="mean",
    ...     cv=ShuffleSplit(2, random_state=0),
    ... ).fit(X - X.mean(), y)
    >>> [key for key in search.cv_results_ if key.startswith("mean_test")]
    ['mean_test_species', 'mean_test_petal', 'mean_test_mean']
    >>> bool(search.best_score_ > 0.8)
    True
    """
    return _MultiTaskScorer(metrics, average, single)


def task_scorer(task, metric=None):
    """Make a scorer of one task, a float: for Halving searches, or to watch while training.

    Parameters
    ----------
    task : object
        Name of the task: its column in y.
    metric : str, callable or None, default=None
        As in `multitask_scorer`; None: that of the task's kind.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None, qid=None)`` returns a float, greater is
        better; NaN, with a warning, where the task has no score.

    See Also
    --------
    multitask_scorer : Every task's score, or their mean.

    Examples
    --------
    >>> from skmtl.metrics import task_scorer
    >>> task_scorer("sex", "f1_macro")
    task_scorer('sex', metric='f1_macro')
    """
    return _TaskScorer(task, metric)


class _Scorer:
    """A callable for `scoring`; it may get weights and queries, with metadata routing on request."""

    _weight_request: Any = None
    _qid_request: Any = None

    def set_score_request(
        self, *, sample_weight: bool | str | None = UNCHANGED, qid: bool | str | None = UNCHANGED
    ) -> _Scorer:
        """Say what metadata routing passes here, as for scikit-learn's scorers."""
        if sample_weight != UNCHANGED:
            self._weight_request = sample_weight
        if qid != UNCHANGED:
            self._qid_request = qid
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=self._weight_request)
        request.score.add_request(param="qid", alias=self._qid_request)
        return request

    def _accept_sample_weight(self) -> bool:
        return True  # searches ask this, without routing, of each scorer in a dict


class _MultiTaskScorer(_Scorer):
    def __init__(self, metrics: Any, average: Any, single: bool):
        check_choice(single, "single", [True, False])
        self.metrics, self.average, self.single = metrics, average, bool(single)
        self._weights = _check_average(average)
        self._metrics = _check_metrics(metrics)

    def __repr__(self) -> str:
        return (
            f"multitask_scorer({self.metrics!r}, average={self.average!r}, single={self.single!r})"
        )

    def __call__(self, estimator, X, y, sample_weight=None, qid=None):
        answers, tasks = read(estimator, X, y, sample_weight, qid)
        weights = self._check_tasks([t.name for t in tasks])
        scores, why = {}, {}
        for task in tasks:
            metric = self._metrics.get(task.name, task.metric)
            scores[task.name], why[task.name] = _score(task, answers, metric, sample_weight)
        there = [name for name, weight in weights.items() if weight and not why[name]]
        mean = np.nan
        if there:
            mean = np.average([scores[n] for n in there], weights=[weights[n] for n in there])
        n_tasks = sum(weight > 0 for weight in weights.values())
        warn_unscored(why, last=f" The mean is over {len(there)} of {n_tasks} tasks.")
        if self.single:
            return float(mean)
        return {str(name): score for name, score in scores.items()} | {MEAN: float(mean)}

    def _check_tasks(self, names: list[Any]) -> dict[Any, float]:
        """Weight of each task in the mean; raise if what was asked for does not fit the tasks."""
        _check_known(self._metrics, names, "metrics names")
        _check_known(self._weights, names, "average names")
        if not self.single and MEAN in map(str, names):
            raise ValueError(
                f"No task may be called {MEAN!r}, which is the mean over tasks. Rename the column, or "
                f"use single=True. Found tasks {names}."
            )
        weights = {name: self._weights.get(name, 1.0) for name in names}
        if not any(weights.values()):
            raise ValueError(
                f"Parameter average must give a task a weight above 0. Found {self.average!r}."
            )
        return weights


class _TaskScorer(_Scorer):
    def __init__(self, task: Any, metric: Any):
        self.task = task
        self.metric = metric if metric is None else _check_metric(metric, "metric")

    def __repr__(self) -> str:
        return f"task_scorer({self.task!r}, metric={self.metric!r})"

    def __call__(self, estimator, X, y, sample_weight=None, qid=None):
        answers, tasks = read(estimator, X, y, sample_weight, qid)
        by_name = {t.name: t for t in tasks}
        _check_known([self.task], list(by_name), "task is")
        task = by_name[self.task]
        score, why = _score(task, answers, self.metric or task.metric, sample_weight)
        warn_unscored({task.name: why})
        return score


class OneTask(BaseEstimator):
    """A task as an estimator of its own: it answers for ``X`` from what is known, else it asks."""

    def __init__(self, task: TaskRows, answers: Answers, X: Any):
        self.task, self.answers, self.X = task, answers, X

    def predict(self, X):
        if X is self.X:
            return self.task.labels(self.task.predicted)
        asked = self.answers.again(X).columns[self.task.position].labels
        return self.task.labels(as_numbers(asked, self.task.classes))

    def __sklearn_is_fitted__(self):
        return True


class OneTaskClassifier(ClassifierMixin, OneTask):
    """A classification."""

    @property
    def classes_(self):
        return self.task.classes

    @available_if(lambda self: hasattr(self.answers.estimator, "predict_proba"))
    def predict_proba(self, X):
        if X is self.X:
            return self.answers.probabilities(self.task)[self.task.mask]
        return self.answers.again(X).probabilities(self.task)


class OneTaskRegressor(RegressorMixin, OneTask):
    """A regression."""


class OneTaskMultilabel(OneTaskClassifier):
    """A group of labels, in the form of indicators."""

    @property
    def classes_(self):
        return np.tile([0, 1], (self.task.predicted.shape[1], 1))


ONE_TASK = {
    "classification": OneTaskClassifier,
    "multilabel": OneTaskMultilabel,
    "ranking": OneTaskRegressor,
    "regression": OneTaskRegressor,
}


def _score(task: TaskRows, answers: Answers, metric: Any, sample_weight: Any) -> tuple[float, str]:
    """Score of a task and "", or NaN and why."""
    if task.problem:
        return np.nan, task.problem
    present = np.unique(task.truth)
    if task.kind == "classification" and len(present) == 1:
        return np.nan, f"it has one class only here, {task.labels(present).tolist()[0]!r}"
    weighed = task.weighed or sample_weight is not None
    keywords = {"sample_weight": task.weight} if weighed else {}
    scorer, X = metric, answers.X
    if isinstance(metric, str):
        scorer = get_scorer(metric)  # asks for predictions alone: X need not be cut
        missing = task.kind == "classification" and len(present) < len(task.classes)
        if missing and metric in OVER_ALL_CLASSES:
            keywords["labels"] = task.classes
    elif metric is not task.metric and not task.mask.all():  # a task's own asks for predictions too
        X = _safe_indexing(X, np.flatnonzero(task.mask))
    estimator = ONE_TASK[task.kind](task, answers, X)
    try:
        # scikit-learn's scorers take keywords where routing is on; None leaves it as it is
        with config_context(enable_metadata_routing=True if keywords else None):
            score = float(scorer(estimator, X, task.labels(task.truth), **keywords))
    except Exception as error:  # noqa: BLE001 - a search must survive whatever a metric refuses
        return np.nan, f"{metric!r} failed with {type(error).__name__}: {error}"
    return score, f"{metric!r} is not defined on its labels here" if np.isnan(score) else ""


def _check_metrics(metrics: Any) -> dict[Any, Any]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(
            "Parameter metrics must be a dict from task to the name of a scorer or a callable, or "
            f"None. Found {metrics!r}."
        )
    return {name: _check_metric(m, f"metrics[{name!r}]") for name, m in metrics.items()}


def _check_metric(metric: Any, parameter: str) -> Any:
    if isinstance(metric, str):
        check_choice(metric, parameter, get_scorer_names())
        return metric
    if not callable(metric):
        raise TypeError(
            f"Parameter {parameter} must be the name of a scorer or a callable. Found {metric!r}."
        )
    try:
        first = next(iter(inspect.signature(metric).parameters), None)
    except ValueError:  # of some builtins nothing is known
        first = None
    if first == "y_true":
        raise ValueError(
            f"Parameter {parameter} must be called as scorer(estimator, X, y). Found {metric!r}, "
            "which compares labels: wrap it, with its options, by sklearn.metrics.make_scorer."
        )
    return metric


def _check_average(average: Any) -> dict[Any, float]:
    if isinstance(average, str) and average == "mean":
        return {}
    if not isinstance(average, Mapping):
        raise TypeError(
            f"Parameter average must be 'mean' or a dict from task to weight. Found {average!r}."
        )
    for name, weight in average.items():
        check_number(weight, f"average[{name!r}]", low=0)
    return {name: float(weight) for name, weight in average.items()}


def _check_known(named: Any, names: list[Any], parameter: str) -> None:
    unknown = [name for name in named if name not in names]
    if unknown:
        raise ValueError(
            f"Parameter {parameter} {unknown}, which the estimator has not. Its tasks are {names}."
        )
