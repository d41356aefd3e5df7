"""Parameters of tasks that are mixtures over the tasks, as a covariance of these says.

Shapes: K members, T tasks, b rows, d inputs, h features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from .base import SHARED, Block, TrunkPlan, add_to_gradient, by_member
from .lineage import Lineage
from .trunk import CentredModule, StackedModule


class Part(NamedTuple):
    """Parameters of all tasks: what is mixed (K, T, ...), and a centre (K, 1, ...) at rest, if any."""

    mixed: nn.Parameter
    centre: nn.Parameter | None


class Mixture(Block):
    """A block whose tasks' parameters are ``C + mixing @ U``: a centre, and a mixture over the tasks.

    ``mixing`` is a root of the covariance of the tasks, up to scales. U is trained, and penalised by
    ``strength / 2`` times its squared norm. The parameters are those of `parts`.
    """

    settings = ("scale", "factor")
    mixing: Tensor
    pace: Tensor
    scale: float | Tensor
    factor: float | Tensor

    def parts(self) -> dict[str, Part]:
        """Parameters by name."""
        raise NotImplementedError

    def start_mixing(
        self, n_members: int, n_tasks: int, *, strength: float, relation: np.ndarray | None
    ) -> None:
        """Mix by a covariance (T, T); None: by the identity, until `relate` says otherwise."""
        root = torch.eye(n_tasks) if relation is None else roots(torch.tensor(relation))[0]
        root = root.float().repeat(n_members, 1, 1)
        self.pace = nn.Parameter(even_pace(root), requires_grad=False)
        self.mixing = nn.Parameter(root * self.pace, requires_grad=False)
        self.scale, self.factor = (1 + strength) ** -0.5, strength / (1 + strength)

    def mixed(self, parameter: Tensor) -> Tensor:
        """The tasks' parts of a parameter, (K, T, ...)."""
        mixing = by_member(self.scale, 3) * self.mixing
        return torch.bmm(mixing, parameter.flatten(2)).view_as(parameter)

    def towers(self, name: str) -> Tensor:
        """Parameters of the tasks (K, T, ...), from whatever makes them up."""
        part = self.parts()[name]
        mixed = self.mixed(part.mixed)
        return mixed if part.centre is None else mixed + part.centre

    @torch.no_grad()
    def relate(self, root: Tensor, inverse: Tensor) -> None:
        """Mix by another root (K, T, T) of the relation, and leave the tasks' weights as they are."""
        pace = even_pace(root)
        change = torch.bmm(inverse / pace.mT, self.mixing.to(root))
        for p, _ in self.parts().values():
            p.copy_(torch.bmm(change, p.flatten(2).to(root)).view_as(p))
        self.mixing.copy_(root * pace)
        self.pace.copy_(pace)

    @torch.no_grad()
    def inherit(self, source: Mixture, lineage: Lineage) -> set[str]:
        """New towers start at the mean of the source's, which becomes the centre, if there is one."""
        parts, taken = self.parts(), set()
        centred = any(part.centre is not None for part in parts.values()) and lineage.shared
        inverse = torch.linalg.pinv((by_member(self.scale, 3) * self.mixing).double())
        for name, (u, centre) in parts.items():
            towers, theirs = self.towers(name).clone(), source.towers(name).to(u)
            width = min(u.shape[-1], theirs.shape[-1])
            for t, s in lineage.kept:
                towers[:, t][..., :width] = theirs[:, s][..., :width]
            if centred:
                mean = theirs.mean(1, keepdim=True)
                towers[:, lineage.new] = mean
                if centre is not None:
                    centre.copy_(mean)
                    taken.add(self.name_of(centre))
            if centre is not None:
                towers = towers - centre
            u.copy_((inverse @ towers.flatten(2).double()).view_as(u))
        return taken

    def name_of(self, parameter: Tensor) -> str:
        """Under which a parameter of this block is known."""
        return next(n for n, p in self.named_parameters(recurse=False) if p is parameter)

    def penalty(self) -> Tensor:
        """Weighted size of each member's U, (K,)."""
        each = [u.flatten(2).square().sum(2) for u, _ in self.parts().values()]
        squares = reduce(torch.add, each, self.pace.new_zeros(()))  # (K, T)
        return 0.5 * self.factor * (squares * self.pace.squeeze(1).square()).sum(1)

    def penalise(self) -> None:
        """Add U, each task's at its pace."""
        for u, _ in self.parts().values():
            by_task = self.pace.reshape(*u.shape[:2], *[1] * (u.dim() - 2)).square()
            add_to_gradient(u, u.detach() * by_task, self.factor)

    def owners(self) -> dict[str, Tensor]:
        """Everybody's: a mixture reaches every task that is related."""
        return {name: torch.tensor(SHARED) for name, _ in self.named_parameters(recurse=False)}


class RelatedModule(Mixture, CentredModule):
    """`StackedModule` of a copy per task whose parameters are mixtures over the tasks.

    The centre is where a copy starts. Parameters at rest, and running statistics, are each copy's own.

    Parameters
    ----------
    generators, plan
        As in `StackedModule`.
    n_tasks : int
    strength : float
        Weight of the penalty.
    relation : ndarray of shape (T, T) or None
        As in `Mixture.start_mixing`.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        plan: TrunkPlan,
        *,
        n_tasks: int,
        strength: float,
        relation: np.ndarray | None,
    ):
        super().__init__(generators, plan, n_copies=n_tasks, made_for=torch.arange(n_tasks))
        self.start_mixing(len(generators), n_tasks, strength=strength, relation=relation)

    def parts(self) -> dict[str, Part]:
        """Parameters of the module that train."""
        own: Any = self._parameters
        return {name: Part(own[name], own[f"centre-{name}"]) for name in self.tied}

    def effective(self, name: str) -> Tensor:
        """Centre and mixture."""
        return self.towers(name) if self.has_centre(name) else super().effective(name)

    def compared_weight(self) -> Tensor:
        """Deviations (K, T, m) of the copies from where they started."""
        nothing = self.mixing[..., :0]  # of a module that is at rest
        return torch.cat(
            [nothing, *(self.mixed(u).flatten(2) for u, _ in self.parts().values())], -1
        )

    @torch.no_grad()
    def inherit(self, source: RelatedModule, lineage: Lineage) -> set[str]:  # type: ignore[override]
        """Take over mixtures; what rests goes along with a copy, or starts at the source's mean."""
        taken = super().inherit(source, lineage)
        for name in set(self.names.values()).difference(self.tied):
            p, q = (
                StackedModule.effective(self, name),
                StackedModule.effective(source, name).to(self.mixing.device),
            )
            for t, s in lineage.kept:
                p[:, t] = q[:, s]
            if lineage.shared:
                p[:, lineage.new] = q.double().mean(1, keepdim=True).to(p)
        return taken


def even_pace(root: Tensor) -> Tensor:
    """Scales (K, 1, T) of the columns of a root (K, T, T), by which no task outruns another.

    Adam moves every parameter as fast, so tasks that move together would move faster by as many as
    they are, and be overfitted when one that is alone has hardly begun.
    """
    speed = root.abs().sum(-2, keepdim=True)
    return 1 / torch.where(speed > 0, speed, 1.0)  # a task without variance does not move


def roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric root of symmetric matrices (..., T, T) without negative eigenvalues; its inverse.

    The inverse is that of eigenvectors, which in a stack is safer than a general solver; it is not
    finite where a matrix is singular.
    """
    values, vectors = torch.linalg.eigh(matrix.double())
    scales = values.clamp(min=0).sqrt().unsqueeze(-2)
    return (vectors * scales) @ vectors.mT, (vectors / scales) @ vectors.mT
