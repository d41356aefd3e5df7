"""Batches cut from tensors that are made once: rows are gathered by index, never re-collated.

Shapes: n rows in all, K members, d features, V encoded target columns, T tasks, b rows a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from .sparse import SparseRows, rows_at_once

FORWARD_ROWS = 4096  # rows of a forward pass without gradients: what it makes stays in the cache
GATHERED_NUMBERS = 2**19  # gathered at once: a gather per batch costs like a layer, a view nothing
LEAST_ROWS = 64  # rows of a member that go forward together, however many members there are


Values = Tensor | tuple[Tensor, ...]  # encoded targets; a tuple has those of each kind of task


class TrainingData(NamedTuple):
    """The table, once, on the device: values (n, V), weight (n, T) or None (all one), and inputs x.

    ``where`` (n,) says which row of x goes with each label; None: the same. Tables of labels that
    differ (the folds of a search) thus stand on one copy of the inputs. ``clip`` is given the
    inputs (K, b, d) gathered for some batches, and their rows of x (K, b), and clips them in place;
    ``read`` is given their values and makes of them, once, what the loss wants.
    """

    x: Tensor | SparseRows
    values: Tensor
    weight: Tensor | None
    where: Tensor | None = None
    clip: Callable[[Tensor, Tensor], Tensor] | None = None
    read: Callable[[Tensor], Values] | None = None

    def take(self, rows: Tensor) -> Batch:
        """Gather rows (K, b) of the table."""
        rows_of_x = self._rows_of_x(rows)
        x, values = _gather(self.x, rows_of_x), _gather(self.values, rows)
        return Batch(
            x if self.clip is None else self.clip(x, rows_of_x),
            values if self.read is None else self.read(values),
            None if self.weight is None else _gather(self.weight, rows),
            clipped=self.clip is not None,
        )

    def inputs(self, rows: Tensor) -> Tensor:
        """Gather the inputs of rows (K, b): (K, b, d)."""
        return _gather(self.x, self._rows_of_x(rows))

    def _rows_of_x(self, rows: Tensor) -> Tensor:
        return rows if self.where is None else self.where[rows]

    def rows_of_inputs(self) -> Tensor:
        """Row of x of each label, (n,), also where it is the same."""
        if self.where is None:
            return torch.arange(len(self.values), device=self.x.device)
        return self.where

    def label_weight(self, n_tasks: int) -> Tensor:
        """Weight (n, T) of each label, also where all are one."""
        if self.weight is None:
            return self.values.new_ones(len(self.values), n_tasks)
        return self.weight


def with_empty_row(data: TrainingData, n_tasks: int) -> TrainingData:
    """The table with an empty row at the end that fills up batches.

    It weighs nothing, and its inputs are those of the first row: X is not copied.
    """
    where, weight = data.rows_of_inputs(), data.label_weight(n_tasks)
    return TrainingData(
        data.x,
        torch.cat([data.values, torch.zeros_like(data.values[:1])]),
        torch.cat([weight, torch.zeros_like(weight[:1])]),
        torch.cat([where, where[:1]]),
    )


def _gather(table: Tensor | SparseRows, rows: Tensor) -> Tensor:
    """Rows (K, b) of a table (n, m), as (K, b, m)."""
    return table.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)


class Batch(NamedTuple):
    """Rows of every member: x (K, b, d), values (K, b, V) or read, weight (K, b, T) or None.

    ``clipped`` says whether inputs outside the bounds of the module have been clipped.
    """

    x: Tensor
    values: Values
    weight: Tensor | None
    clipped: bool = False

    def split(self, n_rows: int) -> Iterator[Batch]:
        """Views of ``n_rows`` after another."""
        xs = self.x.split(n_rows, 1)
        values: Iterable[Values] = (
            zip(*(part.split(n_rows, 1) for part in self.values), strict=True)
            if isinstance(self.values, tuple)
            else self.values.split(n_rows, 1)
        )
        weights = [None] * len(xs) if self.weight is None else self.weight.split(n_rows, 1)
        return map(Batch, xs, values, weights, repeat(self.clipped))


class Rows(NamedTuple):
    """Rows of the table that each member trains on and is validated on: (K, n_train), (K, n_valid).

    ``counts`` says how many training rows are a member's own, where not all; those that follow weigh
    nothing. ``draw`` makes the batches, with the arguments of `TrainBatches`, if rows are not each to
    be drawn once an epoch.
    """

    train: Tensor
    valid: Tensor | None
    counts: list[int] | None = None
    draw: Callable[..., TrainBatches] | None = None

    def on(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Training and validation rows there."""
        return self.train.to(device), None if self.valid is None else self.valid.to(device)


class TrainBatches:
    """Batches of one epoch after another, each member in an order of its own.

    Iterating shuffles every member with its own generator. An epoch of a single batch needs no
    order: it is gathered once and served again.
    """

    def __init__(
        self,
        data: TrainingData,
        rows: Tensor,
        batch_size: int,
        generators: Sequence[Generator],
        counts: Sequence[int] | None = None,
    ):
        self.data = data
        self.rows = rows
        self.batch_size = batch_size
        self.generators = list(generators)
        self.counts = [rows.shape[1]] * len(rows) if counts is None else list(counts)
        self._whole: Batch | None = None

    def keep(self, members: Tensor) -> None:
        """Let the other members leave."""
        self.rows = self.rows[members.to(self.rows.device)]
        self.generators = [self.generators[k] for k in members.tolist()]
        self.counts = [self.counts[k] for k in members.tolist()]
        self._whole = None

    def __iter__(self) -> Iterator[Batch]:
        n_rows = self.rows.shape[1]
        if n_rows <= self.batch_size:
            if self._whole is None:
                self._whole = self.data.take(self.rows)
            yield self._whole
            return
        places = self._places(n_rows).to(self.rows.device)
        numbers = self.batch_size * len(places) * self.data.x.shape[1]
        n_batches = max(1, GATHERED_NUMBERS // numbers)
        for part in places.split(n_batches * self.batch_size, dim=1):
            rows = self.rows.gather(1, part.long())
            yield from self.data.take(rows).split(self.batch_size)

    def _places(self, n_rows: int) -> Tensor:
        """Positions (K, n_rows) of a member's own rows in its order; what follows stays where it is."""
        # in 32 bits, and in place: of many rows, an order is much of what a fit adds
        places = torch.empty(self.rows.shape, dtype=torch.int32)
        for order, count, generator in zip(places, self.counts, self.generators, strict=True):
            torch.arange(n_rows, out=order)
            torch.randperm(count, generator=generator, out=order[:count])
        return places


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
        """Inputs (K, at most 4096, d), chunk by chunk; fewer rows of many members."""
        n_rows = max(LEAST_ROWS, rows_at_once(self.data.x, FORWARD_ROWS) // len(self.rows))
        for rows in self.rows.split(n_rows, dim=1):
            yield self.data.inputs(rows)
