"""Episodes: tasks drawn with support rows to learn from and query rows to judge by.

Shapes: N episodes, W groups of rows in each (classes, or one for a target of numbers), S support and
Q query rows of a group at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .table import TaskTable


@dataclass(frozen=True)
class Episodes:
    """Rows as positions in the table's ``order``; where ``..._there`` is false there is none.

    ``groups`` (N, W) are the groups of each episode and ``groups_there`` (N, W) whether there are so
    many; ``support`` (N, W, S) and ``query`` (N, W, Q) are their rows.
    """

    groups: np.ndarray
    groups_there: np.ndarray
    support: np.ndarray
    support_there: np.ndarray
    query: np.ndarray
    query_there: np.ndarray


def support_sizes(n_rows: np.ndarray, n_support: int) -> np.ndarray:
    """Support rows of groups of so many rows: ``n_support``, but leave one to query."""
    return np.clip(n_support, 1, np.maximum(n_rows - 1, 1))


def task_order(n_tasks: int, rng: np.random.Generator) -> Iterator[int]:
    """Tasks without end, each once in every pass."""
    while True:
        yield from rng.permutation(n_tasks).tolist()


def draw_groups(
    table: TaskTable, tasks: np.ndarray, n_ways: int | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Groups of each episode (N, W), and whether there are so many.

    ``n_ways`` of the task's classes in random order; None: all, in theirs.
    """
    most = int(table.n_groups.max())
    place = np.broadcast_to(np.arange(most), (len(tasks), most))
    there = place < table.n_groups[tasks][:, None]
    if n_ways is not None:
        keys = np.where(there, rng.random(there.shape), 2)
        place = keys.argsort(1)[:, :n_ways]
        there = np.take_along_axis(there, place, 1)
    groups = table.first_group[:-1][tasks][:, None] + np.where(there, place, 0)
    return groups, there


def draw_rows(counts: np.ndarray, n_drawn: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct numbers below each count (M,), in random order: (M, n_drawn), -1 where all are drawn.

    Floyd's algorithm (Bentley & Floyd 1987), for all counts at once: time and memory do not depend
    on the counts.
    """
    drawn = np.full((len(counts), n_drawn), -1)
    sizes = np.minimum(counts, n_drawn)
    for i in range(n_drawn):
        last = counts - sizes + i  # largest number that may be drawn now
        number = (rng.random(len(counts)) * (last + 1)).astype(int)
        twice = (drawn[:, :i] == number[:, None]).any(1)
        drawn[:, i] = np.where(i < sizes, np.where(twice, last, number), -1)
    keys = np.where(drawn >= 0, rng.random(drawn.shape), 2)
    return np.take_along_axis(drawn, keys.argsort(1), 1)


def draw_episodes(
    table: TaskTable,
    tasks: np.ndarray,
    *,
    n_ways: int | None,
    n_support: int,
    n_query: int,
    rng: np.random.Generator,
) -> Episodes:
    """Draw an episode of each of the tasks (N,).

    A group of no more than ``n_support`` rows leaves one of them to query, if it has two.
    """
    groups, there = draw_groups(table, tasks, n_ways, rng)
    counts = np.where(there, table.n_rows[groups], 0)
    drawn = draw_rows(counts.ravel(), n_support + n_query, rng).reshape(*groups.shape, -1)
    rows = np.where(drawn >= 0, drawn + table.first_row[:-1][groups][..., None], 0)
    n_learned = support_sizes(counts, n_support)[..., None]
    place = np.arange(n_support)
    # query rows follow the support rows, wherever these end
    after = np.minimum(n_learned + np.arange(n_query), drawn.shape[-1] - 1)
    return Episodes(
        groups=groups,
        groups_there=there,
        support=rows[..., :n_support],
        support_there=(place < n_learned) & (drawn[..., :n_support] >= 0),
        query=np.take_along_axis(rows, after, -1),
        query_there=(np.take_along_axis(drawn, after, -1) >= 0)
        & (n_learned + np.arange(n_query) < drawn.shape[-1]),
    )


def split_all(table: TaskTable, n_support: int, rng: np.random.Generator) -> np.ndarray:
    """Which rows, (n,) in the table's ``order``, are support rows when every task is split once."""
    groups = np.repeat(np.arange(len(table.n_rows)), table.n_rows)
    shuffled = np.lexsort((rng.random(len(groups)), groups))
    place = np.arange(len(groups)) - table.first_row[:-1][groups]
    support = np.empty(len(groups), bool)
    support[shuffled] = place < support_sizes(table.n_rows, n_support)[groups]
    return support
