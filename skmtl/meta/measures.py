"""How well tasks are learned: adapt to a support set of each, judge the other rows.

Shapes: T tasks, q query rows.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from sklearn.exceptions import UndefinedMetricWarning

from .data import MetaData
from .episodes import split_all
from .learned import Learned


class Scores(NamedTuple):
    """``table``: a row a task; ``overall``: the score of them all."""

    table: pd.DataFrame
    overall: float


def score_tasks(
    learned: Learned, data: MetaData, *, n_support: int, n_steps: int, rng: np.random.Generator
) -> Scores:
    """Split every task once, adapt to its support rows and score the others."""
    table = data.table
    is_support = split_all(table, n_support, rng)
    rows, outputs = learned.cross_predict(data, is_support, n_steps)
    task_of_group = np.repeat(np.arange(len(table.ids)), table.n_groups)
    task_of_row = np.repeat(task_of_group, table.n_rows)
    tasks, weight = task_of_row[rows], data.weight.numpy()[rows].astype(float)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(tasks, weight * values, minlength=len(table.ids))

    n_labels = np.bincount(task_of_row, minlength=len(table.ids))
    n_query = np.bincount(tasks, minlength=len(table.ids))
    counts = {"n_support": n_labels - n_query, "n_query": n_query}
    if data.y is None:
        found, overall = _of_classes(data.outputs_of_rows()[rows], outputs, total)
    else:
        scale = learned.encoding.scale
        truth = data.y.numpy()[rows] * scale
        found, overall = _of_numbers(truth, outputs[:, 0] * scale, tasks, total)
    return Scores(
        pd.DataFrame({**counts, **found}, index=pd.Index(table.ids, name="task")), overall
    )


def _of_classes(truth, outputs, total) -> tuple[dict[str, np.ndarray], float]:
    """Accuracy and log loss of each task, and the mean accuracy."""
    weight = total(np.ones(len(truth)))
    accuracy = total(outputs.argmax(1) == truth) / weight
    losses = logsumexp(outputs, axis=1) - outputs[np.arange(len(truth)), truth]
    return {"accuracy": accuracy, "log_loss": total(losses) / weight}, float(accuracy.mean())


def _of_numbers(truth, predicted, tasks, total) -> tuple[dict[str, np.ndarray], float]:
    """R² and mean squared error of each task, and R² of all rows around their tasks' means."""
    weight = total(np.ones(len(truth)))
    squares = total((truth - predicted) ** 2)
    spread = total((truth - (total(truth) / weight)[tasks]) ** 2)
    r2 = 1 - np.divide(squares, spread, out=np.full(len(spread), np.nan), where=spread > 0)
    overall = np.nan
    if spread.sum() > 0:
        overall = float(1 - squares.sum() / spread.sum())
    else:
        warnings.warn(
            "R² is not defined: in no task do the targets of the query rows differ.",
            UndefinedMetricWarning,
            stacklevel=4,
        )
    return {"r2": r2, "mse": squares / weight}, overall
