"""What gradients say about tasks: how they conflict, and how a step for one serves another.

Shapes: n rows, T tasks.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from skmtl._checks import check_number

from .pipelines import last_step, row_params
from .probes import AffinityProbe, ConflictProbe, GradientProbe


class GradientConflict:
    """Cosine similarities of the tasks' gradients over a training; see `gradient_conflict`.

    Attributes
    ----------
    cosines : DataFrame of shape (T, T)
        Mean over the epochs.
    by_epoch : DataFrame
        A row an epoch, a column a pair of tasks.

    Examples
    --------
    >>> from skmtl.inspection import gradient_conflict
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> conflict = gradient_conflict(est, X, y, every=1)
    >>> conflict.cosines.shape, conflict.by_epoch.shape
    ((2, 2), (5, 1))
    """

    def __init__(self, cosines, by_epoch):
        self.cosines = cosines
        self.by_epoch = by_epoch

    def __repr__(self) -> str:
        return (
            f"GradientConflict of {len(self.cosines)} tasks, mean cosines\n{self.cosines.round(2)}"
        )


def gradient_conflict(estimator, X, y, *, every=10, sample_weight=None, qid=None):
    """Train, and see how the gradients of the tasks agree at the parameters they share.

    A clone of the estimator is trained as it would be alone; in every ``every``-th step, before it, the
    gradient of each task's loss is taken. A cosine below zero is a conflict: a step for one task works
    against the other (Yu et al. 2020).

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
        Not changed.
    X : array-like of shape (n, d)
    y : DataFrame or array-like of shape (n, T)
    every : int, default=10
        Steps from look to look; a look costs about T backward passes.
    sample_weight : array-like of shape (n,) or (n, T), default=None
    qid : array-like of shape (n,), default=None
        Query of each row, for a `RankingTask`.

    Returns
    -------
    conflict : GradientConflict
        With ``cosines``, a DataFrame (T, T), and ``by_epoch``.

    Raises
    ------
    ValueError
        If the sharing scheme shares no parameters.

    References
    ----------
    T. Yu, S. Kumar, A. Gupta, S. Levine, K. Hausman, C. Finn (2020). Gradient surgery for
    multi-task learning. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.inspection import gradient_conflict
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> y = np.column_stack([X[:, 0], X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> cosines = gradient_conflict(est, X, y, every=1).cosines
    >>> bool(cosines.loc["y0", "y1"] > 0.9)
    True
    """
    epochs, names = _probe(estimator, X, y, ConflictProbe, every, sample_weight, qid)
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    by_epoch = pd.DataFrame(
        {f"{names[j]}, {names[i]}": epochs[:, i, j] for i, j in pairs},
        index=pd.RangeIndex(1, len(epochs) + 1, name="epoch"),
    )
    return GradientConflict(pd.DataFrame(_mean(epochs), names, names), by_epoch)


def task_affinity(estimator, X, y, *, every=10, sample_weight=None, qid=None):
    """Train all tasks together, and see how a step for one serves each other (Fifty et al. 2021).

    In every ``every``-th step, before it, the shared parameters take a step of the learning rate along
    the gradient of task i alone; entry (i, j) is the share by which the loss of task j falls,
    ``1 - L_j(after) / L_j(before)``, a mean over the training. Tasks that serve each other belong
    together: see `TaskGrouping`.

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
        Not changed. Its sharing scheme must share parameters; "hard" is what the paper has.
    X : array-like of shape (n, d)
    y : DataFrame or array-like of shape (n, T)
    every : int, default=10
        Steps from look to look; a look costs T backward and T forward passes. The paper finds ten as
        good as one.
    sample_weight : array-like of shape (n,) or (n, T), default=None
    qid : array-like of shape (n,), default=None
        Query of each row, for a `RankingTask`.

    Returns
    -------
    affinity : DataFrame of shape (T, T)
        Row: the task that steps. Column: the task whose loss is looked at.

    Raises
    ------
    ValueError
        If the sharing scheme shares no parameters.

    References
    ----------
    C. Fifty, E. Amid, Z. Zhao, T. Yu, R. Anil, C. Finn (2021). Efficiently identifying task
    groupings for multi-task learning. NeurIPS.

    Examples
    --------
    >>> from skmtl.inspection import task_affinity
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> task_affinity(est, X, y, every=1).shape
    (2, 2)
    """
    epochs, names = _probe(estimator, X, y, AffinityProbe, every, sample_weight, qid)
    affinity = pd.DataFrame(_mean(epochs), names, names)
    return affinity.rename_axis("step for", axis=0).rename_axis("loss of", axis=1)


def _probe(
    estimator: Any,
    X: Any,
    y: Any,
    kind: type[GradientProbe],
    every: int,
    sample_weight: Any,
    qid: Any,
) -> tuple[np.ndarray, list[Any]]:
    """What a probe saw in each epoch, (n_epochs, T, T), and the names of the tasks, in table order."""
    check_number(every, "every", Integral, low=1)
    model = clone(estimator)
    last = last_step(model)
    last.set_params(callbacks=[*(last.callbacks or []), ("skmtl_probe", kind(every))])
    model.fit(X, y, **row_params(model, sample_weight, qid))
    seen = dict(last.net_.callbacks_)["skmtl_probe"].epochs_
    at = np.argsort(last.net_.criterion_.order)
    epochs = np.stack([epoch.numpy()[np.ix_(at, at)] for epoch in seen])
    return epochs, list(last.tasks_)


def _mean(epochs: np.ndarray) -> np.ndarray:
    """Mean over the epochs in which there was something to see."""
    there = ~np.isnan(epochs)
    total = np.where(there, epochs, 0.0).sum(0)
    return np.divide(total, there.sum(0), out=np.full(total.shape, np.nan), where=there.any(0))
