"""Groups of tasks from affinities: arrays in, lists of positions out. Shapes: T tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score

STRUCTURE = 0.25  # silhouette below which groups are none (Kaufman & Rousseeuw's rule of thumb)
EXHAUSTIVE = 12  # tasks up to which every partition is compared


def best_groups(affinity: np.ndarray, n_groups: int | None) -> list[list[int]]:
    """Partition of the tasks by affinity, groups by their first task."""
    n_tasks = len(affinity)
    distance = _distances(affinity)
    if n_groups is not None:
        return _partition(affinity, distance, n_groups)
    best, groups = STRUCTURE, [list(range(n_tasks))]
    for number in range(2, n_tasks):
        partition = _partition(affinity, distance, number)
        labels = np.empty(n_tasks, int)
        for label, group in enumerate(partition):
            labels[group] = label
        clear = silhouette_score(distance, labels, metric="precomputed")
        if clear > best:
            best, groups = clear, partition
    return groups


def _distances(affinity: np.ndarray) -> np.ndarray:
    """One minus the mutual affinity of two tasks over the affinities they have to themselves."""
    own = np.diag(affinity).clip(min=np.finfo(float).tiny)
    mutual = (affinity + affinity.T) / 2 / np.sqrt(np.outer(own, own))
    distance = 1 - mutual.clip(-1, 1)
    np.fill_diagonal(distance, 0.0)
    return distance


def _partition(affinity: np.ndarray, distance: np.ndarray, n_groups: int) -> list[list[int]]:
    if len(affinity) <= EXHAUSTIVE:
        return _best_partition(affinity, n_groups)
    tree = linkage(squareform(distance, checks=False), "average")
    labels = fcluster(tree, n_groups, "maxclust")
    return sorted(np.flatnonzero(labels == label).tolist() for label in np.unique(labels))


def _worth(affinity: np.ndarray, group: Sequence[int]) -> float:
    """Sum over the group's tasks of the mean affinity from the others in it."""
    if len(group) < 2:
        return 0.0
    part = affinity[np.ix_(group, group)]
    return float((part.sum() - np.trace(part)) / (len(group) - 1))


def _best_partition(affinity: np.ndarray, n_groups: int) -> list[list[int]]:
    """Best of all partitions, by dynamic programming over the sets of tasks that are left."""
    n_tasks = len(affinity)
    members = [[t for t in range(n_tasks) if s >> t & 1] for s in range(2**n_tasks)]
    worth = [_worth(affinity, m) for m in members]

    @cache
    def solve(left: int, groups: int) -> tuple[float, int]:
        """Largest worth of these tasks in so many groups, and the group of the first of them."""
        if not groups or not left:
            return (0.0 if groups == left == 0 else -np.inf), 0
        first, best = left & -left, (-np.inf, 0)
        others = subset = left ^ first
        while True:  # every group that holds the first task
            group = first | subset
            best = max(best, (worth[group] + solve(left ^ group, groups - 1)[0], group))
            if not subset:
                return best
            subset = (subset - 1) & others

    partition, left = [], 2**n_tasks - 1
    for groups in range(n_groups, 0, -1):
        group = solve(left, groups)[1]
        partition.append(members[group])
        left ^= group
    return partition
