"""What tasks learn after training, from rows that did not train: thresholds.

In: a net that was trained, with the rows of each member. Out: its tasks. Shapes: K members, r rows of
the table, m outputs of a task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmtl.targets import value_columns
from skmtl.tasks import Task, TaskLosses
from skmtl.training import FORWARD_ROWS, MultiTaskModule, Ready


def require_held_out_rows(tasks: dict[Any, Task], ready: Ready, *, first: bool) -> None:
    """Raise if a task is to be tuned for the first time, and no rows are held back."""
    for name, task in tasks.items():
        if task.tunes and first and ready.rows.valid is None:
            raise ValueError(
                f"Task {name!r}: {task!r} is tuned on held-back rows, and there are none. Use fit with "
                "early_stopping=True and two or more labelled rows, or give it a number."
            )


def tuned(tasks: dict[Any, Task], ready: Ready) -> dict[Any, Task]:
    """Tasks tuned on the outputs of each row by the members that it was held back from."""
    if ready.rows.valid is None or not any(task.tunes for task in tasks.values()):
        return tasks
    net, data, _ = ready
    criterion = net.criterion_
    outputs, times = _held_out(net.module_, criterion, ready)
    there = times > 0
    values = data.values[there].double().cpu().numpy()
    weight = np.ones((len(values), len(tasks)))
    if data.weight is not None:
        weight = data.weight[there].double().cpu().numpy()
    names, found = list(tasks), dict(tasks)
    places = value_columns(criterion.tasks)
    for at, (t, place) in enumerate(zip(criterion.order, places, strict=True)):
        task, own = tasks[names[t]], values[:, place]
        counts = weight[:, at] > 0
        if task.tunes and counts.any():
            mean = (outputs[t][there] / times[there, None])[torch.from_numpy(counts)]
            found[names[t]] = task.tune(mean.cpu().numpy(), own[counts], weight[counts, at])
    return found


def _held_out(
    module: MultiTaskModule, criterion: TaskLosses, ready: Ready
) -> tuple[list[Tensor], Tensor]:
    """Activated outputs (r, m) of each task in the table's order, summed over members; how many."""
    n_rows, dtype = len(ready.data.values), torch.float64
    device = ready.data.values.device
    times = torch.zeros(n_rows, dtype=dtype, device=device)
    sums: list[Tensor] = []
    for rows, chunk in _chunks(module, criterion, ready):
        at = rows.reshape(-1).long()
        times.index_add_(0, at, torch.ones(len(at), dtype=dtype, device=device))
        if not sums:
            sums = [torch.zeros(n_rows, a.shape[-1], dtype=dtype, device=device) for a in chunk]
        for total, part in zip(sums, chunk, strict=True):
            total.index_add_(0, at, part.flatten(0, 1).to(dtype))
    return sums, times


def _chunks(
    module: MultiTaskModule, criterion: TaskLosses, ready: Ready
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Rows (K, b) held back and each task's activated outputs of them, (K, b, m)."""
    assert ready.rows.valid is not None, "the caller saw to that"
    valid = ready.rows.valid.to(ready.data.x.device)
    with torch.inference_mode():
        for rows in valid.split(max(1, FORWARD_ROWS // len(valid)), dim=1):
            groups = criterion.activate_members(module(ready.data.inputs(rows)))
            yield rows, criterion.by_task(groups)
