"""Does sharing help or hurt each task? Multi-task against single-task training, on the same folds.

Shapes: n rows, T tasks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, check_cv

from skmtl import _html
from skmtl._checks import check_number
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.model_selection.evaluation import Scoring, Trial, cut, evaluate

from .axes import axes_of
from .pipelines import last_step, row_params
from .subsets import columns_for, for_tasks, read_by, table_of

COLUMNS = ["single", "multi", "gain", "low", "high", "relative", "verdict"]


class TransferGain:
    """What each task gains by being trained with the others; see `transfer_gain`.

    Attributes
    ----------
    table : DataFrame
        A row a task: mean scores ``single`` and ``multi`` over the folds, ``gain`` (their difference),
        ``low`` and ``high`` of its interval, ``relative`` (by how many percent the single-task error
        falls) and ``verdict``: "helps", "hurts" or "undecided".
    delta_m : float
        Mean over tasks of ``relative``: the Δm of the literature, on errors, in percent.
    delta_m_interval : tuple of float
        Its interval.
    scores : DataFrame
        A row a fold, columns (task, "single" or "multi").
    confidence : float
        Of the intervals.

    Examples
    --------
    >>> from skmtl.inspection import transfer_gain
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> gain = transfer_gain(est, X, y, cv=3)
    >>> gain.table["gain"].shape, gain.confidence
    ((2,), 0.95)
    """

    def __init__(self, table, delta_m, delta_m_interval, scores, confidence):
        self.table = table
        self.delta_m = delta_m
        self.delta_m_interval = delta_m_interval
        self.scores = scores
        self.confidence = confidence

    def __repr__(self) -> str:
        low, high = self.delta_m_interval
        return (
            f"TransferGain: Δm = {self.delta_m:+.2f} % ({low:+.2f} to {high:+.2f}, "
            f"{self.confidence:.0%} interval)\n{self.table.round(4)}"
        )

    def _repr_html_(self) -> str:
        rows = self.table[COLUMNS].itertuples(name=None)
        return _html.gain_table(
            [_html.GainRow(str(task), *values) for task, *values in rows],
            delta_m=self.delta_m,
            interval=self.delta_m_interval,
            confidence=self.confidence,
            n_folds=len(self.scores),
        )

    def plot(self, ax: Any = None) -> TransferGainDisplay:
        """Draw the gains with their intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : TransferGainDisplay
        """
        return TransferGainDisplay(self.table).plot(ax)


class TransferGainDisplay:
    """Gain of every task, with its interval.

    Parameters
    ----------
    table : DataFrame
        As ``TransferGain.table``.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    containers_ : list of matplotlib ErrorbarContainer
        One a task.

    Examples
    --------
    >>> from skmtl.inspection import TransferGainDisplay
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> display = TransferGainDisplay.from_estimator(est, X, y, cv=3)
    >>> len(display.containers_)
    2
    """

    def __init__(self, table):
        self.table = table

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, cv: Any = None, ax: Any = None
    ) -> TransferGainDisplay:
        """Measure the gain and draw it.

        Parameters
        ----------
        estimator, X, y, cv
            As in `transfer_gain`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : TransferGainDisplay
        """
        return transfer_gain(estimator, X, y, cv=cv).plot(ax)

    def plot(self, ax: Any = None) -> TransferGainDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : TransferGainDisplay
        """
        ax = axes_of(ax)
        colours = {"helps": "tab:green", "hurts": "tab:red", "undecided": "tab:gray"}
        names = [str(task) for task in self.table.index]
        self.containers_ = [
            ax.errorbar(
                row.gain,
                at,
                xerr=[[row.gain - row.low], [row.high - row.gain]],
                fmt="o",
                capsize=3,
                color=colours[row.verdict],
            )
            for at, row in enumerate(self.table.itertuples())
        ]
        ax.axvline(0, color="tab:gray", lw=0.8)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set_xlabel("gain in score by training with the other tasks")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def transfer_gain(
    estimator,
    X,
    y,
    *,
    metrics=None,
    cv=None,
    confidence=0.95,
    n_jobs=None,
    qid=None,
):
    """Compare multi-task training with the same estimator trained for each task alone.

    On every fold a clone is trained on all tasks and, with the same parameters (but loss weights and
    schedule, which say nothing of one task), one on each task; all are scored task by task on the rows
    that training did not see. Intervals of the mean difference over folds are those of a t-test
    corrected for folds that share rows (Nadeau & Bengio 2003). One at 95 % is wrong about one task in
    twenty.

    Δm is taken on errors: one minus a score whose best is one (accuracy, R²: the share of wrong
    labels, of unexplained variance), and the loss itself for scorers called ``neg_...``.

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
        Not changed.
    X : array-like of shape (n, d)
    y : DataFrame or array-like of shape (n, T)
        A task that reads several columns, as `MultilabelTask` and a `CountTask` with an exposure do, is
        one task: alone, it is trained on its columns.
    metrics : dict from task to metric, or None, default=None
        As in `skmtl.metrics.multitask_scorer`.
    cv : int, splitter or None, default=None
        None: `MultiTaskStratifiedKFold` of 5 folds, shuffled with seed 0; an int: of so many. With
        ``qid``, scikit-learn's `GroupKFold`, which keeps queries whole; a splitter gets them as groups.
    confidence : float, default=0.95
        Of the intervals, and of the verdicts.
    n_jobs : int or None, default=None
        Processes; None: one. In each, networks of one structure (those of the single tasks and of all
        folds) train together.
    qid : array-like of shape (n,), default=None
        Query of each row, for a `RankingTask`; networks then train one by one.

    Returns
    -------
    gain : TransferGain
        With ``table``, ``delta_m``, ``scores``, a repr and ``plot``.

    Raises
    ------
    ValueError
        If there is a single task, or fewer than two folds.

    References
    ----------
    C. Nadeau, Y. Bengio (2003). Inference for the generalization error. Machine Learning 52,
    239-281.
    S. Vandenhende et al. (2021). Multi-task learning for dense prediction tasks: a survey. IEEE
    TPAMI (Δm).

    Examples
    --------
    >>> from skmtl.inspection import transfer_gain
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> transfer_gain(est, X, y, cv=3).table.columns.tolist()
    ['single', 'multi', 'gain', 'low', 'high', 'relative', 'verdict']
    """
    check_number(confidence, "confidence", low=0, high=1, open_low=True, open_high=True)
    frame = table_of(y)
    reads = read_by(estimator, list(frame))
    every = list(reads)
    if len(every) < 2:
        raise ValueError("y must have two tasks or more: with one, there is nothing to gain.")
    folds = list(_splitter(cv, qid).split(X, frame, qid))
    multitask_scorer(metrics)  # raises, before anything is trained, where metrics are none
    _check_known(metrics, every)
    # rows are cut once, for all models
    whole = cut(
        estimator,
        X,
        frame,
        folds,
        row_params(estimator, qid=qid),
        {} if qid is None else {"qid": qid},
    )
    trials, tasks_of = [], []
    for names in [every, *([name] for name in every)]:
        model, columns = for_tasks(estimator, names, every), columns_for(names, reads, frame)
        for fold in whole:
            own = replace(fold, y=frame[columns], y_test=fold.y_test[columns])
            trials.append(Trial(clone(model), {}, own))
            tasks_of.append(names)
    scoring = Scoring(partial(_score, metrics=metrics), "raise")
    scores: dict[tuple[Any, str], list[float]] = {}
    for names, result in zip(tasks_of, evaluate(trials, scoring, n_jobs=n_jobs), strict=True):
        how = "single" if len(names) == 1 else "multi"
        for name in names:
            scores.setdefault((name, how), []).append(result["test_scores"][str(name)])
    table = pd.DataFrame(scores)
    best = {name: _best(metrics, name) for name in every}
    return _summarise(table, best, folds, confidence)


def _splitter(cv: Any, qid: Any) -> Any:
    """What splits the rows; without parting queries, if there are any."""
    if cv is not None and not isinstance(cv, int):
        return check_cv(cv)
    n_folds = 5 if cv is None else cv
    if qid is not None:
        return GroupKFold(n_folds, shuffle=True, random_state=0)
    return MultiTaskStratifiedKFold(n_folds, shuffle=True, random_state=0)


def _check_known(metrics: Any, names: list[Any]) -> None:
    unknown = [name for name in metrics or {} if name not in names]
    if unknown:
        raise ValueError(
            f"Parameter metrics names {unknown}, which y has not. The tasks are {names}."
        )


def _score(
    model: Any, X: Any, y: pd.DataFrame, *, metrics: Any, qid: Any = None
) -> dict[str, float]:
    """Scores of the tasks that the model has."""
    known = last_step(model).tasks_
    scorer = multitask_scorer({n: m for n, m in (metrics or {}).items() if n in known})
    return scorer(model, X, y, qid=qid)


def _best(metrics: Any, name: Any) -> float:
    """Best value of a task's score."""
    return 0.0 if str((metrics or {}).get(name, "")).startswith("neg_") else 1.0


def _summarise(
    scores: pd.DataFrame, best: dict[Any, float], folds: list[Any], confidence: float
) -> TransferGain:
    ratio = float(np.mean([len(test) / len(train) for train, test in folds]))
    rows, relative = {}, {}
    for name in best:
        single, multi = scores[name, "single"], scores[name, "multi"]
        low, high = corrected_interval(multi - single, ratio, confidence)
        relative[name] = 100 * (multi - single) / abs(best[name] - single.mean())
        verdict = "helps" if low > 0 else "hurts" if high < 0 else "undecided"
        gain = (multi - single).mean()
        rows[name] = (single.mean(), multi.mean(), gain, low, high, relative[name].mean(), verdict)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).rename_axis("task")
    by_fold = pd.DataFrame(relative).mean(axis=1)
    interval = corrected_interval(by_fold, ratio, confidence)
    return TransferGain(table, float(by_fold.mean()), interval, scores, confidence)


def corrected_interval(differences: Any, ratio: float, confidence: float) -> tuple[float, float]:
    """Interval of the mean of differences over folds, NaN left out (Nadeau & Bengio 2003).

    ``ratio`` is that of test to training rows: folds share rows, so their differences are no
    independent sample, and the variance of their mean is ``(1 / n + ratio)`` times theirs.
    """
    values = np.asarray(differences, dtype=float)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return -np.inf, np.inf
    error = np.sqrt((1 / n + ratio) * values.var(ddof=1))
    reach = stats.t.ppf((1 + confidence) / 2, n - 1) * error
    return float(values.mean() - reach), float(values.mean() + reach)
