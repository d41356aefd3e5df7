"""Rows that belong together: a query's are never parted, by batches or by validation splits.

Shapes: n rows, T tasks, K members, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from .batches import Batch, Rows, TrainBatches
from .splits import validation_split


def query_split(
    codes: np.ndarray,
    queries: np.ndarray,
    graded: Sequence[bool],
    *,
    fraction: float,
    seeds: Sequence[int],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split the rows anew for every member, query by query.

    As `validation_split`, with queries for rows: every task with labels in two queries keeps some on
    both sides, a task of grades queries whose grades differ.

    Parameters
    ----------
    codes : ndarray of int, shape (n, T)
        Stratum of each label; -1 where it is missing.
    queries : ndarray of int, shape (n,)
    graded : sequence of bool
        Whether a task learns from how labels of a query differ.
    fraction : float
        Share of the queries to validate on.
    seeds : sequence of int

    Returns
    -------
    pairs : list of (ndarray of int, ndarray of int)
        Positions of the rows to train and to validate each member on.
    """
    _, of = np.unique(queries, return_inverse=True)
    strata = np.stack(
        [_query_strata(column, of, g) for column, g in zip(codes.T, graded, strict=True)], 1
    )
    _, valid = validation_split(strata, fraction=fraction, seeds=seeds)
    held = np.zeros((len(valid), len(strata)), dtype=bool)
    np.put_along_axis(held, valid, True, axis=1)
    return [(np.flatnonzero(~own[of]), np.flatnonzero(own[of])) for own in held]


def _query_strata(column: np.ndarray, of: np.ndarray, graded: bool) -> np.ndarray:
    """Stratum (Q,) of each query: its rarest one; -1 where a task has nothing to learn from it."""
    there = column >= 0
    of, n_queries, labels = of[there], of.max() + 1, column[there]
    counts = np.bincount(labels, minlength=1)
    rarity = np.argsort(np.argsort(counts, kind="stable"))[labels]
    low, high = np.full(n_queries, len(counts)), np.full(n_queries, -1)
    np.minimum.at(low, of, rarity)
    np.maximum.at(high, of, rarity)
    if graded:
        return np.where(high > low, 0, -1)
    return np.where(high >= 0, low, -1)


def padded_rows(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], labelled: Tensor, empty: int
) -> Rows:
    """Rows of members, from their positions in ``labelled``, filled up with the empty one."""
    train, valid = (
        pad_sequence([labelled[at] for at in side], batch_first=True, padding_value=empty)
        for side in zip(*parts, strict=True)
    )
    return Rows(train, valid, [len(own) for own, _ in parts])


class QueryBatches(TrainBatches):
    """Batches of whole queries, in an order of each member's own.

    A batch has about ``batch_size`` rows: it begins with the first query that begins past a multiple
    of that, so an epoch has as many steps as it would have without queries. Where members' batches
    differ in size, the last row of the table, which is empty, fills up.

    Parameters
    ----------
    *args : object
        As in `TrainBatches`.
    queries : Tensor of int, shape (n,)
        Query of each row of the table but the last.
    """

    def __init__(self, *args: Any, queries: Tensor):
        super().__init__(*args)
        self._lists = [
            _Lists(own[:count].cpu().long(), queries)
            for own, count in zip(self.rows, self.counts, strict=True)
        ]

    def keep(self, members: Tensor) -> None:
        super().keep(members)
        self._lists = [self._lists[k] for k in members.tolist()]

    def __iter__(self) -> Iterator[Batch]:
        if self.rows.shape[1] <= self.batch_size:
            yield from super().__iter__()
            return
        epochs = [
            lists.cut(self.batch_size, generator)
            for lists, generator in zip(self._lists, self.generators, strict=True)
        ]
        nothing = torch.empty(0, dtype=torch.long)
        for step in range(max(map(len, epochs))):
            parts = [epoch[step] if step < len(epoch) else nothing for epoch in epochs]
            if any(map(len, parts)):
                rows = pad_sequence(
                    parts, batch_first=True, padding_value=len(self.data.values) - 1
                )
                yield self.data.take(rows.to(self.rows.device))


class _Lists:
    """Rows of a member, query after query."""

    def __init__(self, rows: Tensor, queries: Tensor):
        order = queries[rows].argsort(stable=True)
        self.rows = rows[order]
        _, self.sizes = torch.unique_consecutive(queries[self.rows], return_counts=True)
        self.starts = self.sizes.cumsum(0) - self.sizes

    def cut(self, batch_size: int, generator: Generator) -> list[Tensor]:
        """Rows of each batch of an epoch."""
        n = len(self.rows)
        n_batches = -(-n // batch_size)
        if n_batches == 1:
            return [self.rows]
        order = torch.randperm(len(self.sizes), generator=generator)
        sizes = self.sizes[order]
        starts = sizes.cumsum(0) - sizes
        at = (self.starts[order] - starts).repeat_interleave(sizes) + torch.arange(n)
        n_rows = torch.zeros(n_batches, dtype=torch.long)
        n_rows.index_add_(0, starts * n_batches // n, sizes)
        return list(self.rows[at].split(n_rows.tolist()))
