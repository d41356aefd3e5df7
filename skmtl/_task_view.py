"""One task of a fitted estimator, as scikit-learn would have it: a classifier or a regressor.

Shapes: n rows, d features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length

from skmtl import _export, _queries, _spans, targets
from skmtl.tasks import Task


class TaskView(BaseEstimator):
    """A fitted task: it predicts, and `fit` and `clone` leave it as it is.

    In that it is like `sklearn.frozen.FrozenEstimator`, so that tools which fit what they are given
    (calibration, stacking) work on it.

    Parameters
    ----------
    estimator : MultiTaskClassifierRegressor or another estimator of skmtl
        Fitted.
    task : object
        Name of one of its tasks.
    """

    def __init__(self, estimator, task):
        self.estimator = estimator
        self.task = task

    def fit(self, X, y=None, **params):
        """Leave everything as it is.

        Parameters
        ----------
        X, y, **params : ignored

        Returns
        -------
        self : object
        """
        return self

    def predict(self, X):
        """Predict the task.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in the estimator's `fit`.

        Returns
        -------
        y : ndarray of shape (n,), or (n, n_columns) for a `MultilabelTask`
            Labels or numbers.
        """
        return self._task.decode(self._activated(X))

    def score(self, X, y, sample_weight=None, qid=None):
        """Score the task by its own metric: accuracy of a classification, R² of a regression.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,), or (n, n_columns) for a task that reads several
            True labels; rows where it is missing are left out. Of counts with an exposure, both, or
            the rates alone.
        sample_weight : array-like of shape (n,), default=None
        qid : array-like of shape (n,), default=None
            Query of each row, for a `RankingTask`.

        Returns
        -------
        score : float
        """
        columns, _ = targets.read_columns(y)
        check_consistent_length(X, columns[0].mask, sample_weight)
        spans = self.estimator._container.spans
        column = _spans.join_one(columns, self.task, None if spans is None else spans[self.task])
        [column] = _queries.attach([column], [self._task], _queries.number(qid, len(column.mask)))
        labels, factor = self._task.compared(column.labels)
        weight = None if sample_weight is None else np.asarray(sample_weight)[column.mask]
        if factor is not None:
            weight = factor if weight is None else weight * factor
        return self._task.evaluate(labels, self.predict(X)[column.mask], weight)

    def to_torch(self, preprocessing=None):
        """Make a torch module that predicts this task alone.

        Parameters
        ----------
        preprocessing : fitted scaler, Pipeline of them or None, default=None
            As in the estimator's `to_torch`.

        Returns
        -------
        module : InferenceModule
            As the estimator's; it returns this task only.
        """
        return _export.inference_module(self.estimator, preprocessing, [self.task])

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return self.estimator.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the features, where X had any."""
        return self.estimator.feature_names_in_

    @property
    def _task(self) -> Task:
        return self.estimator.tasks_[self.task]

    def _activated(self, X: Any) -> np.ndarray:
        return self.estimator._forward(X)[list(self.estimator.tasks_).index(self.task)]

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_clone__(self):
        return self


class ClassifierView(ClassifierMixin, TaskView):
    """A classification task."""

    score = TaskView.score  # not the mixin's, which takes no missing labels

    @property
    def classes_(self) -> np.ndarray:
        """Class labels, in sorted order; of a `MultilabelTask`, the names of its columns."""
        return self._task.classes_  # type: ignore[attr-defined]

    def predict_proba(self, X):
        """Probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in the estimator's `fit`.

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes)
            In the order of ``classes_``.
        """
        return self._task.decode_proba(self._activated(X))  # type: ignore[attr-defined]


class RegressorView(RegressorMixin, TaskView):
    """A regression task."""

    score = TaskView.score

    @available_if(lambda self: hasattr(self._task, "decode_quantiles"))
    def predict_quantiles(self, X):
        """Predict the quantiles of a `QuantileTask`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in the estimator's `fit`.

        Returns
        -------
        quantiles : ndarray of shape (n, n_quantiles)
            Columns in the order of the task's ``quantiles``.
        """
        return self._task.decode_quantiles(self._activated(X))  # type: ignore[attr-defined]

    @available_if(lambda self: hasattr(self._task, "decode_std"))
    def predict_std(self, X):
        """Predict the standard deviation of a `HeteroscedasticRegressionTask`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in the estimator's `fit`.

        Returns
        -------
        std : ndarray of shape (n,)
            In the target's own unit.
        """
        return self._task.decode_std(self._activated(X))  # type: ignore[attr-defined]


def view(estimator: Any, task: Any) -> TaskView:
    """Return the view of a task of a fitted estimator."""
    if task not in estimator.tasks_:
        raise ValueError(f"Parameter task must be one of {list(estimator.tasks_)}. Found {task!r}.")
    kinds = {"classification": ClassifierView, "regression": RegressorView}
    return kinds[estimator.tasks_[task].kind](estimator, task)
