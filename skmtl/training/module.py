"""The torch module that trains: inputs, smoothly clipped, through the network of a scheme."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from .batches import TrainingData
from .sparse import rows_at_once

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
    counts = np.ones(len(sample))
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


def dtype_of(x: Any) -> type:
    """Numpy dtype of inputs."""
    return np.float64 if x.dtype == torch.float64 else np.float32


class MultiTaskModule(nn.Module):
    """Inputs (K, b, d) to outputs (K, b, C).

    An input outside ``[low, high]`` is bent towards a bound ``span`` further out
    (``high + span * tanh((x - high) / span)``): a wild value can neither derail training nor swamp
    the other columns of its row. Between the bounds nothing changes.

    Attributes
    ----------
    network : Network
    built_for : object
        What the network was made from, to tell whether it still fits when training goes on.
    """

    low: Tensor
    high: Tensor
    span: Tensor

    def __init__(self, network: nn.Module, bounds: Bounds, built_for: Any = None):
        super().__init__()
        self.network = network
        self.built_for = built_for
        self.register_buffer("low", bounds.low)
        self.register_buffer("high", bounds.high)
        self.register_buffer("span", bounds.span)

    def forward(self, x: Tensor, clipped: bool = False) -> Tensor:
        """Outputs of every member for its rows; ``clipped``: whether these have been clipped."""
        return self.network(x if clipped else self.clip(x))

    def clip(self, x: Tensor) -> Tensor:
        """Bend values outside the bounds; exactly the identity between them."""
        return x if torch.equal(x, torch.clamp(x, self.low, self.high)) else self.bent(x)

    def bent(self, x: Tensor, members: Tensor | None = None) -> Tensor:
        """Values after clipping; rows (m, d) by the bounds of their ``members``, where these differ."""
        bounds = self.low, self.high, self.span
        low, high, span = bounds if members is None else (b[members, 0] for b in bounds)
        inside = torch.clamp(x, low, high)
        # a column that is never clipped has an infinite span: 0 / inf * inf would be NaN
        span = span.nan_to_num(posinf=1.0, neginf=1.0)
        return inside + span * torch.tanh((x - inside) / span)

    def clipped(self, data: TrainingData) -> TrainingData:
        """Let the rows that are taken of a table be clipped.

        Few rows of standardised inputs need it: they are found once, not at every step.
        """
        return data._replace(clip=partial(self._clip_rows, self._rows_outside(data)))

    def _clip_rows(self, outside: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        """Clip inputs (K, b, d) of rows (K, b) in place; a row of the table is ``outside`` or not."""
        at = outside[rows].view(-1).nonzero().view(-1)
        if not len(at):  # of whole numbers, none is
            return x
        flat = x.view(-1, x.shape[2])
        members = at // x.shape[1] if self.low.dim() == 3 else None
        flat.index_copy_(0, at, self.bent(flat[at], members))
        return x

    def _rows_outside(self, data: TrainingData) -> Tensor:
        """Rows (n,) of a table in which clipping changes anything, for any member."""
        low, high = self.low, self.high
        if low.dim() == 3:
            low, high = low.amax((0, 1)), high.amin((0, 1))
        outside = torch.zeros(len(data.x), dtype=torch.bool, device=data.values.device)
        if low.isfinite().any() or high.isfinite().any():
            n_rows = rows_at_once(data.x, CHUNK)
            for part, x in zip(outside.split(n_rows), data.x.split(n_rows), strict=True):
                part.copy_(((x < low) | (x > high)).any(1))
        return outside if data.where is None else outside[data.where]

    def keep(self, members: Tensor) -> None:
        """Let the bounds of the other members go, where each has its own; `StackAdam` cuts the rest."""
        if self.low.dim() == 3:
            for name in ("low", "high", "span"):
                setattr(self, name, getattr(self, name)[members.to(self.low.device)])

    def penalty(self) -> Tensor | None:
        """What the network adds to each member's loss, (K,), if anything."""
        return self.network.penalty()  # type: ignore[operator]

    @property
    def n_members(self) -> int:
        """Members in the stack."""
        return len(next(self.network.parameters()))

    @property
    def dtype(self) -> type:
        """Numpy dtype of the inputs and the parameters."""
        return dtype_of(self.low)

    def reseed(self, generators: Sequence[Generator]) -> None:
        """Hand each member's generator to the layers that draw while training."""
        for layer in self.modules():
            if hasattr(layer, "generators"):
                layer.generators = list(generators)  # type: ignore[assignment]
