"""A group of binary columns as one task."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch.nn.functional as F
from sklearn.metrics import f1_score
from torch import Tensor

from .base import Task, listed

UNKNOWN = -1.0  # code of a missing label in a row that has others


class MultilabelTask(Task):
    """Several binary columns that are one task: tags, genres, species on a site.

    Domain: columns of 0 and 1, or of booleans; a row may miss some of its labels, or all. Link:
    logistic, an output a column. Loss: negative log-likelihood, mean over the labels that the row
    has; so the group weighs as much as one binary task.
    Decode: the labels whose probability is above one half. Metric: F1 over all labels of all columns
    (``"f1_micro"``).

    Parameters
    ----------
    columns : sequence or None, default=None
        Columns of the target table that make up the task, two or more. None: all of them, where
        the task is the only one (``tasks="multilabel"``).

    Attributes
    ----------
    classes_ : ndarray of shape (n_columns,)
        Names of the columns; probabilities have a column for each, of its being 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> from skmtl.tasks import MultilabelTask
    >>> X, labels = make_multilabel_classification(300, 10, n_classes=3, random_state=0)
    >>> X = (X - X.mean(0)) / X.std(0)
    >>> Y = pd.DataFrame(labels, columns=["red", "green", "blue"]).assign(size=X[:, 0])
    >>> tasks = {"colours": MultilabelTask(["red", "green", "blue"])}
    >>> est = MultiTaskClassifierRegressor(tasks, random_state=0).fit(X, Y)
    >>> est.predict(X).columns.tolist(), est.predict_proba(X)["colours"].shape
    (['red', 'green', 'blue', 'size'], (300, 3))
    >>> list(est.tasks_)
    ['colours', 'size']
    """

    kind = "classification"
    metric = "f1_micro"
    several = True

    def __init__(self, columns=None):
        self.columns = columns

    def reads(self, name):
        given = self.columns
        if not listed(given) or len(set(given)) < max(2, len(given)):
            raise ValueError(
                f"Task {name!r}: MultilabelTask's columns must be a list of two or more columns of y. "
                f"Found {given!r}."
            )
        return list(given), []

    def prepare(self, labels, weight, *, name, classes=None):
        if labels.ndim != 2 or labels.shape[1] < 2:
            raise ValueError(
                f"Task {name!r}: MultilabelTask takes two or more columns. Found one: use "
                "'classification', or name the columns, "
                f"tasks={{{name!r}: MultilabelTask([...])}}."
            )
        self.n_values = labels.shape[1]
        self.classes_ = np.array(range(self.n_values) if classes is None else classes)
        self.encode(labels, name=name)
        return self

    def encode(self, labels, *, name):
        missing = np.isnan(labels)
        strange = ~(missing | (labels == 0) | (labels == 1))
        if strange.any():
            row, column = (int(i) for i in np.argwhere(strange)[0])
            raise ValueError(
                f"Task {name!r}: MultilabelTask takes 0 and 1, or booleans. Found "
                f"{labels[row, column]:g} in column {self.classes_.tolist()[column]!r}."
            )
        return np.where(missing, UNKNOWN, labels)

    def strata(self, values):
        return (values > 0).sum(1)

    @property
    def n_outputs(self) -> int:
        return self.n_values

    @property
    def key(self) -> Hashable:
        return (type(self), self.n_values)

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        there = (values >= 0).to(outputs.dtype)
        loss = F.binary_cross_entropy_with_logits(outputs, values, weight=there, reduction="none")
        return loss.sum(-1) / there.sum(-1).clamp(min=1)

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        said, true = outputs > 0, values > 0
        there = (values >= 0) * weight.unsqueeze(-1)
        both = ((said & true) * there).sum((1, -1))
        either = ((said.to(there.dtype) + true.to(there.dtype)) * there).sum((1, -1))
        return 2 * both / either

    def activate(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def decode(self, activated):
        return (activated > 0.5).astype(int)

    def decode_proba(self, activated: np.ndarray) -> np.ndarray:
        """Probability of each label's being 1, shape (n, n_columns)."""
        return activated

    def decode_tensor(self, activated: Tensor) -> dict[str, Tensor]:
        return {"": (activated > 0.5).long(), "proba": activated}

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        there = ~np.isnan(y_true.astype(float))
        true, said = y_true[there].astype(int), np.asarray(y_pred)[there].astype(int)
        if not (true.any() or said.any()):
            return float("nan")
        weight = None
        if sample_weight is not None:
            weight = np.broadcast_to(np.asarray(sample_weight)[:, None], there.shape)[there]
        return float(f1_score(true, said, sample_weight=weight))

    @property
    def scorer(self) -> Any:
        return self.as_scorer()  # scikit-learn's takes no missing labels
