"""Experts and gates: every task mixes the features of several networks, in shares of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_int

from .base import SHARED, Architecture, Network, Sharing
from .checks import require_layers
from .layers import StackedLinear, hidden_layers, per_copy
from .network import TaskNetwork

WHY = "they are what its experts are made of"


class MMoE(Sharing):
    """Multi-gate mixture-of-experts (Ma et al. 2018).

    Every expert is a network of ``hidden_layer_sizes``; task t's features are
    ``sum_e softmax(x G_t)_e expert_e(x)``. One expert is hard sharing.

    Parameters
    ----------
    n_experts : int, default=4
        Experts, shared by all tasks.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    J. Ma, Z. Zhao, X. Yi, J. Chen, L. Hong, E. Chi (2018). Modeling task relationships in
    multi-task learning with multi-gate mixture-of-experts. KDD.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import MMoE
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=MMoE(n_experts=2), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    name = "mmoe"

    def __init__(self, n_experts=4, linear_skip=True):
        self.n_experts = n_experts
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_int(self.n_experts, "n_experts", self, low=1)
        require_layers(architecture, self, WHY)
        body = Extraction(
            architecture, generators, [architecture.hidden_layer_sizes], self.n_experts, 0
        )
        return TaskNetwork.around(
            body, architecture, generators, linear_skip=self.linear_skip, per_task=True
        )


class CGC(Sharing):
    """Customized gate control (Tang et al. 2020): experts for all tasks, and experts for one.

    Every expert is a network of ``hidden_layer_sizes``; each task's gate mixes its own experts and
    the shared ones. Without shared experts, and one for each task, nothing is shared.

    Parameters
    ----------
    n_shared_experts : int, default=2
        Experts that serve every task.
    n_task_experts : int, default=1
        Experts of each task.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    H. Tang, J. Liu, M. Zhao, X. Gong (2020). Progressive layered extraction (PLE): a novel
    multi-task learning model for personalized recommendations. RecSys.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import CGC
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=CGC(n_shared_experts=1), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    name = "cgc"

    def __init__(self, n_shared_experts=2, n_task_experts=1, linear_skip=True):
        self.n_shared_experts = n_shared_experts
        self.n_task_experts = n_task_experts
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        return self._build([architecture.hidden_layer_sizes], architecture, generators)

    def _build(
        self,
        levels: Sequence[tuple[int, ...]],
        architecture: Architecture,
        generators: Sequence[Generator],
    ) -> Network:
        check_int(self.n_shared_experts, "n_shared_experts", self, low=0)
        check_int(self.n_task_experts, "n_task_experts", self, low=0)
        if not self.n_shared_experts + self.n_task_experts:
            raise ValueError(
                f"{type(self).__name__} needs an expert: found n_shared_experts=0 and n_task_experts=0."
            )
        require_layers(architecture, self, WHY)
        body = Extraction(
            architecture, generators, levels, self.n_shared_experts, self.n_task_experts
        )
        return TaskNetwork.around(
            body, architecture, generators, linear_skip=self.linear_skip, per_task=True
        )


class PLE(CGC):
    """Progressive layered extraction (Tang et al. 2020): a level of `CGC` after another.

    Each hidden layer is a level, whose experts are one layer deep. Between levels a gate for the
    shared experts mixes the experts of all tasks. One level is `CGC`.

    Parameters
    ----------
    n_shared_experts : int, default=2
        Experts that serve every task, at each level.
    n_task_experts : int, default=1
        Experts of each task, at each level.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    H. Tang, J. Liu, M. Zhao, X. Gong (2020). Progressive layered extraction (PLE): a novel
    multi-task learning model for personalized recommendations. RecSys.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import PLE
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=PLE(n_task_experts=2), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    name = "ple"

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        levels = [(size,) for size in architecture.hidden_layer_sizes]
        return self._build(levels, architecture, generators)


class Extraction(nn.Module):
    """Levels of gated experts: (K, b, d) to (K, T, b, h).

    Parameters
    ----------
    architecture : Architecture
    generators : list of Generator
    levels : sequence of tuple of int
        Layers of the experts at each level.
    n_shared, n_own : int
        Experts that serve every task, and experts of each task, at each level.
    """

    def __init__(
        self,
        architecture: Architecture,
        generators: Sequence[Generator],
        levels: Sequence[tuple[int, ...]],
        n_shared: int,
        n_own: int,
    ):
        super().__init__()
        a, made, n_in = architecture, [], architecture.n_features
        for i, sizes in enumerate(levels):
            first, last = i == 0, i == len(levels) - 1
            made.append(
                Level(a, generators, (n_in, *sizes), n_shared, n_own, first=first, last=last)
            )
            n_in = sizes[-1]
        self.levels = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        own, common = x, x
        for level in self.levels:
            own, common = level(own, common)
        return own


class Level(nn.Module):
    """Experts and a gate per task; before the last level also a gate for what is shared.

    Gates have no bias and start even. At the first level all inputs are one, (K, b, n_in), and a gate
    is a product for all tasks together.
    """

    def __init__(
        self,
        architecture: Architecture,
        generators: Sequence[Generator],
        sizes: tuple[int, ...],
        n_shared: int,
        n_own: int,
        *,
        first: bool,
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
        n_seen, n_all = n_own + n_shared, a.n_tasks * n_own + n_shared
        tasks = torch.arange(a.n_tasks)
        stack: tuple[int, ...]
        if first:
            stack, n_out, whose = (n_members,), a.n_tasks * n_seen, tasks.repeat_interleave(n_seen)
        else:
            stack, n_out, whose = (n_members, a.n_tasks), n_seen, a.task_owner
        owner = whose if separate else None
        self.gate = StackedLinear(stack, sizes[0], n_out, bias=False, owner=owner, made_for=whose)
        if not last and n_shared:
            experts = torch.cat([tasks.repeat_interleave(n_own), torch.full((n_shared,), SHARED)])
            self.common_gate = StackedLinear(
                (n_members,), sizes[0], n_all, bias=False, made_for=experts
            )

    def forward(self, own: Tensor, common: Tensor) -> tuple[Tensor, Tensor]:
        """Features of every task (K, T, b, h) and shared ones (K, b, h), the latter if any."""
        shares = self.gate(own)
        if own.dim() == 3:  # (K, b, T * E)
            shares = shares.unflatten(-1, (self.n_tasks, -1)).transpose(1, 2)
            own = per_copy(own, self.n_tasks)
        shares = shares.softmax(-1)  # (K, T, b, E)
        experts = (
            None
            if self.own is None
            else self.own(own.unsqueeze(2).expand(-1, -1, self.n_own, -1, -1))
        )
        pool = None if self.common is None else self.common(per_copy(common, self.n_shared))
        features = gated(shares, experts, pool)
        if self.common_gate is None:
            return features, common
        assert pool is not None, "a gate for what is shared has shared experts"
        every = pool if experts is None else torch.cat([experts.flatten(1, 2), pool], 1)
        shares = self.common_gate(common).softmax(-1).unsqueeze(1)  # (K, 1, b, all)
        return features, gated(shares, None, every).squeeze(1)


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
