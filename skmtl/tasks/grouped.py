"""One target of very many tasks, a row of one task each: the sum of the tasks' mean losses.

What `TaskLosses` finds from a column per task is found here from one column and the task of each
row: in a batch, the rows of a task share its weight. Shapes: K members, b rows, V numbers that
encode a label, T tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Task
from .losses import TaskLosses, Values


class GroupedLosses(TaskLosses):
    """The tasks' weighted mean losses, summed; for the engine it is the loss of one task.

    Values (K, b, V + 1) have the number of the row's task last.

    Parameters
    ----------
    task : Task
        What the target is, alike in all tasks; prepared.
    weights : Tensor of shape (T,)
        Weight of each task's loss.
    totals : Tensor of shape (T,)
        Label weight of each task in the whole table.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.tasks import RegressionTask
    >>> labels = np.array([1.0, 2.0, 3.0])
    >>> task = RegressionTask(standardize=False).prepare(labels, np.ones(3), name="y")
    >>> losses = GroupedLosses(task, torch.ones(2), torch.tensor([2.0, 1.0]))
    >>> values = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]]])  # labels, and their tasks
    >>> loss, _ = losses(torch.zeros(1, 3, 1), values, None)
    >>> loss  # half the squares: (1 / 2 + 4 / 2) / 2 + 9 / 2
    tensor([[5.7500]])
    """

    weights: Tensor
    share: Tensor

    def __init__(self, task: Task, weights: Tensor, totals: Tensor):
        super().__init__([task])
        self.register_buffer("weights", weights)
        self.set_totals(totals)

    def set_totals(self, totals: Tensor) -> None:
        """Learn from a table with this label weight in each task."""
        share = torch.where(totals > 0, self.weights / totals, torch.zeros_like(totals))
        self.register_buffer("share", share)
        self.n_labels = float(totals.sum())

    def read(self, values: Tensor) -> tuple[Tensor, ...]:
        """Labels, as `Task.read` has them, and the number of each row's task, (K, b)."""
        return *super().read(values[..., :-1]), values[..., -1].long()

    def forward(
        self, outputs: Tensor, values: Values, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Loss (K, 1) of outputs (K, b, C); the weight behind it, (K, 1) or None, as in `TaskLosses`.

        Tasks without a label in the batch count nothing. While training, the gradient is that of the
        sum over the tasks in the batch, and the number is the batch's part of the sum over all tasks,
        so that its mean over an epoch is comparable with the loss on other rows.
        """
        labels, task = self._values(values)
        losses = self._sample_losses(outputs, (labels,)).squeeze(-1)  # (K, b)
        counts = torch.ones_like(losses) if weight is None else weight.squeeze(-1)
        totals = losses.new_zeros(len(losses), len(self.weights)).scatter_add_(1, task, counts)
        there = totals.gather(1, task).clamp_(min=torch.finfo(losses.dtype).tiny)
        summed = (losses * (counts * self.weights[task] / there)).sum(1, keepdim=True)
        total = None if weight is None else weight.sum(1)
        if not torch.is_grad_enabled():
            return summed, total
        of_epoch = (losses.detach() * counts * self.share[task]).sum(1, keepdim=True)
        of_epoch *= self.n_labels / (counts.sum(1, keepdim=True))
        return summed + (of_epoch - summed.detach()), total

    def score(self, outputs: Tensor, values: Values, weight: Tensor | None) -> Tensor:
        """Score of the rows of all tasks together, (K, 1)."""
        labels, _ = self._values(values)
        return super().score(outputs, (labels,), weight)
