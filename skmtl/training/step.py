"""The only code that runs per batch. Pure functions of what they are given.

Shapes: K members, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .batches import Batch, ValidRows
from .weighting import Weighting

Loss = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]


def train_step(
    module: Any,
    loss: Loss,
    batch: Batch,
    weighting: Weighting,
    optimizer: torch.optim.Optimizer,
    *,
    active: Tensor | None,
    on_gradients: Callable[[Batch], Any] | None,
) -> tuple[Tensor, Tensor | None]:
    """Move every member one step down; return its losses (K, T) and their label weight.

    ``active`` (T,) zeroes the tasks that rest; ``on_gradients`` sees the gradients before the
    optimizer does.
    """
    losses, total = loss(module(batch.x), batch.values, batch.weight)
    weights = weighting(losses.detach())
    if active is not None:
        weights = weights * active
    for group in optimizer.param_groups:  # zero_grad, without its bookkeeping
        for parameter in group["params"]:
            parameter.grad = None
    penalty = module.penalty()
    ends, gradients = [losses], [weights.expand_as(losses)]
    if penalty is not None:
        ends.append(penalty)
        gradients.append(torch.ones_like(penalty))
    torch.autograd.backward(ends, gradients)  # of the weighted sum, without more nodes
    if on_gradients is not None:
        on_gradients(batch)
    optimizer.step()
    return losses.detach(), total


class EpochLosses(NamedTuple):
    """Losses (K, T) over an epoch and whether there was any label behind them, (K, T)."""

    losses: Tensor
    labelled: Tensor


@torch.no_grad()
def evaluate(module: nn.Module, loss: Any, rows: ValidRows) -> tuple[EpochLosses, Tensor]:
    """Losses and scores (K, T) over all validation rows; NaN for a task without a label."""
    values, weight = rows.labels()
    outputs, at = values.new_empty(0), 0
    for x in rows.inputs():
        part = module(x)
        if not at:  # one tensor for all: parts kept one by one would scatter the memory
            outputs = part.new_empty(*values.shape[:2], part.shape[2])
        outputs[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    losses, total = loss(outputs, values, weight)
    labelled = torch.ones_like(losses, dtype=torch.bool) if total is None else total > 0
    losses = losses.where(labelled, torch.nan)
    return EpochLosses(losses, labelled), loss.score(outputs, values, weight)


class EpochMean:
    """Mean loss of an epoch, weighted by the labels behind each batch's.

    Summed in place: a small tensor kept from every step would lie in the way of the large ones that
    the next step needs, and cost more memory than the table.
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None

    def add(self, losses: Tensor, total: Tensor | None, n_rows: int) -> None:
        """Count a step in."""
        if self._sum is None:
            self._sum, self._total = torch.zeros_like(losses), torch.zeros_like(losses)
        if total is None:
            self._sum.add_(losses, alpha=n_rows)
            self._total.add_(n_rows)
        else:
            self._sum.addcmul_(losses, total)
            self._total.add_(total)

    def result(self) -> EpochLosses:
        """Mean losses; NaN for a task that had no label."""
        assert self._sum is not None, "an epoch has a batch"
        return EpochLosses(self._sum / self._total, self._total > 0)
