"""The contracts of a sharing scheme and of the network it builds.

Shapes: K members, b rows, d features, C outputs of all tasks together, T tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.base import BaseEstimator
from torch import Generator, Tensor, nn

SHARED = -1  # owner of a parameter that serves every task


@dataclass(frozen=True)
class Architecture:
    """What the estimator's parameters and the data ask of a network.

    ``task_outputs`` lists the output columns of each task, in the engine's order.
    """

    n_features: int
    task_outputs: tuple[int, ...]
    hidden_layer_sizes: tuple[int, ...]
    head_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float


class Sharing(BaseEstimator, ABC):
    """How tasks share parameters. Immutable configuration; `build` makes the network."""

    @abstractmethod
    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return a network of ``len(generators)`` members, member k drawn from generator k."""


class Network(nn.Module, ABC):
    """K independent networks as one: every parameter's first dimension is the member."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d); the columns of all tasks side by side."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor | None:
        """The shared representation (K, b, h) where tasks part; None if there is none."""

    @abstractmethod
    def owners(self) -> dict[str, Tensor]:
        """Task that each parameter serves, by parameter name.

        Integers that broadcast against the parameter: a task's position in the engine's order, or
        `SHARED`. Penalties, freezing and surgery per task are all read from it.
        """
