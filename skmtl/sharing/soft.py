"""A tower per task, tied softly: by the distance of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from skmtl._checks import check_float, check_word

from .base import SHARED, Architecture, Block, Network, Sharing, by_member, gradient_of
from .checks import require_layers
from .deviation import Deviating
from .layers import ACTIVATIONS, Layer, StackedLinear, affine, draw_weights
from .lineage import Lineage, inherit_entries
from .network import TaskNetwork, Towers
from .trunk import TiedModule

Kind = TypeVar("Kind", bound=TaskNetwork)
SMOOTH = 1e-6  # added under the root of a squared singular value, which has no slope at zero


class SoftSharing(Sharing):
    """A tower per task, and a penalty on the distance of their parameters (Duong et al. 2015).

    Task t's weights are ``W_t = C + V_t``: a centre and a deviation (Evgeniou & Pontil 2004). Added
    to the loss is ``strength / 2 * sum_t ||V_t||^2``, or ``strength * sum_t ||V_t||_1``; over a
    free centre the first is the squared distance from the mean of the towers. Deviations are
    trained on a scale that shrinks with ``strength``, so that no strength is too large for Adam:
    0 is `NoSharing`, and towards infinity all towers are one.

    With ``penalty="trace_norm"`` there is no centre: the penalty is the sum of singular values of
    each layer's weights, written as a matrix with a row per task, which favours towers that are
    combinations of a few (Yang & Hospedales 2017, their "last axis flattening").

    Parameters
    ----------
    strength : float, default=0.1
        Weight of the penalty beside the tasks' mean losses.
    penalty : {"l2", "l1", "trace_norm"}, default="l2"
        Distance that is penalised.
    layers : "hidden", "all" or list of int, default="hidden"
        Layers that are tied: the hidden ones; or also those of heads and linear skip, the last
        ones among tasks of one kind; or the hidden layers of these indices.
    linear_skip : bool, default=True
        As in `HardSharing`; a skip per task.

    References
    ----------
    L. Duong, T. Cohn, S. Bird, P. Cook (2015). Low resource dependency parsing: cross-lingual
    parameter sharing in a neural network parser. ACL.
    T. Evgeniou, M. Pontil (2004). Regularized multi-task learning. KDD.
    Y. Yang, T. Hospedales (2017). Trace norm regularised deep multi-task learning. ICLR workshop.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import SoftSharing
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(sharing=SoftSharing(strength=0.1), max_iter=5, random_state=0)
    >>> est.fit(scale(X), y).predict(scale(X)).shape
    (20, 3)
    """

    def __init__(self, strength=0.1, penalty="l2", layers="hidden", linear_skip=True):
        self.strength = strength
        self.penalty = penalty
        self.layers = layers
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_float(self.strength, "strength", self, low=0)
        check_word(self.penalty, "penalty", self, ["l2", "l1", "trace_norm"])
        if self.strength == 0:
            return tied_network(TaskNetwork, self, architecture, generators, StackedLinear, None)
        layer: Layer = partial(CentredLinear, strength=self.strength, penalty=self.penalty)
        if self.penalty == "trace_norm":
            layer = partial(TraceNormLinear, strength=self.strength)
        inner = partial(layer, task_kinds=(0,) * architecture.n_tasks)
        last = partial(layer, task_kinds=architecture.task_kinds)
        return tied_network(TaskNetwork, self, architecture, generators, inner, last)

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., Block]:
        """Return a layer with a trunk per task, tied like the hidden layers."""
        n_tasks = architecture.n_tasks
        whose: dict[str, Any] = {"n_copies": n_tasks, "owner": torch.arange(n_tasks)}
        if self.strength == 0:
            return partial(stacked, **whose)
        if self.penalty == "trace_norm":
            raise ValueError(
                f"{self!r} cannot tie the copies of a trunk. Take penalty='l2' or 'l1' with trunk."
            )
        return partial(TiedModule, **whose, strength=self.strength, penalty=self.penalty)


def tied_network(
    kind: type[Kind],
    scheme: Any,
    architecture: Architecture,
    generators: Sequence[Generator],
    inner: Layer,
    last: Layer | None,
) -> Kind:
    """Network of a tower per task; those layers that the scheme ties are ``inner`` or ``last``."""
    a = architecture
    hidden, heads, outputs = tied_layers(scheme.layers, scheme, a)
    kinds = [inner if tied else StackedLinear for tied in hidden]
    return kind.around(
        Towers(a, generators, kinds=kinds, owner=a.task_owner),
        a,
        generators,
        linear_skip=scheme.linear_skip,
        per_task=bool(hidden) or a.trunk is not None,
        kinds=[inner if tied else StackedLinear for tied in heads],
        last=last if outputs else None,
    )


def tied_layers(
    layers: Any, scheme: Sharing, architecture: Architecture
) -> tuple[list[bool], list[bool], bool]:
    """Which hidden layers, which layers of the heads, and whether the outputs are tied."""
    a = architecture
    n_hidden, n_heads = len(a.hidden_layer_sizes), len(a.head_layer_sizes)
    if isinstance(layers, str) and layers == "all":
        nothing = not n_hidden + n_heads and a.trunk is None
        if nothing and len(set(a.task_kinds)) == a.n_tasks > 1:
            require_layers(a, scheme, "no two tasks are of one kind, whose outputs could be tied")
        return [True] * n_hidden, [True] * n_heads, True
    if isinstance(layers, str) and layers == "hidden" and a.trunk is not None:
        return [True] * n_hidden, [False] * n_heads, False
    if isinstance(layers, str) and layers == "hidden":
        require_layers(a, scheme, "they are what it ties (layers='all' ties the outputs too)")
        return [True] * n_hidden, [False] * n_heads, False
    require_layers(a, scheme, "they are what it ties (layers='all' ties the outputs too)")
    accepted = f"'hidden', 'all' or a list of indices from {-n_hidden} to {n_hidden - 1}"
    is_list = isinstance(layers, list | tuple | np.ndarray) and np.ndim(layers) == 1
    if (
        not is_list
        or not len(layers)
        or not all(
            isinstance(i, int | np.integer)
            and not isinstance(i, bool)
            and -n_hidden <= i < n_hidden
            for i in layers
        )
    ):
        raise ValueError(
            f"Parameter layers of {type(scheme).__name__} must be {accepted}. Found {layers!r}."
        )
    tied = {int(i) % n_hidden for i in layers}
    return [i in tied for i in range(n_hidden)], [False] * n_heads, False


class CentredLinear(Deviating, StackedLinear):
    """`StackedLinear` of stack (K, T) whose weights are a centre and a scaled deviation per task.

    Parameters
    ----------
    strength : float
        Weight of the penalty on deviations, > 0.
    penalty : {"l2", "l1"}
    task_kinds : tuple of int
        Tasks of equal kind have a centre in common.
    """

    centre_weight: Tensor
    centre_bias: Tensor
    kinds: Tensor | None

    def __init__(
        self,
        stack: tuple[int, ...],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator] | None = None,
        *,
        strength: float,
        penalty: str,
        task_kinds: tuple[int, ...],
        **kwargs: Any,
    ):
        super().__init__(stack, n_in, n_out, None, **kwargs)
        n_kinds = max(task_kinds) + 1
        centre = torch.zeros(stack[0], n_kinds, n_in, n_out)
        if generators is not None:
            draw_weights(centre, generators)
        self.centre_weight = nn.Parameter(centre)
        zero = None if self.bias is None else nn.Parameter(torch.zeros(stack[0], n_kinds, 1, n_out))
        self.register_parameter("centre_bias", zero)
        self.register_buffer("kinds", torch.tensor(task_kinds) if n_kinds > 1 else None)
        self.is_last = generators is None
        self.start_deviating(strength, penalty)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x."""
        added = plus if self.bias is None else self._around(self.centre_bias, self.bias)
        return affine(x, self.effective_weight(), added, ACTIVATIONS[self.activation])

    def effective_weight(self) -> Tensor:
        """Weights (K, T, n_in, n_out)."""
        return self._around(self.centre_weight, self.weight)

    def _around(self, centre: Tensor, deviation: Tensor) -> Tensor:
        if self.kinds is not None:
            centre = centre.index_select(1, self.kinds)
        return self.around(centre, deviation)

    def deviations(self) -> dict[str, Any]:
        """Weight, and bias if there is one."""
        own = {"weight": self.weight, "bias": self.bias}
        return {name: p for name, p in own.items() if p is not None}

    def owners(self) -> dict[str, Tensor]:
        """Deviations belong to their task, centres to all."""
        centres = {f"centre_{name}": torch.tensor(SHARED) for name in ("weight", "bias")}
        named = dict(self.named_parameters(recurse=False))
        return {name: centres.get(name, self.owner) for name in named}

    def made_for(self) -> dict[str, Tensor]:
        """Deviations; `inherit` sees to the centres."""
        named = dict(self.named_parameters(recurse=False))
        return {name: self.owner for name in named if name in ("weight", "bias")}

    @torch.no_grad()
    def inherit(self, source: CentredLinear, lineage: Lineage) -> set[str]:
        """New towers start at the centre: in last layers, at that of their kind where there is one."""
        inherit_entries(self, source, lineage)
        kinds = lineage.kinds if self.is_last else [0]
        names = [n for n in ("weight", "bias") if getattr(self, n) is not None]
        for name in names:
            ours, theirs = (getattr(block, f"centre_{name}") for block in (self, source))
            width = min(ours.shape[-1], theirs.shape[-1])
            for kind, was in enumerate(kinds):
                if was is not None and lineage.shared:
                    ours[:, kind, :, :width] = theirs[:, was, :, :width].to(ours)
            if not lineage.shared:  # around centres that are another's, the same towers
                deviation = getattr(self, name)
                now, then = (b._around(*b._parts(name)) for b in (self, source))
                for t, s in lineage.kept:
                    apart = (then[:, s, :, :width] - now[:, t, :, :width]).to(deviation)
                    deviation[:, t, :, :width] += apart / by_member(self.scale, apart.dim())
        if not lineage.shared or None in kinds:
            return set()
        return {f"centre_{name}" for name in names}

    def _parts(self, name: str) -> tuple[Tensor, Tensor]:
        return getattr(self, f"centre_{name}"), getattr(self, name)


class TraceNormLinear(StackedLinear):
    """`StackedLinear` of stack (K, T) with a penalty on the rank of its weights over the tasks."""

    settings = ("strength",)
    together: Tensor

    def __init__(self, *args: Any, strength: float, task_kinds: tuple[int, ...], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.strength = strength
        kinds = torch.tensor(task_kinds)
        self.register_buffer("together", kinds.unsqueeze(1) == kinds)

    def penalty(self) -> Tensor:
        """Trace norm of the matrix (tasks of a kind, all weights) of each member and kind, (K,)."""
        return self.strength * trace_norm(self._gramian())

    def penalise(self) -> None:
        """Add ``(M M^T)^(-1/2) M`` for the matrix M of each kind of task."""
        with torch.no_grad():
            root = by_member(self.strength, 3) * inverse_root(self._gramian())
            for p in self._parts():
                if p.requires_grad:
                    gradient_of(p).view(*p.shape[:2], -1).baddbmm_(root, p.flatten(2))

    def _parts(self) -> list[Any]:
        return [p for p in (self.weight, self.bias) if p is not None]

    def _gramian(self) -> Tensor:
        """Inner products (K, T, T) of the tasks' weights; zero between kinds, which parts the norms."""
        rows = [p.flatten(2) for p in self._parts()]
        return reduce(torch.add, [part @ part.mT for part in rows]) * self.together


def trace_norm(gramian: Tensor) -> Tensor:
    """Sum of the singular values of matrices with these Gramians (..., T, T)."""
    squares = torch.linalg.eigvalsh(gramian)
    return squares.clamp(min=0).add(SMOOTH).sqrt().sum(-1)


def inverse_root(gramian: Tensor) -> Tensor:
    """Power -1/2 of Gramians (..., T, T): what takes a matrix to the slope of its `trace_norm`."""
    squares, vectors = torch.linalg.eigh(gramian)
    slopes = squares.add(SMOOTH).rsqrt().where(squares > 0, 0.0)
    return (vectors * slopes.unsqueeze(-2)) @ vectors.mT
