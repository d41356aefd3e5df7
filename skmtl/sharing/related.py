"""A tower per task, tied by how the tasks are related: given, or learned from the towers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_float

from .base import Architecture, Block, Network, Sharing
from .layers import ACTIVATIONS, StackedLinear, affine, draw_weights
from .mixture import Mixture, Part, RelatedModule, roots
from .network import TaskNetwork
from .soft import tied_network

Kind = TypeVar("Kind", bound=StackedLinear)

# What a learned relation makes of correlations: unrelated towers correlate too, by chance, and an
# estimate that feeds back would harden it. An odd power keeps signs, and eigenvalues at or above
# zero; on the planted tasks of the tests the third still hurts a task that stands alone.
POWER = 5
HUGE = 1e6  # largest entry of a given relation, and one over the smallest of that name
OWN = 0.1  # share of the identity: no task is tied beyond return


class RelatedSharing(Sharing):
    """A tower per task, tied by a covariance of the tasks (Zhang & Yeung 2010).

    Added to the loss is ``strength / 2 * tr(V^T R^-1 V)``, where the rows of V are the tasks'
    weights and R (T, T) says how tasks are related: tasks of positive covariance are pulled
    together, of negative covariance towards each other's opposite, of none not at all; with the
    identity nothing is shared. In hidden layers V is the deviation from the initial weights, which
    are the same for all; in the last layers, where the sign of a task matters, the weights
    themselves, among tasks of one kind.

    ``relation="learned"`` estimates R from the towers before every epoch, as Zhang & Yeung alternate
    between the two; as in Long et al. (2017), hidden and last layers have one each. R is the fifth
    power, entry by entry, of the correlations of V, nine parts to one of the identity. The minimum of
    the penalty over R, the paper's ``(V V^T)^(1/2)``, is not used: towers of unrelated tasks correlate
    too, by chance, and trained on such a relation they come to be related.

    Weights are written as ``V = R^(1/2) U``, up to scales, and U is trained (and decayed by
    ``alpha``), which leaves the objective as it is and makes it well conditioned. Early stopping then
    favours related towers even at strength 0: `NoSharing` is what the identity gives. Copies of a
    trunk are related as hidden layers are.

    Parameters
    ----------
    strength : float, default=0.01
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

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import RelatedSharing
    >>> X, y = load_linnerud(return_X_y=True)
    >>> alike = RelatedSharing(relation=[[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]])
    >>> est = MultiTaskRegressor(sharing=alike, max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    def __init__(self, strength=0.01, relation="learned", layers="all", linear_skip=True):
        self.strength = strength
        self.relation = relation
        self.layers = layers
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_float(self.strength, "strength", self, low=0)
        a, relation = architecture, self._given(architecture)
        same_kind = compare(a)
        own = None if relation is None else relation * same_kind.numpy()
        inner = partial(RelatedLinear, strength=self.strength, relation=relation, centred=True)
        last = partial(RelatedLinear, strength=self.strength, relation=own, centred=False)
        network = tied_network(RelatedNetwork, self, a, generators, inner, last)
        network.learned, network.same_kind = relation is None, same_kind
        return network

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., Block]:
        """Return a layer with a trunk per task, related like the hidden layers."""
        relation = self._given(architecture)
        n_tasks, strength = architecture.n_tasks, self.strength
        return partial(RelatedModule, n_tasks=n_tasks, strength=strength, relation=relation)

    def _given(self, architecture: Architecture) -> np.ndarray | None:
        """The relation in the engine's order of tasks; None: it is learned."""
        if isinstance(self.relation, str) and self.relation == "learned":
            return None
        order = np.ix_(architecture.task_order, architecture.task_order)
        return check_relation(self.relation, architecture.n_tasks)[order]


def check_relation(relation: Any, n_tasks: int) -> np.ndarray:
    """Return a relation as an array (T, T) of floats."""
    accepted = (
        f"'learned' or a symmetric array of shape {(n_tasks, n_tasks)}, none of whose eigenvalues "
        "is negative"
    )
    if hasattr(relation, "columns"):
        raise TypeError(
            f"Parameter relation must be {accepted}. Found a DataFrame: its names are known to "
            "SoftSharingEnsemble; pass relation.to_numpy() here."
        )
    if relation is None or isinstance(relation, str) or np.iscomplexobj(relation):
        raise ValueError(f"Parameter relation must be {accepted}. Found {relation!r}.")
    try:
        array = np.asarray(relation, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Parameter relation must be {accepted}. Found {relation!r}.") from error
    if array.shape != (n_tasks, n_tasks):
        raise ValueError(f"Parameter relation must be {accepted}. Found shape {array.shape}.")
    if not np.isfinite(array).all() or not np.allclose(array, array.T):
        raise ValueError(f"Parameter relation must be {accepted}. Found {relation!r}.")
    largest = np.max(abs(array))
    if not (1 / HUGE <= largest <= HUGE or largest == 0):
        raise ValueError(
            f"Parameter relation must have entries of a usual size. Found {largest:.3g} for the "
            "largest; only its ratios to strength matter, so divide it."
        )
    lowest = np.min(np.linalg.eigvalsh(array))
    if lowest < -1e-8 * max(1.0, largest):
        raise ValueError(
            f"Parameter relation must be {accepted}. Found an eigenvalue of {lowest:.3g}."
        )
    return array


class RelatedLinear(Mixture, StackedLinear):
    """`StackedLinear` of stack (K, T) whose weights are mixtures over the tasks: ``C + mixing @ U``.

    Parameters
    ----------
    strength : float
        Weight of the penalty.
    relation : ndarray of shape (T, T) or None
        As in `Mixture.start_mixing`.
    centred : bool
        Whether there is a part C, the initial weights, which stays as it is.
    """

    centre: nn.Parameter | None

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
        kept = nn.Parameter(centre, requires_grad=False) if centred else None
        self.register_parameter("centre", kept)
        self.start_mixing(n_members, n_tasks, strength=strength, relation=relation)

    def parts(self) -> dict[str, Part]:
        """Weights and biases; the latter have no centre."""
        own: Any = self._parameters
        parts = {"weight": Part(own["weight"], own["centre"]), "bias": Part(own["bias"], None)}
        return {name: part for name, part in parts.items() if part.mixed is not None}

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x."""
        added = plus if self.bias is None else self.mixed(self.bias)
        return affine(x, self.effective_weight(), added, ACTIVATIONS[self.activation])

    def effective_weight(self) -> Tensor:
        """Weights (K, T, n_in, n_out)."""
        return self.towers("weight")

    def compared_weight(self) -> Tensor:
        """Deviations (K, T, n_in, n_out) from the initial weights."""
        return self.mixed(self.weight)


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

    def anneal(self, trunk: nn.Module | None = None) -> None:
        """Set the relation to what the towers are now, with their trunks."""
        super().anneal()
        if not self.learned:
            return
        inner: list[Any]
        inner, last = inner_and_last(self, RelatedLinear)
        inner = inner if trunk is None else [trunk, *inner]
        for layers, mask in ((inner, None), (last, self.same_kind)):
            if layers:
                relation = correlation([m.compared_weight() for m in layers], mask) ** POWER
                eye = torch.eye(relation.shape[-1], dtype=relation.dtype)
                root, inverse = roots((1 - OWN) * relation + OWN * eye)
                for m in layers:
                    m.relate(root, inverse)


def compare(architecture: Architecture) -> Tensor:
    """Which pairs of tasks (T, T) are of one kind, so that their last layers compare."""
    kinds = torch.tensor(architecture.task_kinds)
    return kinds.unsqueeze(1) == kinds


def inner_and_last(network: TaskNetwork, kind: type[Kind]) -> tuple[list[Kind], list[Kind]]:
    """Layers of this class: those inside, and the last ones, of heads and skip."""
    outputs = [part.last for part in (network.heads, network.skip) if part is not None]
    layers = [m for m in network.modules() if isinstance(m, kind)]
    return [m for m in layers if m not in outputs], [m for m in layers if m in outputs]


@torch.no_grad()
def correlation(weights: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Correlations (K, T, T) of the tasks' weights, each (K, T, ...): cosines of their angles.

    ``mask`` (T, T) tells pairs that compare. A task without any weight is related to none.
    """
    rows = torch.cat([w.flatten(2).double().cpu() for w in weights], -1)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    rows = rows / torch.where(length > 0, length, 1.0)
    cosines = torch.bmm(rows, rows.mT).clamp(-1, 1)
    if mask is not None:
        cosines = cosines * mask
    return cosines.diagonal_scatter(torch.ones_like(length.squeeze(-1)), dim1=-2, dim2=-1)


@torch.no_grad()
def tower_relation(network: Any, architecture: Architecture) -> np.ndarray:
    """Correlations (T, T) of a tower per task, in the order of the target table.

    Of tasks of one kind those of the last layers, where the sign of a task matters; of the others
    those of the hidden layers and of trunks. Averaged over the members.
    """
    a, same_kind = architecture, compare(architecture)
    trunk = getattr(network, "trunk", None)
    network = network if trunk is None else network.inner
    inner: list[Any]
    inner, last = inner_and_last(network, StackedLinear)
    inner = inner if trunk is None else [trunk, *inner]
    relation = correlation([m.compared_weight() for m in last], same_kind)
    if inner:
        hidden = correlation([m.compared_weight() for m in inner], None)
        relation = torch.where(same_kind, relation, hidden)
    table = np.empty((a.n_tasks, a.n_tasks))
    table[np.ix_(a.task_order, a.task_order)] = relation.mean(0).numpy()
    return table
