"""Parameters held where old rows depend on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skmtl._checks import check_float, check_int

from .base import Learner
from .fisher import fisher_diagonal
from .remembering import Remembering


class EWC(Remembering):
    """Elastic weight consolidation: a penalty on leaving what earlier stages found.

    Adds ``strength / 2 * sum_s F_s (θ - θ_s)²`` to a member's loss. θ_s are its parameters at the end
    of stage s, and F_s the diagonal of the Fisher information there, a mean over rows of that stage
    times the weights of their tasks. With strength one an earlier stage counts as much as the present.
    All stages together take the room of two copies of the parameters.

    Parameters
    ----------
    strength : float >= 0, default=1000.0
        Of the penalty.
    stage : "tasks" or int, default="tasks"
        When a stage ends: "tasks", where a chunk comes whose labels are of other tasks than those of
        the chunk before; an int, after so many chunks, for one task whose inputs or labels drift.
    memory_size : int, default=200
        Rows of the stage, a uniform sample, that its Fisher information is found from.
    decay : float in [0, 1], default=1.0
        What earlier stages count still when one more ends (Schwarz et al. 2018); below one for
        streams without end, which otherwise stiffen.

    References
    ----------
    J. Kirkpatrick et al. (2017). Overcoming catastrophic forgetting in neural networks. PNAS 114.
    J. Schwarz et al. (2018). Progress & compress: a scalable framework for continual learning. ICML.

    Examples
    --------
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> from skmtl.consolidation import EWC
    >>> MultiTaskClassifierRegressor(consolidation=EWC(stage=20, decay=0.9))
    MultiTaskClassifierRegressor(consolidation=EWC(decay=0.9, stage=20))
    """

    def __init__(self, strength=1000.0, stage="tasks", memory_size=200, decay=1.0):
        self.strength = strength
        self.stage = stage
        self.memory_size = memory_size
        self.decay = decay

    def check(self) -> None:
        """Raise unless the parameters are what they must be."""
        check_float(self.strength, "strength", self, low=0)
        check_float(self.decay, "decay", self, low=0, high=1)
        super().check()
        if not isinstance(self.stage, str):
            check_int(self.stage, "stage", self, low=1)
        elif self.stage != "tasks":
            raise ValueError(
                f"Parameter stage of EWC must be 'tasks' or an int >= 1. Found {self.stage!r}."
            )

    def start(self, seeds: Sequence[int], module: Any) -> None:
        """Begin with nothing held; see `Consolidation.start`."""
        super().start(seeds, module)
        self.precision: dict[str, Tensor] = {}  # sum of F_s, by parameter
        self.pull: dict[str, Tensor] = {}  # sum of F_s θ_s
        self._tasks: list[bool] | None = None
        self._n_chunks = 0
        self._held: tuple[list[str], list[Tensor], list[Tensor]] | None = None

    def begin(self, learner: Learner, data: Any) -> None:
        """End a stage if this chunk has labels of other tasks."""
        tasks = _labelled_tasks(data, len(learner.loss.tasks))
        if self.stage == "tasks" and self._tasks not in (None, tasks) and self.memory.seen:
            self._end_stage(learner)
        self._tasks = tasks
        self.attend(range(len(self.memory.generators)))

    def attend(self, members: Sequence[int]) -> None:
        """Hold these members only."""
        names, own = list(self.precision), list(members)
        everybody = len(own) == len(self.memory.generators)
        precision, pull = (
            [parts[name] if everybody else parts[name][own] for name in names]
            for parts in (self.precision, self.pull)
        )
        self._held = names, precision, pull

    def correct(
        self, learner: Learner, batch: Any, moving: Tensor | None, active: Tensor | None
    ) -> Tensor | None:
        """Add the gradient of the penalty."""
        if self._held is None or not self._held[0]:
            return moving
        parameters = dict(learner.module.network.named_parameters())
        held = [
            (parameters[name].grad, parameters[name], precision, pull)
            for name, precision, pull in zip(*self._held, strict=True)
            if parameters[name].grad is not None
        ]
        if held:
            gradients, now, precision, pull = (list(part) for part in zip(*held, strict=True))
            with torch.no_grad():
                torch._foreach_addcmul_(gradients, precision, now, value=float(self.strength))
                torch._foreach_add_(gradients, pull, alpha=-float(self.strength))
        return moving

    def end(self, learner: Learner, data: Any) -> None:
        """Remember rows of the chunk; end the stage if it has had its chunks."""
        super().end(learner, data)
        self._n_chunks += 1
        self._held = None
        if self.stage != "tasks" and self._n_chunks >= self.stage:
            self._end_stage(learner)

    def _end_stage(self, learner: Learner) -> None:
        """Hold the parameters as they are, as far as the rows of the stage depend on them."""
        rows = self.memory.draw(self.memory.size)  # no draw: all there are
        total = rows.weight.sum(1, keepdim=True)
        share = rows.weight / total.clamp(min=torch.finfo(total.dtype).tiny)
        diagonal = fisher_diagonal(
            learner.module, learner.loss, rows.x, rows.values, share * _task_weights(learner, total)
        )
        parameters = dict(learner.module.network.named_parameters())
        for name, own in diagonal.items():
            at = own * parameters[name].detach()
            if name in self.precision:
                own = own.add_(self.precision[name], alpha=float(self.decay))
                at = at.add_(self.pull[name], alpha=float(self.decay))
            self.precision[name], self.pull[name] = own, at
        self.memory.forget()
        self._n_chunks = 0

    def keep(self, members: Sequence[int]) -> None:
        """Forget the other members for good."""
        super().keep(members)
        own = list(members)
        self.precision = {name: p[own] for name, p in self.precision.items()}
        self.pull = {name: p[own] for name, p in self.pull.items()}
        self._held = None


def _labelled_tasks(data: Any, n_tasks: int) -> list[bool]:
    return [True] * n_tasks if data.weight is None else (data.weight > 0).any(0).tolist()


def _task_weights(learner: Learner, total: Tensor) -> Tensor:
    """What the loss of each task counts in the objective, (K, 1, T)."""
    losses = torch.ones_like(total[:, 0]).requires_grad_()
    objective = learner.weighting.objective(losses, total[:, 0] > 0).sum()
    return torch.autograd.grad(objective, losses)[0].unsqueeze(1)
