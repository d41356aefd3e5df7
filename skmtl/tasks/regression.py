"""Regression of a column of real numbers."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Real
from typing import Any

import numpy as np
import torch.nn.functional as F
from sklearn.metrics import r2_score
from torch import Tensor

from .base import Task

HUBER_DELTA = 1.35  # 95 % efficiency for normal errors (Huber 1981), as HuberRegressor's epsilon

LOSSES = {
    # half the square, as in MLPRegressor, so that `alpha` means what it means in Ridge
    "squared_error": lambda o, v: 0.5 * F.mse_loss(o, v, reduction="none"),
    "absolute_error": lambda o, v: F.l1_loss(o, v, reduction="none"),
    "huber": lambda o, v: F.huber_loss(o, v, reduction="none", delta=HUBER_DELTA),
}


class RegressionTask(Task):
    """A column of real numbers.

    Domain: finite numbers. Link: identity, on the standardised target.
    Loss: see `loss`; on the standardised target, so that tasks are comparable.
    Decode: back to the target's own unit. Metric: R².

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        Half the squared error (predicts the mean), the absolute error (predicts the median), or
        Huber's (1964) mix of both that changes over at 1.35 standard deviations of the target.
    standardize : bool, default=True
        Whether the target is learned in units of its own mean and standard deviation. False: as it
        is, where the differences between tasks in one unit are what is to be learned (one target
        in many groups); bring it near mean 0 and deviation 1 then.

    Attributes
    ----------
    center_, scale_ : float
        Weighted mean and standard deviation of the labels seen first, in the target's own unit; 0
        and 1 without `standardize`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.tasks import RegressionTask
    >>> task = RegressionTask().prepare(np.array([1.0, 3.0]), np.ones(2), name="price")
    >>> task.encode(np.array([1.0, 3.0]), name="price")[:, 0].tolist()
    [-1.0, 1.0]
    """

    kind = "regression"
    metric = "r2"
    n_outputs = 1

    def __init__(self, loss="squared_error", standardize=True):
        self.loss = loss
        self.standardize = standardize

    def prepare(self, labels, weight, *, name, classes=None):
        refuse_classes(classes, name)
        self._check_word("loss", LOSSES, name)
        if not isinstance(self.standardize, bool | np.bool_):
            raise TypeError(
                f"Task {name!r}: RegressionTask's standardize must be True or False. "
                f"Found {self.standardize!r}."
            )
        labels = numbers(labels, name)
        self.center_, self.scale_ = unit(labels, weight) if self.standardize else (0.0, 1.0)
        return self

    def encode(self, labels, *, name):
        values = numbers(labels, name)  # a copy
        values -= self.center_
        values /= self.scale_
        return values[:, None]

    @property
    def key(self) -> Hashable:
        return (type(self), self.loss)

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        return LOSSES[self.loss](outputs, values)

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        return r2(outputs, values, weight)

    def activate(self, outputs: Tensor) -> Tensor:
        return outputs.unsqueeze(-1)

    def decode(self, activated):
        return activated[:, 0] * self.scale_ + self.center_

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        return evaluate_r2(y_true, y_pred, sample_weight)


def r2(predicted: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """R² (K, G) of predictions, values and weights, all (K, b, G)."""
    # in place: on many rows, what lies between would be where memory peaks
    mean = (values * weight).sum(1) / weight.sum(1)
    spread = (values - mean.unsqueeze(1)).square_().mul_(weight).sum(1)
    return 1 - (predicted - values).square_().mul_(weight).sum(1) / spread


def evaluate_r2(y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
    """R², which one label does not define."""
    if len(y_true) < 2:
        return float("nan")
    return float(r2_score(y_true, y_pred, sample_weight=sample_weight))


def refuse_classes(classes: Any, name: Any) -> None:
    """Raise if a column of numbers was told its classes."""
    if classes is not None:
        raise ValueError(f"Task {name!r} is a regression and has no classes. Found {classes!r}.")


def unit(labels: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted mean and standard deviation of labels (m,); of equal ones their value, and 1."""
    peak = float(np.abs(labels).max()) or 1.0  # squares of labels / peak cannot overflow
    center = np.average(labels / peak, weights=weight)
    scale = np.sqrt(np.average((labels / peak - center) ** 2, weights=weight))
    # a constant column has no unit to learn from; rounding may leave it a hair above zero
    if scale <= 10 * np.finfo(float).eps * abs(center):
        return float(labels[0]), 1.0  # so that they are zero, and nothing moves
    return float(center * peak), float(scale * peak)


def numbers(labels: np.ndarray, name: Any) -> np.ndarray:
    """Labels as floats, or an error that names the task and what it found."""
    if labels.dtype.kind in "biuf":
        return labels.astype(float)
    strange = [v for v in labels if isinstance(v, str | bytes) or not isinstance(v, Real)]
    if strange:
        raise ValueError(
            f"Task {name!r}: a regression column holds numbers. Found {strange[0]!r}. Convert the "
            f"column, or take it for classes: tasks={{{name!r}: 'classification'}}."
        )
    return labels.astype(float)
