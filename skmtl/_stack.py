"""The one door to stacks: many fits, each as if it were alone, in the time of a few.

In: estimators, each with a table of inputs and the rows of it that it learns from. Out: the same
estimators, fitted, or the errors that ended their fits. Shapes: n rows, d features, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import psutil
import torch
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, validate_data

from skmtl import _engine, _inputs, _parameters
from skmtl._base import BaseMultiTask
from skmtl._engine import Reading
from skmtl.schedules import Timetable
from skmtl.training import Ready, structure, train_together
from skmtl.weighting import stack_weightings

COPIES = 8  # of a member's parameters: gradient, two moments, step, best so far, its own, workspace
SHARE = 0.5  # of the memory that is free
# parameters that make the structure of a network, or how long it trains
LIKENESS = (
    *("sharing", "trunk", "hidden_layer_sizes", "head_layer_sizes", "activation", "loss_weights"),
    *("schedule", "batch_size", "n_members", "max_iter"),
)


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

    def likeness(self) -> tuple[str, ...]:
        """What jobs that train in one stack have in common, as far as is known before they are read."""
        own = vars(self.estimator)
        like = type(self.estimator).__name__, str(np.shape(self.y)[1:])
        return *like, *(repr(own.get(name)) for name in LIKENESS)


def plan_stacks(
    jobs: Sequence[Job], max_stack: int | str = "auto", n_workers: int = 1
) -> list[list[Job]]:
    """Make the jobs ready and sort them into stacks; those that must train alone are stacks of one.

    Jobs that share their X, y and rows (the same objects) are read once. A job that cannot be made
    ready has its `error` and is in no stack.

    Parameters
    ----------
    max_stack : int or "auto"
        Most networks in a stack; "auto": what fits into half of the memory that is free.
    n_workers : int
        Processes that train beside one another, and share the memory.
    """
    readings: dict[Any, Any] = {}
    inputs: dict[Any, Any] = {}
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        try:
            _parameters.check_numbers(job.estimator)
            job.reading = _read(job, readings, inputs)
            # names and number of features; what they hold was checked when they were read
            validate_data(job.estimator, job.X, skip_check_array=True)
            plan = job.estimator._plan(list(job.reading.prepared))
            job.ready = job.estimator._make_ready(job.reading, plan)
        except Exception as error:  # noqa: BLE001
            job.error = error
            continue
        alike = structure(job.ready)
        groups.setdefault(id(job) if alike is None else alike, []).append(job)
    for group in groups.values():  # weightings that are alike and side by side are one
        group.sort(key=lambda job: repr(job.ready.net.weighting) if job.ready else "")
    return [part for group in groups.values() for part in _split(group, max_stack, n_workers)]


def train_stack(stack: Sequence[Job], callbacks: Sequence[Any] = ()) -> None:
    """Train the jobs of a stack and fit their estimators, or note their errors."""
    readies = [job.ready for job in stack if job.ready is not None]
    errors = train_together(readies, stack_weightings, Timetable.stacked, callbacks)
    for job, ready, error in zip(stack, readies, errors, strict=True):
        job.error = error
        if error is None:
            try:
                _engine.warn_of_the_end(ready.net)
                job.estimator._keep(cast(Reading, job.reading), ready)
            except Warning as raised:  # where warnings are made errors
                job.error = raised
        job.ready = job.reading = None


def once(known: dict[Any, Any], key: Hashable, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, or raises, when it is first asked for under this key."""
    if key not in known:
        try:
            known[key] = make(), None
        except Exception as error:  # noqa: BLE001 - raised below, now and whenever it is asked for
            known[key] = None, error
    made, raised = known[key]
    if raised is not None:
        raise raised
    return made


def _read(job: Job, readings: dict[Any, Any], inputs: dict[Any, Any]) -> Reading:
    """Read a job's table, once for all jobs that have the same."""
    e = job.estimator
    table = id(job.X), id(job.y), id(job.rows), id(job.sample_weight)
    trunk = _inputs.told_apart(e)
    key = (*table, type(e), repr(e.tasks), str(e.device), trunk)
    reading, fitted = once(readings, key, lambda: _read_anew(job, inputs, trunk))
    if fitted is not None:
        e.trunk_ = fitted
    return reading


def _read_anew(job: Job, inputs: dict[Any, Any], trunk: Hashable) -> tuple[Reading, Any]:
    """Reading of a job's table, and the trunk that encoded its inputs, if one did."""
    device = _parameters.check_device(job.estimator.device)
    n_rows = _num_samples(job.X) if job.rows is None else len(job.rows)
    dtype = _engine.precision(n_rows, device)

    def read_inputs(X: Any, rows: Any) -> tuple[Any, Any]:
        x = _inputs.read(job.estimator, X, dtype, first=True, where=rows)
        return _engine.inputs_to_device(x, device), getattr(job.estimator, "trunk_", None)

    key = (id(job.X), dtype, device, trunk, None if trunk is None else id(job.rows))
    where = job.rows
    try:
        x, fitted = once(inputs, key, lambda: read_inputs(job.X, where))
    except ValueError:
        if where is None:
            raise
        # rows that this job does not learn from may be at fault
        (x, fitted), where = read_inputs(_safe_indexing(job.X, where), None), None
    return job.estimator._read(x, job.y, job.sample_weight, where=where), fitted


def _split(group: list[Job], max_stack: int | str, n_workers: int) -> Iterator[list[Job]]:
    """Cut a group into stacks of even size."""
    readies = [job.ready for job in group if job.ready is not None]
    n_members = sum(ready.net.module_.n_members for ready in readies)
    most = _most_members(readies[0]) // n_workers if max_stack == "auto" else int(max_stack)
    n_stacks = min(len(group), -(-n_members // max(1, most)))
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
