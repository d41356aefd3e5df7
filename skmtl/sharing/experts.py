"""Experts and gates: every task mixes the features of several networks, in shares of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, nn

from skmtl._checks import check_int

from .base import Architecture, Network, Sharing, TrunkPlan
from .checks import require_experts
from .extraction import Extraction
from .network import TaskNetwork
from .trunk import SideBySide

WHY = "they are what its experts are made of"


class MMoE(Sharing):
    """Multi-gate mixture-of-experts (Ma et al. 2018).

    Every expert is a network of ``hidden_layer_sizes``; task t's features are
    ``sum_e softmax(x G_t)_e expert_e(x)``. One expert is hard sharing. Above a trunk, x are its
    features, or with ``own_trunks`` those of all experts' trunks, side by side.

    Parameters
    ----------
    n_experts : int, default=4
        Experts, shared by all tasks.
    linear_skip : bool, default=True
        As in `HardSharing`.
    own_trunks : bool, default=False
        Whether each expert has a copy of the estimator's ``trunk`` to itself, drawn anew, below its
        hidden layers, which may then be none. If not, all experts stand on one trunk.

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

    def __init__(self, n_experts=4, linear_skip=True, own_trunks=False):
        self.n_experts = n_experts
        self.linear_skip = linear_skip
        self.own_trunks = own_trunks

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_int(self.n_experts, "n_experts", self, low=1)
        require_experts(architecture, self, WHY)
        levels = [architecture.hidden_layer_sizes]
        body = Extraction(
            architecture, generators, levels, self.n_experts, 0, own_trunks=self.own_trunks
        )
        return TaskNetwork.around(
            body, architecture, generators, linear_skip=self.linear_skip, per_task=True
        )

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., nn.Module]:
        """Return a layer with a trunk per expert, if asked for."""
        if not self.own_trunks:
            return stacked
        return expert_trunks(architecture, stacked, self.n_experts)


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
    own_trunks : bool, default=False
        As in `MMoE`.

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

    def __init__(self, n_shared_experts=2, n_task_experts=1, linear_skip=True, own_trunks=False):
        self.n_shared_experts = n_shared_experts
        self.n_task_experts = n_task_experts
        self.linear_skip = linear_skip
        self.own_trunks = own_trunks

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_int(self.n_shared_experts, "n_shared_experts", self, low=0)
        check_int(self.n_task_experts, "n_task_experts", self, low=0)
        if not self.n_shared_experts + self.n_task_experts:
            raise ValueError(
                f"{type(self).__name__} needs an expert: found n_shared_experts=0 and n_task_experts=0."
            )
        require_experts(architecture, self, WHY)
        body = Extraction(
            architecture,
            generators,
            self._levels(architecture),
            self.n_shared_experts,
            self.n_task_experts,
            own_trunks=self.own_trunks,
        )
        return TaskNetwork.around(
            body, architecture, generators, linear_skip=self.linear_skip, per_task=True
        )

    def _levels(self, architecture: Architecture) -> list[tuple[int, ...]]:
        """Layers of the experts at each level."""
        return [architecture.hidden_layer_sizes]

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., nn.Module]:
        """Return a layer with a trunk per expert of the first level, if asked for."""
        if not self.own_trunks:
            return stacked
        separate = len(self._levels(architecture)) == 1 or not self.n_shared_experts
        return expert_trunks(
            architecture, stacked, self.n_shared_experts, self.n_task_experts, separate=separate
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
    own_trunks : bool, default=False
        As in `MMoE`, for the experts of the first level.

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

    def _levels(self, architecture: Architecture) -> list[tuple[int, ...]]:
        # without layers, experts that have trunks are one level of these
        return [(size,) for size in architecture.hidden_layer_sizes] or [()]


def expert_trunks(
    architecture: Architecture,
    stacked: Any,
    n_shared: int,
    n_own: int = 0,
    *,
    separate: bool = True,
) -> Callable[..., nn.Module]:
    """What makes a trunk for each expert: ``n_own`` for each task, and ``n_shared``.

    If not ``separate``, those of a task come to serve others too.
    """
    tasks = torch.arange(architecture.n_tasks).repeat_interleave(n_own)

    def make(generators: Sequence[Generator], plan: TrunkPlan) -> nn.Module:
        kinds: list[Any] = [(n_own, tasks, tasks if separate else None), (n_shared, None, None)]
        made = []
        for n, made_for, owner in kinds:
            if not n:
                continue
            n_copies = n if made_for is None else len(made_for)
            trunks = stacked(
                generators, plan, n_copies=n_copies, distinct=True, owner=owner, made_for=made_for
            )
            made.append(trunks)
            if n > 1 and not architecture.hidden_layer_sizes and trunks.starts_equal:
                raise ValueError(
                    f"Parameter own_trunks=True: copies of trunk={plan.identity} start equal, and "
                    "experts without hidden layers of their own would stay so. Pass a function that "
                    "makes a module, which is called for each expert, or give hidden_layer_sizes a "
                    "layer."
                )
        return made[0] if len(made) == 1 else SideBySide(made)

    return make
