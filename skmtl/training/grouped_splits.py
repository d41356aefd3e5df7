"""Which rows are validated on where each row has one of very many tasks.

Shapes: n rows, T tasks, K members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .splits import Bound, free_rows, in_common, others, systematic_sample


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
    bound, n_valid = in_common(bound, max(1, round(fraction * n)))
    train = np.empty((len(seeds), n - n_valid), np.int32)
    valid = np.empty((len(seeds), n_valid), np.int32)
    for k, (rng, (kept, held)) in enumerate(zip(generators, bound, strict=True)):
        free = free_rows(kept, held, rng)
        free = free[np.lexsort((strata[free], tasks[free]))]
        picks = systematic_sample(len(free), n_valid - int(held.sum()), rng)
        valid[k] = np.concatenate([np.flatnonzero(held), free[picks]])
        others(valid[k], out=train[k])
    return train, valid


def _by_rarity(tasks: np.ndarray) -> np.ndarray:
    """Tasks numbered from the most frequent on; of equals, the one that comes first last."""
    _, first, inverse, counts = np.unique(
        tasks, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(counts), int)
    rank[np.lexsort((-first, -counts))] = np.arange(len(counts))
    return rank[inverse]


def _bound_rows(tasks: np.ndarray, strata: np.ndarray, rng: np.random.RandomState) -> Bound:
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
