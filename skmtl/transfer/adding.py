"""Further tasks for a fitted estimator, whose own stay as they are.

The new tasks are adapted to with the shared part at rest; then both networks become one, block by
block. Shapes: n rows, T tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import validate_data

from skmtl import _engine, _parameters, targets
from skmtl._engine import Lesson, Reading
from skmtl.sharing import Lineage, inherit
from skmtl.targets import Column, Container
from skmtl.tasks import TaskLosses
from skmtl.training import Ready

from .adapting import Manner, check_architecture, fitted_source, kinds_of, start

LOOK = 100  # rows on which both networks are compared with the one made of them
CLOSE = 1e-3  # float32 and a mixture by another root differ by less


def add_task(
    source: Any, X: Any, y: Any, *, sample_weight: Any, tasks: Any, qid: Any = None
) -> Any:
    """Return a new estimator with the source's tasks and new ones; see its `add_task`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.transfer import add_task
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0).fit(X, X[:, :2])
    >>> more = add_task(est, X, X[:, 2:], sample_weight=None, tasks="infer")
    >>> more.predict(X).shape
    (60, 3)
    """
    fitted_source(source)
    if source.trunk is not None:
        raise ValueError(
            f"add_task cannot join networks that stand on a trunk. Found trunk={source.trunk!r}: use "
            "adapt for the new tasks alone, which starts from it, or fit all tasks."
        )
    table = _named_columns(source, y)
    other = clone(source).set_params(
        tasks=tasks, loss_weights=None, n_members=source.module_.n_members
    )
    other._start = partial(_start_beside, other, source)
    other._learn(X, table, sample_weight, first=True, classes=None, one_epoch=False, qid=qid)
    for part, whose in ((source, "there are"), (other, "are new")):
        if part._container.spans is not None:
            raise ValueError(
                f"add_task joins tasks of one column each. Of those that {whose} one reads several "
                "columns: use adapt for the new tasks alone, or fit all tasks."
            )
    new = clone(source).set_params(
        tasks={name: clone(t) for e in (source, other) for name, t in e.tasks_.items()},
        loss_weights=_by_name(source.loss_weights, list(source.tasks_)),
    )
    _join(new, source, other, X, table)
    return new


def _start_beside(other: Any, source: Any, ready: Ready) -> None:
    """Let the net of the new tasks start from the source, in whose form all of it must be."""
    check_architecture(ready.net.module_, source.module_, heads_too=True)
    start(other, source, Manner(), ready)


def _named_columns(source: Any, y: Any) -> pd.DataFrame:
    """The new targets as a DataFrame, under names that the source has not."""
    columns, _ = targets.read_columns(y)
    old = list(source.tasks_)
    if source._container.kind == "frame" or isinstance(y, pd.DataFrame | pd.Series):
        if not isinstance(y, pd.DataFrame) and getattr(y, "name", None) is None:
            raise ValueError(
                f"y must name the new tasks, as the tasks there are have names, {old}. Found a "
                f"{type(y).__name__}: pass a DataFrame, or a Series with a name."
            )
        taken = [c.name for c in columns if c.name in old]
        if taken:
            raise ValueError(
                f"y must hold new tasks. Found {taken}, which are there already: {old}."
            )
        return y if isinstance(y, pd.DataFrame) else y.to_frame()
    free = [f"y{t}" for t in range(len(old), len(old) + len(columns))]
    array = y if isinstance(y, np.ndarray) else np.asarray(y, dtype=object)
    return pd.DataFrame(array.reshape(len(array), -1), columns=free)


def _by_name(loss_weights: Any, names: list[Any]) -> Any:
    """Weights of tasks as a dict, so that there may be more tasks; else as they are."""
    if isinstance(loss_weights, list | tuple | np.ndarray):
        return dict(zip(names, map(float, loss_weights), strict=True))
    return loss_weights


def _join(new: Any, source: Any, other: Any, X: Any, table: pd.DataFrame) -> None:
    """Fit an estimator by putting two networks of one shared part together."""
    device = _parameters.check_device(new.device)
    X = validate_data(new, X, dtype=source.module_.dtype)
    prepared = {**source.tasks_, **other.tasks_}
    criterion = TaskLosses(list(prepared.values()))
    names = list(prepared)
    given = {c.name: c for c in targets.read_columns(table)[0]}
    unlabelled = np.zeros(len(X), dtype=bool)  # the old tasks' labels are not at hand
    columns = [
        given.get(names[t], Column(names[t], np.empty(0), unlabelled, float))
        for t in criterion.order
    ]
    weights = [np.ones(len(c.labels)) for c in columns]
    encoded = targets.encode(columns, criterion.tasks, weights, dtype=source.module_.dtype)
    lesson = Lesson(_engine.to_device(X, device), encoded, criterion)
    plan = replace(new._plan(names), n_members=source.module_.n_members)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it was said when the new tasks were read
        ready = _engine.prepare(lesson, plan, previous=None, one_epoch=True)
    net = ready.net
    module = net.module_
    for part, shared in ((source, True), (other, False)):
        inherit(module.network, part.module_.network, _lineage(net, part, names, shared=shared))
    for name in ("low", "high", "span"):
        setattr(module, name, getattr(source.module_, name).clone())
    net.history = other.net_.history
    net._set_training(False)
    _check_unchanged(net, (source, other), X[:LOOK])
    n_labels = {**source._n_labels, **other._n_labels}
    new._keep(_new_reading(prepared, source, table, n_labels, lesson), ready)


def _lineage(net: Any, part: Any, names: list[Any], *, shared: bool) -> Lineage:
    """What the tasks of a joined net are in one of its parts."""
    theirs = [list(part.tasks_)[t] for t in part.net_.criterion_.order]
    ours = [names[t] for t in net.criterion_.order]
    tasks = [theirs.index(name) if name in theirs else None for name in ours]
    return Lineage(tasks, kinds_of(net, part.net_), shared=shared)


def _check_unchanged(net: Any, parts: Any, X: np.ndarray) -> None:
    """Raise if the joined net gives a task other outputs than the net that it comes from."""
    ours = _engine.infer(net.module_, net.criterion_, X)
    theirs = [
        out
        for part in parts
        for out in _engine.infer(
            part.module_, part.net_.criterion_, X.astype(part.module_.dtype, copy=False)
        )
    ]
    for now, was in zip(ours, theirs, strict=True):
        if not np.allclose(now, was, rtol=CLOSE, atol=CLOSE):
            raise ValueError(
                f"{net.module_.built_for[1]!r} cannot add a task and leave the others as they are: all "
                "tasks reach what they share. Use adapt for the new tasks alone, or fit all tasks."
            )


def _new_reading(
    prepared: Mapping[Any, Any], source: Any, table: pd.DataFrame, n_labels: Any, lesson: Lesson
) -> Reading:
    """What `fit` would have read of a table of all tasks."""
    names, was = list(prepared), source._container
    if was.kind == "frame":
        dtypes = [*was.dtypes, *table.dtypes]
        container = Container("frame", names, dtypes, was.columns.append(table.columns))
    else:
        container = Container("array", names, [*was.dtypes, *table.dtypes])
    return Reading(dict(prepared), container, n_labels, lesson)
