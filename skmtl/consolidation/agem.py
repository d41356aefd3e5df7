"""Steps that leave the loss on old rows no higher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .base import Learner
from .remembering import Rehearsal


class AGEM(Rehearsal):
    """Averaged gradient episodic memory: no step against the gradient of remembered rows.

    Where the gradient g of a member's batch and the gradient r of rows it remembers are at odds,
    ``g·r < 0``, the step follows what is nearest to g and is not, ``g - (g·r / r·r) r``. torchjd's
    `DualProj` of g and r with all weight on g is the same vector. It is the gradient that is held to
    this: Adam's step, with its momentum and its scale, follows it less strictly. Each member
    remembers a uniform sample of all rows seen in earlier chunks.

    Parameters
    ----------
    memory_size : int, default=1000
        Rows that a member remembers.
    batch_size : int or "auto", default="auto"
        Remembered rows looked at in a step; "auto": as many as there are new ones.

    References
    ----------
    A. Chaudhry, M. Ranzato, M. Rohrbach, M. Elhoseiny (2019). Efficient lifelong learning with A-GEM.
    ICLR.

    Examples
    --------
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.consolidation import AGEM
    >>> MultiTaskRegressor(consolidation=AGEM(batch_size=64))
    MultiTaskRegressor(consolidation=AGEM(batch_size=64))
    """

    def correct(
        self, learner: Learner, batch: Any, moving: Tensor | None, active: Tensor | None
    ) -> Tensor | None:
        """Project the gradients; parameters of remembered tasks move where that changed anything."""
        past = self.recall(batch)
        if past is None:
            return moving
        there = past.weight.sum(1) > 0
        if active is not None:
            there = there & active
        parameters = [p for p in learner.module.parameters() if p.grad is not None]
        losses, _ = learner.loss(learner.module(past.x), past.values, past.weight)
        total = learner.weighting.objective(losses, there).sum()
        with torch.no_grad():
            past_gradients = torch.autograd.grad(
                total, parameters, allow_unused=True, materialize_grads=True
            )
            against = project([p.grad for p in parameters], past_gradients)
        if moving is None:
            return None
        return moving | (there & against.unsqueeze(1))


def project(gradients: Sequence[Any], references: Sequence[Tensor]) -> Tensor:
    """Take out of gradients (K, ...), in place, what points against references (K, ...).

    Returns
    -------
    against : Tensor of bool, shape (K,)
        Members whose gradient was changed.
    """
    pairs = list(zip(gradients, references, strict=True))
    product = torch.stack([(g * r).flatten(1).sum(1) for g, r in pairs]).sum(0)
    square = torch.stack([r.square().flatten(1).sum(1) for _, r in pairs]).sum(0)
    share = (product / square.clamp(min=torch.finfo(square.dtype).tiny)).clamp(max=0)
    for g, r in pairs:
        g.sub_(share.view(-1, *[1] * (r.dim() - 1)) * r)
    return share < 0
