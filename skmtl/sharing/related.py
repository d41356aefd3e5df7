"""A tower per task, tied by how the tasks are related: given, or learned from the towers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from .base import SHARED, Architecture, Network, Sharing
from .checks import check_float
from .layers import ACTIVATIONS, StackedLinear, affine, draw_weights
from .network import TaskNetwork, Towers
from .soft import tied_layers

OWN = 0.1  # share of the identity in a learned relation: no task is tied beyond return


class RelatedSharing(Sharing):
    """A tower per task, tied by a covariance of the tasks (Zhang & Yeung 2010).

    Added to the loss is ``strength / 2 * tr(V^T R^-1 V)``, where the rows of V are the tasks'
    weights and R (T, T) says how tasks are related: tasks of positive covariance are pulled
    together, of negative covariance towards each other's opposite, of none not at all. In hidden
    layers V is the deviation from weights that all have in common; in the last layers, where the
    sign of a task matters, the weights themselves, among tasks of one kind.

    ``relation="learned"`` sets R to ``(V V^T)^(1/2)``, of mean diagonal one, before every epoch: the
    minimum of the penalty over R at a given trace. As in Long et al. (2017), hidden and last layers
    have one each. Weights are written as ``V = R^(1/2) U`` and U is trained, which leaves the
    objective as it is and makes it well conditioned.

    Parameters
    ----------
    strength : float, default=0.1
        Weight of the penalty beside the tasks' mean losses.
    relation : "learned" or array-like of shape (T, T), default="learned"
        R, for tasks in the order of the target table: symmetric, without negative eigenvalues.
    layers : "hidden", "all" or list of int, default="all"
        Layers that are tied, as in `SoftSharing`.
    linear_skip : bool, default=True
        As in `HardSharing`.

    References
    ----------
    Y. Zhang, D.-Y. Yeung (2010). A convex formulation for learning task relationships in
    multi-task learning. UAI.
    M. Long, Z. Cao, J. Wang, P. Yu (2017). Learning multiple tasks with multilinear relationship
    networks. NeurIPS.
    """

    def __init__(self, strength=0.1, relation="learned", layers="all", linear_skip=True):
        self.strength = strength
        self.relation = relation
        self.layers = layers
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_float(self.strength, "strength", self, low=0)
        a = architecture
        relation = None
        if not (isinstance(self.relation, str) and self.relation == "learned"):
            relation = check_relation(self.relation, a.n_tasks)[np.ix_(a.task_order, a.task_order)]
        hidden, heads, outputs = tied_layers(self.layers, self, a)
        same_kind = torch.tensor(a.task_kinds).unsqueeze(1) == torch.tensor(a.task_kinds)
        inner = partial(RelatedLinear, strength=self.strength, relation=relation, centred=True)
        own = None if relation is None else relation * same_kind.numpy()
        last = partial(RelatedLinear, strength=self.strength, relation=own, centred=False)
        towers = Towers(
            a, generators, kinds=[inner if t else StackedLinear for t in hidden], owner=a.task_owner
        )
        network = RelatedNetwork.around(
            towers,
            a,
            generators,
            linear_skip=self.linear_skip,
            per_task=bool(hidden),
            kinds=[inner if t else StackedLinear for t in heads],
            last=last if outputs else None,
        )
        network.learned, network.same_kind = relation is None, same_kind
        return network


def check_relation(relation: Any, n_tasks: int) -> np.ndarray:
    """Return a relation as an array (T, T) of floats."""
    accepted = (
        f"'learned' or a symmetric array of shape {(n_tasks, n_tasks)}, none of whose eigenvalues "
        "is negative"
    )
    if isinstance(relation, str):
        raise ValueError(f"Parameter relation must be {accepted}. Found {relation!r}.")
    try:
        array = np.asarray(relation, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Parameter relation must be {accepted}. Found {relation!r}.") from error
    if array.shape != (n_tasks, n_tasks):
        raise ValueError(f"Parameter relation must be {accepted}. Found shape {array.shape}.")
    if not np.isfinite(array).all() or not np.allclose(array, array.T):
        raise ValueError(f"Parameter relation must be {accepted}. Found {relation!r}.")
    lowest = np.linalg.eigvalsh(array).min()
    if lowest < -1e-8 * max(1.0, abs(array).max()):
        raise ValueError(
            f"Parameter relation must be {accepted}. Found an eigenvalue of {lowest:.3g}."
        )
    return array


class RelatedLinear(StackedLinear):
    """`StackedLinear` of stack (K, T) whose weights are mixtures over the tasks: ``C + mixing @ U``.

    Parameters
    ----------
    strength : float
        Weight of the penalty.
    relation : ndarray of shape (T, T) or None
        Covariance of the tasks; None: the identity, until `relate` says otherwise.
    centred : bool
        Whether there is a part C that all tasks share.
    """

    centre: Tensor | None
    mixing: Tensor

    def __init__(
        self,
        stack: tuple[int, ...],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator] | None = None,
        *,
        strength: float,
        relation: np.ndarray | None,
        centred: bool,
        **kwargs: Any,
    ):
        super().__init__(stack, n_in, n_out, None, **kwargs)
        n_members, n_tasks = stack
        centre = torch.zeros(n_members, 1, n_in, n_out)
        if generators is not None:
            draw_weights(centre, generators)
        self.register_parameter("centre", nn.Parameter(centre) if centred else None)
        root = torch.eye(n_tasks) if relation is None else square_root(torch.tensor(relation))
        self.mixing = nn.Parameter(root.float().repeat(n_members, 1, 1), requires_grad=False)
        self.scale, self.factor = (1 + strength) ** -0.5, strength / (1 + strength)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x."""
        added = plus if self.bias is None else self.mixed(self.bias)
        weight = self.mixed(self.weight)
        if self.centre is not None:
            weight = weight + self.centre
        return affine(x, weight, added, ACTIVATIONS[self.activation])

    def mixed(self, parameter: Tensor) -> Tensor:
        """The tasks' parts of a parameter, (K, T, ...)."""
        return torch.bmm(self.scale * self.mixing, parameter.flatten(2)).view_as(parameter)

    @torch.no_grad()
    def relate(self, root: Tensor) -> None:
        """Mix by another root (K, T, T) of the relation, and leave the tasks' weights as they are."""
        change = torch.linalg.solve(root, self.mixing.to(root))
        for p in (self.weight, self.bias):
            if p is not None:
                p.copy_(torch.bmm(change, p.flatten(2).to(root)).view_as(p))
        self.mixing.copy_(root)

    def penalty(self) -> Tensor:
        """Weighted size of each member's U, (K,)."""
        parts = [p.flatten(1) for p in (self.weight, self.bias) if p is not None]
        return 0.5 * self.factor * reduce(torch.add, [u.square().sum(1) for u in parts])

    def owners(self) -> dict[str, Tensor]:
        """Everybody's: a mixture reaches every task that is related."""
        return {name: torch.tensor(SHARED) for name, _ in self.named_parameters(recurse=False)}


class RelatedNetwork(TaskNetwork):
    """`TaskNetwork` that re-estimates how its tasks are related before every epoch.

    Attributes
    ----------
    learned : bool
        Whether it does.
    same_kind : Tensor of shape (T, T)
        Which tasks have last layers that compare.
    """

    learned: bool
    same_kind: Tensor

    def anneal(self) -> None:
        """Set the relation to what the towers are now."""
        super().anneal()
        if not self.learned:
            return
        outputs = [part.last for part in (self.heads, self.skip) if part is not None]
        inner = [m for m in self.modules() if isinstance(m, RelatedLinear) and m not in outputs]
        for layers, mask in ((inner, None), (outputs, self.same_kind)):
            related = [m for m in layers if isinstance(m, RelatedLinear)]
            if related:
                relation = estimate([m.mixed(m.weight) for m in related], mask)
                eye = torch.eye(relation.shape[-1], dtype=relation.dtype)
                root = square_root((1 - OWN) * relation + OWN * eye)
                for m in related:
                    m.relate(root)


@torch.no_grad()
def estimate(weights: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Covariance (K, T, T) of the tasks' weights, each (K, T, ...): the root of their Gramian.

    Its mean diagonal is one. ``mask`` (T, T) tells pairs that compare. Without any weight: identity.
    """
    rows = torch.cat([w.flatten(2).double().cpu() for w in weights], -1)
    gram = torch.bmm(rows, rows.mT)
    if mask is not None:
        gram = gram * mask
    root = square_root(gram)
    trace = root.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    n_tasks = root.shape[-1]
    eye = torch.eye(n_tasks, dtype=root.dtype).expand_as(root)
    return torch.where(trace > 0, root * n_tasks / trace.clamp(min=1e-300), eye)


def square_root(matrix: Tensor) -> Tensor:
    """Symmetric root of symmetric matrices (..., T, T) without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix.double())
    return (vectors * values.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mT
