"""Weights on losses by the methods of torchjd that look at the losses alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skmtl._global_generator import drawn_from

from . import adapter
from .base import Setting, Weighting, require_numbers, same
from .derivatives import CLOSED_FORMS, Seen

LEAST = 1e-12  # of a loss: methods that divide by it, or take its logarithm, know no zero
FAR = 1e6  # loss of a task that is not there: next to nothing over it, and above any lower bound


class Scalarization(Weighting):
    """Turn the losses into one by a scalarizer of torchjd; the weights are its derivatives.

    Every member has a scalarizer of its own, which sees the losses of that member. Tasks without a
    label in a batch are left out of it. Parameters a scalarizer learns (UW, IMTL-L) are trained
    with the network's.

    Parameters
    ----------
    scalarizer : str or torchjd.scalarization.Scalarizer, default="uw"
        A name (see docs/weighting.md for what each stands for and its paper), or an object, whose
        vectors, if any, have an entry per task in the order of the target table.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.weighting import Scalarization
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights=Scalarization("dwa"), max_iter=5, random_state=0)
    >>> est = est.fit(X, X @ np.ones((3, 2)))
    >>> est.history_[["weight_y0", "weight_y1"]].iloc[0].tolist()
    [1.0, 1.0]
    """

    def __init__(self, scalarizer="uw"):
        self.scalarizer = scalarizer

    def start(self, setting: Setting) -> None:
        """Make a scalarizer per member; see `Weighting.start`."""
        n_tasks, like = setting.n_tasks, setting.like
        kind = adapter.scalarization.Scalarizer
        adapter.check(self.scalarizer, adapter.SCALARIZERS, kind, "scalarizer of Scalarization")
        self._members = [
            adapter.make(self.scalarizer, adapter.SCALARIZERS, n_tasks, range(n_tasks), like)
            for _ in setting.generators
        ]
        draws = adapter.probe(self._members[0], torch.ones(n_tasks).to(like), self)
        self._generators = adapter.fresh(setting.generators, draws=draws)
        self._learned = [[p for p in m.parameters() if p.requires_grad] for m in self._members]
        self._order = adapter.Order(setting.task_order, like.device)
        self._latest: Tensor | None = None
        self._by_epoch = hasattr(self._members[0], "step")
        self._is_steady = isinstance(self._members[0], adapter.STEADY)
        self._steady: Tensor | None = None
        self.looks_again = hasattr(self._members[0], "update")
        self._formula = CLOSED_FORMS.get(type(self._members[0]))

    def joins(self, other: Weighting) -> bool:
        """Whether the other has the same scalarizer."""
        return type(other) is type(self) and same(self, other)

    @classmethod
    def stacked(cls, parts: Sequence[tuple[Any, int]]) -> Scalarization:
        """The scalarizers of all, each its own."""
        joint = copy.copy(parts[0][0])
        for name in ("_members", "_generators", "_learned"):
            setattr(joint, name, [own for part, _ in parts for own in getattr(part, name)])
        return joint

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights (K, T)."""
        in_order = self._order.to_table(losses)
        there = None if moving is None else self._order.to_table(moving)
        if self.looks_again:
            self._before = in_order, there
        if self._steady is not None and there is None:
            return self._steady
        if self._formula is not None:
            weights = self._weigh_all(in_order, there)
        else:
            weights = torch.stack(
                [
                    self._weigh(k, in_order[k], None if there is None else there[k])
                    for k in range(len(in_order))
                ]
            )
        require_numbers(weights, self)
        weights = self._order.to_engine(weights)
        self._steady = weights if self._is_steady and there is None else None
        return weights

    def _weigh_all(self, losses: Tensor, there: Tensor | None) -> Tensor:
        """Weights (K, T), in the order of the table, by a closed form."""
        assert self._formula is not None, "it is asked for first"
        losses = losses.clamp(min=LEAST)
        if there is not None:  # what is not there is no number
            losses = losses.where(there, 1.0)
        seen = Seen(self._members, losses, there, self._generators)
        weights, gradients = self._formula(seen)
        if gradients is not None:
            anyone = [True] * len(losses) if there is None else there.any(1).tolist()
            for own, g, some in zip(self._learned, seen.those(gradients), anyone, strict=True):
                for p in own:
                    p.grad = g if some else None
        return seen.those(weights).expand_as(losses)

    def _weigh(self, k: int, losses: Tensor, there: Tensor | None) -> Tensor:
        """Weights (T,) of member k's tasks, in the order of the table."""
        scalarizer, learned = self._members[k], self._learned[k]
        if self._by_epoch:  # it is told the mean of the epoch, not the batches
            scalarizer = copy.copy(scalarizer)
        if there is not None and not there.all():
            return self._weigh_some(k, scalarizer, losses, there)
        leaf = losses.clamp(min=LEAST).requires_grad_()
        generator = self._generators[k]
        if generator is None:
            value = scalarizer(leaf)
        else:
            with drawn_from(generator):
                value = scalarizer(leaf)
        if not learned:
            return torch.autograd.grad(value, leaf)[0]
        weights, *gradients = torch.autograd.grad(value, [leaf, *learned], allow_unused=True)
        for p, g in zip(learned, gradients, strict=True):
            p.grad = g
        return weights

    def _weigh_some(self, k: int, scalarizer: Any, losses: Tensor, there: Tensor) -> Tensor:
        """Weights (T,) by the tasks that are there; zero for the others."""
        learned, weights = self._learned[k], torch.zeros_like(losses)
        for p in learned:
            p.grad = None
        positions = there.nonzero()[:, 0]
        if not len(positions):
            return weights
        leaf = losses[positions].clamp(min=LEAST).requires_grad_()
        with drawn_from(self._generators[k]):
            value = adapter.restricted(scalarizer, len(losses), positions)(leaf)
        some, *gradients = torch.autograd.grad(value, [leaf, *learned], allow_unused=True)
        for p, g in zip(learned, gradients, strict=True):
            p.grad = g
        weights[positions] = some
        return weights

    def parameters(self) -> list[list[nn.Parameter]]:
        """Scales that the scalarizer of each member learns."""
        return self._learned

    def after_step(self, losses: Tensor, moving: Tensor | None) -> None:
        """Tell an object that looks again (torchjd's FAMO) what became of the losses."""
        before, there = self._before
        after = self._order.to_table(losses)
        if there is not None:  # to a task that was not there nothing happened
            before, after = (part.where(there, FAR) for part in (before, after))
        for k, scalarizer in enumerate(self._members):
            if there is not None:
                scalarizer(before[k])
            scalarizer.update(after[k])

    def after_epoch(self, losses: Tensor) -> None:
        """Tell DWA the mean losses of the epoch; a task without one keeps its latest."""
        if not self._by_epoch:
            return
        self._steady = None
        now = self._order.to_table(losses)
        latest = torch.ones_like(now) if self._latest is None else self._latest
        self._latest = now.where(now.isfinite(), latest).clamp(min=LEAST)
        for scalarizer, latest in zip(self._members, self._latest, strict=True):
            scalarizer(latest)
            scalarizer.step()

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        self._steady = None
        self._members = [self._members[k] for k in members]
        self._generators = [self._generators[k] for k in members]
        self._learned = [self._learned[k] for k in members]
        if self._latest is not None:
            self._latest = self._latest[torch.tensor(members)]
