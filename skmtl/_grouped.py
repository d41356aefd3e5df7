"""One target in many tasks, a row of one task each: what the engine learns, and what it answers.

Two ways. *Gathered*: the task of a row is the last column of the inputs and of the values, so a step
costs what its rows cost, however many tasks there are. *Wide*: a column of values per task, for
schemes, weightings and schedules that look at all tasks at once. Both give the same networks.
Shapes: n rows, d features, T tasks, K members, C outputs, m of one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmtl import _engine, _parameters
from skmtl._engine import Lesson
from skmtl.schedules import Joint
from skmtl.sharing import Network
from skmtl.targets import Targets
from skmtl.tasks import GroupedLosses, Task, TaskLosses
from skmtl.training import (
    FORWARD_ROWS,
    Bounds,
    MultiTaskModule,
    Rows,
    TrainingData,
    clip_bounds,
    grouped_split,
)
from skmtl.weighting import FixedWeights

WIDE_LABELS = 50_000_000  # places of a table of a column per task, labelled or not: 400 MB


class GroupedLesson(Lesson):
    """A table whose rows know their task, the last column of inputs and of values.

    Parameters
    ----------
    x : Tensor of shape (n, d + 1)
    table : Targets
        Of one target, values (n, V + 1).
    task : Task
        Prepared.
    weights : ndarray of shape (T,)
        Weight of each task's loss.
    """

    criterion: GroupedLosses

    def __init__(self, x: Tensor, table: Targets, task: Task, weights: np.ndarray):
        # not like x: inputs of a trunk may be integers
        like = _engine.to_device(table.values[:0], str(x.device))
        criterion = GroupedLosses(
            task, torch.from_numpy(weights).to(like), torch.ones(len(weights)).to(like)
        )
        super().__init__(x, table, criterion)
        counts = np.ones(len(self.table.values))
        if self.table.weight is not None:
            counts = self.table.weight[:, 0].astype(float)
        self.totals = np.bincount(self._task_of_row, counts, minlength=len(weights))
        criterion.set_totals(torch.from_numpy(self.totals).to(like))

    @property
    def _task_of_row(self) -> np.ndarray:
        return self.table.values[:, -1].astype(int)

    @cached_property
    def _features(self) -> TrainingData:
        """The table without the tasks of its rows."""
        return self.data._replace(x=self.data.x[:, :-1])

    @cached_property
    def bounds(self) -> Bounds:
        """Where inputs are clipped; the task is not."""
        low, high, span = clip_bounds(self._features, self.labelled)
        end = low.new_full((1,), torch.inf)
        low, high, span = (torch.cat(ends) for ends in ((low, -end), (high, end), (span, end)))
        return Bounds(low, high, span)

    def warn_if_unscaled(self, names: Sequence[str] | None) -> None:
        """Warn of inputs that are far from standardised."""
        _engine.warn_if_unscaled(self._features, self.labelled, names)

    def decay(self, network: Network, alpha: float) -> dict[str, float | Tensor]:
        """L2 gradient factor of each parameter: of a head, by the labels of its task."""
        decay = super().decay(network, alpha)
        own = np.divide(alpha, self.totals, out=0 * self.totals, where=self.totals > 0)
        for name, p in network.named_parameters():
            if name.removeprefix("inner.").startswith("heads."):
                factors = np.repeat(own[:, None], p.shape[2], axis=1)
                factors[:, -1] = 0  # biases are free
                decay[name] = torch.from_numpy(factors).unsqueeze(-1)
        return decay

    def split(self, fraction: float, seeds: Sequence[int]) -> Rows:
        """Rows to train and to validate each member on, alike in every task."""
        rows = self.labelled.numpy()
        tasks, values = self._task_of_row[rows], self.table.values[rows, :-1]
        strata = np.zeros(len(rows), int)
        order = np.argsort(tasks, kind="stable")
        for own in np.split(order, np.flatnonzero(np.diff(tasks[order])) + 1):
            strata[own] = self.criterion.tasks[0].strata(values[own])
        train, valid = grouped_split(tasks, strata, fraction=fraction, seeds=seeds)
        return Rows(self.labelled[torch.from_numpy(train)], self.labelled[torch.from_numpy(valid)])


def gathered_plan(plan: _engine.Plan, name: Any, task: Task) -> _engine.Plan | None:
    """Return the plan for tasks that are gathered; None if what it asks for looks at all tasks.

    ``plan`` is the one for a column per task. ``name`` is that of the target, ``task`` what it is.
    """
    sharing = plan.sharing.gathered(len(plan.names))
    fixed = type(plan.weighting) is FixedWeights and type(plan.schedule) is Joint
    if (
        sharing is None
        or not fixed
        or task.n_constants
        or _parameters.read_gradients(plan.callbacks)
    ):
        return None
    return replace(plan, names=[name], weighting=FixedWeights([1.0]), sharing=sharing)


def require_few(plan: _engine.Plan, n_rows: int, task: Task) -> None:
    """Raise if a column per task would be too much, or could not be tuned."""
    if task.tunes:
        raise ValueError(
            f"Parameter tasks={task!r} is tuned for the target, not task by task, and needs sharing="
            "'hard', fixed loss_weights and schedule='joint' where rows have a task each. Give it a "
            "number to use others."
        )
    n_tasks = len(plan.names)
    if n_tasks * n_rows <= WIDE_LABELS:
        return
    if plan.sharing.gathered(n_tasks) is None:
        found = f"sharing={plan.sharing!r}", "sharing='hard'"
    elif type(plan.weighting) is not FixedWeights:
        found = f"loss_weights={plan.weighting!r}", "None, a dict or an array of weights"
    elif task.n_constants:
        found = f"tasks={task!r}", "a kind of task whose outputs all depend on the inputs"
    elif type(plan.schedule) is not Joint:
        found = f"schedule={plan.schedule!r}", "schedule='joint'"
    else:
        found = f"callbacks={plan.callbacks!r}", "callbacks that read no gradients"
    raise ValueError(
        f"Parameter {found[0]} looks at all tasks at every row, and {n_tasks} tasks of {n_rows} rows "
        f"are too many for that: their product may be {WIDE_LABELS:,} at most. Use {found[1]}, which "
        "looks at the tasks of a batch only."
    )


def with_tasks(values: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """Values (n, m) and the number of each row's task after them.

    Small integers, bytes of images say, become wide enough for the numbers.
    """
    dtype = values.dtype
    if dtype.kind != "f":
        dtype = np.promote_types(dtype, np.int32)
    out = np.empty((len(values), values.shape[1] + 1), dtype)
    out[:, :-1], out[:, -1] = values, tasks
    return out


def widened(table: Targets, tasks: np.ndarray, n_tasks: int) -> Targets:
    """Spread a table of one target over a column per task; in the others, a row has no label."""
    n, width = table.values.shape
    rows = np.arange(n)
    values = np.zeros((n, n_tasks, width), table.values.dtype)
    values[rows, tasks] = table.values
    weight = np.zeros((n, n_tasks))
    weight[rows, tasks] = 1 if table.weight is None else table.weight[:, 0]
    return Targets(values.reshape(n, -1), weight, n_tasks)


def infer_own(
    module: MultiTaskModule, task: Task, X: np.ndarray, tasks: np.ndarray, n_tasks: int
) -> np.ndarray:
    """Activated outputs (n, m) of each row's task from a network with outputs for all tasks.

    A task of -1 gets the mean of all tasks' outputs, before they are activated.
    """
    one, chunks = TaskLosses([task]), []
    x, own = (_engine.to_device(a, str(module.low.device)) for a in (X, tasks))
    size = max(1, FORWARD_ROWS // n_tasks)
    with torch.inference_mode():
        for rows, mine in zip(x.split(size), own.split(size), strict=True):
            outputs = module(rows.expand(module.n_members, *rows.shape))
            outputs = outputs.unflatten(-1, (n_tasks, -1))  # (K, b, T, m)
            index = (
                mine.clamp(min=0).view(1, -1, 1, 1).expand(len(outputs), -1, 1, outputs.shape[-1])
            )
            chosen = outputs.gather(2, index).squeeze(2)
            unseen = mine < 0
            if unseen.any():
                chosen[:, unseen] = outputs[:, unseen].mean(2)
            chunks.append(one.activate(chosen)[0][:, 0])
    return torch.cat(chunks).double().cpu().numpy()
