"""Weightings of several nets side by side, for a stack that trains them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base import Weighting


def stack_weightings(weightings: Sequence[Weighting], sizes: Sequence[int]) -> Weighting:
    """One weighting for the members of all, of which each has so many; they have been started.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import FixedWeights, Setting, stack_weightings
    >>> parts = [FixedWeights([2.0, 1.0]), FixedWeights([1.0, 1.0])]
    >>> for part in parts:
    ...     part.start(
    ...         Setting(
    ...             task_names=["price", "stars"],
    ...             task_order=[0, 1],
    ...             generators=[torch.Generator()],
    ...             like=torch.empty(0),
    ...             scheme="hard",
    ...             has_features=True,
    ...             has_shared=True,
    ...             single_task_losses=lambda: torch.zeros(1, 2),
    ...         )
    ...     )
    >>> stack_weightings(parts, sizes=[1, 2])(torch.ones(3, 2), None)
    tensor([[2., 1.],
            [1., 1.],
            [1., 1.]])
    """
    runs: list[list[tuple[Weighting, int]]] = []
    for part in zip(weightings, sizes, strict=True):
        if runs and runs[-1][0][0].joins(part[0]):
            runs[-1].append(part)
        else:
            runs.append([part])
    joined = [run[0][0] if len(run) == 1 else type(run[0][0]).stacked(run) for run in runs]
    if len(joined) == 1:
        return joined[0]
    return StackedWeighting(joined, [sum(size for _, size in run) for run in runs])


class StackedWeighting(Weighting):
    """Each part weighs the losses, or the gradients, of its own members.

    Parameters
    ----------
    parts : list of Weighting
        Started, of one ``level``.
    sizes : list of int
        Members of each.
    """

    def __init__(self, parts: Sequence[Weighting], sizes: Sequence[int]):
        self.level, self.looks_again = parts[0].level, parts[0].looks_again
        self._there = [(part, size) for part, size in zip(parts, sizes, strict=True) if size]

    def _each(self, *by_member: Any) -> Any:
        """Parts, each with its share of what has an entry per member."""
        at = 0
        for part, size in self._there:
            members = slice(at, at + size)
            yield part, *(None if v is None else v[members] for v in by_member)
            at += size

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights (K, T)."""
        own = self._each(losses, moving)
        return torch.cat([part(some, there).expand_as(some) for part, some, there in own])

    def aggregate(
        self, gradients: Any, losses: Tensor, moving: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Turn the gradients of each member into one; see `GradientWeighting.aggregate`."""
        members = list(range(len(losses)))
        found = [
            part.aggregate(gradients.of(own), some, there)  # type: ignore[attr-defined]
            for part, own, some, there in self._each(members, losses, moving)
        ]
        weights, directions = zip(*found, strict=True)
        return torch.cat(weights), torch.cat(directions)

    def parameters(self) -> list[list[nn.Parameter]]:
        """Those of the parts."""
        return [
            own
            for part, size in self._there
            for own in (part.parameters() or [[] for _ in range(size)])
        ]

    def after_step(self, losses: Tensor, moving: Tensor | None) -> None:
        """Tell the parts."""
        for part, own, there in self._each(losses, moving):
            part.after_step(own, there)

    def after_epoch(self, losses: Tensor) -> None:
        """Tell the parts."""
        for part, own in self._each(losses):
            part.after_epoch(own)

    def objective(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Each member by its own."""
        own = self._each(losses, labelled)
        return torch.cat([part.objective(some, there) for part, some, there in own])

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        there, at = [], 0
        for part, size in self._there:
            staying = [k - at for k in members if at <= k < at + size]
            if staying:
                part.keep(staying)
                there.append((part, len(staying)))
            at += size
        self._there = there
