"""Quantiles of a column of real numbers."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Real
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import d2_absolute_error_score
from torch import Tensor

from .base import Task, listed
from .regression import numbers, refuse_classes, unit


class QuantileTask(Task):
    """A column of real numbers, of which conditional quantiles are predicted.

    Domain: finite numbers. Link: the median is an output; the others stand above and below it by
    sums of positive steps (softplus of the other outputs), so they never cross. At the start they are
    those of a normal distribution.
    Loss: pinball loss (Koenker & Bassett 1978) on the standardised target, mean over the quantiles.
    Decode: the median; `predict_quantiles` gives all. Members average quantile by quantile.
    Metric: D² of the absolute error.

    Parameters
    ----------
    quantiles : sequence of float in (0, 1), default=(0.1, 0.5, 0.9)
        Levels, without repeats, in the order in which `predict_quantiles` returns them. The median is
        learned whether or not it is among them.

    Attributes
    ----------
    quantiles_ : ndarray of shape (n_quantiles,)
        The levels, as `predict_quantiles` has them.
    center_, scale_ : float
        Weighted mean and standard deviation of the labels seen first, in the target's own unit.

    References
    ----------
    R. Koenker, G. Bassett (1978). Regression quantiles. Econometrica 46, 33-50.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.tasks import QuantileTask
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(500, 1))
    >>> y = X[:, 0] + rng.normal(size=500)
    >>> est = MultiTaskRegressor(QuantileTask([0.1, 0.9]), random_state=0).fit(X, y)
    >>> low, high = est.predict_quantiles(X).T
    >>> bool(np.all(low < high)), bool(0.7 < np.mean((low < y) & (y < high)) < 0.9)
    (True, True)
    """

    kind = "regression"
    metric = "d2_absolute_error_score"

    def __init__(self, quantiles=(0.1, 0.5, 0.9)):
        self.quantiles = quantiles

    def prepare(self, labels, weight, *, name, classes=None):
        refuse_classes(classes, name)
        self.quantiles_ = self._check_quantiles(name)
        self.center_, self.scale_ = unit(numbers(labels, name), weight)
        return self

    def _check_quantiles(self, name: Any) -> np.ndarray:
        given = self.quantiles
        sound = listed(given) and all(isinstance(q, Real) and 0 < float(q) < 1 for q in given)
        if not sound or not len(given) or len(set(given)) < len(given):
            raise ValueError(
                f"Task {name!r}: QuantileTask's quantiles must be distinct numbers in (0, 1), in a "
                f"list. Found {given!r}."
            )
        return np.array([float(q) for q in given])

    def encode(self, labels, *, name):
        return ((numbers(labels, name) - self.center_) / self.scale_)[:, None]

    @property
    def _levels(self) -> list[float]:
        """What is learned, ascending, the median among them."""
        return sorted({*self.quantiles_.tolist(), 0.5})

    @property
    def n_outputs(self) -> int:
        return len(self._levels)

    @property
    def key(self) -> Hashable:
        return (type(self), *self._levels)

    def _quantiles(self, outputs: Tensor) -> Tensor:
        """Quantiles (..., n_outputs) ascending: the median's output, steps up, steps down."""
        levels = self._levels
        if len(levels) == 1:
            return outputs.unsqueeze(-1)
        middle = levels.index(0.5)
        start = np.diff([NormalDist().inv_cdf(level) for level in levels])
        lift = outputs.new_tensor(np.log(np.expm1(start)))  # softplus of it is the step
        median = outputs[..., middle : middle + 1]
        below = F.softplus(outputs[..., :middle] + lift[:middle])
        above = F.softplus(outputs[..., middle + 1 :] + lift[middle:])
        down = below.flip(-1).cumsum(-1).flip(-1)
        return torch.cat([median - down, median, median + above.cumsum(-1)], -1)

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        error = values.unsqueeze(-1) - self._quantiles(outputs)
        level = outputs.new_tensor(self._levels)
        return torch.maximum(level * error, (level - 1) * error).mean(-1)

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        levels = self._levels
        median = outputs if len(levels) == 1 else outputs[..., levels.index(0.5)]
        error = ((median - values).abs() * weight).sum(1)
        best = _weighted_median(values, weight).unsqueeze(1)
        return 1 - error / ((best - values).abs() * weight).sum(1)

    def activate(self, outputs: Tensor) -> Tensor:
        return self._quantiles(outputs)

    def decode(self, activated):
        return activated[:, self._levels.index(0.5)] * self.scale_ + self.center_

    def decode_quantiles(self, activated: np.ndarray) -> np.ndarray:
        """Quantiles, shape (n, n_quantiles), in the order of ``quantiles_``."""
        levels = self._levels
        asked = [levels.index(q) for q in self.quantiles_.tolist()]
        return activated[:, asked] * self.scale_ + self.center_

    def decode_tensor(self, activated: Tensor) -> dict[str, Tensor]:
        levels = self._levels
        scale, center = activated.new_tensor([self.scale_, self.center_]).unbind()
        found = activated * scale + center
        asked = [levels.index(q) for q in self.quantiles_.tolist()]
        return {"": found[:, levels.index(0.5)], "quantiles": found[:, asked]}

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        if len(y_true) < 2:
            return float("nan")
        return float(d2_absolute_error_score(y_true, y_pred, sample_weight=sample_weight))


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    """A weighted median (K, G) of values and weights (K, b, G); any has the least absolute error."""
    ordered, order = values.sort(1)
    share = weight.gather(1, order).cumsum(1)
    at = (share < 0.5 * share[:, -1:]).sum(1, keepdim=True)
    return ordered.gather(1, at).squeeze(1)
