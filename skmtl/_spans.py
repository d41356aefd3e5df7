"""Tasks that read several columns of the target table: a group of labels, a count and its exposure.

In: the parameter `tasks`, and columns. Out: a column per task, of labels (m, q) where it reads q
columns, and back. Where every task reads the one column of its name, all goes through untouched.
Shapes: m labelled rows of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from skmtl import tasks as kinds
from skmtl._resolve import meant
from skmtl.targets import Column, Container, categories_in_order
from skmtl.tasks import Task

WHOLE = "y"  # name of a task that takes the whole table


class Span(NamedTuple):
    """Columns that a task predicts, and columns that it only reads."""

    labels: list[Any]
    beside: list[Any]


def spans_of(tasks: Any, names: Sequence[Any]) -> dict[Any, Span] | None:
    """Span of each task, in the order of the table ``names``; None if all are their own column.

    Raises
    ------
    ValueError
        If a task reads a column that is not there, or two predict the same.
    """
    given = _given(tasks, names)
    own = {name: Span([name], []) for name in given}
    if given == own:
        return None
    read = [(name, c) for name, span in given.items() for c in (*span.labels, *span.beside)]
    for name, column in read:
        if column not in names:
            raise ValueError(
                f"Task {name!r} reads column {column!r}, which y has not. y's columns are "
                f"{list(names)}."
            )
    beside = {c for span in given.values() for c in span.beside}
    labels = [c for span in given.values() for c in span.labels]
    rest = [name for name in names if name not in labels and name not in beside]
    spans = {**given, **{name: Span([name], []) for name in rest if name not in given}}
    claimed = [c for span in spans.values() for c in span.labels]
    twice = [c for c in names if claimed.count(c) > 1 or (c in given and c not in claimed)]
    if twice:
        raise ValueError(
            f"Each column of y must belong to one task. Found {twice} in several, or as the name of "
            "a task that does not read it: rename the task."
        )
    place = {name: at for at, name in enumerate(names)}
    first = {name: min(place.get(c, -1) for c in span.labels) for name, span in spans.items()}
    return {name: spans[name] for name in sorted(spans, key=lambda n: first[n])}


def _given(tasks: Any, names: Sequence[Any]) -> dict[Any, Span]:
    """Span of the tasks that the parameter says something of."""
    if isinstance(tasks, Mapping):
        for name, spec in tasks.items():
            if _takes_several(spec) and isinstance(spec, str):
                raise ValueError(
                    f"Parameter tasks: {name!r} must say which columns it takes, e.g. "
                    f"{{{name!r}: MultilabelTask([...])}}. Found {spec!r}."
                )
        objects = {n: Span(*spec.reads(n)) for n, spec in tasks.items() if isinstance(spec, Task)}
        return {n: objects.get(n, Span([n], [])) for n in tasks if n in names or n in objects}
    if isinstance(tasks, list | tuple):
        strange = [
            s for s in tasks if _takes_several(s) or getattr(s, "exposure", None) is not None
        ]
        if strange:
            raise ValueError(
                f"Parameter tasks must be a dict from task to object where a task reads several "
                f"columns. Found {strange[0]!r} in a list."
            )
    if _takes_several(tasks):
        columns = getattr(tasks, "columns", None)
        columns = list(names) if columns is None else list(columns)
        if set(columns) != set(names):
            raise ValueError(
                f"Parameter tasks must be a dict where a task takes some columns of several. y's "
                f"columns are {list(names)}. Found {tasks!r}."
            )
        return {WHOLE: Span(columns, [])}
    if not isinstance(tasks, Task):
        return {}
    spans = {name: Span(*tasks.reads(name)) for name in names}
    beside = {c for span in spans.values() for c in span.beside}
    return {name: span for name, span in spans.items() if name not in beside}


def _takes_several(spec: Any) -> bool:
    return getattr(meant(spec, kinds, Task), "several", False)


def join(
    columns: Sequence[Column], spans: Mapping[Any, Any] | None, *, predicted: bool = False
) -> list[Column]:
    """Put the columns of each task together; ``predicted``: those that it only reads are not there."""
    if spans is None:
        return list(columns)
    by_name = {c.name: c for c in columns}
    return [
        _joined(name, [by_name[c] for c in span.labels], [] if predicted else span.beside, by_name)
        for name, span in spans.items()
    ]


def as_given(names: Sequence[Any], now: Container, fitted: Container) -> list[Any]:
    """Tasks in the order of the columns of a table that `align` put into the order of the fitted."""
    if now.kind != "frame" or fitted.kind != "frame":
        return list(names)
    place = {column: at for at, column in enumerate(now.names)}
    if fitted.spans is None:
        return sorted(names, key=lambda name: place[name])
    return sorted(names, key=lambda name: min(place[c] for c in fitted.spans[name].labels))


def join_one(columns: Sequence[Column], name: Any, span: Span | None) -> Column:
    """Put the columns of one task together, by their names if they have these, else by place.

    A task that reads a column beside its own may be given its own alone.
    """
    wanted = [name] if span is None else [*span.labels, *span.beside]
    if len(columns) == 1 and (span is None or len(span.labels) == 1):
        return columns[0]
    if len(columns) != len(wanted):
        raise ValueError(
            f"y must have the columns {wanted} of task {name!r}. Found {len(columns)} columns: "
            f"{[c.name for c in columns]}."
        )
    if {c.name for c in columns} != set(wanted):
        columns = [replace(c, name=n) for n, c in zip(wanted, columns, strict=True)]
    return join(columns, {name: span})[0]


def _joined(
    name: Any, labels: list[Column], beside: Sequence[Any], by_name: dict[Any, Column]
) -> Column:
    parts = [*labels, *(by_name[c] for c in beside)]
    if len(parts) == 1:
        return replace(parts[0], name=name)
    mask = np.any([c.mask for c in labels], axis=0)
    together = np.full((int(mask.sum()), len(parts)), np.nan)
    for j, part in enumerate(parts):
        there, kept = part.mask[mask], mask[part.mask]
        together[there, j] = _numbers(part, name)[kept]
    return Column(name, together, mask, None, tuple(c.name for c in parts))


def _numbers(part: Column, name: Any) -> np.ndarray:
    if part.labels.dtype.kind not in "biuf" and len(part.labels):
        raise ValueError(
            f"Task {name!r}: column {part.name!r} must hold numbers or booleans. Found "
            f"{part.labels.tolist()[0]!r}."
        )
    return part.labels.astype(float)


def classes_of(column: Column, task: Task, told: Any = None) -> Any:
    """What is known of classes beside labels: what we are told, their order, names of the parts."""
    if task.several and told is not None and list(told) != list(column.parts):
        raise ValueError(
            f"classes of task {column.name!r} are its columns, {list(column.parts)}. Found {told!r}."
        )
    if told is not None or task.several:
        return column.parts or told
    return categories_in_order(column) if task.ordered else None


def spread(
    container: Container, decoded: dict[Any, np.ndarray]
) -> tuple[Container, list[np.ndarray], list[Any]]:
    """Take the predicted columns of tasks apart: the container for them, columns, task of each."""
    if container.spans is None:
        return container, list(decoded.values()), list(decoded)
    found: dict[Any, tuple[np.ndarray, Any]] = {}
    for name, values in decoded.items():
        labels = container.spans[name].labels
        for j, column in enumerate(labels):
            dtype = container.dtypes[container.names.index(column)]
            own = values if values.ndim == 1 else values[:, j].astype(_plain(dtype))
            found[column] = own, name
    at = [i for i, name in enumerate(container.names) if name in found]
    names = [container.names[i] for i in at]
    reduced = replace(
        container,
        names=names,
        dtypes=[container.dtypes[i] for i in at],
        columns=None if container.columns is None else container.columns[at],
    )
    return reduced, [found[name][0] for name in names], [found[name][1] for name in names]


def _plain(dtype: Any) -> Any:
    """Dtype of 0 and 1 in a column of this dtype, before a DataFrame makes it its own."""
    return dtype if isinstance(dtype, np.dtype) and dtype.kind in "biuf" else int
