"""Copies of a block that are a centre and a deviation each, and a penalty on the deviations.

Shapes: K members, T tasks.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from .base import Block, add_to_gradient, by_member


class Deviating(Block):
    """A block of copies ``centre + scale * deviation``; deviations are trained, and penalised.

    The penalty is that of `SoftSharing`, with its parameters ``strength`` and ``penalty``.
    """

    settings = ("scale", "factor")
    scale: float | Tensor
    factor: float | Tensor

    def start_deviating(self, strength: float, penalty: str) -> None:
        """Penalise "l2" or "l1" so strongly."""
        self.squared = penalty == "l2"
        # V = scale * parameter makes the penalty's curvature at most one, however strong it is
        self.scale = (1 + strength) ** (-0.5 if self.squared else -1.0)
        self.factor = strength / (1 + strength)

    def deviations(self) -> dict[str, Any]:
        """Parameters that are deviations, by name."""
        raise NotImplementedError

    def around(self, centre: Tensor, deviation: Tensor) -> Tensor:
        """Copies (K, T, ...) around a centre that broadcasts to them."""
        if isinstance(self.scale, Tensor):
            return torch.addcmul(centre, deviation, by_member(self.scale, deviation.dim()))
        return torch.add(centre, deviation, alpha=self.scale)

    def decay(self) -> dict[str, float]:
        """Squared distance from the centre: L2 on the deviations."""
        return dict.fromkeys(self.deviations(), float(self.factor)) if self.squared else {}

    def penalty(self) -> Tensor | None:
        """Weighted absolute distance of each member's copies from their centre, (K,)."""
        if self.squared:
            return None
        sizes = [v.abs().flatten(1).sum(1) for v in self.deviations().values()]
        return self.factor * reduce(torch.add, sizes)

    def penalise(self) -> None:
        """Add the signs of the deviations."""
        if not self.squared:
            for v in self.deviations().values():
                add_to_gradient(v, v.detach().sign(), self.factor)
