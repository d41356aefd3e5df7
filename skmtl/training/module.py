"""The torch module that trains: inputs, smoothly clipped, through the network of a scheme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from .batches import TrainingData

CLIP_ROWS = 2_000  # rows that place the clipping bounds; more would not move them
CHUNK = 10_000  # rows looked at together when all are
CLIP_START = 0.5  # clipping starts this many (5 %, 95 %) ranges outside: 3.3 sigma of normal data
CLIP_RANGE = 0.5  # and ends as many further out, at 4.9 sigma


class Bounds(NamedTuple):
    """Where clipping starts and what range it has beyond; whether any row needs it.

    (d,) each, or (K, 1, d) where members have their own.
    """

    low: Tensor
    high: Tensor
    span: Tensor
    in_use: bool


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
    starts, ends, reach = (
        torch.from_numpy(b).to(data.values) for b in (low, high, CLIP_RANGE * span)
    )
    in_use = any(
        bool(((part < starts) | (part > ends)).any())
        for part in map(data.inputs, rows.split(CHUNK, dim=1))
    )
    return Bounds(starts, ends, reach, in_use)


def open_bounds(data: TrainingData) -> Bounds:
    """Bounds that clip nothing."""
    low = data.values.new_full(data.x.shape[1:], -torch.inf)
    return Bounds(low, -low, -low, in_use=False)


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
    clips_training : bool
        Whether any training row lies outside; if not, training skips the (idle) clipping.
    built_for : object
        What the network was made from, to tell whether it still fits when training goes on.
    """

    low: Tensor
    high: Tensor
    span: Tensor

    def __init__(self, network: nn.Module, bounds: Bounds, built_for: Any = None):
        super().__init__()
        self.network = network
        self.clips_training = bounds.in_use
        self.built_for = built_for
        self.register_buffer("low", bounds.low)
        self.register_buffer("high", bounds.high)
        self.register_buffer("span", bounds.span)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every member for its rows."""
        return self.network(self.clip(x))

    def clip(self, x: Tensor) -> Tensor:
        """Bend values outside the bounds; exactly the identity between them."""
        if self.training and not self.clips_training:
            return x
        inside = torch.clamp(x, self.low, self.high)
        outside = x - inside
        return inside + self.bent(outside) if outside.any() else x

    def bent(self, outside: Tensor) -> Tensor:
        """How far out a value comes that lies so far outside the bounds."""
        # a column that is never clipped has an infinite span: 0 / inf * inf would be NaN
        span = self.span.nan_to_num(posinf=1.0, neginf=1.0)
        return span * torch.tanh(outside / span)

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
