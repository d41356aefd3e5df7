"""The only code that runs per batch. Pure functions of what they are given.

Shapes: K members, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .batches import Batch, ValidRows, Values
from .jacobian import Backward, from_features, from_losses, from_parameters, moving_tasks

Loss = Callable[[Tensor, Values, Tensor | None], tuple[Tensor, Tensor | None]]
BACKWARD = {"losses": from_losses, "features": from_features, "parameters": from_parameters}


class Phase(NamedTuple):
    """What a schedule has train at an epoch.

    Attributes
    ----------
    active : Tensor of shape (K, T) or None
        Tasks whose losses count; None: all.
    freezes : bool
        Whether the parameters of the other tasks stay as they are.
    shared : bool
        Whether the parameters of all tasks move.
    """

    active: Tensor | None = None
    freezes: bool = True
    shared: bool = True


EVERYTHING = Phase()


class Learner(NamedTuple):
    """What is trained: all that a consolidation is shown beside the rows."""

    module: Any
    loss: Any
    weighting: Any


def train_step(
    module: Any,
    loss: Loss,
    batch: Batch,
    weighting: Any,
    optimizer: Any,
    *,
    phase: Phase = EVERYTHING,
    on_gradients: Callable[[Batch], Any] | None = None,
    consolidation: Any = None,
) -> Backward:
    """Move every member one step down.

    ``consolidation`` may add rows to the batch, and change the gradients that come of it.
    ``on_gradients`` sees the gradients before the optimizer does. Parameters of a task without a
    label in the batch stay as they are, and so does all that the optimizer knows of them.
    """
    if consolidation is not None:
        batch = consolidation.extend(batch)
    for group in optimizer.param_groups:  # zero_grad, without its bookkeeping
        for parameter in group["params"]:
            parameter.grad = None
    done = BACKWARD[weighting.level](module, loss, batch, weighting, phase.active)
    module.penalise()
    moving = done.moving if phase.freezes else moving_tasks(done.total, None)
    if consolidation is not None:
        learner = Learner(module, loss, weighting)
        moving = consolidation.correct(learner, batch, moving, phase.active)
    if on_gradients is not None:
        on_gradients(batch)
    optimizer.step(moving=moving, shared=phase.shared)
    if weighting.looks_again:
        with torch.no_grad():
            again, _ = loss(module(batch.x, batch.clipped), batch.values, batch.weight)
        weighting.after_step(again, done.moving)
    return done


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
    scores = loss.score(outputs, values, weight)  # first: a loss may work in place
    losses, total = loss(outputs, values, weight)
    labelled = torch.ones_like(losses, dtype=torch.bool) if total is None else total > 0
    losses = losses.where(labelled, torch.nan)
    return EpochLosses(losses, labelled), scores


class EpochMean:
    """Mean loss of an epoch, weighted by the labels behind each batch's, and mean weights.

    Summed in place: a small tensor kept from every step would lie in the way of the large ones that
    the next step needs, and cost more memory than the table.
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._n_steps = 0

    def add(self, step: Backward, n_rows: int) -> None:
        """Count a step in."""
        losses, total = step.losses, step.total
        if self._sum is None:
            self._sum, self._total, self._weights = (torch.zeros_like(losses) for _ in range(3))
        if total is None:
            self._sum.add_(losses, alpha=n_rows)
            self._total.add_(n_rows)
        else:
            self._sum.addcmul_(losses, total)
            self._total.add_(total)
        self._weights.add_(step.weights)
        self._n_steps += 1

    def result(self) -> tuple[EpochLosses, Tensor]:
        """Mean losses, NaN for a task that had no label; mean weights (K, T) over the steps."""
        assert self._sum is not None, "an epoch has a batch"
        losses = EpochLosses(self._sum / self._total, self._total > 0)
        return losses, self._weights / self._n_steps
