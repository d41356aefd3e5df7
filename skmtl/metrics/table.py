"""A table of the common metrics of every task, with intervals on request.

A metric is written once, for many label weights at a time: those given make the table, and those
times how often a row was drawn make the resamples. Shapes: n rows, T tasks, m labelled rows of a
task, C classes, B resamples, M metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from skmtl._checks import check_number
from skmtl._parameters import draw_seeds

from .frame import ScoreTable
from .reading import Answers, TaskRows, read, warn_unscored

COLUMNS = {
    "classification": ["accuracy", "f1_macro", "log_loss", "roc_auc"],
    "multilabel": ["accuracy", "f1_macro", "log_loss", "roc_auc"],
    "regression": ["r2", "mae", "rmse"],
    "ranking": [],  # a score is no grade
}
AT_ONCE = 2**22  # weights of a chunk of resamples, 32 MB of them


def score_table(
    estimator,
    X,
    y,
    sample_weight=None,
    *,
    qid=None,
    n_bootstrap=0,
    confidence=0.95,
    random_state=None,
):
    """Score every task by the common metrics of its kind, on the rows that have its label.

    Parameters
    ----------
    estimator : object
        Fitted: an estimator of skmtl, a pipeline or search with one inside, or a classifier or
        regressor of scikit-learn.
    X : array-like of shape (n, d)
        As in `fit`.
    y : DataFrame, array-like of shape (n, T) or (n,)
        True targets, as in `fit`.
    sample_weight : array-like of shape (n,) or (n, T), default=None
        Weight of each row, or of each label. Zero: as if the label were missing.
    qid : array-like of shape (n,), default=None
        Query of each row, which a `RankingTask` needs.
    n_bootstrap : int, default=0
        Resamples for confidence intervals, 1000, say; 0: no intervals. Rows are drawn for all
        tasks at once; the fitted estimator stays. So intervals say how far the scores would differ
        on other rows, not after other training.
    confidence : float in (0, 1), default=0.95
        Probability of the intervals, which are percentiles of the resamples' scores. Resamples where
        a score is not defined (no row of a class) are left out of its interval.
    random_state : int, RandomState, Generator or None, default=None
        Draws the resamples.

    Returns
    -------
    table : DataFrame
        A row a task: ``kind``, ``n_labels``, then for classifications ``accuracy``, ``f1_macro``,
        ``log_loss``, ``roc_auc``, for regressions ``r2``, ``mae``, ``rmse``; NaN where not of the
        kind, or not defined on these labels. A `MultilabelTask` is of kind "multilabel": its
        ``accuracy`` is the share of rows with all labels right, the others are means over its columns.
        Each metric's interval, if asked for, stands after it,
        as ``accuracy_low`` and ``accuracy_high``: scores keep their names with and without. Where
        there is a `RankingTask`, the last column is its ``ndcg``, which has no interval.

    Notes
    -----
    They are scikit-learn's: ``f1_macro`` is the plain mean over the classes among the labels and the
    predictions. ``log_loss`` is per label, in nats, with probabilities clipped to at least the
    machine epsilon of their dtype. ``roc_auc`` of two classes is that of the second; of more, the
    plain mean over classes, each against the rest, leaving out classes that no label has, where
    scikit-learn gives none. ``log_loss``, ``mae`` and ``rmse`` are better if smaller.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_iris
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> from skmtl.metrics import score_table
    >>> X, species = load_iris(return_X_y=True, as_frame=True)
    >>> y = pd.DataFrame({"species": species, "petal": X.pop("petal width (cm)")})
    >>> est = MultiTaskClassifierRegressor(n_members=1, random_state=0).fit(X - X.mean(), y)
    >>> table = score_table(est, X - X.mean(), y, n_bootstrap=200, random_state=0)
    >>> table.loc["petal", ["r2_low", "r2", "r2_high"]].is_monotonic_increasing
    True
    """
    check_number(n_bootstrap, "n_bootstrap", Integral, low=0)
    check_number(confidence, "confidence", low=0, high=1, open_low=True, open_high=True)
    rng = np.random.default_rng(draw_seeds(random_state, 1)[0])
    answers, tasks = read(estimator, X, y, sample_weight, qid)
    warn_unscored({t.name: t.problem for t in tasks if t.mask.any()})  # no label: n_labels says it
    metrics = dict.fromkeys(metric for of_kind in COLUMNS.values() for metric in of_kind)
    values = np.stack([_measure(t, answers, t.weight[:, None])[:, 0] for t in tasks])  # (T, M)
    table: dict[str, Any] = {"kind": [t.kind for t in tasks]}
    table["n_labels"] = [int(t.mask.sum()) for t in tasks]
    if n_bootstrap:
        draws = [
            np.stack([_measure(t, answers, counts[t.mask] * t.weight[:, None]) for t in tasks])
            for counts in _resamples(len(tasks[0].mask), int(n_bootstrap), rng)
        ]
        low, high = _interval(np.concatenate(draws, axis=-1), confidence)
    for j, metric in enumerate(metrics):
        table[metric] = values[:, j]
        if n_bootstrap:
            table[f"{metric}_low"], table[f"{metric}_high"] = low[:, j], high[:, j]
    if any(t.kind == "ranking" for t in tasks):
        table["ndcg"] = [_ndcg(t, sample_weight) for t in tasks]
    index = pd.Index([t.name for t in tasks], name="task", tupleize_cols=False)
    return ScoreTable(table, index=index)


def _ndcg(task: TaskRows, sample_weight: Any) -> float:
    if task.kind != "ranking" or task.problem:
        return np.nan
    weight = None if sample_weight is None else task.weight
    return task.judge(task.truth, task.predicted, weight)


def _resamples(n: int, n_bootstrap: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each of n rows is drawn, (n, B) in chunks."""
    chunk = max(1, AT_ONCE // n)
    for start in range(0, n_bootstrap, chunk):
        b = min(chunk, n_bootstrap - start)
        drawn = rng.integers(n, size=(b, n)) * b + np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * b).reshape(n, b)


def _interval(draws: np.ndarray, confidence: float) -> np.ndarray:
    """Percentiles of draws (T, M, B) that are not NaN, low and high: (2, T, M)."""
    out = np.full((2, *draws.shape[:-1]), np.nan)
    there = ~np.isnan(draws).all(-1)
    tail = (1 - confidence) / 2
    out[:, there] = np.nanquantile(draws[there], [tail, 1 - tail], axis=-1)
    return out


def _measure(task: TaskRows, answers: Answers, weight: np.ndarray) -> np.ndarray:
    """All metrics of the table, (M, B), for label weights (m, B); NaN where undefined."""
    scores = {metric: np.full(weight.shape[1], np.nan) for ms in COLUMNS.values() for metric in ms}
    if COLUMNS[task.kind] and not task.problem:
        with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 where a resample has no row
            if task.kind == "regression":
                found = _regression_scores(task.truth, task.predicted, weight)
            else:
                of_kind = _label_scores if task.kind == "multilabel" else _classification_scores
                found = of_kind(task, answers.probabilities(task), weight)
        scores.update(zip(COLUMNS[task.kind], found, strict=False))
    return np.stack(list(scores.values()))


def _classification_scores(
    task: TaskRows, proba: np.ndarray | None, weight: np.ndarray
) -> list[np.ndarray]:
    classes = np.arange(len(task.classes))
    true, said = task.truth == classes[:, None], task.predicted == classes[:, None]  # (C, m)
    total = weight.sum(0)
    f1 = 2 * ((true & said) @ weight) / (true @ weight + said @ weight)  # (C, B)
    scores = [(task.truth == task.predicted) @ weight / total, _mean_there(f1)]
    if proba is None:
        return scores
    proba = proba[task.mask]
    floor = np.finfo(proba.dtype).eps
    of_truth = np.clip(proba[np.arange(len(proba)), task.truth], floor, 1 - floor)
    scores.append(-np.log(of_truth) @ weight / total)
    judged = classes[1:] if len(classes) == 2 else classes
    aucs = [_auc(proba[:, c], true[c], weight) for c in judged]
    return [*scores, _mean_there(np.stack(aucs))]


def _label_scores(task: TaskRows, proba: np.ndarray | None, weight: np.ndarray) -> list[np.ndarray]:
    """Of indicators (m, q), missing where NaN: means over the q labels, but for the accuracy."""
    there = ~np.isnan(task.truth)
    right = ((task.truth == task.predicted) | ~there).all(1)
    scores, of_label = [right @ weight / weight.sum(0)], []
    for j in range(there.shape[1]):
        rows = there[:, j]
        true, said, own = task.truth[rows, j] == 1, task.predicted[rows, j] == 1, weight[rows]
        f1 = 2 * ((true & said) @ own) / (true @ own + said @ own)
        of_label.append([f1])
        if proba is not None:
            p = proba[task.mask][rows, j]
            floor = np.finfo(p.dtype).eps
            of_truth = np.clip(np.where(true, p, 1 - p), floor, 1 - floor)
            of_label[-1] += [-np.log(of_truth) @ own / own.sum(0), _auc(p, true, own)]
    return scores + [_mean_there(np.stack(values)) for values in zip(*of_label, strict=True)]


def _auc(score: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted share of pairs (positive, other) in the right order, ties half: (B,)."""
    others = np.flatnonzero(~positive)
    others = others[np.argsort(score[others])]
    below = np.zeros((len(others) + 1, weight.shape[1]))  # weight of the first so many others
    np.cumsum(weight[others], axis=0, out=below[1:])
    sides = (np.searchsorted(score[others], score[positive], side) for side in ("left", "right"))
    up = weight[positive]
    pairs = sum((up * below[side]).sum(0) for side in sides) / 2
    return pairs / (up.sum(0) * below[-1])


def _regression_scores(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray
) -> list[np.ndarray]:
    error, total = truth - predicted, weight.sum(0)
    residual = error**2 @ weight
    # from one of the labels, so that the spread of a constant is zero, not rounding
    truth = truth - np.sort(truth)[len(truth) // 2]
    spread = ((truth[:, None] - truth @ weight / total) ** 2 * weight).sum(0)
    # scikit-learn's convention for a constant: 1 if all is right, else 0; but none for one row
    r2 = np.where(spread > 0, 1 - residual / spread, np.where(residual > 0, 0.0, 1.0))
    r2[np.count_nonzero(weight, axis=0) < 2] = np.nan
    return [r2, np.abs(error) @ weight / total, np.sqrt(residual / total)]


def _mean_there(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN."""
    there = ~np.isnan(values)
    return np.where(there, values, 0).sum(0) / there.sum(0)
