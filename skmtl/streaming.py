"""Rows that come as a torch Dataset, or chunk by chunk: arrays for `fit`, tables for `partial_fit`.

In: a Dataset of pairs (x, y), a row each, or an iterable of chunks (X, y). Out: arrays, or DataFrames
where labels have names. Rows are asked for many at a time wherever their source can do that.

>>> import torch
>>> from torch.utils.data import TensorDataset
>>> from skmtl.streaming import chunks
>>> rows = TensorDataset(torch.randn(250, 3), torch.randn(250, 2))
>>> [X.shape for X, y in chunks(rows, 100)]
[(100, 3), (100, 3), (50, 3)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from skmtl._checks import check_number

__all__ = ["chunks"]

BLOCK = 4096  # items of a Dataset asked for at once where all are wanted


def chunks(source, n_rows=10_000):
    """Cut rows into tables of ``n_rows``, one after another, for `partial_fit`.

    No more rows than a chunk's, and one of the source's, are in memory. Tensors of a `TensorDataset`,
    of parts of one too (`Subset`, `random_split`), are cut and not copied row by row; a Dataset with
    ``__getitems__`` is asked for many rows at once, any other for one after another.

    Parameters
    ----------
    source : torch Dataset or iterable of (X, y)
        A Dataset, an `IterableDataset` too, has pairs of a row: x of shape (d,), or what a trunk takes;
        y a label, labels of shape (T,) or in a tuple, or a dict from task to label. NaN and None are
        missing labels; in a dict, a missing task is one too. An iterable, such as a `DataLoader` or a
        generator, has pairs of chunks: X of shape (n, d) and y of shape (n,) or (n, T), tensors, arrays
        or DataFrames, or y a dict from task to labels (n,). Its chunks are put together, or cut.
    n_rows : int, default=10_000
        Rows of a chunk; the last one has what is left.

    Yields
    ------
    X : ndarray of shape (n_rows, d), or DataFrame
    y : ndarray of shape (n_rows,) or (n_rows, T), or DataFrame

    Raises
    ------
    TypeError
        If something is no pair.
    ValueError
        If there is no row, or X and y of a chunk, or rows of a Dataset, do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.streaming import chunks
    >>> rng = np.random.default_rng(0)
    >>> def days():
    ...     for _ in range(30):
    ...         X = rng.normal(size=(100, 3))
    ...         yield X, X[:, :2]
    >>> est = MultiTaskRegressor(learning_rate_init=0.01, random_state=0)
    >>> for X, y in chunks(days(), 1000):
    ...     est = est.partial_fit(X, y)
    >>> est.n_iter_
    3
    """
    check_number(n_rows, "n_rows", Integral, low=1)
    if isinstance(source, IterableDataset):
        parts = _blocks(iter(source), n_rows)
    elif isinstance(source, Dataset):
        n = _length(source)
        parts = (_taken(source, slice(i, min(i + n_rows, n))) for i in range(0, n, n_rows))
    elif isinstance(source, Iterable) and not isinstance(source, Mapping | str):
        parts = _regrouped((_chunk(c, i) for i, c in enumerate(source)), n_rows)
    else:
        raise TypeError(
            "Parameter source must be a torch Dataset of pairs (x, y), or an iterable of chunks "
            f"(X, y). Found a {type(source).__name__}."
        )
    return _some(parts)


def rows_of(X: Any, y: Any) -> tuple[Any, Any]:
    """X and y as they are; of a Dataset of pairs, which brings its y, all that is in it."""
    if not isinstance(X, Dataset):
        return X, y
    if isinstance(X, IterableDataset):
        raise TypeError(
            f"All rows are needed at once. Found an IterableDataset, {type(X).__name__}: take it part "
            "by part, for X, y in skmtl.streaming.chunks(dataset): est.partial_fit(X, y)."
        )
    if y is not None:
        raise ValueError(
            "y must be left out where X is a Dataset, whose rows are pairs (x, y). Found y of type "
            f"{type(y).__name__}."
        )
    n = _length(X)
    if _tensors(X, slice(0, 1)) is not None:
        return _taken(X, slice(0, n))
    blocks = [_taken(X, slice(i, min(i + BLOCK, n))) for i in range(0, n, BLOCK)]
    return _joined([b[0] for b in blocks]), _joined([b[1] for b in blocks])


def inputs_of(X: Any) -> Any:
    """X as it is; of a Dataset of pairs, the inputs."""
    return rows_of(X, None)[0]


def _length(dataset: Any) -> int:
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            f"A Dataset must say how many rows it has, by __len__. Found {type(dataset).__name__}; one "
            "that does not know is an IterableDataset."
        )
    if not len(dataset):
        raise ValueError(f"The Dataset has no rows. Found {type(dataset).__name__} of length 0.")
    return len(dataset)


def _some(parts: Iterator[Any]) -> Iterator[Any]:
    """The same parts; an error if there is none."""
    for first in parts:
        return chain([first], parts)
    raise ValueError(
        "The source has no rows: nothing came of it. An iterator is used up by one pass."
    )


def _tensors(dataset: Any, rows: slice | np.ndarray) -> tuple[Tensor, ...] | None:
    """Rows of the tensors that a Dataset is made of, if it is."""
    if type(dataset) is Subset:
        return _tensors(dataset.dataset, np.asarray(dataset.indices)[rows])
    if type(dataset) is not TensorDataset:  # a subclass may do something to its rows
        return None
    return tuple(tensor[rows] for tensor in dataset.tensors)


def _taken(dataset: Any, rows: slice) -> tuple[Any, Any]:
    """Rows of a map-style Dataset, as a table."""
    tensors = _tensors(dataset, rows)
    if tensors is not None:
        if len(tensors) != 2:
            raise TypeError(
                "Rows of a Dataset must be pairs (x, y). Found a TensorDataset of "
                f"{len(tensors)} tensors."
            )
        return _array(tensors[0]), _array(tensors[1])
    at = list(range(rows.start, rows.stop))
    if hasattr(dataset, "__getitems__"):
        return _collated(dataset.__getitems__(at), rows.start)
    return _collated([dataset[i] for i in at], rows.start)


def _blocks(items: Iterator[Any], n_rows: int) -> Iterator[tuple[Any, Any]]:
    """Tables of so many items."""
    start = 0
    while block := list(islice(items, n_rows)):
        yield _collated(block, start)
        start += len(block)


def _collated(items: Sequence[Any], start: int) -> tuple[Any, Any]:
    """One table of rows, the first of which is number ``start``."""
    for i, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise TypeError(
                f"Rows of a Dataset must be pairs (x, y). Found {_said(item)} for row {start + i}."
            )
    xs = [_array(x) for x, _ in items]
    for i, x in enumerate(xs):
        if x.shape != xs[0].shape:
            raise ValueError(
                f"Rows of a Dataset must have x of one shape. Found {xs[0].shape} for row {start}, and "
                f"{x.shape} for row {start + i}."
            )
    return np.stack(xs), _labels([y for _, y in items], start)


def _labels(ys: list[Any], start: int) -> Any:
    """Labels of rows, as an array or a DataFrame."""
    if isinstance(ys[0], Mapping):
        return pd.DataFrame([{name: _plain(label) for name, label in y.items()} for y in ys])
    are_arrays = isinstance(ys[0], Tensor | np.ndarray) and np.ndim(ys[0]) > 0
    several = are_arrays or isinstance(ys[0], tuple | list)
    wide = [len(y) if several and isinstance(y, Sequence | np.ndarray | Tensor) else 1 for y in ys]
    for i, width in enumerate(wide):
        if width != wide[0]:
            raise ValueError(
                f"Rows of a Dataset must have as many labels each. Found {wide[0]} for row {start}, "
                f"and {width} for row {start + i}: a missing one is NaN or None."
            )
    if are_arrays:
        return np.stack([_array(y) for y in ys])
    if several:
        return pd.DataFrame([[_plain(label) for label in y] for y in ys]).to_numpy()
    return pd.Series([_plain(y) for y in ys]).to_numpy()


def _chunk(chunk: Any, i: int) -> tuple[Any, Any]:
    """Tables of a pair of chunks."""
    if not isinstance(chunk, tuple | list) or len(chunk) != 2:
        raise TypeError(f"A source must give pairs (X, y). Found {_said(chunk)} for number {i}.")
    X, y = chunk
    X = X if hasattr(X, "iloc") else _array(X)
    if isinstance(y, Mapping):
        y = pd.DataFrame({name: _column(labels) for name, labels in y.items()})
    elif isinstance(y, tuple | list) and any(isinstance(c, Tensor) and c.dim() for c in y):
        # what a DataLoader makes of rows with a tuple of labels
        y = pd.DataFrame({t: _column(labels) for t, labels in enumerate(y)}).to_numpy()
    elif not hasattr(y, "iloc"):
        y = _array(y)
    if not np.ndim(X) or not np.ndim(y) or len(X) != len(y):
        found = f"{np.shape(X)} and {np.shape(y)}"
        raise ValueError(
            f"X and y of a chunk must have as many rows. Found shapes {found}, number {i}."
        )
    return X, y


def _regrouped(parts: Iterator[tuple[Any, Any]], n_rows: int) -> Iterator[tuple[Any, Any]]:
    """The same rows in tables of ``n_rows``."""
    held: list[tuple[Any, Any]] = []
    n_held = 0
    for part in parts:
        held.append(part)
        n_held += len(part[0])
        if n_held < n_rows:
            continue
        X, y = (_joined([part[j] for part in held]) for j in range(2))
        whole = n_held - n_held % n_rows
        for i in range(0, whole, n_rows):
            yield _cut(X, i, i + n_rows), _cut(y, i, i + n_rows)
        n_held -= whole
        held = [(_cut(X, whole, None), _cut(y, whole, None))] if n_held else []
    if n_held:
        yield _joined([X for X, _ in held]), _joined([y for _, y in held])


def _cut(table: Any, start: int, stop: int | None) -> Any:
    return table.iloc[start:stop] if hasattr(table, "iloc") else table[start:stop]


def _joined(tables: Sequence[Any]) -> Any:
    """All below one another."""
    if len(tables) == 1:
        return tables[0]
    if all(hasattr(table, "iloc") for table in tables):
        return pd.concat(tables)
    return np.concatenate([np.asarray(table) for table in tables])


def _array(x: Any) -> np.ndarray:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _column(labels: Any) -> Any:
    return labels if hasattr(labels, "iloc") else pd.Series(list(map(_plain, labels)))


def _plain(label: Any) -> Any:
    """A label as Python's own."""
    return label.item() if isinstance(label, Tensor) else label


def _said(thing: Any) -> str:
    kind = type(thing).__name__
    return f"a {kind} of {len(thing)}" if isinstance(thing, tuple | list) else f"a {kind}"
