"""Algorithms of meta-learning: how a task is learned, and what the starting point learns from it.

All are functions of vectors: theta (P,), where every task starts, and rates, how far a step goes.
A meta-batch of B tasks is one batched step, `torch.func.vmap` over the tasks.

Shapes: B tasks of a meta-batch, r rows of a task, d features, m outputs, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, vmap

from .network import Network

RowLoss = Callable[[Tensor, Tensor], Tensor]  # outputs (r, m), values (r, m) to losses (r,)


class Rows(NamedTuple):
    """Rows of a task, or with B in front of each shape those of a meta-batch."""

    x: Tensor  # (r, d)
    values: Tensor  # (r, m): the target, or which class it is
    weight: Tensor  # (r,), zero where there is no row
    offset: Tensor  # (m,), added to the outputs: very low for classes that the task has not


class MetaAlgorithm:
    """Learns tasks by gradient steps from a common start, and the start from the tasks.

    A subclass says what it moves and what it differentiates; `MAML` is the plain case.

    Parameters
    ----------
    network : Network
    row_loss : callable
    n_steps : int
        Gradient steps on the support rows of a task.
    """

    learns_rates = False  # a rate per parameter is learned like the start
    head_only = False  # a task moves the last layer alone
    first_order = False  # a step's gradient is a constant to the meta-gradient

    def __init__(self, network: Network, row_loss: RowLoss, n_steps: int):
        self.network = network
        self.row_loss = row_loss
        self.n_steps = n_steps

    @property
    def n_resting(self) -> int:
        """How many parameters, the first of the vector, no task moves."""
        return self.network.head_start if self.head_only else 0

    def loss(self, theta: Tensor, rows: Rows) -> Tensor:
        """Weighted mean of the losses of a task's rows."""
        outputs = self.network.outputs(theta, rows.x) + rows.offset
        return (rows.weight * self.row_loss(outputs, rows.values)).sum() / rows.weight.sum()

    def adapt(self, theta: Tensor, rates: Tensor, support: Rows) -> Tensor:
        """Parameters (P,) for a task, after the steps on its support rows; ``rates`` (P,) or ()."""
        n_resting = self.n_resting
        if n_resting:
            resting, moving = theta[:n_resting], theta[n_resting:]
            rates = rates[n_resting:] if rates.dim() else rates
        else:
            resting, moving = None, theta

        def join(moving: Tensor) -> Tensor:
            return moving if resting is None else torch.cat([resting, moving])

        gradient_of = grad(lambda moving: self.loss(join(moving), support))
        for _ in range(self.n_steps):
            gradient = gradient_of(moving)
            if self.first_order:
                gradient = gradient.detach()
            moving = moving - rates * gradient
        return join(moving)

    def adapt_all(self, theta: Tensor, rates: Tensor, support: Rows) -> Tensor:
        """Parameters (B, P) for the tasks of a meta-batch."""
        return vmap(self.adapt, in_dims=(None, None, 0))(theta, rates, support)

    def meta_gradient(
        self, theta: Tensor, rates: Tensor, support: Rows, query: Rows
    ) -> tuple[list[Tensor], Tensor]:
        """Gradients of the start, and of the rates where they are learned; and the loss of the tasks.

        The loss is that of the query rows under the adapted parameters, a mean over tasks.
        """

        def task_loss(theta: Tensor, rates: Tensor, support: Rows, query: Rows) -> Tensor:
            return self.loss(self.adapt(theta, rates, support), query)

        def objective(theta: Tensor, rates: Tensor) -> Tensor:
            each = vmap(task_loss, in_dims=(None, None, 0, 0))
            return each(theta, rates, support, query).mean()

        wanted = (0, 1) if self.learns_rates else (0,)
        gradients, loss = grad_and_value(objective, argnums=wanted)(theta, rates)
        return list(gradients), loss


class MAML(MetaAlgorithm):
    """Model-agnostic meta-learning: descend the query loss through the steps (Finn et al. 2017)."""


class FOMAML(MetaAlgorithm):
    """MAML without second derivatives: the query's gradient at the adapted parameters."""

    first_order = True


class ANIL(MetaAlgorithm):
    """MAML whose tasks move the head alone: almost no inner loop (Raghu et al. 2020)."""

    head_only = True


class MetaSGD(MetaAlgorithm):
    """MAML that learns, with the start, a rate for each parameter (Li et al. 2017)."""

    learns_rates = True


class Reptile(MetaAlgorithm):
    """Moves the start towards where tasks end, without a query set (Nichol et al. 2018).

    Support and query rows are learned from alike. ``(theta - adapted) / rate`` takes the place of
    a gradient; of a single step it is the gradient of joint training.
    """

    first_order = True

    def meta_gradient(
        self, theta: Tensor, rates: Tensor, support: Rows, query: Rows
    ) -> tuple[list[Tensor], Tensor]:
        rows = Rows(
            torch.cat([support.x, query.x], 1),
            torch.cat([support.values, query.values], 1),
            torch.cat([support.weight, query.weight], 1),
            support.offset,
        )
        adapted = self.adapt_all(theta, rates, rows)
        loss = vmap(self.loss)(adapted, rows).mean()
        return [(theta - adapted.mean(0)) / rates], loss


ALGORITHMS: dict[str, type[MetaAlgorithm]] = {
    "maml": MAML,
    "fomaml": FOMAML,
    "reptile": Reptile,
    "anil": ANIL,
    "meta_sgd": MetaSGD,
}
