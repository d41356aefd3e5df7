"""What a split has to balance: the labels of a target table, one number for each.

In: a table in any container and what its columns are. Out: codes, and what is said of missing ones.
Shapes: n rows, C codes a row, L labels, k parts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmtl import tasks as kinds
from skmtl._checks import LISTED
from skmtl._resolve import resolve
from skmtl._spans import classes_of, join, spans_of
from skmtl.targets import Column, infer_kind, name_tasks, read_columns
from skmtl.tasks import Task

from .stratification import NONE, count_labels


@dataclass(frozen=True)
class Labels:
    """``codes`` (n, C) are the labels of each row; the rest is by code, (L,).

    ``number`` counts the rows of a label. ``worth`` says what it is worth that a part has any: one
    for a class, more for a whole task, nothing for bins and gaps. ``names`` are for the user;
    ``tasks`` are positions.
    """

    codes: np.ndarray
    number: np.ndarray
    worth: np.ndarray
    names: Sequence[str]
    tasks: Sequence[int]


def read_table(y: Any) -> list[Column]:
    """Columns of the target table."""
    if y is None:
        raise ValueError("y must be a table of targets, one column a task. Found None.")
    return read_columns(y)[0]


def read_labels(y: Any, tasks: Any) -> Labels:
    """Number the classes or bins of each task and, where it has gaps, "there" and "missing"."""
    columns = read_table(y)
    columns = join(columns, spans_of(tasks, [c.name for c in columns]))
    n, of_a_task = len(columns[0].mask), 2.0 * len(columns) + 1  # more than a swap loses in classes
    codes = []
    known: list[tuple[str, float, int]] = [
        ("", 0.0, -1)
    ]  # name, worth and task by code, from `NONE` on
    for t, (column, spec) in enumerate(zip(columns, name_tasks(tasks, columns), strict=True)):
        groups, classes = _group(column, spec)
        codes.append(np.full(n, NONE))
        codes[-1][column.mask] = len(known) + groups
        if classes:
            known += [(f"class {c!r} of task {column.name!r}", 1.0, t) for c in classes]
        else:
            known += [("", 0.0, t)] * (int(groups.max(initial=-1)) + 1)
        if not column.mask.all():
            codes.append(np.where(column.mask, len(known), len(known) + 1))
            known += [(f"task {column.name!r}", of_a_task, t), ("", 0.0, t)]
    names, worth, owners = zip(*known, strict=True)
    table = np.column_stack(codes)
    number = np.bincount(table.ravel(), minlength=len(known))
    return Labels(table, number, np.array(worth), names, owners)


def _group(column: Column, spec: Any) -> tuple[np.ndarray, list[Any]]:
    """Group of each label, (m,), as its task says, and the classes if the groups are classes."""
    if not len(column.labels):
        return np.empty(0, int), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of close calls and lone classes: it is for `fit` to warn
        if isinstance(spec, str) and spec == "infer":
            spec = infer_kind(column)
        task = resolve(spec, kinds, Task, parameter=f"tasks[{column.name!r}]")
        known, weight = classes_of(column, task), np.ones(len(column.labels))
        task = task.prepare(column.labels, weight, name=column.name, classes=known)
        strata = task.strata(task.encode(column.labels, name=column.name))
    _, first, groups = np.unique(strata, return_index=True, return_inverse=True)
    named = task.kind == "classification" and not task.several
    return groups, column.labels[first].tolist() if named else []


def warn_of_missing(
    labels: Labels, part: np.ndarray, worth: np.ndarray, place: Callable[[np.ndarray], str]
) -> None:
    """Name the tasks that a part lacks, and the classes of other tasks, where worth (L, k) is not 0.

    ``place`` says in words where a label is, by whether it is in each part, (k,).
    """
    there = count_labels(part, labels.codes, worth.shape) > 0
    found = np.flatnonzero(((worth > 0) & ~there).any(1)).tolist()
    whole = {labels.tasks[label] for label in found if labels.worth[label] > 1}
    said = [
        f"{labels.names[label]} (labels: {labels.number[label]}) is in {place(there[label])}"
        for label in found
        if labels.worth[label] > 1 or labels.tasks[label] not in whole
    ]
    if said:
        more = f"; and {len(said) - LISTED} others" if len(said) > LISTED else ""
        warnings.warn(
            f"Some labels are not on all sides: {'; '.join(said[:LISTED])}{more}. Use fewer or "
            "larger test sets; tasks= says which columns of numbers are no classes.",
            UserWarning,
            stacklevel=2,
        )
