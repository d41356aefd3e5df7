"""Inputs, smoothly clipped: where, and how, and which values of a table need it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .batches import TrainingData
from .sparse import SparseRows, rows_at_once

CLIP_ROWS = 2_000  # rows that place the clipping bounds; more would not move them
CHUNK = 10_000  # rows looked at together when all are
CLIP_START = 0.5  # clipping starts this many (5 %, 95 %) ranges outside: 3.3 sigma of normal data
CLIP_RANGE = 0.5  # and ends as many further out, at 4.9 sigma


class Bounds(NamedTuple):
    """Where clipping starts and what range it has beyond: (d,), or (K, 1, d) where members differ."""

    low: Tensor
    high: Tensor
    span: Tensor


def clip_bounds(data: TrainingData, rows: Tensor) -> Bounds:
    """Bounds per column from the labelled ``rows`` of a table, each with its label weight.

    Quantiles, not moments, so that outliers do not widen the bounds that are there to hold them. A
    column whose inner 90 % is one value (a rare indicator) is not clipped.
    """
    rows = rows.to(data.x.device).unsqueeze(0)
    some = rows[:, :: max(1, rows.shape[1] // CLIP_ROWS)]
    sample = data.inputs(some)[0].cpu().double().numpy()
    counts = None
    if data.weight is not None:  # a row of weight two is two rows
        counts = data.weight.index_select(0, some[0]).amax(1).cpu().double().numpy()
    q = np.quantile(sample, [0.05, 0.95], axis=0, weights=counts, method="inverted_cdf")
    span = np.where(q[1] > q[0], q[1] - q[0], np.inf)
    low, high = q[0] - CLIP_START * span, q[1] + CLIP_START * span
    return Bounds(*(torch.from_numpy(b).to(data.values) for b in (low, high, CLIP_RANGE * span)))


def open_bounds(data: TrainingData) -> Bounds:
    """Bounds that clip nothing."""
    low = data.values.new_full(data.x.shape[1:], -torch.inf)
    return Bounds(low, -low, -low)


def bent(x: Tensor, bounds: Bounds) -> Tensor:
    """Values after clipping, with bounds that broadcast to them."""
    low, high, span = bounds
    inside = torch.clamp(x, low, high)
    # a column that is never clipped has an infinite span: 0 / inf * inf would be NaN
    span = span.nan_to_num(posinf=1.0, neginf=1.0)
    return inside + span * torch.tanh((x - inside) / span)


class Outside:
    """The values of a table that lie outside the bounds, of any member where each has its own.

    Parameters
    ----------
    x : Tensor or SparseRows of shape (n, d)
    bounds : Bounds

    Attributes
    ----------
    ends : Tensor of shape (n + 1,)
        Where the columns of a row begin in `columns`; those of the next begin where they end.
    columns : Tensor
        Columns of the values outside, row after row.
    """

    def __init__(self, x: Tensor | SparseRows, bounds: Bounds):
        low, high = bounds.low, bounds.high
        if low.dim() == 3:
            low, high = low.amax((0, 1)), high.amin((0, 1))
        counts = torch.zeros(len(x) + 1, dtype=torch.int32, device=low.device)
        columns, n = counts.new_empty(CHUNK), 0
        if low.isfinite().any() or high.isfinite().any():
            n_rows = rows_at_once(x, CHUNK)
            for count, part in zip(counts[1:].split(n_rows), x.split(n_rows), strict=True):
                outside = (part < low) | (part > high)
                torch.sum(outside, 1, out=count)
                found = outside.nonzero()[:, 1]
                # parts kept one by one would lie in the way of the next, and cost more than they hold
                if n + len(found) > len(columns):
                    columns = torch.cat([columns[:n], columns.new_empty(n + 2 * len(found))])
                columns[n : n + len(found)] = found
                n += len(found)
        self.columns = columns[:n]
        self.ends = counts.cumsum_(0) if n < 2**31 else counts.cumsum(0)

    def clip(self, x: Tensor, rows: Tensor, bounds: Bounds) -> Tensor:
        """Clip, in place, the inputs x (K, b, d) of the table's rows (K, b)."""
        rows = rows.reshape(-1)
        first, end = self.ends[rows], self.ends[rows + 1]
        counts = end - first
        ends = counts.cumsum(0)
        n_outside = int(ends[-1])
        if not n_outside:
            return x
        row = torch.repeat_interleave(counts).long()
        place = torch.arange(n_outside, device=x.device) - (ends - counts - first)[row]
        column = self.columns[place]
        at = row * x.shape[2] + column
        low, high, span = (
            b[row // x.shape[1], 0, column] if b.dim() == 3 else b[column] for b in bounds
        )
        values = x.view(-1)
        values.index_copy_(0, at, bent(values[at], Bounds(low, high, span)))
        return x
