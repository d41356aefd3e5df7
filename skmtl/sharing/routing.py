"""Which path a task's features take: soft attention over a trunk, or branches that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_float, check_int

from .base import SHARED, Architecture, Block, Network, Sharing, by_member
from .checks import require_layers
from .layers import StackedLinear, hidden_layers, per_copy
from .network import TaskNetwork


class MTAN(Sharing):
    """Multi-task attention network (Liu, Johns & Davison 2019), for dense trunks.

    A shared trunk, and for each task a mask over the output of every trunk layer. Layer j's mask is
    ``sigmoid(H relu(G [u, a]))``: u is the trunk layer's input, a the task's own masked features
    one layer before; ``mask * trunk_j(u)`` are its features now. The paper's convolutions of size
    one are dense layers here, as wide as the trunk's. A block there has two layers, of which u is
    the first's output, and a passes a further convolution; here a block is one layer.

    Parameters
    ----------
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    S. Liu, E. Johns, A. Davison (2019). End-to-end multi-task learning with attention. CVPR.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import MTAN
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=MTAN(linear_skip=False), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    name = "mtan"

    def __init__(self, linear_skip=True):
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        require_layers(architecture, self, "their outputs are what it attends to")
        a = architecture
        body = AttendedTrunk(a, generators)
        return TaskNetwork.around(body, a, generators, linear_skip=self.linear_skip, per_task=True)


class AttendedTrunk(nn.Module):
    """A shared trunk and a mask per task and layer: (K, b, d) to (K, T, b, h)."""

    def __init__(self, architecture: Architecture, generators: Sequence[Generator]):
        super().__init__()
        a, k = architecture, len(generators)
        self.n_tasks = a.n_tasks
        trunk, seen, masks = [], [], []
        n_before = 0  # features of its own that a task brings to a layer
        for n_in, n_out in pairwise((a.n_features, *a.hidden_layer_sizes)):
            trunk.append(hidden_layers((k,), (n_in, n_out), a, generators))
            stack, own = (k, a.n_tasks), a.task_owner
            n_seen = n_in + n_before
            seen.append(
                StackedLinear(stack, n_seen, n_out, generators, activation="relu", owner=own)
            )
            masks.append(StackedLinear(stack, n_out, n_out, activation="logistic", owner=own))
            n_before = n_out
        self.trunk, self.seen = nn.ModuleList(trunk), nn.ModuleList(seen)
        self.masks = nn.ModuleList(masks)

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        common, own = x, x.new_empty(x.shape[0], self.n_tasks, x.shape[1], 0)
        for layer, seen, mask in zip(self.trunk, self.seen, self.masks, strict=True):
            inputs = torch.cat([per_copy(common, self.n_tasks), own], -1)
            common = layer(common)
            own = mask(seen(inputs)) * common.unsqueeze(1)
        return own


class LTB(Sharing):
    """Learning to branch (Guo, Lee & Ulbricht 2020): which layers tasks share is learned.

    Every hidden layer has ``n_branches`` copies. A copy chooses one copy of the layer before as its
    input, a task one copy of the last layer: a Gumbel-softmax over learned logits while training,
    whose temperature falls to 0.1 over ``anneal_epochs``, and the likeliest choice when predicting
    and validating. The choices make a tree from the inputs to the tasks.

    Parameters
    ----------
    n_branches : int, default=4
        Copies of each hidden layer.
    temperature : float, default=5.0
        Temperature in the first epoch, at least 0.1.
    anneal_epochs : int, default=20
        Epochs until the temperature is at its lowest.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    P. Guo, C.-Y. Lee, D. Ulbricht (2020). Learning to branch for multi-task learning. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import LTB
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=LTB(n_branches=2), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    name = "ltb"

    def __init__(self, n_branches=4, temperature=5.0, anneal_epochs=20, linear_skip=True):
        self.n_branches = n_branches
        self.temperature = temperature
        self.anneal_epochs = anneal_epochs
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_int(self.n_branches, "n_branches", self, low=1)
        check_float(self.temperature, "temperature", self, low=LOWEST)
        check_int(self.anneal_epochs, "anneal_epochs", self, low=1)
        require_layers(architecture, self, "their copies are what it chooses from")
        a = architecture
        cooling = (LOWEST / self.temperature) ** (1 / self.anneal_epochs)
        body = BranchingTrunk(a, generators, self.n_branches, self.temperature, cooling)
        return TaskNetwork.around(body, a, generators, linear_skip=self.linear_skip, per_task=True)


LOWEST = 0.1  # temperature at which a Gumbel-softmax is nearly a choice, and still has a gradient


class BranchingTrunk(nn.Module):
    """Copies of every layer and the choices between them: (K, b, d) to (K, T, b, h)."""

    def __init__(
        self,
        architecture: Architecture,
        generators: Sequence[Generator],
        n_branches: int,
        temperature: float,
        cooling: float,
    ):
        super().__init__()
        a, k = architecture, len(generators)
        self.n_branches = n_branches
        sizes = (a.n_features, *a.hidden_layer_sizes)
        self.layers = nn.ModuleList(
            [
                hidden_layers((k, n_branches), pair, a, generators, distinct=True)
                for pair in pairwise(sizes)
            ]
        )
        between = [(n_branches, torch.tensor(SHARED))] * (len(sizes) - 2)
        self.choices = nn.ModuleList(
            [
                Choice(k, n_out, n_branches, temperature, cooling, owner)
                for n_out, owner in [*between, (a.n_tasks, a.task_owner.squeeze(-1))]
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        inputs = per_copy(x, self.n_branches)
        for layer, choice in zip(self.layers, self.choices, strict=True):
            inputs = choice(layer(inputs))
        return inputs


class Choice(Block):
    """Each of ``n_out`` nodes chooses one of ``n_in`` inputs: (K, n_in, b, h) to (K, n_out, b, h)."""

    settings = ("cooling",)

    def __init__(
        self,
        n_members: int,
        n_out: int,
        n_in: int,
        temperature: float,
        cooling: float,
        owner: Tensor,
    ):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_members, n_out, n_in))
        start = torch.full(
            (n_members, 1, 1), temperature / cooling
        )  # cooled before the first epoch
        self.temperature = nn.Parameter(start, requires_grad=False)
        self.cooling, self.owner = cooling, owner
        self.generators: list[Generator] = []

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the nodes."""
        return torch.bmm(self.shares(), x.flatten(2)).unflatten(-1, x.shape[2:])

    def shares(self) -> Tensor:
        """Share of each input in each node, (K, n_out, n_in); all of one when predicting."""
        logits = self.logits
        if not self.training:
            chosen = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1])
            return chosen.to(logits.dtype)
        noise = torch.empty_like(logits)
        for member, generator in zip(noise, self.generators, strict=True):
            member.exponential_(generator=generator)  # minus its logarithm is Gumbel's distribution
        return ((logits.log_softmax(-1) - noise.log()) / self.temperature).softmax(-1)

    def anneal(self) -> None:
        """Cool."""
        with torch.no_grad():
            self.temperature.mul_(by_member(self.cooling, 3)).clamp_(min=LOWEST)

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter; see `Block.owners`."""
        named = dict(self.named_parameters(recurse=False))
        return {name: self.owner if name == "logits" else torch.tensor(SHARED) for name in named}
