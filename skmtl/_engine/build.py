"""The network of a fit: what it is built from, whether it still fits, how its parameters decay.

Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from skmtl.sharing import Architecture, Network, Sharing
from skmtl.sharing.trunk import build_network
from skmtl.targets import Targets
from skmtl.tasks import TaskLosses
from skmtl.training import Bounds, MultiTaskModule

from .plan import Plan


def architecture_of(n_features: int, criterion: TaskLosses, plan: Plan) -> Architecture:
    """Sizes of the network, its tasks in the engine's order."""
    return Architecture(
        n_features=n_features if plan.trunk is None else plan.trunk.width,
        trunk=plan.trunk,
        task_outputs=tuple(criterion.task_outputs),
        hidden_layer_sizes=plan.hidden_layer_sizes,
        head_layer_sizes=plan.head_layer_sizes,
        activation=plan.activation,
        dropout=plan.dropout,
        task_kinds=tuple(t for t, group in enumerate(criterion.groups) for _ in range(group.size)),
        task_order=tuple(criterion.order),
        task_constants=tuple(criterion.task_constants),
    )


def build_module(
    bounds: Bounds,
    architecture: Architecture,
    sharing: Sharing,
    generators: Sequence[Generator],
) -> MultiTaskModule:
    """Network of the scheme behind clipping bounds."""
    network = build_network(sharing, architecture, generators)
    return MultiTaskModule(network, bounds, (architecture, sharing)).to(bounds.low)


def check_same(
    module: MultiTaskModule, architecture: Architecture, plan: Plan, n_members: int
) -> None:
    """Raise if training cannot go on from this module because something else is asked for now."""
    was, sharing = module.built_for
    changed = [
        f"{name} (was {getattr(was, name)!r}, now {getattr(architecture, name)!r})"
        for name in vars(was)
        if getattr(was, name) != getattr(architecture, name)
    ]
    if not same_scheme(sharing, plan.sharing):
        changed.append(f"sharing (was {sharing!r}, now {plan.sharing!r})")
    if module.n_members != n_members:
        changed.append(f"n_members (was {module.n_members}, now {n_members})")
    if changed:
        raise ValueError(
            "warm_start=True and partial_fit go on with the network that is there, which does not "
            f"fit any more: {', '.join(changed)}. Fit a clone to start anew."
        )


def same_scheme(one: Sharing, other: Sharing) -> bool:
    """Whether two schemes are of one class and have equal parameters, arrays compared by value."""
    ours, theirs = one.get_params(), other.get_params()
    return type(one) is type(other) and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def decay(network: Network, table: Targets, alpha: float, n_rows: int) -> dict[str, float | Tensor]:
    """L2 gradient factor by parameter name: alpha / (weight of the labels it serves).

    A task's parameters see its labels, shared ones every row: with a mean loss, alpha then is what
    it is in `Ridge` (and 1 / C in `LogisticRegression`). Biases are free. The quadratic penalties of
    the sharing scheme are added.
    """
    if table.weight is None:
        per_task, shared = np.full(table.n_tasks, float(n_rows)), float(n_rows)
    else:
        weight = table.weight.astype(float)
        per_task, shared = weight.sum(axis=0), float(weight.max(axis=1).sum())
    served = np.append(per_task, shared)  # SHARED is the last
    factors = torch.from_numpy(np.divide(alpha, served, out=0 * served, where=served > 0))
    decay: dict[str, float | Tensor] = {}
    of_scheme = network.decay()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    for name, owner in network.owners().items():
        decays = name in trained and not name.endswith("bias")
        factor = (factors[owner.cpu()] if decays else torch.zeros(())) + of_scheme.get(name, 0.0)
        decay[name] = float(factor.flatten()[0]) if len(factor.unique()) == 1 else factor
    return decay
