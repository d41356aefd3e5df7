"""What the estimators have in common: their parameters, and fit: check, encode, build, train, keep.

In: X and a target table. Out: fitted attributes, from which `_fitted` answers.
Everything a method decides lives in the rooms around (`tasks`, `sharing`, `schedules`, `targets`,
`training`); here they meet. Shapes: n rows, d features, T tasks, K members, C outputs.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from skmtl import (
    _engine,
    _fit_tasks,
    _inputs,
    _memory,
    _parameters,
    _queries,
    _spans,
    schedules,
    sharing,
    targets,
    tasks,
)
from skmtl._column_tasks import ColumnTasks
from skmtl._engine import Lesson, Plan, Reading
from skmtl._fitted import FittedMultiTask
from skmtl._resolve import resolve
from skmtl.streaming import rows_of
from skmtl.training import Ready, SparseRows, copied, dtype_of


class BaseMultiTask(ColumnTasks, FittedMultiTask):
    """Parameters and fit of a stack of multi-task networks; see the public estimators."""

    _n_labels: dict[Any, int]
    _stacks = True  # whether a search may train it together with others
    trunk: Any = None  # `TransferClassifier` and `TransferRegressor` have none

    def __init__(
        self,
        tasks="infer",
        *,
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
        self.tasks = tasks
        self.sharing = sharing
        self.trunk = trunk
        self.loss_weights = loss_weights
        self.schedule = schedule
        self.hidden_layer_sizes = hidden_layer_sizes
        self.head_layer_sizes = head_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_members = n_members
        self.callbacks = callbacks
        self.device = device
        self.warm_start = warm_start
        self.consolidation = consolidation
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, sample_weight=None, qid=None):
        """Train on a table of targets, one column a task.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Finite numbers, best standardised. float32 in C order is used without a copy, a sparse
            matrix (CSR) is written out batch by batch, and not clipped. With a
            ``trunk``, what it takes: (n, channels, height, width), a DataFrame with categories, ...
            Or a torch Dataset of pairs (x, y), a row each; see `skmtl.streaming.chunks` for y.
        y : DataFrame, array-like of shape (n, T) or (n,)
            Targets; left out where X is a Dataset. NaN, None and pd.NA mean that a label is missing; a
            row may miss them all.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            Weight of each row, or of each label. Zero: as if the label were missing.
        qid : array-like of shape (n,), default=None
            Query of each row, a number or a string, for a `RankingTask`, which needs it. Batches and
            validation splits then keep queries whole, whatever the tasks.

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
        keep = self.warm_start and hasattr(self, "net_")
        return self._learn(
            X, y, sample_weight, first=not keep, classes=None, one_epoch=False, qid=qid
        )

    def partial_fit(self, X, y=None, sample_weight=None, classes=None, qid=None):
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
        classes : dict from task to array-like, or array-like for a single task, default=None
            All classes that may ever come, for the tasks whose first labels may miss some.
        qid : array-like of shape (n,), default=None
            As in `fit`; rows of a query that come in different calls are not compared.

        Returns
        -------
        self : object
            The estimator.
        """
        first = not hasattr(self, "net_")
        return self._learn(
            X, y, sample_weight, first=first, classes=classes, one_epoch=True, qid=qid
        )

    def fit_tasks(self, tables, *, sampling="proportional"):
        """Train on a table of its own for each task, with features that all have in common.

        The tables are put below one another, a row with a label in its task's column: everything is
        as after `fit` on that table, and `predict` predicts all tasks for any row.

        Parameters
        ----------
        tables : dict from task to (X, y)
            X array-like of shape (n_t, d), all DataFrames with the same columns or all arrays; y
            array-like of shape (n_t,).
        sampling : {"proportional", "even"} or float, default="proportional"
            How often tasks are drawn into batches. "proportional": every row once an epoch. "even":
            as many rows of every task, those of small tasks several times. A temperature of 1 or
            more is between the two: in proportion to ``n_t ** (1 / temperature)``. An epoch always has
            as many rows as there are.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            As `fit`, and where the tables do not go together.
        """
        X, y, sizes = _fit_tasks.stack_tables(tables)
        shares = _fit_tasks.shares_of(sampling, sizes)
        keep = self.warm_start and hasattr(self, "net_")
        return self._learn(X, y, None, first=not keep, classes=None, one_epoch=False, shares=shares)

    def _learn(self, X, y, sample_weight, *, first, classes, one_epoch, shares=None, qid=None):
        before, (X, y) = vars(self).copy(), rows_of(X, y)
        try:
            return self._learn_or_raise(
                X,
                y,
                sample_weight,
                first=first,
                classes=classes,
                one_epoch=one_epoch,
                shares=shares,
                qid=qid,
            )
        except BaseException as error:
            vars(self).clear()
            vars(self).update(before)
            _memory.explain(error, self)
            raise

    def _learn_or_raise(self, X, y, sample_weight, *, first, classes, one_epoch, shares, qid):
        _parameters.check_numbers(self)
        device = _parameters.check_device(self.device)
        dtype = _engine.precision(_inputs.n_rows(X), device) if first else self.module_.dtype
        X = _inputs.read(self, X, dtype, first=first)
        x = _engine.inputs_to_device(X, device)
        reading = self._read(x, y, sample_weight, first=first, classes=classes, qid=qid)
        previous = None if first else copied(self.net_)  # ours stays if training fails
        plan = self._plan(list(reading.prepared))
        ready = self._make_ready(reading, plan, previous=previous, one_epoch=one_epoch)
        _engine.train(_fit_tasks.drawing(ready, shares))
        self._keep(reading, ready, go_on=one_epoch and not first)
        return self

    def _make_ready(self, reading: Reading, plan: Plan, *, previous=None, one_epoch=False) -> Ready:
        """Do what comes between reading and training."""
        ready = _engine.prepare(reading.lesson, plan, previous=previous, one_epoch=one_epoch)
        _engine.require_held_out_rows(reading.prepared, ready, first=previous is None)
        if previous is None:
            self._start(ready)
        return ready

    def _start(self, ready: Ready) -> None:
        """What a new net starts from, if not from what was drawn; see `skmtl.transfer`."""

    def _read(
        self,
        x: Tensor | SparseRows,
        y,
        sample_weight,
        *,
        first=True,
        classes=None,
        where=None,
        qid=None,
    ):
        """Read and encode a table of targets for the rows of x, or for those that `where` lists."""
        n_rows = len(x) if where is None else len(where)
        columns, container = self._read_targets(n_rows, y, first=first)
        names = [c.name for c in columns]
        given = names if first else _spans.as_given(names, container, self._container)
        weight = targets.read_weight(sample_weight, n_rows, names, given)
        columns, label_weights = targets.weigh_columns(columns, weight)
        prepared = self._tasks_of(columns, label_weights, classes, first=first)
        container = (
            targets.settle_dtypes(container, columns, prepared) if first else self._container
        )
        queries = _queries.number(qid, n_rows)
        columns = _queries.attach(columns, list(prepared.values()), queries)
        criterion = tasks.TaskLosses(list(prepared.values()))
        table = targets.encode(
            [columns[t] for t in criterion.order],
            criterion.tasks,
            [label_weights[t] for t in criterion.order],
            dtype=dtype_of(x),
        )
        n_labels = {c.name: len(c.labels) for c in columns}
        if queries is None:
            lesson = Lesson(x, table, criterion, where)
        else:
            lesson = _queries.QueryLesson(x, table, criterion, queries)
        return Reading(prepared, container, n_labels, lesson)

    def _plan(self, names: list[Any]) -> Plan:
        """Everything the parameters ask of the engine for these tasks, resolved and checked."""
        if len(set(map(str, names))) < len(names):
            raise ValueError(f"y must have column names that differ in print. Found {names}.")
        return Plan(
            feature_names=getattr(self, "feature_names_in_", None),
            names=names,
            weighting=_parameters.resolve_loss_weights(self.loss_weights, names),
            sharing=self._resolve_sharing(names),
            trunk=_inputs.plan_trunk(self),
            schedule=self._resolve_schedule(names),
            hidden_layer_sizes=_parameters.check_sizes(
                self.hidden_layer_sizes, "hidden_layer_sizes"
            ),
            head_layer_sizes=_parameters.check_sizes(self.head_layer_sizes, "head_layer_sizes"),
            activation=self.activation,
            dropout=float(self.dropout),
            batch_size=self.batch_size,
            learning_rate=float(self.learning_rate_init),
            alpha=float(self.alpha),
            max_iter=int(self.max_iter),
            tol=float(self.tol),
            early_stopping=self.early_stopping,
            validation_fraction=float(self.validation_fraction),
            patience=int(self.n_iter_no_change),
            n_members=self.n_members,
            callbacks=_parameters.check_callbacks(self.callbacks),
            consolidation=_parameters.resolve_consolidation(self.consolidation),
            device=_parameters.check_device(self.device),
            random_state=self.random_state,
            verbose=int(self.verbose),
        )

    def _resolve_schedule(self, names: list[Any]) -> schedules.Schedule:
        schedule = resolve(self.schedule, schedules, schedules.Schedule, parameter="schedule")
        schedule.check(names)
        return schedule

    def _resolve_sharing(self, names: list[Any]) -> sharing.Sharing:
        """Return the scheme for tasks of these names."""
        return resolve(self.sharing, sharing, sharing.Sharing, parameter="sharing")

    def _keep(self, reading: Reading, ready: Ready, *, go_on: bool = False) -> None:
        """Keep what was learned; ``go_on``: of more rows than these."""
        before = self._n_labels if go_on else {}  # for the table in notebooks
        self._n_labels = {name: n + before.get(name, 0) for name, n in reading.n_labels.items()}
        self.net_ = ready.net
        self.tasks_ = prepared = _engine.tuned(reading.prepared, ready)
        self._container = reading.container
        history = self.net_.history
        self.n_iter_ = len(history)
        self.loss_curve_ = [row["train_loss"] for row in history]
        classes = {name: t.classes_ for name, t in prepared.items() if hasattr(t, "classes_")}
        if classes:
            self.classes_ = self._arrange(classes)
        elif hasattr(self, "classes_"):
            del self.classes_

    def _arrange(self, by_task: dict[Any, Any]) -> Any:
        """Put what each classification task has (classes, probabilities) in the public form."""
        return by_task

    def _arrays(self, by_task: dict[Any, Any]) -> Any:
        """scikit-learn's form: a list, or the array of a lone column, or of labels in one group."""
        arrays = list(by_task.values())
        alone = len(self.tasks_) == 1 and next(iter(self.tasks_.values())).several
        return arrays[0] if self._container.kind == "vector" or alone else arrays
