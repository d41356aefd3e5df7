"""Queries: which rows a task that ranks compares with each other.

In: `qid` of `fit` and `score`. Out: the number of each row's query, columns of such tasks with it
beside their grades, and a table that keeps queries whole. Shapes: n rows, m labelled rows of a task,
d features, K members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skmtl._engine import PRECISE, Lesson
from skmtl.targets import Column, Targets, stratify
from skmtl.tasks import Task, TaskLosses
from skmtl.training import QueryBatches, Rows, SparseRows, padded_rows, query_split, with_empty_row

MOST = 2**24  # whole numbers that float32 tells apart


def number(qid: Any, n_rows: int) -> np.ndarray | None:
    """Number the queries (n,), in sorted order, from one; None if nothing is said of them.

    Raises
    ------
    ValueError
        If it is not one number, string or other label a row, none missing.
    """
    if qid is None:
        return None
    given = np.asarray(qid)
    if given.shape != (n_rows,):
        raise ValueError(
            f"qid must have shape ({n_rows},), the query of each row of X. Found {given.shape}."
        )
    codes, names = pd.factorize(given, sort=True)
    if (codes < 0).any():
        raise ValueError(
            f"qid must say the query of every row. Found {(codes < 0).sum()} missing, the first in row "
            f"{int(np.argmin(codes))}."
        )
    if len(names) >= MOST:
        raise ValueError(f"qid must name fewer than {MOST} queries. Found {len(names)}.")
    return codes + 1


def attach(
    columns: Sequence[Column], tasks: Sequence[Task | None], codes: np.ndarray | None
) -> list[Column]:
    """Put the number of its query beside each grade, (m, 2), in the columns of tasks that rank.

    Raises
    ------
    ValueError
        If there is such a task and no query.
    """
    joined = []
    for column, task in zip(columns, tasks, strict=True):
        if task is not None and task.by_query:
            if codes is None:
                raise ValueError(
                    f"Task {column.name!r} ranks the rows of a query: pass qid=, the query of each row "
                    "(of one query, qid=numpy.zeros(len(X))). In searches, cross-validation and "
                    "pipelines ask for it by set_fit_request(qid=True) and "
                    "set_score_request(qid=True), with metadata routing enabled."
                )
            labels = np.column_stack([column.labels, codes[column.mask]])
            column = replace(column, labels=labels)
        joined.append(column)
    return joined


class QueryLesson(Lesson):
    """A table whose rows belong to queries, which neither batches nor validation splits part.

    Parameters
    ----------
    x : Tensor of shape (n, d)
    table : Targets
    criterion : TaskLosses
    queries : ndarray of int, shape (n,)
        Number of the query of each row.
    """

    def __init__(
        self, x: Tensor | SparseRows, table: Targets, criterion: TaskLosses, queries: np.ndarray
    ):
        if isinstance(x, SparseRows):
            raise ValueError("qid needs a dense X. Found a sparse matrix: pass X.toarray().")
        merges = len(queries) <= PRECISE
        if merges:  # as a feature, so that equal rows of two queries stay apart
            x = torch.cat([x, torch.from_numpy(queries).to(x).unsqueeze(1)], 1)
        super().__init__(x, table, criterion)
        if merges:
            kept = cast(Tensor, self.data.x)
            queries = kept[:, -1].long().cpu().numpy()
            self.data = self.data._replace(x=kept[:, :-1].contiguous())
        self.queries = queries
        self.n_apart = len(np.unique(queries[self.labelled.numpy()]))
        self.data = with_empty_row(self.data, table.n_tasks)
        self.draw = partial(QueryBatches, queries=torch.from_numpy(queries))

    def split(self, fraction: float, seeds: Sequence[int]) -> Rows:
        """Rows of whole queries to train and to validate each member on."""
        rows, own = self.labelled.numpy(), self.criterion.tasks
        parts = query_split(
            stratify(self.table, own)[rows],
            self.queries[rows],
            [task.by_query for task in own],
            fraction=fraction,
            seeds=seeds,
        )
        empty = len(self.data.values) - 1
        return padded_rows(parts, self.labelled, empty)._replace(draw=self.draw)


def judge(task: Task, codes: np.ndarray) -> Callable[..., float]:
    """The metric of a task that ranks, of grades (m,) in these queries and scores (m,)."""
    return partial(_judge, task, codes)


def _judge(
    task: Task, codes: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any = None
) -> float:
    return task.evaluate(np.column_stack([y_true, codes]), y_pred, sample_weight)
