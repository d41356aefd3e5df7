"""Gradients of the tasks where they meet: at the shared features, or at the shared parameters.

Shapes: K members, T tasks, b rows, h features, C outputs, N numbers in a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .batches import Batch


class TaskGradients(Protocol):
    """A gradient per task and member."""

    def gramian(self) -> Tensor:
        """Inner products (K, T, T)."""

    def rows(self) -> Tensor:
        """The gradients themselves, (K, T, N)."""

    def combine(self, weights: Tensor) -> Tensor:
        """Sum over tasks weighted by ``weights`` (K, T)."""

    def shaped(self, direction: Tensor) -> Tensor:
        """A vector (K, N) like a row, in the shape that `combine` gives."""

    def of(self, members: Sequence[int]) -> TaskGradients:
        """Those of some members, which stand side by side."""


class Rows:
    """Gradients that were computed one by one, (K, T, N).

    ``unit`` scales the gradients that a method is shown, not those it gives.
    """

    def __init__(self, rows: Tensor, shape: Sequence[int], unit: float = 1.0):
        self._rows, self._shape, self._unit = rows, shape, unit

    def gramian(self) -> Tensor:
        """Inner products (K, T, T)."""
        return self._unit**2 * (self._rows @ self._rows.mT)

    def rows(self) -> Tensor:
        """The gradients themselves, (K, T, N)."""
        return self._unit * self._rows

    def combine(self, weights: Tensor) -> Tensor:
        """Sum over tasks weighted by ``weights`` (K, T)."""
        return (weights.unsqueeze(1) @ self._rows).squeeze(1).unflatten(1, self._shape)

    def shaped(self, direction: Tensor) -> Tensor:
        """A vector (K, N) like a row, in the shape that `combine` gives."""
        return direction.unflatten(1, self._shape) / self._unit

    def of(self, members: Sequence[int]) -> Rows:
        """Those of some members, which stand side by side."""
        return Rows(self._rows[members[0] : members[-1] + 1], self._shape, self._unit)


class LinearHeadRows:
    """Gradients at features under linear heads: ``g_t W_t^T``, which need not be written out.

    With g (K, b, C) the gradients of the outputs and W (K, h, C) the heads, the inner product of two
    columns' gradients is the product of ``g^T g`` and ``W^T W``: C by C numbers instead of T times
    b times h. ``unit`` scales the gradients that a method is shown, not those it gives.
    """

    def __init__(self, outputs: Tensor, weight: Tensor, owner: Tensor, unit: float):
        self._outputs, self._weight, self._owner, self._unit = outputs, weight, owner, unit

    @cached_property
    def _columns(self) -> Tensor | None:
        """Whose column it is, (C, T) of zeros and ones; None where each task has one."""
        n_tasks = int(self._owner[-1]) + 1
        if n_tasks == len(self._owner):
            return None
        tasks = torch.arange(n_tasks, device=self._owner.device)
        return (self._owner.unsqueeze(1) == tasks).to(self._outputs)

    def gramian(self) -> Tensor:
        """Inner products (K, T, T)."""
        products = torch.bmm(self._outputs.mT, self._outputs)
        heads = (self._weight.mT, self._weight)
        # beta=0: nothing is added; baddbmm scales in the same call
        products.mul_(torch.baddbmm(products, *heads, beta=0, alpha=self._unit**2))
        columns = self._columns
        return products if columns is None else columns.mT @ products @ columns

    def rows(self) -> Tensor:
        """The gradients themselves, (K, T, N)."""
        columns = torch.eye(len(self._owner)) if self._columns is None else self._columns
        by_task = self._outputs.unsqueeze(1) * columns.to(self._outputs).mT.unsqueeze(1)
        return self._unit * (by_task @ self._weight.mT.unsqueeze(1)).flatten(2)

    def combine(self, weights: Tensor) -> Tensor:
        """Sum over tasks weighted by ``weights`` (K, T): (K, b, h)."""
        by_column = weights if self._columns is None else weights.index_select(1, self._owner)
        return (self._outputs * by_column.unsqueeze(1)) @ self._weight.mT

    def shaped(self, direction: Tensor) -> Tensor:
        """A vector (K, N) like a row, as (K, b, h)."""
        return direction.unflatten(1, (self._outputs.shape[1], -1)) / self._unit

    def of(self, members: Sequence[int]) -> LinearHeadRows:
        """Those of some members, which stand side by side."""
        own = slice(members[0], members[-1] + 1)
        return LinearHeadRows(self._outputs[own], self._weight[own], self._owner, self._unit)


class Backward(NamedTuple):
    """What a backward pass leaves beside gradients: losses (K, T), label weight, tasks, weights."""

    losses: Tensor
    total: Tensor | None
    moving: Tensor | None
    weights: Tensor


def moving_tasks(total: Tensor | None, active: Tensor | None) -> Tensor | None:
    """Tasks (K, T) with a label that the schedule trains; None if that is all of them."""
    if total is None:
        return active
    moving = total > 0
    if active is not None:
        moving = moving & active
    return None if moving.all() else moving


def from_losses(
    module: Any, loss: Any, batch: Batch, weighting: Any, active: Tensor | None
) -> Backward:
    """Backward pass of the weighted sum of losses."""
    losses, total = loss(module(batch.x, batch.clipped), batch.values, batch.weight)
    moving = moving_tasks(total, active)
    detached = losses.detach()
    weights = _only(weighting(detached, moving), moving).expand_as(losses)
    losses.backward(weights)  # without nodes for the weighted sum
    return Backward(detached, total, moving, weights)


def from_features(
    module: Any, loss: Any, batch: Batch, weighting: Any, active: Tensor | None
) -> Backward:
    """Backward pass that at the shared features goes on with one gradient made of the tasks'.

    Above them every task has the gradient of its own loss.
    """
    network = module.network
    x = batch.x if batch.clipped else module.clip(batch.x)
    features = network.features(x)
    if not features.requires_grad:  # a frozen trunk: there are weights to be found all the same
        features = features.detach().requires_grad_()
    weight, owner = network.linear_heads()
    above = features
    if weight is None:  # a copy for each task, whose gradient is that task's
        above = features.unsqueeze(1).repeat(1, network.n_tasks, 1, 1)
    outputs = network.outputs(above, x)
    unit = x.shape[1] ** 0.5  # inner products then are means over rows, however many there are
    seen: list[TaskGradients] = []
    weights: list[Tensor] = []

    def keep_gradients(gradient: Tensor) -> None:
        seen.append(
            Rows(gradient.flatten(2), gradient.shape[2:], unit)
            if weight is None
            else LinearHeadRows(gradient, weight.detach(), owner, unit)
        )

    def aggregate(gradient: Tensor) -> Tensor:
        with torch.enable_grad():  # as anywhere else, for aggregators that differentiate
            found, direction = weighting.aggregate(seen[0], detached, moving)
        weights.append(found)
        return direction.to(gradient)

    # one pass with two hooks costs less than passes that end and begin here; put up before the loss,
    # which may work in place
    (above if weight is None else outputs).register_hook(keep_gradients)
    features.register_hook(aggregate)
    losses, total = loss(outputs, batch.values, batch.weight)
    moving = moving_tasks(total, active)
    detached = losses.detach()
    own = _only(weighting(detached, moving), moving).expand_as(losses)
    losses.backward(own)
    return Backward(detached, total, moving, weights[0])


def from_parameters(
    module: Any, loss: Any, batch: Batch, weighting: Any, active: Tensor | None
) -> Backward:
    """Backward pass per task, to aggregate the gradients of the parameters that tasks share.

    Parameters of one task have the gradient of its own loss.
    """
    losses, total = loss(module(batch.x, batch.clipped), batch.values, batch.weight)
    moving = moving_tasks(total, active)
    detached = losses.detach()
    own = _only(weighting(detached, moving), moving).expand_as(losses)
    shared, separate = module.network.parameters_by_sharing()
    parts = []
    for t in range(losses.shape[1]):
        gradients = torch.autograd.grad(
            losses[:, t], [*shared, *separate], own[:, t], retain_graph=True, allow_unused=True
        )
        parts.append(
            [
                torch.zeros_like(p) if g is None else g
                for p, g in zip(shared, gradients[: len(shared)], strict=True)
            ]
        )
        for p, g in zip(separate, gradients[len(shared) :], strict=True):
            if g is not None:
                p.grad = (
                    g.clone(memory_format=torch.contiguous_format)
                    if p.grad is None
                    else p.grad.add_(g)
                )
    rows = torch.stack([torch.cat([g.flatten(1) for g in part], 1) for part in parts], 1)
    weights, direction = weighting.aggregate(Rows(rows, (-1,)), detached, moving)
    sizes = [p[0].numel() for p in shared]
    for p, g in zip(shared, direction.split(sizes, 1), strict=True):
        p.grad = g.reshape(p.shape).contiguous()  # the fused step knows no strides
    return Backward(detached, total, moving, weights)


def _only(weights: Tensor, moving: Tensor | None) -> Tensor:
    """Weights of the tasks that move; zero for the others, whose losses are no numbers perhaps."""
    return weights if moving is None else weights.where(moving, 0.0)
