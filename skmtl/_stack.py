"""The one door to stacks: many fits, each as if it were alone, in the time of a few.

In: estimators, each with a table of inputs and the rows of it that it learns from. Out: the same
estimators, fitted, or the errors that ended their fits. Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import torch
from sklearn.utils.validation import validate_data
from torch import Tensor

from skmtl import _engine, _parameters, _table
from skmtl._base import BaseMultiTask, Reading
from skmtl.schedules import Timetable
from skmtl.training import Ready, structure, train_together
from skmtl.weighting import stack_weightings

COPIES = 8  # of a member's parameters: gradient, two moments, step, best so far, its own, workspace
SHARE = 0.5  # of the memory that is free


@dataclass
class Job:
    """A fit to be made.

    Attributes
    ----------
    estimator : estimator of skmtl
        Unfitted; fitted in place.
    X : array-like of shape (n, d)
    rows : ndarray of int or None
        Rows of X to learn from; None: all.
    y : array-like
        Targets of these rows.
    sample_weight : array-like or None
        Weights of these rows.
    error : Exception or None
        What ended the fit, afterwards.
    ready : Ready or None
        The net, before it trains.
    """

    estimator: BaseMultiTask
    X: Any
    y: Any
    rows: np.ndarray | None = None
    sample_weight: Any = None
    error: Exception | None = None
    ready: Ready | None = field(default=None, repr=False)
    reading: Reading | None = field(default=None, repr=False)


def plan_stacks(
    jobs: Sequence[Job], max_stack: int | str = "auto", n_parts: int = 1
) -> list[list[Job]]:
    """Make the jobs ready and sort them into stacks; those that must train alone are stacks of one.

    Jobs that share their X, y and rows (the same objects) are read once. A job that cannot be made
    ready has its `error` and is in no stack.

    Parameters
    ----------
    max_stack : int or "auto"
        Most networks in a stack; "auto": what fits into half of the memory that is free.
    n_parts : int
        Stacks to have at least, where a stack can be split into so many.
    """
    readings: dict[Any, Reading | Exception] = {}
    inputs: dict[Any, Tensor] = {}
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        try:
            job.reading = _read(job, readings, inputs)
            job.ready = job.estimator._make_ready(job.X, job.reading)
        except Exception as error:  # noqa: BLE001
            job.error = error
            continue
        alike = structure(job.ready)
        groups.setdefault(id(job) if alike is None else alike, []).append(job)
    return [part for group in groups.values() for part in _split(group, max_stack, n_parts)]


def train_stack(stack: Sequence[Job], callbacks: Sequence[Any] = ()) -> None:
    """Train the jobs of a stack and fit their estimators, or note their errors."""
    readies = [job.ready for job in stack]
    if len(stack) == 1:
        [job] = stack
        try:
            _engine.train(job.ready)  # type: ignore[arg-type]
            if job.ready.net.interrupted_:  # type: ignore[union-attr]
                raise KeyboardInterrupt
        except Exception as error:  # noqa: BLE001
            job.error = error
    else:
        errors = train_together(readies, stack_weightings, Timetable.stacked, callbacks)  # type: ignore[arg-type]
        for job, ended_by in zip(stack, errors, strict=True):
            job.error = ended_by
    for job in stack:
        if job.error is None:
            assert job.ready is not None, "a job in a stack is ready"
            if len(stack) > 1:
                _engine.warn_of_the_end(job.ready.net)
            job.estimator._keep(job.ready.net, job.reading)
        job.ready = job.reading = None


def _read(job: Job, readings: dict[Any, Any], inputs: dict[Any, Tensor]) -> Reading:
    """Read a job's table, once for all jobs that have the same."""
    e = job.estimator
    key = (
        id(job.X),
        id(job.y),
        id(job.rows),
        id(job.sample_weight),
        type(e),
        repr(e.tasks),
        str(e.device),
    )
    if key not in readings:
        try:
            readings[key] = _read_anew(job, inputs)
        except Exception as error:  # noqa: BLE001
            readings[key] = error
    if isinstance(readings[key], Exception):
        raise readings[key]
    return readings[key]


def _read_anew(job: Job, inputs: dict[Any, Tensor]) -> Reading:
    device = _parameters.check_device(job.estimator.device)
    n_rows = len(job.X) if job.rows is None else len(job.rows)
    dtype = _table.precision(n_rows, device)
    key = id(job.X), dtype, device
    if key not in inputs:
        inputs[key] = _table.to_device(validate_data(job.estimator, job.X, dtype=dtype), device)
    return job.estimator._read(inputs[key], job.y, job.sample_weight, where=job.rows)


def _split(group: list[Job], max_stack: int | str, n_parts: int) -> Iterator[list[Job]]:
    """Cut a group into stacks of even size."""
    members = [job.ready.net.module_.n_members for job in group]  # type: ignore[union-attr]
    most = _most_members(group[0].ready) if max_stack == "auto" else int(max_stack)  # type: ignore[arg-type]
    n_stacks = min(len(group), max(n_parts, -(-sum(members) // max(1, most))))
    for part in np.array_split(np.arange(len(group)), n_stacks):
        yield [group[i] for i in part]


def _most_members(ready: Ready) -> int:
    """Networks of this size that a stack may have."""
    net, data, rows = ready
    n_numbers = sum(p.numel() for p in net.module_.parameters()) / net.module_.n_members
    width = sum(p.shape[-1] for p in net.module_.parameters() if p.dim() > 2) + data.x.shape[1]
    n_valid = 0 if rows.valid is None else rows.valid.shape[1]
    per_row = (
        4 * width * net.batch_size + 2 * (n_valid + rows.train.shape[1]) * data.values.shape[1]
    )
    free = psutil.virtual_memory().available
    if data.x.is_cuda:
        free = torch.cuda.mem_get_info(data.x.device)[0]
    return int(SHARE * free / (data.x.element_size() * (COPIES * n_numbers + per_row)))
