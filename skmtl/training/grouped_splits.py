"""Which rows are validated on where each row has one of very many tasks.

Shapes: n rows, T tasks, K members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def grouped_split(
    tasks: np.ndarray, strata: np.ndarray, *, fraction: float, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows as `validation_split` does on a column per task, without such columns.

    Parameters
    ----------
    tasks, strata : ndarray of int, shape (n,)
        Number of each row's task, and of its stratum among the task's labels.
    fraction : float
        Share of the rows to validate on; at least a row of every task that has two.
    seeds : sequence of int
        One a member, which alone decides the member's split.

    Returns
    -------
    train, valid : ndarray of int32, shapes (K, n_train) and (K, n_valid)
    """
    n = len(tasks)
    tasks = _by_rarity(tasks)
    generators = [np.random.RandomState(seed) for seed in seeds]
    bound = [_bound_rows(tasks, strata, rng) for rng in generators]
    n_valid = max(1, round(fraction * n))
    least = max(int(held.sum()) for _, held in bound)
    most = min(int((~kept).sum()) for kept, _ in bound)
    if least > most:  # too few rows for a split of its own each
        bound = bound[:1] * len(bound)
        least, most = int(bound[0][1].sum()), int((~bound[0][0]).sum())
    n_valid = min(max(n_valid, least), most)
    train = np.empty((len(seeds), n - n_valid), np.int32)
    valid = np.empty((len(seeds), n_valid), np.int32)
    for k, (rng, (kept, held)) in enumerate(zip(generators, bound, strict=True)):
        valid[k] = _fill(tasks, strata, n_valid, rng, kept, held)
        rest = np.ones(n, dtype=bool)
        rest[valid[k]] = False
        train[k] = np.flatnonzero(rest)
    return train, valid


def _by_rarity(tasks: np.ndarray) -> np.ndarray:
    """Tasks numbered from the most frequent on; of equals, the one that comes first last."""
    _, first, inverse, counts = np.unique(
        tasks, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(counts), int)
    rank[np.lexsort((-first, -counts))] = np.arange(len(counts))
    return rank[inverse]


def _bound_rows(
    tasks: np.ndarray, strata: np.ndarray, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that must train (one a task and stratum) and that must validate (one a task), (n,)."""
    n = len(tasks)
    kept, held = np.zeros((2, n), dtype=bool)
    shuffled = rng.permutation(np.arange(n, dtype=np.int32))
    cells = tasks[shuffled] * (int(strata.max()) + 1) + strata[shuffled]
    kept[shuffled[np.unique(cells, return_index=True)[1]]] = True
    theirs = tasks[shuffled]
    spare = shuffled[~kept[shuffled]]
    with_spare, first = np.unique(tasks[spare], return_index=True)
    held[spare[first]] = True
    # a task of two rows or more whose rows are all kept gives up its last
    backwards = shuffled[::-1]
    names, last, counts = np.unique(theirs[::-1], return_index=True, return_counts=True)
    without = (counts > 1) & ~np.isin(names, with_spare)
    given = backwards[last[without]]
    held[given], kept[given] = True, False
    return kept, held


def _fill(
    tasks: np.ndarray,
    strata: np.ndarray,
    n_valid: int,
    rng: np.random.RandomState,
    kept: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Rows held and, up to ``n_valid``, a systematic sample of the free ones by task and stratum."""
    free = rng.permutation(np.flatnonzero(~(kept | held)).astype(np.int32))
    wanted = n_valid - int(held.sum())
    free = free[np.lexsort((strata[free], tasks[free]))]
    steps = (np.arange(wanted) + rng.uniform()) * len(free) / max(wanted, 1)
    return np.concatenate([np.flatnonzero(held).astype(np.int32), free[steps.astype(np.int32)]])
