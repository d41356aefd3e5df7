"""A tower per task, whose features are mixed with those of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_float

from .base import Architecture, Block, Network, Sharing
from .checks import require_layers
from .layers import StackedLinear
from .lineage import Lineage
from .network import TaskNetwork, Towers


class CrossStitch(Sharing):
    """A tower per task whose features are mixed after every hidden layer (Misra et al. 2016).

    A cross-stitch unit, a (T, T) matrix learned with the rest, makes the input of task t's next
    layer from the features of all tasks. One unit a layer; the paper has one for each channel of
    its images.

    Parameters
    ----------
    same_task : float, default=0.9
        Initial share of a task's own features (the paper's alpha_S); the other tasks divide the
        rest evenly. 1 starts without sharing.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    I. Misra, A. Shrivastava, A. Gupta, M. Hebert (2016). Cross-stitch networks for multi-task
    learning. CVPR.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import CrossStitch
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=CrossStitch(same_task=0.5), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    def __init__(self, same_task=0.9, linear_skip=True):
        self.same_task = same_task
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_float(self.same_task, "same_task", self, low=0, high=1)
        require_layers(architecture, self, "their features are what it mixes")
        a = architecture
        kinds = [partial(StitchedLinear, same_task=self.same_task)] * len(a.hidden_layer_sizes)
        towers = Towers(a, generators, kinds=kinds)  # through the units, a tower serves every task
        return TaskNetwork.around(
            towers, a, generators, linear_skip=self.linear_skip, per_task=True
        )

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., Block]:
        """Return a layer with a trunk per task; through the units it serves every task."""
        n_tasks = architecture.n_tasks
        return partial(stacked, n_copies=n_tasks, made_for=torch.arange(n_tasks))


class StitchedLinear(StackedLinear):
    """`StackedLinear` of stack (K, T) followed by a cross-stitch unit."""

    def __init__(self, stack: tuple[int, ...], *args: Any, same_task: float, **kwargs: Any):
        super().__init__(stack, *args, **kwargs)
        n_tasks = stack[1]
        other = (1 - same_task) / max(n_tasks - 1, 1)
        unit = torch.full((n_tasks, n_tasks), other)
        unit.fill_diagonal_(same_task if n_tasks > 1 else 1.0)
        self.stitch = nn.Parameter(unit.repeat(stack[0], 1, 1))

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x, and mix the tasks' features."""
        features = super().forward(x, plus)
        return torch.bmm(self.stitch, features.flatten(2)).view_as(features)

    def made_for(self) -> dict[str, Tensor]:
        """A tower for each task; `inherit` sees to the unit."""
        each = torch.arange(self.stitch.shape[-1]).view(-1, 1, 1)
        return {name: each for name in ("weight", "bias") if getattr(self, name) is not None}

    @torch.no_grad()
    def inherit(self, source: StitchedLinear, lineage: Lineage) -> set[str]:
        """New towers start at the mean of the source's; kept ones mix as they did."""
        taken = super().inherit(source, lineage)
        for t, s in lineage.kept:
            self.stitch[:, t] = 0
            for u, v in lineage.kept:
                self.stitch[:, t, u] = source.stitch[:, s, v].to(self.stitch)
        return taken
