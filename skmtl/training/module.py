"""The torch module that trains: inputs, smoothly clipped, through the network of a scheme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from .batches import TrainingData
from .clipping import Bounds, Outside, bent


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

    def bent(self, x: Tensor) -> Tensor:
        """Values after clipping."""
        return bent(x, self.bounds)

    @property
    def bounds(self) -> Bounds:
        """Where clipping starts and what range it has beyond."""
        return Bounds(self.low, self.high, self.span)

    def clipped(self, data: TrainingData) -> TrainingData:
        """Let the rows that are taken of a table be clipped.

        Few values of standardised inputs need it: they are found once, not at every step.
        """
        outside = Outside(data.x, self.bounds)
        return data._replace(clip=lambda x, rows: outside.clip(x, rows, self.bounds))

    def keep(self, members: Tensor) -> None:
        """Let the bounds of the other members go, where each has its own; `StackAdam` cuts the rest."""
        if self.low.dim() == 3:
            for name in ("low", "high", "span"):
                setattr(self, name, getattr(self, name)[members.to(self.low.device)])

    def penalty(self) -> Tensor | None:
        """What the network adds to each member's loss, (K,), if anything."""
        return self.network.penalty()  # type: ignore[operator]

    def penalise(self) -> None:
        """Add the gradient of that to those of the network."""
        self.network.penalise()  # type: ignore[operator]

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
