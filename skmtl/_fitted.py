"""What a fitted estimator answers: predictions in the target's own container, and scores.

In: rows, through the network and back through the tasks. Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skmtl import _engine, _export, _inputs, _queries, _spans, _task_view, metrics, targets
from skmtl._distributions import Distributions
from skmtl._members import Members
from skmtl._notebook import NotebookRepr
from skmtl._transferable import Transferable
from skmtl._versioned import Versioned
from skmtl._warn import warn
from skmtl.targets import Column, Container
from skmtl.tasks import Task
from skmtl.training import MultiTaskModule, MultiTaskNet

NOT_KEPT = {"batches", "dur", "train_loss_best", "valid_loss_best"}  # of skorch's history


class FittedMultiTask(NotebookRepr, Transferable, Distributions, Members, Versioned, BaseEstimator):
    """Predict and score; fitting is `BaseMultiTask`'s."""

    net_: MultiTaskNet
    tasks_: dict[Any, Task]
    tasks: Any
    _container: Container

    @property
    def module_(self) -> MultiTaskModule:
        """The torch module of `net_`: all members in one."""
        return self.net_.module_

    @property
    def history_(self) -> pd.DataFrame:
        """An epoch a row, written out when asked for: a stream has as many as chunks."""
        history = self.net_.history
        keys = [key for key in (history[-1] if len(history) else ()) if key not in NOT_KEPT]
        return pd.DataFrame([{k: row.get(k, np.nan) for k in keys} for row in history])

    @property
    def validation_scores_(self) -> list[float] | None:
        """Mean over the tasks of the score on the held-back rows, each epoch."""
        history = self.history_
        scores = [c for c in history if str(c).startswith("valid_score_")]
        return history[scores].mean(axis=1).tolist() if scores else None

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def _check_fitted(self) -> None:
        # check_is_fitted reads all tags first, a third of the cost of predicting a row
        if not hasattr(self, "net_"):
            check_is_fitted(self)

    def predict(self, X, return_std=False):
        """Predict every task.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        return_std : bool, default=False
            Whether to return how far the members of the ensemble differ, too.

        Returns
        -------
        y : DataFrame of shape (n, T), ndarray of shape (n, T) or (n,)
            In the container the targets came in, with its columns, labels and dtypes; an object
            array where an array of targets mixed labels and numbers.
        y_std : like y
            If `return_std`: standard deviation over the members, in the target's own unit; NaN for a
            classification.

        Raises
        ------
        ValueError
            If `return_std` and there is a single member, or no regression.
        """
        self._check_fitted()
        decoded = {
            name: task.decode(out)
            for (name, task), out in zip(self.tasks_.items(), self._forward(X), strict=True)
        }
        container, columns, owners = _spans.spread(self._container, decoded)
        numbers = [self.tasks_[name].kind == "regression" for name in owners]
        index = X.index if isinstance(X, pd.DataFrame) else None
        predicted = targets.rebuild(container, columns, numbers=numbers, index=index)
        if not return_std:
            return predicted
        container, spread, _ = _spans.spread(self._container, self._spread(X))
        container = replace(container, dtypes=[float] * len(spread))
        numbers = [True] * len(spread)
        return predicted, targets.rebuild(container, spread, numbers=numbers, index=index)

    def _forward(self, X: Any) -> list[np.ndarray]:
        """Each task's activated outputs, averaged over the members, in the table's order."""
        X = _inputs.read(self, X, self.module_.dtype, first=False)
        return _engine.infer(self.module_, self.net_.criterion_, X)

    def _probabilities(self, X: Any) -> dict[Any, np.ndarray]:
        """Class probabilities (n, n_classes) of the tasks that have classes."""
        self._check_fitted()
        return {
            name: task.decode_proba(out)
            for (name, task), out in zip(self.tasks_.items(), self._forward(X), strict=True)
            if hasattr(task, "decode_proba")
        }

    def score_tasks(self, X, y, sample_weight=None, qid=None):
        """Score every task by the usual metrics of its kind, on the rows that have its label.

        `skmtl.metrics.score_table` of this estimator, which also has intervals.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        y : DataFrame, array-like of shape (n, T) or (n,)
            True targets, as in `fit`.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        qid : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        table : DataFrame
            A row a task: ``kind``, ``n_labels``, then ``accuracy``, ``f1_macro``, ``log_loss`` and
            ``roc_auc`` of classifications, ``r2``, ``mae`` and ``rmse`` of regressions, ``ndcg`` of
            rankings, where there are any; NaN where not of the kind, or not defined on these labels.
        """
        self._check_fitted()
        return metrics.score_table(self, X, y, sample_weight, qid=qid)

    def _scores(self, X: Any, y: Any, sample_weight: Any, qid: Any = None) -> dict[Any, float]:
        """Every task's score by its own metric, NaN without a label here."""
        self._check_fitted()
        outputs = self._forward(X)
        columns, container = self._read_targets(len(outputs[0]), y, first=False)
        names = list(self.tasks_)
        order = _spans.as_given(names, container, self._container)
        weight = targets.read_weight(sample_weight, len(outputs[0]), names, order)
        columns, weights = targets.weigh_columns(columns, weight)
        codes = _queries.number(qid, len(outputs[0]))
        columns = _queries.attach(columns, list(self.tasks_.values()), codes)
        scores = {}
        for column, w, out, (name, task) in zip(
            columns, weights, outputs, self.tasks_.items(), strict=True
        ):
            scores[name] = np.nan
            if len(column.labels):
                task.encode(column.labels, name=name)  # refuses labels it does not know
                truth, factor = task.compared(column.labels)
                w = w if factor is None else w * factor
                given = None if weight is None and factor is None else w
                scores[name] = task.evaluate(truth, task.decode(out[column.mask]), given)
        return scores

    def score(self, X, y, sample_weight=None, qid=None):
        """Return the mean of the tasks' scores: accuracy of a classification, R² of a regression.

        Other kinds of task have metrics of their own, which are 1 at best too; see docs/tasks.md.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        y : DataFrame, array-like of shape (n, T) or (n,)
            True targets, as in `fit`; missing labels are left out.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        qid : array-like of shape (n,), default=None
            Query of each row, for a `RankingTask`, whose score is its NDCG.

        Returns
        -------
        score : float
            Mean over the tasks that have a score; a warning names the others.
        """
        scores = self._scores(X, y, sample_weight, qid)
        missing = [name for name, score in scores.items() if np.isnan(score)]
        if missing:
            warn(
                f"No score for {missing}, which have too few labels here: the mean is over "
                f"{len(scores) - len(missing)} of {len(scores)} tasks."
            )
        return float(pd.Series(list(scores.values())).mean())

    def for_task(self, task):
        """One task of this fitted estimator as a scikit-learn classifier or regressor.

        For all that expects a single target: `PartialDependenceDisplay`, calibration, confusion
        matrices, ROC curves, SHAP. It predicts as this estimator does; fitting or cloning it leaves it
        as it is. After preprocessing, put it in a pipeline:
        ``make_pipeline(fitted[:-1], fitted[-1].for_task("sex"))``.

        Parameters
        ----------
        task : object
            Name of the task.

        Returns
        -------
        view : ClassifierView or RegressorView
            With ``predict``, ``score`` and, of a classification, ``predict_proba`` and ``classes_``.
        """
        self._check_fitted()
        return _task_view.view(self, task)

    def to_torch(self, preprocessing=None):
        """Make one torch module of this fitted estimator, from raw inputs to decoded predictions.

        For what knows no scikit-learn: `torch.export`, ONNX, C++, a phone. All members are in it, and
        all that is done to inputs and outputs.

        Parameters
        ----------
        preprocessing : fitted scaler, Pipeline of them or None, default=None
            What rows go through before this estimator, to be part of the module: `StandardScaler`,
            `MinMaxScaler`, `MaxAbsScaler` or `RobustScaler`. Of a pipeline that ends here:
            ``model[-1].to_torch(model[:-1])``.

        Returns
        -------
        module : InferenceModule
            Maps a tensor (n, d) to a dict from task to predictions; a copy, in evaluation mode.

        Raises
        ------
        TypeError
            If preprocessing is none of these, or a task of your own cannot be decoded in torch.
        ValueError
            If preprocessing does not give the columns seen in `fit`.
        """
        self._check_fitted()
        return _export.inference_module(self, preprocessing)

    def _read_targets(self, n_rows: int, y: Any, *, first: bool) -> tuple[list[Column], Container]:
        """Columns of the target, which must fit X and, after the first time, those seen before."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        columns, container = targets.read_columns(y)
        if len(columns[0].mask) != n_rows:
            raise ValueError(
                "X and y must have as many rows. Found input variables with inconsistent numbers "
                f"of samples: {[n_rows, len(columns[0].mask)]}."
            )
        if first:
            spans = _spans.spans_of(self.tasks, container.names)
            return _spans.join(columns, spans), replace(container, spans=spans)
        fitted = self._container
        columns = targets.align(columns, container, fitted, fitted.names)
        return _spans.join(columns, fitted.spans), container

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        _inputs.tag(tags, self)
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags
