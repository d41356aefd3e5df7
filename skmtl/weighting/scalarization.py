"""Weights on losses by the methods of torchjd that look at the losses alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import adapter
from .base import Setting, Weighting


class Scalarization(Weighting):
    """Turn the losses into one by a scalarizer of torchjd; the weights are its derivatives.

    Every member has a scalarizer of its own, which sees the losses of that member. Tasks without a
    label in a batch are left out of it. Parameters a scalarizer learns (UW, IMTL-L) are trained by
    Adam at the network's learning rate.

    Parameters
    ----------
    scalarizer : str or torchjd.scalarization.Scalarizer, default="uw"
        A name (see docs/weighting.md for what each stands for and its paper), or an object, whose
        vectors, if any, have an entry per task in the order of the target table.
    """

    def __init__(self, scalarizer="uw"):
        self.scalarizer = scalarizer

    def start(self, setting: Setting) -> None:
        """Make a scalarizer per member; see `Weighting.start`."""
        n_tasks, like = setting.n_tasks, setting.like
        self._members = [
            adapter.make(self.scalarizer, adapter.SCALARIZERS, n_tasks, range(n_tasks), like)
            for _ in setting.generators
        ]
        adapter.probe(self._members[0], torch.ones(n_tasks).to(like), self)
        self._generators = adapter.fresh(setting.generators)
        self._learned = [[p for p in m.parameters() if p.requires_grad] for m in self._members]
        every = [p for learned in self._learned for p in learned]
        self._optimizer = (
            torch.optim.Adam(every, lr=setting.learning_rate, fused=True) if every else None
        )
        self._table = torch.tensor(setting.task_order).argsort()  # engine's task at each position
        self._latest: Tensor | None = None
        self._by_epoch = hasattr(self._members[0], "step")
        self.looks_again = hasattr(self._members[0], "update")

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights (K, T)."""
        table = self._table.to(losses.device)
        in_order = losses.index_select(1, table)
        there = None if moving is None else moving.index_select(1, table)
        weights = torch.zeros_like(losses)
        for k, scalarizer in enumerate(self._members):
            positions = None if there is None or there[k].all() else there[k].nonzero()[:, 0]
            weights[k, table if positions is None else table[positions]] = self._weigh(
                k, scalarizer, in_order[k], positions
            )
        if self._optimizer is not None:
            self._optimizer.step()
        self._before = in_order, there
        return weights

    def _weigh(self, k: int, scalarizer: Any, losses: Tensor, positions: Tensor | None) -> Tensor:
        """Weights of member k's tasks at these positions of the table; None: of all."""
        learned = self._learned[k]
        if self._by_epoch:  # it is told the mean of the epoch, not the batches
            scalarizer = copy.copy(scalarizer)
        if positions is not None:
            if not len(positions):
                return losses[positions]
            scalarizer = adapter.restricted(scalarizer, len(losses), positions)
            losses = losses[positions]
        leaf = losses.clone().requires_grad_()
        with adapter.drawn_from(self._generators[k]):
            value = scalarizer(leaf)
        weights, *gradients = torch.autograd.grad(value, [leaf, *learned], allow_unused=True)
        for p, g in zip(learned, gradients, strict=True):
            p.grad = g
        return weights

    def after_step(self, losses: Tensor, moving: Tensor | None) -> None:
        """Tell FAMO what became of the losses."""
        before, there = self._before
        after = losses.index_select(1, self._table.to(losses.device))
        if there is not None:  # to a task that was not there nothing happened
            before, after = (part.where(there, 1.0) for part in (before, after))
        for k, scalarizer in enumerate(self._members):
            if there is not None:
                scalarizer(before[k])
            scalarizer.update(after[k])

    def after_epoch(self, losses: Tensor) -> None:
        """Tell DWA the mean losses of the epoch; a task without one keeps its latest."""
        if not self._by_epoch:
            return
        now = losses.index_select(1, self._table.to(losses.device))
        self._latest = now if self._latest is None else now.where(now.isfinite(), self._latest)
        for scalarizer, latest in zip(self._members, self._latest, strict=True):
            scalarizer(latest)
            scalarizer.step()

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        for k in set(range(len(self._members))) - set(members):
            for p in self._learned[k]:
                p.grad = None
        self._members = [self._members[k] for k in members]
        self._generators = [self._generators[k] for k in members]
        self._learned = [self._learned[k] for k in members]
        if self._latest is not None:
            self._latest = self._latest[torch.tensor(members)]
