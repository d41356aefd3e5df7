"""What turns the losses of the tasks into one: L = sum over tasks of weight times loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Weighting(ABC):
    """Weights (K, T) on the losses (K, T) of a step; each member has its own."""

    @abstractmethod
    def __call__(self, losses: Tensor) -> Tensor:
        """Weights for these losses, broadcastable to them and detached from the graph."""


class FixedWeights(Weighting):
    """The same weight for a task at every step."""

    def __init__(self, weights: list[float]):
        self.weights = weights
        self._tensor: Tensor | None = None

    def __call__(self, losses: Tensor) -> Tensor:
        """Weights of shape (T,)."""
        cached = self._tensor
        if cached is None or cached.dtype != losses.dtype or cached.device != losses.device:
            cached = torch.tensor(self.weights, dtype=losses.dtype, device=losses.device)
            self._tensor = cached
        return cached
