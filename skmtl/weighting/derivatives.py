"""Derivatives of torchjd's scalarizers by their losses, in closed form, of many members by one call.

What torchjd evaluates for one vector of losses, and autograd differentiates, costs as much as a hidden
layer, and that for each member of a stack. Its objects say what to do (weights, references, scales that
are learned); here it is done. A scalarizer that is not in `CLOSED_FORMS` goes the long way.

Shapes: K members, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchjd import scalarization

ON_DIRECTION = 1e-12  # added by torchjd's PBI under the root of a square that may be zero


class Seen(NamedTuple):
    """What the scalarizers of the members are shown.

    Attributes
    ----------
    members : list of torchjd.scalarization.Scalarizer
        One a member; they differ in what they have learned.
    losses : Tensor of shape (K, T)
        All positive.
    there : Tensor of shape (K, T) or None
        Which tasks take part; None: all.
    generators : list of Generator or None
        One a member, where they draw.
    """

    members: Sequence[Any]
    losses: Tensor
    there: Tensor | None
    generators: Sequence[Any]

    @property
    def number(self) -> Tensor | int:
        """How many tasks take part: (K, 1), or the same everywhere."""
        if self.there is None:
            return self.losses.shape[1]
        return self.there.sum(1, keepdim=True).to(self.losses)

    def those(self, values: Tensor, otherwise: float = 0.0) -> Tensor:
        """Values (K, T), or (T,) of every member, with a number for tasks that do not take part."""
        return values if self.there is None else values.where(self.there, otherwise)

    def above(self, reference: Tensor | None) -> Tensor:
        """Losses above a reference (T,), if there is one."""
        return self.losses if reference is None else self.losses - reference

    def learned(self, name: str) -> Tensor:
        """What each member has learned, (K, T)."""
        return torch.stack([getattr(member, name).detach() for member in self.members])


def _uw(seen: Seen) -> tuple[Tensor, Tensor]:
    weights = 0.5 * torch.exp(-seen.learned("log_var"))
    return weights, 0.5 - weights * seen.losses


def _imtl_l(seen: Seen) -> tuple[Tensor, Tensor]:
    weights = torch.exp(seen.learned("log_scale"))
    return weights, weights * seen.losses - 1.0


def _mean(seen: Seen) -> tuple[Tensor, None]:
    return torch.ones_like(seen.losses) / seen.number, None


def _sum(seen: Seen) -> tuple[Tensor, None]:
    return torch.ones_like(seen.losses), None


def _geometric_mean(seen: Seen) -> tuple[Tensor, None]:
    mean = seen.those(seen.losses.log()).sum(1, keepdim=True) / seen.number
    return mean.exp() / (seen.number * seen.losses), None


def _stch(seen: Seen) -> tuple[Tensor, None]:
    one = seen.members[0]
    weights = 1.0 / seen.number if one.weights is None else one.weights
    exponents = weights * seen.above(one.reference) / one.mu
    return seen.those(exponents, -torch.inf).softmax(1) * weights, None


def _pbi(seen: Seen) -> tuple[Tensor, None]:
    one = seen.members[0]
    above, weights = seen.those(seen.above(one.reference)), seen.those(one.weights)
    direction = weights / weights.norm(dim=-1, keepdim=True)
    off = above - (above * direction).sum(1, keepdim=True) * direction
    distance = (off.square().sum(1, keepdim=True) + ON_DIRECTION).sqrt()
    return direction + one.theta * off / distance, None


def _cosmos(seen: Seen) -> tuple[Tensor, None]:
    one = seen.members[0]
    losses, weights = seen.those(seen.losses), seen.those(one.weights)
    length = losses.norm(dim=1, keepdim=True)
    along, direction = losses / length, weights / weights.norm(dim=-1, keepdim=True)
    cosine = (direction * along).sum(1, keepdim=True)
    return weights - one.lambda_ * (direction - cosine * along) / length, None


def _random(seen: Seen) -> tuple[Tensor, None]:
    """Softmax of as many normal numbers as there are tasks that take part."""
    weights = torch.zeros(seen.losses.shape, dtype=seen.losses.dtype)
    there = torch.ones_like(weights, dtype=torch.bool) if seen.there is None else seen.there.cpu()
    for own, which, generator in zip(weights, there, seen.generators, strict=True):
        drawn = torch.randn(int(which.sum()), dtype=own.dtype, generator=generator)
        own[which] = drawn.softmax(0)
    return weights.to(seen.losses), None


# Derivatives by the losses, and by what each member's scalarizer learns, if anything.
CLOSED_FORMS: dict[type, Callable[[Seen], tuple[Tensor, Tensor | None]]] = {
    scalarization.UW: _uw,
    scalarization.IMTLL: _imtl_l,
    scalarization.Mean: _mean,
    scalarization.Sum: _sum,
    scalarization.GeometricMean: _geometric_mean,
    scalarization.STCH: _stch,
    scalarization.PBI: _pbi,
    scalarization.COSMOS: _cosmos,
    scalarization.Random: _random,
}
