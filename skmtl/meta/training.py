"""Meta-training: draw episodes, step, repeat.

The step is written with `torch.func` and traced once into plain operations, which leaves out what
mapping and differentiating cost anew at each step: two thirds of the time of a small network's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from .algorithms import MetaAlgorithm, Rows
from .data import MetaData
from .episodes import draw_episodes, task_order

TRACED = 200  # steps that take as long as tracing
AT_ONCE = 2**21  # numbers of x that are gathered at a time
MOST_AT_ONCE = 250  # steps after which the loss is looked at, at the latest

Step = Callable[[Tensor, Tensor, Rows, Rows], tuple[list[Tensor], Tensor]]


@dataclass(frozen=True)
class Plan:
    """What meta-training is asked for."""

    n_steps: int
    n_tasks: int  # of a meta-batch
    n_support: int
    n_query: int
    learning_rate: float
    verbose: int


class Start(NamedTuple):
    """Where tasks start (P,), how far their steps go, (P,) or (), and the loss of each meta-batch."""

    theta: Tensor
    rates: Tensor
    losses: list[float]


def meta_train(
    algorithm: MetaAlgorithm,
    data: MetaData,
    plan: Plan,
    *,
    theta: Tensor,
    rates: Tensor,
    rng: np.random.Generator,
) -> Start:
    """Descend the tasks' losses by Adam, a meta-batch a step.

    Training stops with a warning where the loss is no number any more, and the start is what it
    was when it last was one.
    """
    theta, rates = theta.clone(), rates.clone()
    learned = [theta, rates] if algorithm.learns_rates else [theta]
    optimizer = torch.optim.Adam(learned, lr=plan.learning_rate, fused=True)
    order = task_order(len(data.table.ids), rng)
    step: Step | None = None
    losses: list[float] = []
    while len(losses) < plan.n_steps:
        before = [t.clone() for t in learned]
        n_steps = min(_steps_at_once(data, plan), plan.n_steps - len(losses))
        support, query = _draw(data, plan, n_steps, order, rng)
        found = []
        with torch.no_grad():
            for i in range(n_steps):
                batch = Rows(*(t[i] for t in support)), Rows(*(t[i] for t in query))
                if step is None:
                    step = algorithm.meta_gradient
                    if plan.n_steps >= TRACED:
                        step = traced(algorithm, theta, rates, *batch)
                gradients, loss = step(theta, rates, *batch)
                for parameter, gradient in zip(learned, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                found.append(loss)
        values = torch.stack(found).tolist()
        if not (np.isfinite(values).all() and all(t.isfinite().all() for t in learned)):
            for parameter, last in zip(learned, before, strict=True):
                parameter.copy_(last)
            _warn_of_divergence(len(losses), values)
            break
        losses += values
        if plan.verbose:
            print(f"{len(losses)} of {plan.n_steps} steps: loss {np.mean(values):.4g}")  # noqa: T201
    return Start(theta, rates, losses)


def _steps_at_once(data: MetaData, plan: Plan) -> int:
    """How many meta-batches to gather together: few numbers, and a loss to look at now and then."""
    n_groups = data.n_ways or int(data.table.n_groups.max())
    rows = plan.n_tasks * n_groups * (plan.n_support + plan.n_query)
    return int(np.clip(AT_ONCE // (rows * (data.x.shape[1] + data.n_outputs)), 1, MOST_AT_ONCE))


def _draw(data: MetaData, plan: Plan, n_steps: int, order, rng) -> tuple[Rows, Rows]:
    """Support and query rows of so many meta-batches, (n_steps, B, ...)."""
    tasks = np.fromiter(order, int, count=n_steps * plan.n_tasks)
    drawn = draw_episodes(
        data.table,
        tasks,
        n_ways=data.n_ways,
        n_support=plan.n_support,
        n_query=plan.n_query,
        rng=rng,
    )
    support, query = data.episodes(drawn)
    shape = (n_steps, plan.n_tasks)
    return (
        Rows(*(t.unflatten(0, shape) for t in support)),
        Rows(*(t.unflatten(0, shape) for t in query)),
    )


def traced(
    algorithm: MetaAlgorithm, theta: Tensor, rates: Tensor, support: Rows, query: Rows
) -> Step:
    """The algorithm's `meta_gradient` as plain operations, for batches of these shapes."""

    def meta_gradient(theta, rates, support, query):  # a method's self would be traced too
        return algorithm.meta_gradient(theta, rates, support, query)

    return make_fx(meta_gradient)(theta, rates, support, query)


def _warn_of_divergence(n_before: int, values: list[float]) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    at = n_before + int(bad[0]) if len(bad) else n_before + len(values)
    warnings.warn(
        f"Meta-training diverged at step {at} and was taken back to step {n_before}. Lower inner_lr, "
        "inner_steps or learning_rate_init, or scale X.",
        ConvergenceWarning,
        stacklevel=5,
    )
