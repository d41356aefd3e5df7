"""One target in long form: a row has one label and says which task it belongs to.

In: X with a column of tasks, or X and the task of each row. Out: what `_grouped` makes of them.
Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from skmtl import _engine, _grouped, _inputs, _parameters, _queries, targets
from skmtl._base import BaseMultiTask
from skmtl._checks import check_choice
from skmtl._engine import Plan, Reading
from skmtl._grouped import GroupedLesson
from skmtl._task_labels import OfTasks, labels_of, numbered, positions
from skmtl.metrics.by_row import scores_by_task
from skmtl.streaming import inputs_of, rows_of
from skmtl.training import copied


class LongForm(BaseMultiTask):
    """A target that many tasks have, a row of one task each; see `MultiTaskRegressor`."""

    def __init__(
        self,
        tasks="infer",
        *,
        task_column=None,
        unseen="shared",
        sharing="hard",
        trunk=None,
        loss_weights=None,
        schedule="joint",
        hidden_layer_sizes=(128, 128),
        head_layer_sizes=(),
        activation="relu",
        dropout=0.0,
        batch_size="auto",
        learning_rate_init=1e-3,
        alpha=1e-4,
        max_iter=200,
        tol=1e-4,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        n_members="auto",
        callbacks=None,
        device="auto",
        warm_start=False,
        consolidation=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            tasks,
            sharing=sharing,
            trunk=trunk,
            loss_weights=loss_weights,
            schedule=schedule,
            hidden_layer_sizes=hidden_layer_sizes,
            head_layer_sizes=head_layer_sizes,
            activation=activation,
            dropout=dropout,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            alpha=alpha,
            max_iter=max_iter,
            tol=tol,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            n_members=n_members,
            callbacks=callbacks,
            device=device,
            warm_start=warm_start,
            consolidation=consolidation,
            random_state=random_state,
            verbose=verbose,
        )
        self.task_column = task_column
        self.unseen = unseen

    def fit(self, X, y=None, sample_weight=None, sample_task=None, qid=None):
        """Train on a table of targets, one column a task, or on one target and the task of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Finite numbers, best standardised, and the tasks where ``task_column`` says so.
        y : DataFrame, array-like of shape (n, T) or (n,)
            Targets; (n,) where rows have a task each. NaN, None and pd.NA mean that a label is
            missing.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            Weight of each row, or of each label. Zero: as if the label were missing.
        sample_task : array-like of shape (n,), default=None
            Task of each row, where X has no ``task_column``: any labels, none missing.
        qid : array-like of shape (n,), default=None
            Query of each row, as in `MultiTaskClassifierRegressor`; only for a column per task.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            Before training, where a parameter or a column is not what it must be. After it
            began, if the loss of a task stops being a number. The estimator then is what it was
            before the call.
        """
        X, y = rows_of(X, y)
        return super().fit(self._of_tasks(X, sample_task), y, sample_weight, qid)

    def partial_fit(self, X, y=None, sample_weight=None, classes=None, sample_task=None, qid=None):
        """Train one epoch on these rows, going on from what is there.

        The first call settles the tasks, their classes and units, the network, its members and
        precision, and callbacks; learning rate, penalty and loss weights may change between calls.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        y : DataFrame, array-like of shape (n, T) or (n,)
            As in `fit`. After the first call, a task may have no label at all.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        classes : dict from task to array-like, or array-like for a single target, default=None
            All classes that may ever come, for the targets whose first labels may miss some.
        sample_task : array-like of shape (n,), default=None
            As in `fit`; tasks of the first call.
        qid : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        self : object
            The estimator.
        """
        X, y = rows_of(X, y)
        return super().partial_fit(self._of_tasks(X, sample_task), y, sample_weight, classes, qid)

    def predict(self, X, return_std=False, sample_task=None):
        """Predict every task, or the target in the task of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        return_std : bool, default=False
            Whether to return how far the members of the ensemble differ, too.
        sample_task : array-like of shape (n,), default=None
            As in `fit`. See ``unseen`` for tasks that were not there.

        Returns
        -------
        y : DataFrame of shape (n, T), ndarray of shape (n, T) or (n,)
            In the container the targets came in, with its columns, labels and dtypes.
        y_std : like y
            If `return_std`: standard deviation over the members, in the target's own unit; NaN for a
            classification.

        Raises
        ------
        ValueError
            If a task is new and ``unseen="error"``; if `return_std` and there is a single member, or
            no regression.
        """
        answer = super().predict(self._of_tasks(X, sample_task), return_std)
        for table in answer if return_std else (answer,):
            if isinstance(table, pd.DataFrame) and isinstance(X, pd.DataFrame):
                table.index = X.index
        return answer

    def score(self, X, y, sample_weight=None, sample_task=None, qid=None):
        """Return the mean of the targets' scores: accuracy of a classification, R² of a regression.

        Where rows have a task each, the score of all rows together; `score_tasks` has each task's.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        y : DataFrame, array-like of shape (n, T) or (n,)
            True targets, as in `fit`; missing labels are left out.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        sample_task : array-like of shape (n,), default=None
            As in `fit`.
        qid : array-like of shape (n,), default=None
            Query of each row, for a `RankingTask`, whose score is its NDCG.

        Returns
        -------
        score : float
            Mean over the targets that have a score; a warning names the others.
        """
        return super().score(self._of_tasks(X, sample_task), y, sample_weight, qid)

    def score_tasks(self, X, y, sample_weight=None, sample_task=None, qid=None):
        """Score every task, on the rows that have its label.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        y : DataFrame, array-like of shape (n, T) or (n,)
            True targets, as in `fit`.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        sample_task, qid : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        table : DataFrame
            A row a task: ``kind``, ``n_labels`` and the usual metrics of the kind, as in
            `skmtl.metrics.score_table`. Where rows have a task each, a row a task that is in X:
            ``kind``, ``n_labels``, and ``accuracy``, or ``r2``, ``mae`` and ``rmse``.
        """
        self._check_fitted()
        X = self._of_tasks(X, sample_task)
        if not isinstance(X, OfTasks):
            return super().score_tasks(X, y, sample_weight, qid)
        [task] = self.tasks_.values()
        predicted = super().predict(X)
        [column], _ = self._read_targets(len(predicted), y, first=False)
        weight = targets.read_weight(sample_weight, len(predicted), [column.name])
        [column], [weights] = targets.weigh_columns([column], weight)
        task.encode(column.labels, name=column.name)  # refuses labels it does not know
        of_row = labels_of(X, self.task_column)[1][column.mask]
        return scores_by_task(task.kind, of_row, column.labels, predicted[column.mask], weights)

    def to_torch(self, preprocessing=None):
        """Make one torch module of this fitted estimator; see `MultiTaskClassifierRegressor`.

        Parameters
        ----------
        preprocessing : fitted scaler, Pipeline of them or None, default=None
            What rows go through before this estimator.

        Returns
        -------
        module : InferenceModule
            Maps a tensor (n, d) to a dict from task to predictions.

        Raises
        ------
        ValueError
            Where rows have a task each: a module does not know their labels.
        """
        if hasattr(self, "task_labels_"):
            raise ValueError(
                "to_torch is for a column per task. This estimator was fitted on rows that have a task "
                "each, by task_column or sample_task."
            )
        return super().to_torch(preprocessing)

    @property
    def _stacks(self):
        return self.task_column is None

    def _of_tasks(self, X: Any, sample_task: Any) -> Any:
        """X, with the tasks of its rows if they have one each."""
        if sample_task is None and self.task_column is None and not hasattr(self, "task_labels_"):
            return X
        if sample_task is not None and self.task_column is not None:
            raise ValueError(
                f"The task of a row is said once: by sample_task, or by task_column="
                f"{self.task_column!r}. Found both."
            )
        return OfTasks(inputs_of(X), sample_task)

    def _learn_or_raise(self, X, y, sample_weight, *, first, classes, one_epoch, shares, qid):
        told = {"first": first, "classes": classes, "one_epoch": one_epoch}
        check_choice(self.unseen, "unseen", ["shared", "error"])
        if isinstance(X, OfTasks) and (X.task is not None or self.task_column is not None):
            if qid is not None:
                raise ValueError(
                    "qid needs a column of y per task. Found rows that have a task each."
                )
            return self._learn_rows(X, y, sample_weight, **told)
        if not first and hasattr(self, "task_labels_"):
            self._require_tasks(OfTasks(X, None))
        if self.task_column is not None:
            raise ValueError(
                "The tasks are columns of y here: task_column must be None then. Found "
                f"{self.task_column!r}."
            )
        vars(self).pop("task_labels_", None)
        X = X.X if isinstance(X, OfTasks) else X
        return super()._learn_or_raise(X, y, sample_weight, shares=shares, qid=qid, **told)

    def _learn_rows(self, X: OfTasks, y, sample_weight, *, first, classes, one_epoch):
        """Learn from rows that have a task each."""
        _parameters.check_numbers(self)
        device = _parameters.check_device(self.device)
        features, labels = self._take_apart(X, reset=first)
        dtype = _engine.precision(len(labels), device) if first else self.module_.dtype
        features = _inputs.read_features(self, features, dtype, first=first)
        reading, plan = self._read_rows(features, labels, y, sample_weight, first, classes)
        previous = None if first else copied(self.net_)
        ready = self._make_ready(reading, plan, previous=previous, one_epoch=one_epoch)
        if isinstance(reading.lesson, GroupedLesson):  # a net that goes on has earlier totals
            reading.lesson.tell_totals(ready.net.criterion_)
        _engine.train(ready)
        self._keep(reading, ready, go_on=one_epoch and not first)
        return self

    def _read_rows(
        self, features: np.ndarray, labels: np.ndarray, y: Any, sample_weight: Any, first, classes
    ) -> tuple[Reading, Plan]:
        """Read the target, number the tasks, and choose the way the engine goes."""
        n = len(features)
        [column], container, [weights] = self._read_target(n, y, sample_weight, first)
        if first:
            self.task_labels_ = numbered(labels[column.mask])
        own = self._positions(labels, where=column.mask)
        prepared = self._tasks_of([column], [weights], classes, first=first)
        container = container if first else self._container
        task = prepared[column.name]
        _queries.attach([column], [task], None)  # refuses what ranks
        dtype = np.float64 if features.dtype == np.float64 else np.float32
        table = targets.encode([column], [task], [weights], dtype=dtype)
        plan = self._plan(self.task_labels_.tolist())
        lesson, plan = _grouped.lesson_of(features, own, table, task, plan, column.name)
        return Reading(prepared, container, {column.name: len(column.labels)}, lesson), plan

    def _read_target(self, n: int, y: Any, sample_weight: Any, first: bool) -> Any:
        columns, container = self._read_targets(n, y, first=first)
        if len(columns) > 1:
            raise ValueError(
                f"y must be one target where each row has a task. Found {len(columns)} columns: "
                f"{[c.name for c in columns][:5]}. Drop task_column and sample_task to take the "
                "columns for the tasks."
            )
        weight = targets.read_weight(sample_weight, n, [columns[0].name])
        columns, weights = targets.weigh_columns(columns, weight)
        if first and not len(columns[0].labels):
            raise ValueError(f"y has no label with a weight above zero in {n} rows.")
        return columns, container, weights

    def _forward(self, X):
        if not hasattr(self, "task_labels_"):
            if isinstance(X, OfTasks):
                raise ValueError(
                    "The estimator was fitted without a task of each row, and is asked now for "
                    "predictions with one. Fit it again."
                )
            return super()._forward(X)
        X = X if isinstance(X, OfTasks) else self._of_tasks(X, None)
        features, labels = self._take_apart(X, reset=False)
        features = _inputs.read_features(self, features, self.module_.dtype, first=False)
        own = self._positions(labels, where=None)
        [task] = self.tasks_.values()
        return [_grouped.infer(self.net_, task, features, own, len(self.task_labels_))]

    def _take_apart(self, X: OfTasks, *, reset: bool) -> tuple[Any, np.ndarray]:
        """Features, not checked yet, and the label of each row's task."""
        self._require_tasks(X)
        validate_data(self, X.X, skip_check_array=True, reset=reset)
        return labels_of(X, self.task_column)

    def _require_tasks(self, X: OfTasks) -> None:
        if X.task is None and self.task_column is None:
            raise ValueError(
                "sample_task must say the task of each row, as it did in fit. Found None; in scikit-"
                "learn's tools, request it: set_predict_request(sample_task=True)."
            )

    def _positions(self, labels: np.ndarray, *, where: np.ndarray | None) -> np.ndarray:
        """Position in ``task_labels_`` of each row's task, -1 if it is not there.

        ``where`` says which rows are to train on, and must be there.
        """
        return positions(self.task_labels_, labels, where, may_be_new=self.unseen != "error")
