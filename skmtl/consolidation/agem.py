"""Steps that leave the loss on old rows no higher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .base import Consolidation, Learner, check_memory, labelled
from .replay import rows_of
from .reservoir import Reservoir


class AGEM(Consolidation):
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

    def __init__(self, memory_size=1000, batch_size="auto"):
        self.memory_size = memory_size
        self.batch_size = batch_size

    def start(self, seeds: Sequence[int], module: Any) -> None:
        """Begin with an empty memory; see `Consolidation.start`."""
        super().start(seeds, module)
        check_memory(self)
        self.memory = Reservoir(int(self.memory_size), seeds)

    def attend(self, members: Sequence[int]) -> None:
        """Draw for these members only."""
        self.memory.attend(members)

    def correct(
        self, learner: Learner, batch: Any, moving: Tensor | None, active: Tensor | None
    ) -> Tensor | None:
        """Project the gradients; parameters of remembered tasks move where that changed anything."""
        if not self.memory.seen:
            return moving
        past = self.memory.draw(rows_of(self.batch_size, batch))
        there = past.weight.sum(1) > 0
        if active is not None:
            there = there & active
        parameters = [p for p in learner.module.parameters() if p.grad is not None]
        losses, _ = learner.loss(learner.module(past.x), past.values, past.weight)
        total = learner.weighting.objective(losses, there).sum()
        with torch.no_grad():
            gradients = [p.grad for p in parameters]
            against = project(gradients, reference(total, parameters))
        if moving is None:
            return None
        return moving | (there & against.unsqueeze(1))

    def end(self, learner: Learner, data: Any) -> None:
        """Remember rows of the chunk."""
        self.memory.add(*labelled(data), len(learner.loss.tasks))

    def keep(self, members: Sequence[int]) -> None:
        """Forget the other members for good."""
        self.memory.keep(members)


def reference(total: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Gradient of the loss on remembered rows; zero for parameters that have no part in it."""
    return list(torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True))


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
