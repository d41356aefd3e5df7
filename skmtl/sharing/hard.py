"""The two ends, and the nearest step from one to the other: no sharing, hard sharing, low rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_int

from .base import SHARED, Architecture, Block, Network, Sharing
from .checks import require_layers
from .gathered import GatheredHardSharing
from .layers import ACTIVATIONS, draw_weights, hidden_layers
from .network import TaskNetwork, Towers


class HardSharing(Sharing):
    """A shared trunk and a head per task (Caruana 1997).

    ``outputs = heads(trunk(x)) + skip(x)``: ``hidden_layer_sizes`` is the trunk,
    ``head_layer_sizes`` the layers each task has to itself on top of it.

    Parameters
    ----------
    linear_skip : bool, default=True
        Add a linear map from the inputs straight to the outputs. What is linear is then learned
        at once and the trunk learns the rest; small tables gain most.

    References
    ----------
    R. Caruana (1997). Multitask learning. Machine Learning 28, 41-75.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import HardSharing
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=HardSharing(linear_skip=False), max_iter=5, random_state=0)
    >>> network = est.fit(scale(X), y).module_.network
    >>> [tuple(p.shape) for p in network.parameters()][0]  # 8 members, 3 inputs, a trunk for all
    (8, 3, 128)
    """

    def __init__(self, linear_skip=True):
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        a = architecture
        sizes = (a.n_features, *a.hidden_layer_sizes)
        trunk = hidden_layers((len(generators),), sizes, a, generators)
        return TaskNetwork.around(
            trunk, a, generators, linear_skip=self.linear_skip, per_task=False
        )

    def gathered(self, n_tasks: int) -> Sharing | None:
        """Return the scheme for rows of one task each; see `Sharing.gathered`."""
        if type(self) is not HardSharing:  # a subclass may build something else
            return None
        return GatheredHardSharing(n_tasks, self.linear_skip)


class NoSharing(Sharing):
    """A tower per task and nothing in common: single-task networks, trained side by side.

    Each tower has ``hidden_layer_sizes`` and then ``head_layer_sizes``.

    Parameters
    ----------
    linear_skip : bool, default=True
        As in `HardSharing`.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import NoSharing
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=NoSharing(linear_skip=False), max_iter=5, random_state=0)
    >>> network = est.fit(scale(X), y).module_.network
    >>> [tuple(p.shape) for p in network.parameters()][0]  # 8 members, a tower for each of 3 tasks
    (8, 3, 3, 128)
    """

    name = "none"

    def __init__(self, linear_skip=True):
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        a = architecture
        towers = Towers(a, generators, owner=a.task_owner)
        per_task = bool(a.hidden_layer_sizes) or a.trunk is not None
        return TaskNetwork.around(
            towers, a, generators, linear_skip=self.linear_skip, per_task=per_task
        )

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., Block]:
        """Return a layer with a trunk per task."""
        return partial(
            stacked, n_copies=architecture.n_tasks, owner=torch.arange(architecture.n_tasks)
        )


class LowRank(Sharing):
    """A trunk whose weights are shared but for a low-rank part of each task's own.

    Task t's weights of a hidden layer are ``W + A_t B_t``, with A_t (n_in, rank) and B_t
    (rank, n_out): the residual adapters of Rebuffi et al. (2017) in the low-rank form of Hu et al.
    (2022). Biases are shared. Rank 0 is hard sharing; a task costs ``rank * (n_in + n_out)``
    parameters a layer, where a tower would cost ``n_in * n_out``.

    Parameters
    ----------
    rank : int, default=4
        Rank of the task parts.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    S.-A. Rebuffi, H. Bilen, A. Vedaldi (2017). Learning multiple visual domains with residual
    adapters. NeurIPS.
    E. Hu et al. (2022). LoRA: low-rank adaptation of large language models. ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import LowRank
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=LowRank(rank=1), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    def __init__(self, rank=4, linear_skip=True):
        self.rank = rank
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_int(self.rank, "rank", self, low=0)
        require_layers(architecture, self, "a low-rank part is one of a hidden layer's weights")
        if self.rank == 0:
            return HardSharing(self.linear_skip).build(architecture, generators)
        a = architecture
        kinds = [partial(LowRankLayer, rank=self.rank)] * len(a.hidden_layer_sizes)
        trunk = Towers(a, generators, kinds=kinds, owner=a.task_owner)
        return TaskNetwork.around(trunk, a, generators, linear_skip=self.linear_skip, per_task=True)


class LowRankLayer(Block):
    """``activation(x W + (x A_t) B_t + bias)``: (K, T, b, n_in) to (K, T, b, n_out)."""

    def __init__(
        self,
        stack: tuple[int, ...],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator],
        *,
        rank: int,
        activation: str,
        owner: Tensor,
    ):
        super().__init__()
        weight, down = torch.zeros(stack[0], n_in, n_out), torch.zeros(*stack, n_in, rank)
        draw_weights(weight, generators)
        draw_weights(down, generators)
        self.weight, self.down = nn.Parameter(weight), nn.Parameter(down)
        self.up = nn.Parameter(
            torch.zeros(*stack, rank, n_out)
        )  # tasks start with the same weights
        self.bias = nn.Parameter(torch.zeros(stack[0], 1, n_out))
        self.activation, self.owner = activation, owner

    def forward(self, x: Tensor) -> Tensor:
        """Map x: one product of all rows, and two thin ones per task."""
        n_tasks = self.up.shape[1]
        rows = x[:, :1] if x.stride(1) == 0 else x  # the first layer's input is one for all tasks
        common = torch.baddbmm(self.bias, rows.flatten(1, 2), self.weight)
        common = common.unflatten(1, rows.shape[1:3]).expand(-1, n_tasks, -1, -1)
        own = x.flatten(0, 1) @ self.down.flatten(0, 1)
        mapped = torch.baddbmm(common.flatten(0, 1), own, self.up.flatten(0, 1))
        return ACTIVATIONS[self.activation](mapped).unflatten(0, (-1, n_tasks))

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter; see `Block.owners`."""
        common = torch.tensor(SHARED)
        return {"weight": common, "bias": common, "down": self.owner, "up": self.owner}
