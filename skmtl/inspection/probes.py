"""Callbacks that watch the gradients of the tasks while a stack trains.

Shapes: K members, T tasks (in the engine's order).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor


class GradientProbe(Callback):
    """Look at the tasks' gradients at the shared parameters in every ``every``-th step.

    Attributes
    ----------
    epochs_ : list of Tensor of shape (T, T)
        Mean of what was seen in each epoch, over steps and members; NaN where nothing was.
    """

    def __init__(self, every: int):
        self.every = every

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start from nothing."""
        self.epochs_: list[Tensor] = []
        self._step = 0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin a mean."""
        n_tasks = len(net.task_names)
        self._sum, self._count = (
            torch.zeros(n_tasks, n_tasks, dtype=torch.float64) for _ in range(2)
        )

    def on_batch_begin(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any):
        """Look, before the step."""
        if self._step % self.every == 0:
            net.module_.eval()  # dropout would draw, and training be another than without a look
            seen = self.look(net, batch).double().cpu()  # (K, T, T), NaN where there is nothing
            net.module_.train()
            there = ~seen.isnan()
            self._sum += seen.where(there, 0.0).sum(0)
            self._count += there.sum(0)
        self._step += 1

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End it."""
        self.epochs_.append(self._sum / self._count)

    @abstractmethod
    def look(self, net: Any, batch: Any) -> Tensor:
        """What there is to see, (K, T, T)."""


class ConflictProbe(GradientProbe):
    """Cosine similarities of the tasks' gradients."""

    def look(self, net: Any, batch: Any) -> Tensor:
        """Cosines (K, T, T); NaN for a task without a gradient."""
        _, gradients, _ = task_gradients(net, batch)
        rows = torch.cat([g.flatten(2) for g in gradients], 2)
        norms = rows.norm(dim=2, keepdim=True)
        units = rows / norms.where(norms > 0, torch.nan)
        return units @ units.mT


class AffinityProbe(GradientProbe):
    """Look-ahead affinity (Fifty et al. 2021).

    Entry (i, j) is the share by which the loss of task j falls when the shared parameters take a
    step of the learning rate along the gradient of task i alone.
    """

    def look(self, net: Any, batch: Any) -> Tensor:
        """Affinities (K, T, T); NaN where a task has no label."""
        shared, gradients, losses = task_gradients(net, batch)
        after, here = [], [p.detach().clone() for p in shared]
        with torch.no_grad():
            for i in range(losses.shape[1]):
                for p, at, g in zip(shared, here, gradients, strict=True):
                    torch.sub(at, g[:, i], alpha=net.lr, out=p)
                ahead, _ = net.criterion_(
                    net.module_(batch.x, batch.clipped), batch.values, batch.weight
                )
                after.append(ahead)
            for p, at in zip(shared, here, strict=True):
                p.copy_(at)
        before = losses.detach().unsqueeze(1)
        there = before > 0
        if batch.weight is not None:
            labelled = batch.weight.sum(1) > 0
            there = there & labelled.unsqueeze(1) & labelled.unsqueeze(2)
        return (1 - torch.stack(after, 1) / before).where(there, torch.nan)


def task_gradients(net: Any, batch: Any) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Shared parameters, a gradient (K, T, ...) for each of them, and the losses (K, T)."""
    shared, _ = net.module_.network.parameters_by_sharing()
    if not shared:
        raise ValueError(
            "There are no parameters that tasks share, so no gradients to compare: take another "
            "sharing scheme, or hidden layers."
        )
    losses, _ = net.criterion_(net.module_(batch.x, batch.clipped), batch.values, batch.weight)
    by_task = [
        torch.autograd.grad(losses[:, t].sum(), shared, retain_graph=True, allow_unused=True)
        for t in range(losses.shape[1])
    ]
    gradients = [
        torch.stack([torch.zeros_like(p) if g is None else g for g in parts], 1)
        for p, parts in zip(shared, zip(*by_task, strict=True), strict=True)
    ]
    return shared, gradients, losses
