"""Which tasks to train together: one model per group of tasks that serve each other.

Shapes: n rows, T tasks.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl._checks import check_number

from .gradients import task_affinity
from .partition import best_groups
from .pipelines import row_params
from .subsets import columns_for, for_tasks, read_by, table_of


class TaskGrouping(BaseEstimator):
    """One multi-task model per group of tasks that serve each other (Fifty et al. 2021).

    The estimator is trained once on all tasks, to see how a step for one serves the others
    (`task_affinity`). For a number of groups, up to 12 tasks, the partition is the best of all: that of
    the largest total of affinities, for each task the mean affinity towards it from the others in its
    group, zero for a task alone. For more tasks it is a hierarchical clustering (average linkage) of
    the affinities. A clone is then trained on each group, on the rows that have a label of it.

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
        Trained on all tasks and on every group.
    n_groups : int or None, default=None
        Number of groups. None: the number whose groups are told apart best, by their mean silhouette
        (Rousseeuw 1987), or one where that is below 0.25: no structure.
    every : int, default=10
        As in `task_affinity`.

    Attributes
    ----------
    groups_ : list of list
        Names of the tasks of each group.
    affinity_ : DataFrame of shape (T, T)
    estimators_ : list
        Fitted, one a group.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only where X has names.

    References
    ----------
    C. Fifty, E. Amid, Z. Zhao, T. Yu, R. Anil, C. Finn (2021). Efficiently identifying task
    groupings for multi-task learning. NeurIPS.
    P. Rousseeuw (1987). Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis. Journal of Computational and Applied Mathematics 20, 53-65.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.inspection import TaskGrouping
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> one, other = X[:, 0] * X[:, 1], np.sin(3 * X[:, 2])
    >>> y = np.column_stack([one, other, -one, other])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=20, random_state=0)
    >>> TaskGrouping(est, n_groups=2).fit(X, y).groups_
    [['y0', 'y2'], ['y1', 'y3']]
    """

    def __init__(self, estimator, n_groups=None, every=10):
        self.estimator = estimator
        self.n_groups = n_groups
        self.every = every

    def fit(self, X, y, sample_weight=None, qid=None):
        """Find groups and train a model for each.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : DataFrame or array-like of shape (n, T)
            NaN, None and pd.NA mean that a label is missing. A task that reads several columns, as
            `MultilabelTask` does, is one task; columns that several read go to the groups of each.
        sample_weight : array-like of shape (n,) or (n, T), default=None
        qid : array-like of shape (n,), default=None
            Query of each row, for a `RankingTask`.

        Returns
        -------
        self : object
        """
        if y is None:
            raise ValueError(
                "This TaskGrouping estimator requires y to be passed, but the target y is None."
            )
        self._as_frame = isinstance(y, pd.DataFrame)
        self._alone = not self._as_frame and np.asarray(y).ndim == 1
        frame = table_of(y)
        reads = read_by(self.estimator, list(frame))
        if self.n_groups is not None:
            check_number(self.n_groups, "n_groups", Integral, low=1, high=len(reads))
        self.affinity_ = task_affinity(
            self.estimator, X, y, every=self.every, sample_weight=sample_weight, qid=qid
        )
        every = list(self.affinity_)
        groups = best_groups(self.affinity_.fillna(0.0).to_numpy(), self.n_groups)
        self.groups_ = [[every[t] for t in positions] for positions in groups]
        self._columns = [columns_for(group, reads, frame) for group in self.groups_]
        self._order = list(frame.columns)
        self.estimators_ = [
            self._fit_group(X, frame[columns], positions, sample_weight, qid)
            for columns, positions in zip(self._columns, groups, strict=True)
        ]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimators_[0], name):
                setattr(self, name, getattr(self.estimators_[0], name))
        return self

    def _fit_group(
        self, X: Any, y: pd.DataFrame, positions: list[int], sample_weight: Any, qid: Any
    ) -> Any:
        every = list(self.affinity_)
        model = for_tasks(self.estimator, [every[t] for t in positions], every)
        if sample_weight is not None:
            by_task = np.asarray(sample_weight)
            sample_weight = by_task[:, positions] if by_task.ndim == 2 else sample_weight
        target = y.iloc[:, 0] if self._alone else y
        return model.fit(X, target, **row_params(model, sample_weight, qid))

    def predict(self, X):
        """Predict every task by the model of its group.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        y : DataFrame or ndarray of shape (n, T) or (n,)
            In the container the targets came in.
        """
        check_is_fitted(self)
        if self._alone:
            return self.estimators_[0].predict(X)
        parts = [est.predict(X) for est in self.estimators_]
        together = pd.concat(parts, axis=1)
        together = together[[column for column in self._order if column in together]]
        return together if self._as_frame else together.to_numpy()

    @available_if(lambda self: any(hasattr(e, "predict_proba") for e in self.estimators_))
    def predict_proba(self, X):
        """Class probabilities of the classification tasks, by name.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        probabilities : dict from task to ndarray of shape (n, n_classes), or the ndarray for a 1-D y
        """
        if self._alone:
            return self.estimators_[0].predict_proba(X)
        found: dict[Any, np.ndarray] = {}
        for est in self.estimators_:
            if hasattr(est, "predict_proba"):
                found |= est.predict_proba(X)
        return {name: found[name] for name in self.affinity_ if name in found}

    def score(self, X, y, sample_weight=None, qid=None):
        """Mean over the tasks of their scores, as the estimator's own ``score``.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : DataFrame or array-like of shape (n, T)
        sample_weight : array-like of shape (n,), default=None
        qid : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        frame = (
            y if isinstance(y, pd.DataFrame) else pd.DataFrame(np.asarray(y), columns=self._order)
        )
        scores = []
        for est, columns, group in zip(self.estimators_, self._columns, self.groups_, strict=True):
            last, inputs = est, X
            if isinstance(est, Pipeline):  # whose own score hands no queries on
                last, inputs = est[-1], est[:-1].transform(X) if len(est) > 1 else X
            params = {} if qid is None else {"qid": qid}
            score = last.score(inputs, frame[columns], sample_weight=sample_weight, **params)
            scores.append(score * len(group))
        return float(np.sum(scores) / len(self.affinity_))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        if isinstance(self.estimator, BaseEstimator):
            inner = get_tags(self.estimator)
            tags.input_tags.sparse = inner.input_tags.sparse
            tags.classifier_tags = inner.classifier_tags
        return tags
