"""Tasks that a stream's first chunk has no label of. Shapes: T tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from skmtl.targets import Column, Container
from skmtl.tasks import Task


def settle(
    container: Container, columns: Sequence[Column], prepared: Mapping[Any, Task]
) -> Container:
    """Give a column without a label so far the dtype of the classes that were said to come."""
    dtypes = dict(zip(container.names, container.dtypes, strict=True))
    for c in columns:
        if not len(c.labels) and c.name in dtypes:
            classes = prepared[c.name].classes_.dtype  # type: ignore[attr-defined]
            dtypes[c.name] = _holds(dtypes[c.name], classes)
    return replace(container, dtypes=list(dtypes.values()))


def _holds(dtype: Any, classes: Any) -> Any:
    numbers = classes.kind in "iuf" and getattr(dtype, "kind", "") in "iuf"
    return dtype if numbers else classes
