"""Predict every row by a model that has not seen it, keeping the columns and labels of the table.

In: an estimator, X, a target table, a splitter. Out: what the estimator's method returns, for all
rows in the order of the table. Shapes: n rows, T tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import get_routing_for_object

from skmtl._checks import check_choice
from skmtl.targets import Column, Container, read_columns, rebuild

from .splits import MultiTaskStratifiedKFold
from .validation import cross_validate

METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
ANSWER = "cross_val_answer_"  # where a fitted copy of the estimator carries what it predicted


def cross_val_predict(
    estimator, X, y, *, groups=None, cv=None, n_jobs=None, params=None, method="predict"
):
    """Predict every row with an estimator that was fitted on other rows.

    As scikit-learn's function of that name, for targets it cannot hold: mixed tables, missing
    labels, DataFrames. Labels reach the estimator as they are; scikit-learn's numbers them for
    `predict_proba`, so that an estimator takes numbers and gaps for classes.

    Parameters
    ----------
    estimator : estimator
        Cloned for each split. Of skmtl, a pipeline or search around one, or scikit-learn's own.
    X : array-like of shape (n, d)
        Features.
    y : DataFrame, array-like of shape (n, T) or (n,)
        Targets; NaN, None and pd.NA mean that a label is missing. Rows without any are predicted too.
    groups : array-like of shape (n,), default=None
        For a splitter that uses groups. With metadata routing enabled they belong in `params`.
    cv : int, splitter, iterable of (train, test) or None, default=None
        Its test sets must hold every row once. An int is the number of folds of a
        `MultiTaskStratifiedKFold` that knows the estimator's tasks. None: 5.
    n_jobs : int or None, default=None
        Processes, as in joblib; in one, the networks of all splits train together.
    params : dict or None, default=None
        Passed to the estimator's `fit`: ``{"sample_weight": w}``; what has n rows is split as X is.
    method : {"predict", "predict_proba", "predict_log_proba", "decision_function"}, \
default="predict"
        What to ask of the estimator.

    Returns
    -------
    predictions : DataFrame, ndarray, list or dict
        In the form of the estimator's method, rows in the order of y. If y is a DataFrame,
        `predict` returns one with y's index, columns and dtypes (floats for a regression).
        Probabilities of a task are of shape (n, n_classes), for all classes in y, sorted: a
        DataFrame with y's index and the classes as columns if y is one, else an ndarray. They come
        by task in a dict, a list, or alone, as from the estimator. A class that was not there to
        train on has probability zero, with a warning.

    See Also
    --------
    MultiTaskStratifiedKFold : The default splits.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> from skmtl.model_selection import cross_val_predict
    >>> y = pd.DataFrame({"kind": ["a", "b", None] * 10, "size": [1.5, 2.5, None] * 10})
    >>> X = pd.DataFrame({"x": y["kind"] == "a"}, dtype=float)
    >>> est = MultiTaskClassifierRegressor(max_iter=20, n_members=1, random_state=0)
    >>> cross_val_predict(est, X, y, cv=3).dtypes.equals(y.dtypes)
    True
    >>> proba = cross_val_predict(est, X, y, cv=3, method="predict_proba")
    >>> {task: (table.shape, list(table)) for task, table in proba.items()}
    {'kind': ((30, 2), ['a', 'b'])}
    """
    check_choice(method, "method", METHODS)
    columns, container = read_columns(y)
    if cv is None or isinstance(cv, Integral):
        folds = 5 if cv is None else int(cv)
        cv = MultiTaskStratifiedKFold(folds, tasks=_tasks_of(estimator))
    result = cross_validate(
        estimator,
        X,
        y,
        groups=groups,
        cv=_Partition(check_cv(cv)),
        n_jobs=n_jobs,
        params=params,
        scoring=partial(_answer, method=method),
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    fitted = result["estimator"]
    join = partial(_join, tests=result["indices"]["test"])
    answers = [getattr(est, ANSWER) for est in fitted]
    index = y.index if container.kind == "frame" else None
    if method == "predict":
        return _predictions(join(answers), container, index, classifier=is_classifier(estimator))
    return _by_class(answers, fitted, columns, join, index, method)


def _answer(estimator: Any, X: Any, _: Any, *, method: str) -> float:
    """Keep what a fitted copy predicts for its test rows with the copy; in the form of a scorer.

    So `cross_validate` does the cloning, splitting, routing, stacks and joblib.
    """
    setattr(estimator, ANSWER, getattr(estimator, method)(X))
    return 0.0


class _Partition:
    """A splitter that goes through only if its test sets hold every row once."""

    def __init__(self, cv: Any):
        self.cv = cv

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.cv.get_n_splits(X, y, groups)

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.cv)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> list[Any]:
        rows = np.arange(X.shape[0] if hasattr(X, "shape") else len(X))
        splits = [(train, rows[test]) for train, test in self.cv.split(X, y, groups)]
        times = np.bincount(np.concatenate([test for _, test in splits]), minlength=len(rows))
        if np.any(times != 1):
            raise ValueError(
                "Parameter cv must put every row into one test set: cross_val_predict only works "
                f"for partitions. Found {(times == 0).sum()} rows in none and {(times > 1).sum()} in "
                f"several, with {self.cv!r}."
            )
        return splits


def _tasks_of(estimator: Any) -> Any:
    """What the estimator takes the columns of y for, as the parameter `tasks` of a splitter."""
    inner = estimator.get_params() if hasattr(estimator, "get_params") else {}
    said = [value for name, value in inner.items() if name.split("__")[-1] == "tasks"]
    if len(said) == 1 and not (isinstance(said[0], str) and said[0] == "infer"):
        return said[0]
    if is_classifier(estimator):
        return "classification"
    return "regression" if is_regressor(estimator) else "infer"


def _join(parts: Sequence[Any], tests: Sequence[np.ndarray]) -> Any:
    """Stack what was predicted for the test sets, in the order of the table."""
    order = np.argsort(np.concatenate(tests))
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts).iloc[order].reset_index(drop=True)
    return np.concatenate(parts)[order]


def _predictions(joined: Any, container: Container, index: Any, *, classifier: bool) -> Any:
    if container.kind != "frame":
        return joined
    if isinstance(joined, pd.DataFrame):
        return joined.set_axis(index)
    joined = joined.reshape(len(joined), -1)
    if joined.shape[1] != len(container.names):
        raise ValueError(
            f"predict must return a column for each of the tasks {container.names}. Found "
            f"{joined.shape[1]}."
        )
    values = [pd.Series(column).infer_objects() for column in joined.T]
    numbers = [not classifier and v.dtype.kind == "f" for v in values]
    return rebuild(container, [v.to_numpy() for v in values], numbers=numbers, index=index)


def _by_class(
    answers: Sequence[Any],
    fitted: Sequence[Any],
    columns: Sequence[Column],
    join: Callable[[Sequence[Any]], Any],
    index: Any,
    method: str,
) -> Any:
    """Join answers that have a column a class, in the form they have: dict, list or one array."""
    names, form = [column.name for column in columns], type(answers[0])
    if form not in (dict, list) and len(names) > 1:  # a column a task, as of indicator matrices
        return join(answers) if index is None else pd.DataFrame(join(answers), index, names)
    by_task = [_by_name(answer, names) for answer in answers]
    seen = [_by_name(est.classes_, names) for est in fitted]
    joined, absent = _groups(by_task, seen, names, join, index), []
    for column in columns:
        given = [answer[column.name] for answer in by_task if column.name in answer]
        if column.name in joined or not given:
            continue
        if len(given) < len(by_task):
            raise ValueError(
                f"Task {column.name!r} is a classification in some training sets and a regression "
                f"in others. Say tasks={{{column.name!r}: 'classification'}}, or 'regression'."
            )
        classes = np.unique(column.labels)
        places = [_places(known[column.name], classes) for known in seen]
        table = join(
            [
                _widen(answer, place, classes, column.name, method)
                for answer, place in zip(given, places, strict=True)
            ]
        )
        is_frame = index is not None and table.shape[1:] == classes.shape
        joined[column.name] = pd.DataFrame(table, index, classes) if is_frame else table
        everywhere = set.intersection(*(set(place.tolist()) for place in places))
        absent += [
            f"{label!r} of {column.name!r}"
            for at, label in enumerate(classes.tolist())
            if at not in everywhere
        ]
    if absent:
        warnings.warn(
            f"Classes were missing in a training set: {', '.join(absent)}. There {method} is "
            f"{_least(method, float):.3g} for them. Use fewer folds, or stratified ones.",
            UserWarning,
            stacklevel=3,
        )
    if form is dict:
        return joined
    return list(joined.values()) if form is list else joined[names[0]]


def _groups(
    answers: Sequence[Any],
    seen: Sequence[Any],
    columns: Sequence[Any],
    join: Callable[[Sequence[Any]], Any],
    index: Any,
) -> dict[Any, Any]:
    """Answers of the tasks that are groups of columns, whose classes are the names of these."""
    joined: dict[Any, Any] = {}
    for name, classes in seen[0].items():
        if answers[0][name].ndim == 2 and set(classes) <= set(columns):
            table = join([answer[name] for answer in answers])
            joined[name] = table if index is None else pd.DataFrame(table, index, classes)
    return joined


def _by_name(answer: Any, names: Sequence[Any]) -> dict[Any, Any]:
    if isinstance(answer, dict):
        return answer
    return dict(zip(names, answer if isinstance(answer, list) else [answer], strict=True))


def _places(known: Any, classes: np.ndarray) -> np.ndarray:
    """Position of the known classes among all; -1: not there."""
    place_of = {label: place for place, label in enumerate(classes.tolist())}
    return np.array([place_of.get(label, -1) for label in np.asarray(known).tolist()])


def _widen(
    answer: np.ndarray, places: np.ndarray, classes: np.ndarray, name: Any, method: str
) -> np.ndarray:
    """Bring columns of the classes that were trained on to their places among all classes."""
    if len(places) == len(classes) and answer.shape[1:] != classes.shape:
        return answer  # decision values of two classes, or of pairs of classes
    if answer.shape[1:] != places.shape or np.any(places < 0):
        raise ValueError(
            f"Task {name!r}: {method} must return a column for each of {len(places)} classes trained "
            f"on, all of them among {classes.tolist()}. Found shape {answer.shape}."
        )
    wide = np.full((len(answer), len(classes)), _least(method, answer.dtype), answer.dtype)
    wide[:, places] = answer
    return wide


def _least(method: str, dtype: Any) -> float:
    """Value of a class that a model does not know; finite, as scikit-learn's is."""
    return 0.0 if method == "predict_proba" else float(np.finfo(dtype).min)
