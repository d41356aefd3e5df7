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
from skmtl._engine import Lesson, Plan
from skmtl.schedules import Joint
from skmtl.sharing import Network
from skmtl.targets import Targets
from skmtl.tasks import GroupedLosses, Task, TaskLosses
from skmtl.training import (
    FORWARD_ROWS,
    Bounds,
    MultiTaskNet,
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
        self.tell_totals(criterion)

    def tell_totals(self, criterion: GroupedLosses) -> None:
        """Tell a criterion, ours or that of a net that goes on, the label weight of each task."""
        criterion.set_totals(criterion.share.new_tensor(self.totals))

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


def lesson_of(
    features: np.ndarray, tasks: np.ndarray, table: Targets, task: Task, plan: Plan, name: Any
) -> tuple[Lesson, Plan]:
    """What there is to learn, gathered where nothing looks at all tasks, else wide; the plan for it.

    Parameters
    ----------
    features : ndarray of shape (n, d)
    tasks : ndarray of int, shape (n,)
        Number of each row's task.
    table : Targets
        Of the one target, which is ``task`` and called ``name``.
    plan : Plan
        What is asked for, of a column per task.
    """
    n_tasks, found = len(plan.names), _that_looks_at_all_tasks(plan, task)
    if found is not None:
        _require_few(n_tasks, len(features), task, *found)
        x = _engine.to_device(features, plan.device)
        return Lesson(x, _widened(table, tasks, n_tasks), TaskLosses([task] * n_tasks)), plan
    x = _engine.to_device(_with_tasks(features, tasks), plan.device)
    table = Targets(_with_tasks(table.values, tasks), table.weight, 1)
    lesson = GroupedLesson(x, table, task, np.array(plan.weighting.weights))
    sharing: Any = plan.sharing.gathered(n_tasks)  # is there: nothing was found
    plan = replace(plan, names=[name], weighting=FixedWeights([1.0]), sharing=sharing)
    return lesson, plan


def _that_looks_at_all_tasks(plan: Plan, task: Task) -> tuple[str, str] | None:
    """What is asked for that looks at all tasks at every row, and what does not; None: nothing."""
    if plan.sharing.gathered(len(plan.names)) is None:
        return f"sharing={plan.sharing!r}", "sharing='hard'"
    if type(plan.weighting) is not FixedWeights:
        return f"loss_weights={plan.weighting!r}", "None, a dict or an array of weights"
    if task.n_constants:
        return f"tasks={task!r}", "a kind of task whose outputs all depend on the inputs"
    if type(plan.schedule) is not Joint:
        return f"schedule={plan.schedule!r}", "schedule='joint'"
    if _parameters.read_gradients(plan.callbacks):
        return f"callbacks={plan.callbacks!r}", "callbacks that read no gradients"
    return None


def _require_few(n_tasks: int, n_rows: int, task: Task, found: str, cure: str) -> None:
    """Raise if a column per task would be too much, or could not be tuned."""
    if task.tunes:
        raise ValueError(
            f"Parameter tasks={task!r} is tuned for the target, not task by task, and needs sharing="
            "'hard', fixed loss_weights and schedule='joint' where rows have a task each. Give it a "
            "number to use others."
        )
    if n_tasks * n_rows > WIDE_LABELS:
        raise ValueError(
            f"Parameter {found} looks at all tasks at every row, and {n_tasks} tasks of {n_rows} rows "
            f"are too many for that: their product may be {WIDE_LABELS:,} at most. Use {cure}, which "
            "looks at the tasks of a batch only."
        )


def _with_tasks(values: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """Values (n, m) and the number of each row's task after them.

    Small integers, bytes of images say, become wide enough for the numbers.
    """
    dtype = values.dtype
    if dtype.kind != "f":
        dtype = np.promote_types(dtype, np.int32)
    out = np.empty((len(values), values.shape[1] + 1), dtype)
    out[:, :-1], out[:, -1] = values, tasks
    return out


def _widened(table: Targets, tasks: np.ndarray, n_tasks: int) -> Targets:
    """Spread a table of one target over a column per task; in the others, a row has no label."""
    n, width = table.values.shape
    rows = np.arange(n)
    values = np.zeros((n, n_tasks, width), table.values.dtype)
    values[rows, tasks] = table.values
    weight = np.zeros((n, n_tasks))
    weight[rows, tasks] = 1 if table.weight is None else table.weight[:, 0]
    return Targets(values.reshape(n, -1), weight, n_tasks)


def infer(
    net: MultiTaskNet, task: Task, features: np.ndarray, tasks: np.ndarray, n_tasks: int
) -> np.ndarray:
    """Activated outputs (n, m) of each row's task.

    A task of -1 gets the mean of all tasks' outputs, before they are activated.
    """
    module = net.module_
    if module.network.gathers:
        [outputs] = _engine.infer(module, net.criterion_, _with_tasks(features, tasks))
        return outputs
    one, chunks = TaskLosses([task]), []
    x, own = (_engine.to_device(a, str(module.low.device)) for a in (features, tasks))
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
