"""What a learner keeps of a stream of stages: measures of the field, from a task × stage matrix.

Shapes: T tasks, or environments, that are scored; S stages, after each of which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np


def average_accuracy(scores: Any) -> float:
    """Mean score over the tasks after the last stage (ACC of Lopez-Paz & Ranzato 2017).

    Parameters
    ----------
    scores : DataFrame or array-like of shape (T, S)
        Score of each task after each stage; greater is better, accuracy or any other.

    Returns
    -------
    mean : float

    References
    ----------
    D. Lopez-Paz, M. Ranzato (2017). Gradient episodic memory for continual learning. NeurIPS.

    Examples
    --------
    >>> from skmtl.metrics import average_accuracy
    >>> average_accuracy([[1.0, 0.5], [0.5, 0.75]])
    0.625
    """
    table, _ = read_scores(scores)
    return float(_known(table[:, -1], "after the last stage").mean())


def forgetting(scores: Any, learned_at: Sequence[int] | None = None) -> float:
    """How far tasks fell from the best they had been (Chaudhry et al. 2018).

    Mean over the tasks learned before the last stage of their best score from the stage that taught
    them on to the last but one, minus that after the last. Zero or below: nothing was forgotten.

    Parameters
    ----------
    scores : DataFrame or array-like of shape (T, S)
        Score of each task after each stage; greater is better. NaN before a task was learned is fine.
    learned_at : sequence of int of shape (T,), default=None
        Stage that taught each task, from zero. None: task t by stage t.

    Returns
    -------
    mean : float

    References
    ----------
    A. Chaudhry, P. K. Dokania, T. Ajanthan, P. H. S. Torr (2018). Riemannian walk for incremental
    learning: understanding forgetting and intransigence. ECCV.

    Examples
    --------
    >>> from skmtl.metrics import forgetting
    >>> forgetting([[1.0, 0.5], [0.5, 0.75]])
    0.5
    """
    table, stages = read_scores(scores, learned_at)
    last = table.shape[1] - 1
    falls = [
        _known(table[t, stage:last], "between its stage and the last").max()
        - _known(table[t, last:], "after the last stage")[0]
        for t, stage in enumerate(stages)
        if stage < last
    ]
    return _mean(falls, "forgetting")


def backward_transfer(scores: Any, learned_at: Sequence[int] | None = None) -> float:
    """What later stages did to tasks learned before them (BWT of Lopez-Paz & Ranzato 2017).

    Mean over the tasks learned before the last stage of their score after the last stage minus that
    after their own. Below zero: they were forgotten; above: later tasks helped.

    Parameters
    ----------
    scores : DataFrame or array-like of shape (T, S)
        As in `forgetting`.
    learned_at : sequence of int of shape (T,), default=None
        As in `forgetting`.

    Returns
    -------
    mean : float

    References
    ----------
    D. Lopez-Paz, M. Ranzato (2017). Gradient episodic memory for continual learning. NeurIPS.

    Examples
    --------
    >>> from skmtl.metrics import backward_transfer
    >>> backward_transfer([[1.0, 0.5], [0.5, 0.75]])
    -0.5
    """
    table, stages = read_scores(scores, learned_at)
    last = table.shape[1] - 1
    early = [t for t, stage in enumerate(stages) if stage < last]
    own = _known(table[early, stages[early]], "after its own stage")
    return _mean(_known(table[early, last], "after the last stage") - own, "backward transfer")


def forward_transfer(scores: Any, baseline: Any, learned_at: Sequence[int] | None = None) -> float:
    """What earlier stages did for tasks not learned yet (FWT of Lopez-Paz & Ranzato 2017).

    Mean over the tasks that are not learned in the first stage of their score just before their own
    stage minus that of a learner that knows nothing.

    Parameters
    ----------
    scores : DataFrame or array-like of shape (T, S)
        As in `forgetting`.
    baseline : float or array-like of shape (T,)
        Scores of an untrained learner: chance.
    learned_at : sequence of int of shape (T,), default=None
        As in `forgetting`.

    Returns
    -------
    mean : float

    References
    ----------
    D. Lopez-Paz, M. Ranzato (2017). Gradient episodic memory for continual learning. NeurIPS.

    Examples
    --------
    >>> from skmtl.metrics import forward_transfer
    >>> forward_transfer([[1.0, 0.5], [0.75, 0.75]], baseline=0.5)
    0.25
    """
    table, stages = read_scores(scores, learned_at)
    chance = np.asarray(baseline, dtype=float)
    if chance.shape not in ((), (len(table),)) or not np.isfinite(chance).all():
        raise ValueError(
            f"Parameter baseline must be a number, or one for each of the {len(table)} tasks. Found "
            f"{baseline!r}."
        )
    late = [t for t, stage in enumerate(stages) if stage > 0]
    before = _known(table[late, stages[late] - 1], "before its own stage")
    return _mean(before - np.broadcast_to(chance, len(table))[late], "forward transfer")


def read_scores(
    scores: Any, learned_at: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (T, S) and the stage (T,) that taught each task, checked."""
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or not table.size:
        raise ValueError(
            "Parameter scores must have a row a task and a column a stage. Found shape "
            f"{table.shape}."
        )
    n_tasks, n_stages = table.shape
    stages = list(range(n_tasks)) if learned_at is None else list(learned_at)
    if learned_at is None and n_tasks > n_stages:
        raise ValueError(
            f"Parameter learned_at must name the stage of each task: there are {n_tasks} tasks and "
            f"{n_stages} stages."
        )
    whole = all(isinstance(s, Integral) and not isinstance(s, bool) for s in stages)
    if learned_at is not None and (
        len(stages) != n_tasks or not whole or not all(0 <= s < n_stages for s in stages)
    ):
        raise ValueError(
            f"Parameter learned_at must name a stage, 0 to {n_stages - 1}, for each of the {n_tasks} "
            f"tasks. Found {learned_at!r}."
        )
    return table, np.array(stages, dtype=int)


def _known(values: np.ndarray, when: str) -> np.ndarray:
    if np.isnan(values).any():
        raise ValueError(f"Parameter scores lacks the score of a task {when}. Found {values}.")
    return values


def _mean(values: Any, what: str) -> float:
    if not len(values):
        raise ValueError(
            f"There is no {what} of a single stage: scores must have two columns, and a task that is "
            "learned in the stage that matters."
        )
    return float(np.mean(values))
