"""A module of the user's as trunk: copies of it, stacked, below the network of any scheme.

In: what makes modules that map rows (b, *input_shape) to features (b, h). Out: a network whose scheme
sees features where it would see inputs. Shapes: K members, T tasks, E copies of a member's trunk, b
rows, d inputs of a row.

The copies are called one after another: that takes whatever a module does (branches on its data,
recurrent layers, running statistics), where `torch.func.vmap` takes some, and a trunk worth its name
costs more than the call.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from skmtl._global_generator import seeded

from .base import SHARED, Architecture, Block, Network, Sharing, TrunkPlan
from .deviation import Deviating


def build_network(
    scheme: Sharing, architecture: Architecture, generators: Sequence[Generator]
) -> Network:
    """Network of the scheme, on its trunk if the architecture has one."""
    inner, plan = scheme.build(architecture, generators), architecture.trunk
    if plan is None:
        return inner
    trunk: Any = scheme.trunk_layer(architecture, StackedModule)(generators, plan)
    return TrunkNetwork(trunk, inner)


class StackedModule(Block):
    """A copy of a module per member, (K, b, d) to (K, b, h), or E copies, (K, b, d) to (K, E, b, h).

    Its parameters are those of the copies, stacked; running statistics are parameters at rest, so that
    they leave, return and are kept with their member.

    Parameters
    ----------
    generators : list of Generator
        One a member.
    plan : TrunkPlan
        Makes the modules, of one structure.
    n_copies : int or None, default=None
        Copies of each member; None: one, for all tasks.
    distinct : bool, default=False
        Whether the copies of a member are made one by one, as experts must be; else they start equal.
    owner : Tensor, default=None
        Whose the copies are, (E,) or a scalar; see `Block.owners`. None: everybody's.
    made_for : Tensor, default=None
        For whom they were made; see `Block.made_for`. None: for their owner.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        plan: TrunkPlan,
        *,
        n_copies: int | None = None,
        distinct: bool = False,
        owner: Tensor | None = None,
        made_for: Tensor | None = None,
    ):
        super().__init__()
        self.input_shape, self.integers = plan.input_shape, plan.integers
        # what tells one trunk from another in a stack of fits; of a module of the user's none is known
        self.identity = plan.identity
        self.alone = object() if plan.alone else None
        self.n_copies = n_copies
        self.generators: list[Generator] = []
        owner = torch.tensor(SHARED) if owner is None else owner
        whose = owner, owner if made_for is None else made_for
        self._whose: dict[str, tuple[Tensor, Tensor]] = {}  # owner, and for whom it was made
        made = _made(generators, plan, n_copies if distinct else 1)
        first = made[0][0]
        # without storage: its parameters are ours, and module.parameters() must not see them twice
        self._template = [copy.deepcopy(first).to("meta")]
        self.names = {}  # of ours, by that in the module
        for name, p in [*first.named_parameters(), *first.named_buffers()]:
            each = [torch.stack([_tensor(m, name).detach() for m in own]) for own in made]
            start = torch.stack(each)  # (K, E, ...), or (K, 1, ...) where copies start equal
            if n_copies is None:
                start = start[:, 0]
            elif not distinct:
                start = start.expand(-1, n_copies, *start.shape[2:]).clone()
            trained = isinstance(p, nn.Parameter) and p.requires_grad
            self.names[name] = flat = name.replace(".", "-")
            self._add(flat, start, whose, trained=trained)

    def _add(
        self, name: str, start: Tensor, whose: tuple[Tensor, Tensor], *, trained: bool
    ) -> None:
        """Make the parameter ``name`` of copies that start at ``start`` (K, ...) or (K, E, ...)."""
        self.register_parameter(name, nn.Parameter(start, requires_grad=trained))
        ones = [1] * (start.dim() - 2)
        owner, made_for = (w.view(-1, *ones) if w.dim() else w for w in whose)
        self._whose[name] = owner, made_for

    @property
    def starts_equal(self) -> bool:
        """Whether nothing tells the copies of a member apart, as long as they have not trained."""
        trained = [p for p in self.parameters() if p.requires_grad]
        return all(bool((p == p[:, :1]).all()) for p in trained)

    def forward(self, x: Tensor) -> Tensor:
        """Features of every member, or of every member's copies."""
        x = x.long() if self.integers else x.to(self.dtype)
        stacks = {name: self.effective(flat) for name, flat in self.names.items()}
        features = [self._member(stacks, k, x[k]) for k in range(len(x))]
        return torch.stack(features)

    @property
    def dtype(self) -> torch.dtype:
        """Of floating inputs."""
        floats = [p.dtype for p in self.parameters() if p.is_floating_point()]
        return floats[0] if floats else torch.get_default_dtype()

    def effective(self, name: str) -> Tensor:
        """Parameters (K, ...) or (K, E, ...) of the copies, from whatever makes them up."""
        return self._parameters[name]  # type: ignore[return-value]

    def compared_weight(self) -> Tensor:
        """Weights (K, E, m) by which copies are compared."""
        trained = [name for name in self.names.values() if self._parameters[name].requires_grad]  # type: ignore[union-attr]
        return torch.cat([self.effective(name).flatten(2) for name in trained], -1)

    def _member(self, stacks: dict[str, Tensor], k: int, rows: Tensor) -> Tensor:
        own = {name: stack[k] for name, stack in stacks.items()}
        if not self.training:
            return self._copies(own, rows)
        with seeded(self.generators[k]):
            return self._copies(own, rows)

    def _copies(self, own: dict[str, Tensor], rows: Tensor) -> Tensor:
        [template] = self._template
        template.train(self.training)
        rows = rows.reshape(-1, *self.input_shape)
        if self.n_copies is None:
            return functional_call(template, own, (rows,))
        each = [{name: p[e] for name, p in own.items()} for e in range(self.n_copies)]
        return torch.stack([functional_call(template, part, (rows,)) for part in each])

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter; see `Block.owners`."""
        return {name: owner for name, (owner, _) in self._whose.items()}

    def made_for(self) -> dict[str, Tensor]:
        """The task whose copy it was at first, or everybody's."""
        return {name: made_for for name, (_, made_for) in self._whose.items()}

    def extra_repr(self) -> str:
        """Show the trunk and its copies."""
        return f"{self.identity}, n_copies={self.n_copies}"


class CentredModule(StackedModule):
    """`StackedModule` whose parameters that train are told from a centre, where the copies start."""

    centre_trains = False

    def _add(
        self, name: str, start: Tensor, whose: tuple[Tensor, Tensor], *, trained: bool
    ) -> None:
        if not trained:
            super()._add(name, start, whose, trained=False)
            return
        super()._add(name, torch.zeros_like(start), whose, trained=True)
        everybody = torch.tensor(SHARED)
        centre = start[:, :1].clone()
        super()._add(f"centre-{name}", centre, (everybody, everybody), trained=self.centre_trains)

    def has_centre(self, name: str) -> bool:
        """Whether a parameter is told from a centre."""
        return f"centre-{name}" in self._parameters

    @property
    def tied(self) -> list[str]:
        """Parameters that have a centre."""
        return [name for name in self.names.values() if self.has_centre(name)]


class TiedModule(Deviating, CentredModule):
    """`StackedModule` of a copy per task, whose parameters are a centre and a scaled deviation."""

    centre_trains = True

    def __init__(
        self,
        generators: Sequence[Generator],
        plan: TrunkPlan,
        *,
        n_copies: int,
        owner: Tensor,
        strength: float,
        penalty: str,
    ):
        super().__init__(generators, plan, n_copies=n_copies, owner=owner)
        self.start_deviating(strength, penalty)

    def effective(self, name: str) -> Tensor:
        """Centre and deviation."""
        own = super().effective(name)
        if not self.has_centre(name):
            return own
        return self.around(super().effective(f"centre-{name}"), own)

    def deviations(self) -> dict[str, Any]:
        """Parameters that have a centre."""
        return {name: super(TiedModule, self).effective(name) for name in self.tied}


class SideBySide(nn.Module):
    """Copies of trunks, of several owners, one after another: (K, b, d) to (K, E, b, h)."""

    def __init__(self, trunks: Sequence[StackedModule]):
        super().__init__()
        self.trunks = nn.ModuleList(trunks)
        self.dtype = trunks[0].dtype

    def forward(self, x: Tensor) -> Tensor:
        """Features of all copies."""
        return torch.cat([trunk(x) for trunk in self.trunks], 1)

    def penalty(self) -> None:
        """None of them has one."""

    def penalise(self) -> None:
        """Nor its gradient."""


class TrunkNetwork(Network):
    """``outputs = inner(trunk(x))``.

    There is no linear skip from the inputs around a trunk: to a trunk they are pixels or token
    numbers, of which nothing linear can be said.

    Parameters
    ----------
    trunk : StackedModule or SideBySide
    inner : Network
        Built for features of the trunk's width, without a linear skip.
    """

    def __init__(self, trunk: Any, inner: Any):
        super().__init__()
        self.trunk, self.inner = trunk, inner
        self.gathers = inner.gathers

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d)."""
        return self.inner(self._beside_task(self._seen(x), x))

    def features(self, x: Tensor) -> Tensor | None:
        """The inner network's shared features, or the trunk's where tasks part there."""
        seen = self._seen(x)
        if seen.dim() > 3:
            return None
        # a body without layers hands on what it gets
        has_layers = any(True for _ in self.inner.body.parameters())
        return self.inner.features(self._beside_task(seen, x)) if has_layers else seen

    def _seen(self, x: Tensor) -> Tensor:
        """The trunk's features."""
        return self.trunk(x[..., :-1] if self.gathers else x)

    def _beside_task(self, seen: Tensor, x: Tensor) -> Tensor:
        """Features as the inner network takes them: with the task of each row, if it gathers heads."""
        # not in the dtype of the features, which under autocast counts to 256
        return torch.cat([seen, x[..., -1:].to(self.trunk.dtype)], -1) if self.gathers else seen

    def outputs(self, features: Tensor, x: Tensor) -> Tensor:
        """What `forward` makes of the features."""
        return self.inner.outputs(features, x)

    def anneal(self, trunk: nn.Module | None = None) -> None:
        """Tell the inner network that an epoch begins; a trunk has nothing to step by itself."""
        self.inner.anneal(self.trunk)

    def penalty(self) -> Tensor | None:
        """That of the trunk's copies and of the inner network."""
        parts = [p for p in (self.trunk.penalty(), self.inner.penalty()) if p is not None]
        return reduce(torch.add, parts) if parts else None

    def penalise(self) -> None:
        """Add the gradients of both."""
        self.trunk.penalise()
        self.inner.penalise()

    def linear_heads(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Those of the inner network."""
        return self.inner.linear_heads()

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.inner.n_tasks


def _made(
    generators: Sequence[Generator], plan: TrunkPlan, n_copies: int | None
) -> list[list[nn.Module]]:
    """So many modules for each member, drawn from its generator."""
    made = []
    for generator in generators:
        with seeded(generator):
            made.append([plan.make() for _ in range(n_copies or 1)])
    return made


def _tensor(module: nn.Module, name: str) -> Tensor:
    """Parameter or buffer of this dotted name."""
    path, _, last = name.rpartition(".")
    return getattr(module.get_submodule(path), last)
