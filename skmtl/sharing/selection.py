"""Gates that select: every task mixes at most k experts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_float, check_int

from .base import SHARED, Architecture, Block, Network, Sharing, by_member
from .checks import require_experts
from .experts import WHY, expert_trunks
from .layers import hidden_layers, per_copy
from .network import TaskNetwork


class DSelectK(Sharing):
    """Mixture of experts whose gates select at most k of them (Hazimeh et al. 2021).

    A task's gate is a mixture of ``k`` selectors. Each writes the number of an expert in binary, a
    smooth step of a parameter for every bit: 0 or 1 outside a band around zero. In training the band
    narrows to nothing over ``anneal_epochs``, and until then ``entropy`` penalises undecided
    selectors; in validation and prediction it has no width, so exactly one expert answers each.
    The paper's static form: gates do not depend on the sample. The paper leaves the band as it is.

    Parameters
    ----------
    n_experts : int, default=4
        Experts, networks of ``hidden_layer_sizes`` shared by all tasks. If it is no power of two,
        the first experts have two numbers.
    k : int, default=2
        Most experts that a task uses.
    entropy : float, default=1e-3
        Weight of the selectors' entropies beside the tasks' mean losses.
    anneal_epochs : int, default=20
        Epochs over which the band narrows.
    linear_skip : bool, default=True
        As in `HardSharing`.
    own_trunks : bool, default=False
        As in `MMoE`.

    References
    ----------
    H. Hazimeh et al. (2021). DSelect-k: differentiable selection in the mixture of experts with
    applications to multi-task learning. NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import DSelectK
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=DSelectK(n_experts=3, k=1), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    name = "dselectk"

    def __init__(
        self,
        n_experts=4,
        k=2,
        entropy=1e-3,
        anneal_epochs=20,
        linear_skip=True,
        own_trunks=False,
    ):
        self.n_experts = n_experts
        self.k = k
        self.entropy = entropy
        self.anneal_epochs = anneal_epochs
        self.linear_skip = linear_skip
        self.own_trunks = own_trunks

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_int(self.n_experts, "n_experts", self, low=1)
        check_int(self.k, "k", self, low=1, high=self.n_experts)
        check_float(self.entropy, "entropy", self, low=0)
        check_int(self.anneal_epochs, "anneal_epochs", self, low=1)
        require_experts(architecture, self, WHY)
        a = architecture
        sizes = (a.n_features, *a.hidden_layer_sizes)
        stack = (len(generators), self.n_experts)
        experts = hidden_layers(stack, sizes, a, generators, distinct=True)
        gate = SelectorGate(a, generators, self.n_experts, self.k, self.entropy, self.anneal_epochs)
        body = SelectedExperts(experts, gate)
        return TaskNetwork.around(body, a, generators, linear_skip=self.linear_skip, per_task=True)

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., nn.Module]:
        """Return a layer with a trunk per expert, if asked for."""
        if not self.own_trunks:
            return stacked
        return expert_trunks(architecture, stacked, self.n_experts)


class SelectedExperts(nn.Module):
    """Experts mixed by a gate that is one for all samples: (K, b, d) to (K, T, b, h).

    Where experts have trunks, their inputs are (K, E, b, d).
    """

    def __init__(self, experts: nn.Module, gate: SelectorGate):
        super().__init__()
        self.experts, self.gate = experts, gate

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        shares = self.gate()
        experts = self.experts(per_copy(x, shares.shape[-1]) if x.dim() == 3 else x)
        mixed = torch.bmm(shares, experts.flatten(2))
        return mixed.unflatten(-1, experts.shape[2:])


class SelectorGate(Block):
    """Shares (K, T, E) of the experts, from k selectors a task."""

    settings = ("entropy", "narrowing")
    codes: Tensor
    expert: Tensor

    def __init__(
        self,
        architecture: Architecture,
        generators: Sequence[Generator],
        n_experts: int,
        k: int,
        entropy: float,
        anneal_epochs: int,
    ):
        super().__init__()
        a, n_members = architecture, len(generators)
        n_bits = max(1, math.ceil(math.log2(n_experts)))
        start = torch.empty(n_members, 1, k, n_bits)
        for member, generator in zip(start, generators, strict=True):
            member.uniform_(-0.1, 0.1, generator=generator)  # else the selectors would stay equal
        self.bits = nn.Parameter(start.repeat(1, a.n_tasks, 1, 1))
        self.weight = nn.Parameter(torch.zeros(n_members, a.n_tasks, k))
        self.entropy, self.narrowing = entropy, 1 / anneal_epochs
        start = torch.full((n_members, 1, 1, 1), 1 + self.narrowing)  # 1 in the first epoch
        self.width = nn.Parameter(start, requires_grad=False)
        self.task_owner = a.task_owner
        codes = torch.arange(2**n_bits)
        self.register_buffer("codes", (codes.unsqueeze(-1) >> torch.arange(n_bits)) & 1)
        expert = torch.zeros(2**n_bits, n_experts)
        expert[codes, codes % n_experts] = 1.0
        self.register_buffer("expert", expert)

    def forward(self) -> Tensor:
        """Shares; those of a task sum to one."""
        return (self.weight.softmax(-1).unsqueeze(-1) * self._selected()).sum(2)

    def _selected(self) -> Tensor:
        """Share of every expert in each selector, (K, T, k, E)."""
        width = self.width if self.training else torch.zeros_like(self.width)
        step = smooth_step(self.bits, width).unsqueeze(-2)  # (K, T, k, 1, n_bits)
        chances = torch.where(self.codes.bool(), step, 1 - step).prod(-1)
        return chances @ self.expert

    def anneal(self) -> None:
        """Narrow the band, from one to nothing."""
        with torch.no_grad():
            self.width.sub_(by_member(self.narrowing, 4)).clamp_(min=0)

    def penalty(self) -> Tensor | None:
        """Weighted entropy of the selectors, (K,)."""
        if not isinstance(self.entropy, Tensor) and not self.entropy:
            return None
        chances = self._selected()
        return -self.entropy * torch.xlogy(chances, chances.clamp(min=1e-9)).sum((1, 2, 3))

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter; see `Block.owners`."""
        own = {"bits": self.task_owner, "weight": self.task_owner.squeeze(-1)}
        named = dict(self.named_parameters(recurse=False))
        return {name: own.get(name, torch.tensor(SHARED)) for name in named}


def smooth_step(t: Tensor, width: Tensor) -> Tensor:
    """Cubic from 0 at ``-width / 2`` to 1 at ``width / 2``, flat outside; a step where width is 0."""
    u = (t / width.clamp(min=1e-6)).clamp(-0.5, 0.5)
    return u * (1.5 - 2 * u.square()) + 0.5
