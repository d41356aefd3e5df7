"""The contract of a weighting: how the losses of the tasks become one step.

Shapes: K members, T tasks (in the engine's order).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Generator, Tensor, nn

from skmtl._checks import check_float


@dataclass(frozen=True)
class Setting:
    """What a weighting is told before training begins.

    Attributes
    ----------
    task_names : list of str
        In the engine's order.
    task_order : list of int
        Where each stands in the target table, the order of whatever a user wrote by task.
    generators : list of Generator
        One a member: all randomness of that member comes from it.
    like : Tensor
        Of the dtype, and on the device, of the losses.
    scheme : str
        The sharing scheme, as messages call it.
    has_features : bool
        Whether there is one representation that all tasks share.
    has_shared : bool
        Whether there are parameters that more than one task trains.
    single_task_losses : callable
        Trains a network per task and returns its lowest validation loss (K, T).

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import FixedWeights, Setting
    >>> setting = Setting(
    ...     task_names=["price", "stars"],
    ...     task_order=[0, 1],
    ...     generators=[torch.Generator()],  # one member
    ...     like=torch.empty(0),
    ...     scheme="hard",
    ...     has_features=True,
    ...     has_shared=True,
    ...     single_task_losses=lambda: torch.zeros(1, 2),
    ... )
    >>> weights = FixedWeights([2.0, 1.0])
    >>> weights.start(setting)
    >>> weights(torch.ones(1, setting.n_tasks), None)
    tensor([2., 1.])
    """

    task_names: Sequence[str]
    task_order: Sequence[int]
    generators: Sequence[Generator]
    like: Tensor
    scheme: str
    has_features: bool
    has_shared: bool
    single_task_losses: Callable[[], Tensor]

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_names)


class Weighting(BaseEstimator, ABC):
    """Weights (K, T) on the losses (K, T) of a step, each member's from what it alone has seen.

    Parameters are configuration; `start` makes the rest, so a clone starts anew. ``moving`` (K, T)
    says which tasks take part in a step, those with a label in the batch that the schedule trains;
    None: all.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import Weighting
    >>> class WorstFirst(Weighting):
    ...     def __call__(self, losses, moving):
    ...         return losses.shape[1] * losses / losses.sum(1, keepdim=True)
    >>> WorstFirst()(torch.tensor([[1.0, 3.0]]), None)
    tensor([[0.5000, 1.5000]])
    """

    level = "losses"  # what it looks at: "losses", gradients at "features" or at "parameters"
    looks_again = False  # whether `after_step` wants the losses after the step

    def start(self, setting: Setting) -> None:
        """Get ready for a training.

        Raises
        ------
        ValueError, TypeError
            If it cannot work in this setting.
        ImportError
            If it needs a package that is not installed.
        """

    @abstractmethod
    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights for these losses, broadcastable to them, both detached from the graph."""

    def joins(self, other: Weighting) -> bool:
        """Whether one object can do, in a stack, what this and the other do: see `stacked`."""
        return False

    @classmethod
    def stacked(cls, parts: Sequence[tuple[Any, int]]) -> Weighting:
        """One for the members of all parts, each with how many it has, that `joins` the next."""
        raise NotImplementedError

    def parameters(self) -> list[list[nn.Parameter]]:
        """What it has the network's optimizer learn in each member; a call leaves their gradients."""
        return []

    def after_step(self, losses: Tensor, moving: Tensor | None) -> None:
        """See the losses (K, T) of the same batch after the step, if it `looks_again`."""

    def after_epoch(self, losses: Tensor) -> None:
        """See the mean losses (K, T) of an epoch; NaN for a task that had no label."""

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave; positions in the stack."""

    def finish(self) -> None:
        """Let go of what only training needs."""

    def objective(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Number (K,) by which members are judged on losses (K, T), those that had a label.

        The sum of the losses: what a method makes of them along the way is no measure of its result.
        """
        return losses.where(labelled, 0.0).sum(-1)


class GradientWeighting(Weighting):
    """A weighting that looks at the gradients of the tasks where they meet.

    Parameters
    ----------
    at : {"auto", "features", "parameters"}
        "features": at the representation all tasks share, where a gradient per task costs next to
        nothing. "parameters": at the shared parameters, at the price of a backward pass per task.
        "auto": at the features where the sharing scheme has them.

    Examples
    --------
    >>> from skmtl.weighting import Aggregation, GradientWeighting, GradNorm
    >>> [isinstance(w, GradientWeighting) for w in (Aggregation("upgrad"), GradNorm())]
    [True, True]
    >>> Aggregation("upgrad", at="parameters").get_params()
    {'aggregator': 'upgrad', 'at': 'parameters'}
    """

    def __init__(self, at: str = "auto"):
        self.at = at

    def start(self, setting: Setting) -> None:
        """Choose where to look; see `Weighting.start`."""
        if not isinstance(self.at, str) or self.at not in ("auto", "features", "parameters"):
            raise ValueError(
                f"Parameter at of {type(self).__name__} must be 'auto', 'features' or 'parameters'. "
                f"Found {self.at!r}."
            )
        if not setting.has_shared:
            raise ValueError(
                f"Parameter loss_weights={self!r} weighs gradients of parameters that tasks share, "
                f"and sharing={setting.scheme} has none. Use another scheme, or weights on losses."
            )
        if self.at == "features" and not setting.has_features:
            raise ValueError(
                f"Parameter loss_weights={self!r} looks at features that all tasks share, and "
                f"sharing={setting.scheme} has no such place with these hidden_layer_sizes. "
                "Use at='parameters'."
            )
        self.level = self.at
        if self.at == "auto":
            self.level = "features" if setting.has_features else "parameters"

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights on what each task alone trains: one, for it has no gradient to be at odds with."""
        return torch.ones_like(losses)

    @abstractmethod
    def aggregate(
        self, gradients: Any, losses: Tensor, moving: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Turn the gradients of the tasks into one.

        Parameters
        ----------
        gradients : TaskGradients
        losses : Tensor of shape (K, T)
        moving : Tensor of shape (K, T) or None

        Returns
        -------
        weights : Tensor of shape (K, T)
            On the gradients; where they were not just weighed, the weights that come nearest.
        direction : Tensor
            The one gradient, in the shape ``gradients.combine`` gives.
        """


class FixedWeights(Weighting):
    """The same weight for a task at every step.

    Parameters
    ----------
    weights : list of float
        In the order of the target table.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.weighting import FixedWeights
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights=FixedWeights([3.0, 1.0]), max_iter=5, random_state=0)
    >>> est = est.fit(X, X @ np.ones((3, 2)))
    >>> est.history_[["weight_y0", "weight_y1"]].iloc[0].tolist()
    [3.0, 1.0]
    """

    def __init__(self, weights: Sequence[float]):
        self.weights = weights

    def start(self, setting: Setting) -> None:
        """Put the weights in the engine's order."""
        given = self.weights
        if not isinstance(given, list | tuple | np.ndarray) or len(given) != setting.n_tasks:
            raise ValueError(
                f"Parameter weights of FixedWeights must be a weight for each of {setting.n_tasks} "
                f"tasks. Found {given!r}."
            )
        for weight in given:
            check_float(weight, "weights", self, low=0)
        if not any(given):
            raise ValueError("Parameter weights of FixedWeights must not be all 0.")
        ordered = [self.weights[t] for t in setting.task_order]
        self._tensor = torch.tensor(ordered, dtype=setting.like.dtype, device=setting.like.device)

    def joins(self, other: Weighting) -> bool:
        """Whether the other has fixed weights, too."""
        return type(other) is type(self)

    @classmethod
    def stacked(cls, parts: Sequence[tuple[Any, int]]) -> FixedWeights:
        """Weights of the members of all."""
        joint = cls(parts[0][0].weights)
        joint._tensor = torch.cat([part._tensor.expand(size, -1) for part, size in parts])
        return joint

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights of shape (T,), or (K, T) of a stack."""
        return self._tensor

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        if self._tensor.dim() == 2:
            self._tensor = self._tensor[torch.tensor(members, device=self._tensor.device)]

    def objective(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Weighted sum, which is what is minimised."""
        return (losses * self._tensor).where(labelled, 0.0).sum(-1)


def require_numbers(weights: Tensor, weighting: Weighting) -> None:
    """Raise if a method made weights that are no numbers, before they reach the parameters."""
    if not math.isfinite(weights.sum().item()):  # a look at each would take six times as long
        raise ValueError(
            f"loss_weights={weighting!r} made weights that are no finite numbers. Standardise the "
            "inputs, lower learning_rate_init, or use another method."
        )


def same(one: Any, other: Any) -> bool:
    """Whether two weightings, or parts of them, are configured alike, to the last number.

    Examples
    --------
    >>> from skmtl.weighting import GradNorm, same
    >>> same(GradNorm(alpha=1.0), GradNorm(alpha=1.0)), same(GradNorm(alpha=1.0), GradNorm())
    (True, False)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseEstimator):
        return same(one.get_params(deep=False), other.get_params(deep=False))
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, nn.Module):
        return same(vars(one), vars(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other or bool(one == other) or repr(one) == repr(other)
