"""Scores of tasks whose rows say which one they belong to: sums over rows, however many tasks.

Shapes: m labelled rows of all tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def scores_by_task(
    kind: str, of_row: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray, weight: Sequence[float]
) -> pd.DataFrame:
    """Table of scores, a row a task, of a target of this kind.

    Parameters
    ----------
    of_row : ndarray of shape (m,)
        Task of each labelled row.
    y_true, y_pred : ndarray of shape (m,)
    weight : array-like of shape (m,)
    """
    codes, names = pd.factorize(of_row, sort=True)
    w = np.asarray(weight, dtype=float)

    def total(values: Any) -> np.ndarray:
        return np.bincount(codes, values, minlength=len(names))

    table: dict[str, Any] = {
        "kind": kind,
        "n_labels": np.bincount(codes, minlength=len(names)),
    }
    weights = total(w)
    if kind == "classification":
        table["accuracy"] = total(w * (y_true == y_pred)) / weights
    else:
        error = y_pred.astype(float) - y_true.astype(float)
        squares = total(w * error**2)
        mean = total(w * y_true) / weights
        spread = total(w * (y_true - mean[codes]) ** 2)
        undefined = (table["n_labels"] < 2) | (spread == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            table["r2"] = np.where(undefined, np.nan, 1 - squares / spread)
        table["mae"] = total(w * np.abs(error)) / weights
        table["rmse"] = np.sqrt(squares / weights)
    return pd.DataFrame(table, index=pd.Index(names, name="task"))
