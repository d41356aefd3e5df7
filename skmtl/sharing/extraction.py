"""Levels of experts and gates, the body of `MMoE`, `CGC` and `PLE`.

Shapes: K members, T tasks, E experts, b rows, h features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Generator, Tensor, nn

from .base import SHARED, Architecture
from .layers import StackedLinear, hidden_layers, per_copy


class Extraction(nn.Module):
    """Levels of gated experts: (K, b, d), or (K, E, b, d) of ``own_trunks``, to (K, T, b, h).

    Parameters
    ----------
    architecture : Architecture
    generators : list of Generator
    levels : sequence of tuple of int
        Layers of the experts at each level.
    n_shared, n_own : int
        Experts that serve every task, and experts of each task, at each level.
    own_trunks : bool
        Whether each expert of the first level has inputs of its own: tasks' experts come first.
    """

    def __init__(
        self,
        architecture: Architecture,
        generators: Sequence[Generator],
        levels: Sequence[tuple[int, ...]],
        n_shared: int,
        n_own: int,
        *,
        own_trunks: bool,
    ):
        super().__init__()
        a, made, n_in = architecture, [], architecture.n_features
        for i, sizes in enumerate(levels):
            kind = Level if i else TrunkLevel if own_trunks else FirstLevel
            last = i == len(levels) - 1
            made.append(kind(a, generators, (n_in, *sizes), n_shared, n_own, last=last))
            n_in = (n_in, *sizes)[-1]
        self.levels = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        own, common = x, x
        for level in self.levels:
            own, common = level(own, common)
        return own


class Level(nn.Module):
    """Experts and a gate per task; before the last level also a gate for what is shared.

    Gates have no bias and start even.
    """

    def __init__(
        self,
        architecture: Architecture,
        generators: Sequence[Generator],
        sizes: tuple[int, ...],
        n_shared: int,
        n_own: int,
        *,
        last: bool,
    ):
        super().__init__()
        a, n_members = architecture, len(generators)
        self.n_tasks, self.n_own, self.n_shared = a.n_tasks, n_own, n_shared
        # before the last level a task's experts also feed the shared gate, so they serve all tasks
        separate = last or not n_shared
        made_for = a.task_owner.unsqueeze(-1)
        owner = made_for if separate else None
        self.own = self.common = self.common_gate = None
        if n_own:
            self.own = hidden_layers(
                (n_members, a.n_tasks, n_own),
                sizes,
                a,
                generators,
                distinct=True,
                owner=owner,
                made_for=made_for,
            )
        if n_shared:
            self.common = hidden_layers((n_members, n_shared), sizes, a, generators, distinct=True)
        self.gate = self._make_gate(n_members, sizes[0], separate=separate)
        if not last and n_shared:
            tasks = torch.arange(a.n_tasks).repeat_interleave(n_own)
            experts = torch.cat([tasks, torch.full((n_shared,), SHARED)])
            n_seen = self._seen_of_shared(sizes[0])
            self.common_gate = StackedLinear(
                (n_members,), n_seen, len(experts), bias=False, made_for=experts
            )

    def _make_gate(self, n_members: int, n_in: int, *, separate: bool) -> StackedLinear:
        """Make the tasks' gates; see `_gates`."""
        made_for = torch.arange(self.n_tasks).view(-1, 1, 1)
        owner = made_for if separate else None
        stack, n_experts = (n_members, self.n_tasks), self.n_own + self.n_shared
        return StackedLinear(
            stack, self._seen_of_all(n_in), n_experts, bias=False, owner=owner, made_for=made_for
        )

    def _seen_of_all(self, n_in: int) -> int:
        """Numbers that a task's gate sees."""
        return n_in

    def _seen_of_shared(self, n_in: int) -> int:
        """Numbers that the gate for what is shared sees."""
        return n_in

    def _gates(self, own: Tensor) -> Tensor:
        """Shares before the softmax, (K, T, b, E)."""
        return self.gate(own)

    def _inputs(self, own: Tensor, common: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the tasks' gates and their experts, the shared gate and its experts see.

        (K, T, b, .), (K, T, n_own, b, n_in), (K, b, .), (K, n_shared, b, n_in).
        """
        mine = own.unsqueeze(2).expand(-1, -1, self.n_own, -1, -1)
        return own, mine, common, per_copy(common, self.n_shared)

    def forward(self, own: Tensor, common: Tensor) -> tuple[Tensor, Tensor]:
        """Features of every task (K, T, b, h) and shared ones (K, b, h), the latter if any."""
        seen, mine, seen_of_shared, shared = self._inputs(own, common)
        shares = self._gates(seen).softmax(-1)
        experts = None if self.own is None else self.own(mine)
        pool = None if self.common is None else self.common(shared)
        features = gated(shares, experts, pool)
        if self.common_gate is None:
            return features, common
        assert pool is not None, "a gate for what is shared has shared experts"
        every = pool if experts is None else torch.cat([experts.flatten(1, 2), pool], 1)
        shares = self.common_gate(seen_of_shared).softmax(-1).unsqueeze(1)  # (K, 1, b, all)
        return features, gated(shares, None, every).squeeze(1)


class FirstLevel(Level):
    """`Level` whose inputs are one for all, (K, b, n_in): the gates of all tasks are one product."""

    def _make_gate(self, n_members: int, n_in: int, *, separate: bool) -> StackedLinear:
        n_experts = self.n_own + self.n_shared
        made_for = torch.arange(self.n_tasks).repeat_interleave(n_experts)
        owner = made_for if separate else None
        return StackedLinear(
            (n_members,), n_in, len(made_for), bias=False, owner=owner, made_for=made_for
        )

    def _gates(self, own: Tensor) -> Tensor:
        return self.gate(own).unflatten(-1, (self.n_tasks, -1)).transpose(1, 2)

    def _inputs(self, own: Tensor, common: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return own, *super()._inputs(per_copy(own, self.n_tasks), common)[1:]


class TrunkLevel(Level):
    """`Level` whose experts stand on a trunk each, (K, E, b, n_in): those of tasks come first.

    A gate sees the features of all trunks whose experts it mixes, side by side.
    """

    def _seen_of_all(self, n_in: int) -> int:
        return n_in * (self.n_own + self.n_shared)

    def _seen_of_shared(self, n_in: int) -> int:
        return n_in * self.n_shared

    def _inputs(self, own: Tensor, common: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n_mine = self.n_tasks * self.n_own
        mine, shared = own[:, :n_mine].unflatten(1, (self.n_tasks, self.n_own)), own[:, n_mine:]
        of_shared = side_by_side(shared)
        seen = torch.cat([side_by_side(mine), per_copy(of_shared, self.n_tasks)], -1)
        return seen, mine, of_shared, shared


def side_by_side(x: Tensor) -> Tensor:
    """Features of copies (..., E, b, h) as features of rows (..., b, E h)."""
    return x.transpose(-3, -2).flatten(-2)


def gated(shares: Tensor, own: Tensor | None, pool: Tensor | None) -> Tensor:
    """Mix experts per sample: shares (K, T, b, E) of own (K, T, E', b, h) and pool (K, E'', b, h)."""
    parts = []
    n_own = 0 if own is None else own.shape[2]
    if own is not None:
        mine = shares[..., :n_own].transpose(2, 3).unsqueeze(-1)  # (K, T, E', b, 1)
        parts.append((mine * own).sum(2) if n_own > 1 else mine.squeeze(2) * own.squeeze(2))
    if pool is not None:
        by_row = pool.permute(0, 2, 1, 3).flatten(0, 1)  # (K b, E'', h)
        common = torch.bmm(shares[..., n_own:].transpose(1, 2).flatten(0, 1), by_row)
        parts.append(common.unflatten(0, (shares.shape[0], -1)).transpose(1, 2))
    return reduce(torch.add, parts)
