"""A module of the user's as trunk: copies of it, stacked, below the network of any scheme.

In: K modules, one a member, that map rows (b, *input_shape) to features (b, h). Out: a network whose
scheme sees features where it would see inputs. Shapes: K members, T tasks, b rows, d inputs of a row.

The copies are called one after another: that takes whatever a module does (branches on its data,
recurrent layers, running statistics), where `torch.func.vmap` takes some, and a trunk worth its name
costs more than the call.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from .base import SHARED, Architecture, Block, Network, Sharing, TrunkPlan, by_member


def build_network(
    scheme: Sharing, architecture: Architecture, generators: Sequence[Generator]
) -> Network:
    """Network of the scheme, on its trunk if the architecture has one."""
    inner, plan = scheme.build(architecture, generators), architecture.trunk
    if plan is None:
        return inner
    modules = []
    for generator in generators:
        with seeded(generator):
            modules.append(plan.make())
    trunk: Any = scheme.trunk_layer(architecture, StackedModule)(modules, plan)
    return TrunkNetwork(trunk, inner)


class StackedModule(Block):
    """A copy of a module per member, (K, b, d) to (K, b, h), or per member and task, (K, T, b, h).

    Its parameters are those of the copies, stacked; running statistics are parameters at rest, so that
    they leave, return and are kept with their member. Copies of one member start equal.

    Parameters
    ----------
    modules : list of nn.Module
        One a member, of one structure; none is changed.
    plan : TrunkPlan
    n_tasks : int or None, default=None
        Copies of each member; None: one, for all tasks.
    owner : Tensor, default=None
        Whose the parameters are, (T,) or a scalar; None: everybody's.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        plan: TrunkPlan,
        *,
        n_tasks: int | None = None,
        owner: Tensor | None = None,
    ):
        super().__init__()
        self.input_shape, self.integers = plan.input_shape, plan.integers
        # what tells one trunk from another in a stack of fits; of a module of the user's none is known
        self.identity = plan.identity
        self.alone = object() if plan.alone else None
        self.n_tasks = n_tasks
        self.generators: list[Generator] = []
        own = torch.tensor(SHARED) if owner is None else owner
        self._owners: dict[str, Tensor] = {}
        # without storage: its parameters are ours, and module.parameters() must not see them twice
        self._template = [copy.deepcopy(modules[0]).to("meta")]
        self.names = {}  # of ours, by that in the module
        for name, first in [*modules[0].named_parameters(), *modules[0].named_buffers()]:
            stacked = torch.stack([_tensor(module, name).detach() for module in modules])
            trained = isinstance(first, nn.Parameter) and first.requires_grad
            self.names[name] = flat = name.replace(".", "-")
            self._add(flat, stacked, own, trained=trained)

    def _add(self, name: str, start: Tensor, owner: Tensor, *, trained: bool) -> None:
        """Make the parameter ``name`` of copies that start at ``start`` (K, ...)."""
        if self.n_tasks is not None:
            start = start.unsqueeze(1).expand(-1, self.n_tasks, *start.shape[1:]).clone()
            owner = owner.view(-1, *[1] * (start.dim() - 2)) if owner.dim() else owner
        self.register_parameter(name, nn.Parameter(start, requires_grad=trained))
        self._owners[name] = owner

    def forward(self, x: Tensor) -> Tensor:
        """Features of every member, or of every member's tasks."""
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
        """Parameters (K, ...) or (K, T, ...) of the copies, from whatever makes them up."""
        return self._parameters[name]  # type: ignore[return-value]

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
        if self.n_tasks is None:
            return functional_call(template, own, (rows,))
        each = [{name: p[t] for name, p in own.items()} for t in range(self.n_tasks)]
        return torch.stack([functional_call(template, part, (rows,)) for part in each])

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter; see `Block.owners`."""
        return self._owners

    def extra_repr(self) -> str:
        """Show the trunk and its copies."""
        return f"{self.identity}, n_tasks={self.n_tasks}"


class TiedModule(StackedModule):
    """`StackedModule` of a copy per task, whose parameters are a centre and a scaled deviation.

    The penalty is that of `SoftSharing`, with its parameters ``strength`` and ``penalty``.
    """

    settings = ("scale", "factor")
    scale: float | Tensor
    factor: float | Tensor

    def __init__(
        self,
        modules: Sequence[nn.Module],
        plan: TrunkPlan,
        *,
        n_tasks: int,
        owner: Tensor,
        strength: float,
        penalty: str,
    ):
        super().__init__(modules, plan, n_tasks=n_tasks, owner=owner)
        self.squared = penalty == "l2"
        # as in `CentredLinear`
        self.scale = (1 + strength) ** (-0.5 if self.squared else -1.0)
        self.factor = strength / (1 + strength)
        self.tied = [name for name in self.names.values() if f"centre-{name}" in self._parameters]

    def _add(self, name: str, start: Tensor, owner: Tensor, *, trained: bool) -> None:
        if not trained:
            super()._add(name, start, owner, trained=False)
            return
        super()._add(name, torch.zeros_like(start), owner, trained=True)
        self.register_parameter(f"centre-{name}", nn.Parameter(start.unsqueeze(1).clone()))
        self._owners[f"centre-{name}"] = torch.tensor(SHARED)

    def effective(self, name: str) -> Tensor:
        """Centre and deviation."""
        own = super().effective(name)
        if name not in self.tied:
            return own
        centre = super().effective(f"centre-{name}")
        if isinstance(self.scale, Tensor):
            return torch.addcmul(centre, own, by_member(self.scale, own.dim()))
        return torch.add(centre, own, alpha=self.scale)

    def decay(self) -> dict[str, float]:
        """Squared distance from the centre: L2 on the deviations."""
        return dict.fromkeys(self.tied, float(self.factor)) if self.squared else {}

    def penalty(self) -> Tensor | None:
        """Weighted absolute distance of each member's copies from their centre, (K,)."""
        if self.squared:
            return None
        deviations = [super(TiedModule, self).effective(name) for name in self.tied]
        return self.factor * reduce(torch.add, [v.abs().flatten(1).sum(1) for v in deviations])


class TrunkNetwork(Network):
    """``outputs = inner(trunk(x))``.

    There is no linear skip from the inputs around a trunk: to a trunk they are pixels or token
    numbers, of which nothing linear can be said.

    Parameters
    ----------
    trunk : StackedModule
    inner : Network
        Built for features of the trunk's width, without a linear skip.
    """

    def __init__(self, trunk: StackedModule, inner: Any):
        super().__init__()
        self.trunk, self.inner = trunk, inner

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d)."""
        return self.inner(self.trunk(x))

    def features(self, x: Tensor) -> Tensor | None:
        """The inner network's shared features, or the trunk's where tasks part there."""
        seen = self.trunk(x)
        if seen.dim() > 3:
            return None
        # a body without layers hands on what it gets
        has_layers = any(True for _ in self.inner.body.parameters())
        return self.inner.features(seen) if has_layers else seen

    def outputs(self, features: Tensor, x: Tensor) -> Tensor:
        """What `forward` makes of the features."""
        return self.inner.outputs(features, x)

    def anneal(self) -> None:
        """Tell the inner network that an epoch begins; a trunk has nothing to step."""
        self.inner.anneal()

    def penalty(self) -> Tensor | None:
        """That of the trunk's copies and of the inner network."""
        parts = [p for p in (self.trunk.penalty(), self.inner.penalty()) if p is not None]
        return reduce(torch.add, parts) if parts else None

    def linear_heads(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Those of the inner network."""
        return self.inner.linear_heads()

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.inner.n_tasks


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Let torch's global generators be seeded from this one meanwhile, and be as before after it."""
    device = generator.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed = torch.randint(2**62, (), generator=generator, device=device)
        torch.manual_seed(int(seed))
        yield


def _tensor(module: nn.Module, name: str) -> Tensor:
    """Parameter or buffer of this dotted name."""
    path, _, last = name.rpartition(".")
    return getattr(module.get_submodule(path), last)
