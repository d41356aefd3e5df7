"""Batches cut from tensors that are made once: rows are gathered by index, never re-collated.

Shapes: n rows in all, K members, d features, V encoded target columns, T tasks, b rows a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

FORWARD_ROWS = 4096  # rows of a forward pass without gradients: what it makes stays in the cache
GATHERED_ROWS = 4096  # rows gathered at once: a gather per batch costs like a layer, a view nothing


class TrainingData(NamedTuple):
    """The table, once, on the device: x (n, d), values (n, V), weight (n, T) or None (all one)."""

    x: Tensor
    values: Tensor
    weight: Tensor | None

    def take(self, rows: Tensor) -> Batch:
        """Gather rows (K, b) of the table."""
        return Batch(
            _gather(self.x, rows),
            _gather(self.values, rows),
            None if self.weight is None else _gather(self.weight, rows),
        )


def _gather(table: Tensor, rows: Tensor) -> Tensor:
    """Rows (K, b) of a table (n, m), as (K, b, m)."""
    return table.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)


class Batch(NamedTuple):
    """Rows of every member: x (K, b, d), values (K, b, V), weight (K, b, T) or None."""

    x: Tensor
    values: Tensor
    weight: Tensor | None

    def split(self, n_rows: int) -> Iterator[Batch]:
        """Views of ``n_rows`` after another."""
        xs, values = self.x.split(n_rows, 1), self.values.split(n_rows, 1)
        weights = [None] * len(xs) if self.weight is None else self.weight.split(n_rows, 1)
        return map(Batch, xs, values, weights)


class Rows(NamedTuple):
    """Rows of the table that each member trains on and is validated on: (K, n_train), (K, n_valid)."""

    train: Tensor
    valid: Tensor | None


class TrainBatches:
    """Batches of one epoch after another, each member in an order of its own.

    Iterating shuffles every member with its own generator. An epoch of a single batch needs no
    order: it is gathered once and served again.
    """

    def __init__(
        self, data: TrainingData, rows: Tensor, batch_size: int, generators: Sequence[Generator]
    ):
        self.data = data
        self.rows = rows
        self.batch_size = batch_size
        self.generators = list(generators)
        self._whole: Batch | None = None

    def keep(self, members: Tensor) -> None:
        """Let the other members leave."""
        self.rows = self.rows[members.to(self.rows.device)]
        self.generators = [self.generators[k] for k in members.tolist()]
        self._whole = None

    def __iter__(self) -> Iterator[Batch]:
        n_rows = self.rows.shape[1]
        if n_rows <= self.batch_size:
            if self._whole is None:
                self._whole = self.data.take(self.rows)
            yield self._whole
            return
        order = torch.stack(
            [
                rows.index_select(
                    0, torch.randperm(n_rows, generator=g, dtype=torch.int32).to(rows.device)
                )
                for rows, g in zip(self.rows, self.generators, strict=True)
            ]
        )
        n_batches = max(1, GATHERED_ROWS // self.batch_size)
        for rows in order.split(n_batches * self.batch_size, dim=1):
            yield from self.data.take(rows).split(self.batch_size)


class ValidRows:
    """The validation rows of every member, in order.

    Labels are gathered once; inputs, which are wider, in chunks that bound memory.
    """

    def __init__(self, data: TrainingData, rows: Tensor):
        self.data = data
        self.rows = rows
        self._labels: tuple[Tensor, Tensor | None] | None = None

    def keep(self, members: Tensor) -> None:
        """Let the other members leave."""
        self.rows = self.rows[members.to(self.rows.device)]
        self._labels = None

    def labels(self) -> tuple[Tensor, Tensor | None]:
        """Values (K, n_valid, V) and weight (K, n_valid, T) or None."""
        if self._labels is None:
            weight = self.data.weight
            self._labels = (
                _gather(self.data.values, self.rows),
                None if weight is None else _gather(weight, self.rows),
            )
        return self._labels

    def inputs(self) -> Iterator[Tensor]:
        """Inputs (K, at most 4096, d), chunk by chunk."""
        for rows in self.rows.split(FORWARD_ROWS, dim=1):
            yield _gather(self.data.x, rows)
