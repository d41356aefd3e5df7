"""The contract of a consolidation: what it remembers of a stream, and what that does to a step.

Shapes: K members, b rows, T tasks.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from sklearn.base import BaseEstimator
from torch import Tensor


class Learner(Protocol):
    """What is trained.

    Attributes
    ----------
    module : MultiTaskModule
        Inputs (K, b, d) to outputs (K, b, C).
    loss : TaskLosses
        ``(outputs, values, weight) -> (losses (K, T), label weight (K, T))``.
    weighting : Weighting
        Its ``objective`` makes a number per member of the losses.
    """

    module: Any
    loss: Any
    weighting: Any


class Consolidation(BaseEstimator, ABC):
    """Something that outlasts a chunk of rows, member by member, from what that member has seen.

    Parameters are configuration; `start` makes the rest, so a clone has seen nothing. A member draws
    from a generator of its own, so it is the same alone and in any stack.

    Examples
    --------
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.consolidation import Consolidation
    >>> class LastLayerSlowly(Consolidation):
    ...     def correct(self, learner, batch, moving, active):
    ...         learner.module.network.heads.last.weight.grad.mul_(0.1)
    ...         return moving
    >>> est = MultiTaskRegressor(consolidation=LastLayerSlowly(), n_members=1, random_state=0)
    >>> est.partial_fit([[0.0], [1.0], [2.0]], [0.5, 1.5, 2.0]).n_iter_
    1
    """

    def start(self, seeds: Sequence[int], module: Any) -> None:
        """Check the parameters and begin with nothing remembered; a seed (K,) per member.

        Raises
        ------
        ValueError, TypeError
            If a parameter is not what it must be, or the network has a head for the task of a row only.
        """
        if module.network.gathers:
            raise ValueError(
                f"consolidation={self!r} does not go with the task of each row in a column. Give the "
                "target one column per task, NaN where a row is not of the task."
            )

    def go_on(self, asked: Consolidation) -> None:
        """Take the parameters of another of this class, and keep what is remembered.

        Raises
        ------
        ValueError
            If what is remembered does not fit them.
        """
        self.set_params(**asked.get_params(deep=False))

    def begin(self, learner: Learner, data: Any) -> None:
        """See a chunk, `TrainingData`, before it is trained on."""

    def attend(self, members: Sequence[int]) -> None:
        """Only these members train on; until the end of the chunk what is remembered stays whole."""

    def extend(self, batch: Any) -> Any:
        """The `Batch` to train on in place of this one."""
        return batch

    def correct(
        self, learner: Learner, batch: Any, moving: Tensor | None, active: Tensor | None
    ) -> Tensor | None:
        """Change the gradients of a step, and the tasks (K, T) whose parameters move.

        ``active`` (K, T) are the tasks that the schedule trains; None: all.
        """
        return moving

    def end(self, learner: Learner, data: Any) -> None:
        """See a chunk after it was trained on."""

    def keep(self, members: Sequence[int]) -> None:
        """Forget the other members for good."""


def labelled(data: Any) -> tuple[Any, Tensor, Tensor | None]:
    """Inputs (n, d), values (n, V), weight (n, T) or None of the rows of a chunk with a label."""
    weight = data.weight
    if weight is None:
        rows = torch.arange(len(data.values), device=data.values.device)
    else:
        rows = (weight > 0).any(1).nonzero()[:, 0]
    x = data.x[rows if data.where is None else data.where[rows].long()]
    return x, data.values[rows], None if weight is None else weight[rows]
