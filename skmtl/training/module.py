"""The torch module that trains: inputs, smoothly clipped, through the network of a scheme."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

CLIP_ROWS = 10_000  # rows that place the clipping bounds; more would not move them
CLIP_REACH = 1.5  # bounds lie this many (5 %, 95 %) ranges outside; 6.6 sigma for normal data


def clip_bounds(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per column (d,): where clipping starts below and above, and the range it may still use.

    Quantiles, not moments, so that outliers do not widen the bounds that are there to hold them. A
    column whose inner 90 % is one value (a rare indicator) is not clipped.
    """
    sample = x[:: max(1, len(x) // CLIP_ROWS)].cpu().numpy()
    q = torch.from_numpy(np.quantile(sample, [0.05, 0.95], axis=0)).to(x.device)
    span = q[1] - q[0]
    flat = span <= 0
    span = torch.where(flat, torch.inf, span)
    low = torch.where(flat, -torch.inf, q[0] - CLIP_REACH * span)
    high = torch.where(flat, torch.inf, q[1] + CLIP_REACH * span)
    return low.to(x.dtype), high.to(x.dtype), span.to(x.dtype)


class MultiTaskModule(nn.Module):
    """Inputs (K, b, d) to outputs (K, b, C).

    An input outside ``[low, high]`` is bent towards a bound one range further out
    (``high + span * tanh((x - high) / span)``): a wild value can neither derail training nor swamp
    the other columns of its row. Between the bounds nothing changes.

    Attributes
    ----------
    network : Network
    clips_training : bool
        Whether any training row lies outside; if not, training skips the (idle) clipping.
    """

    def __init__(
        self, network: nn.Module, bounds: tuple[Tensor, Tensor, Tensor], *, clips_training: bool
    ):
        super().__init__()
        self.network = network
        self.clips_training = clips_training
        for name, bound in zip(("low", "high", "span"), bounds, strict=True):
            self.register_buffer(name, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every member for its rows."""
        return self.network(self.clip(x))

    def clip(self, x: Tensor) -> Tensor:
        """Bend values outside the bounds; exactly the identity between them."""
        if self.training and not self.clips_training:
            return x
        inside = torch.clamp(x, self.low, self.high)
        outside = x - inside
        if not outside.any():
            return x
        # a column that is never clipped has an infinite span: 0 / inf * inf would be NaN
        span = self.span.nan_to_num(posinf=1.0)
        return inside + span * torch.tanh(outside / span)

    @property
    def n_members(self) -> int:
        """Members in the stack."""
        return len(next(self.network.parameters()))

    def reseed(self, generators: Sequence[Generator]) -> None:
        """Hand each member's generator to the layers that draw while training."""
        for layer in self.modules():
            if hasattr(layer, "generators"):
                layer.generators = list(generators)
