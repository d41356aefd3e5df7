"""Regression of a column of counts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import d2_tweedie_score
from torch import Tensor

from .base import Task
from .regression import numbers, refuse_classes


class CountTask(Task):
    """A column of counts: claims of a policy, visits of a day, goals of a match.

    Domain: whole numbers >= 0. Link: log, on counts over their mean.
    Loss: half the Poisson deviance, as in `PoissonRegressor`.
    Decode: the expected count. Metric: D² of the Poisson deviance.

    Parameters
    ----------
    exposure : object or None, default=None
        Column of the target table that holds what each count was counted over (days, area, people),
        numbers > 0. It then is no task of its own: what is learned, predicted and scored is the
        rate, the count per unit of exposure, and a label counts in proportion to its exposure. So the
        loss is that of the counts with ``log(exposure)`` as an offset. None: all are alike.

    Attributes
    ----------
    mean_ : float
        Weighted mean of the counts seen first, per unit of exposure.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.tasks import CountTask
    >>> rng = np.random.default_rng(0)
    >>> X, days = rng.normal(size=(500, 2)), rng.integers(1, 30, size=500)
    >>> Y = pd.DataFrame({"visits": rng.poisson(days * np.exp(X[:, 0])), "days": days})
    >>> est = MultiTaskRegressor(CountTask(exposure="days"), random_state=0).fit(X, Y)
    >>> per_day = est.predict(X)
    >>> per_day.columns.tolist(), bool(np.corrcoef(per_day["visits"], np.exp(X[:, 0]))[0, 1] > 0.9)
    (['visits'], True)
    """

    kind = "regression"
    metric = "d2_poisson"
    n_outputs = 1

    def __init__(self, exposure=None):
        self.exposure = exposure

    def reads(self, name):
        return [name], [] if self.exposure is None else [self.exposure]

    def prepare(self, labels, weight, *, name, classes=None):
        refuse_classes(classes, name)
        rates, exposure = self._rates(labels, name)
        self.n_values = 1 if exposure is None else 2
        self.unit_ = 1.0 if exposure is None else float(np.average(exposure, weights=weight))
        weight = weight if exposure is None else weight * exposure
        # counts that are all zero have no unit to learn in
        self.mean_ = float(np.average(rates, weights=weight)) or 1.0
        return self

    def _rates(self, labels: np.ndarray, name: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Counts per unit of exposure, and the exposure if there is one, (m,) each."""
        if self.exposure is not None and labels.ndim != 2:
            raise ValueError(
                f"Task {name!r}: CountTask(exposure={self.exposure!r}) needs that column beside the "
                "counts. Say tasks as a dict from column to task."
            )
        counts = numbers(labels if labels.ndim == 1 else labels[:, 0], name)
        strange = (counts < 0) | (counts != np.floor(counts))
        if strange.any():
            raise ValueError(
                f"Task {name!r}: CountTask accepts whole numbers >= 0. Found {strange.sum()} others, "
                f"such as {counts[strange][0]:g}. Drop them, or use 'regression'."
            )
        if labels.ndim == 1:
            return counts, None
        exposure = labels[:, 1]
        if not (exposure > 0).all():
            found = exposure[~(exposure > 0)]
            raise ValueError(
                f"Task {name!r}: the exposure, column {self.exposure!r}, must be > 0 wherever there is "
                f"a count. Found {len(found)} others, such as {found[0]:g}."
            )
        return counts / exposure, exposure

    def encode(self, labels, *, name):
        rates, exposure = self._rates(labels, name)
        columns = [rates / self.mean_] + ([] if exposure is None else [exposure / self.unit_])
        return np.stack(columns, axis=1)

    def label_weight(self, values):
        return values[:, 1] if self.n_values == 2 else None

    def compared(self, labels):
        return (labels, None) if labels.ndim == 1 else (labels[:, 0] / labels[:, 1], labels[:, 1])

    @property
    def key(self) -> Hashable:
        return (type(self), self.n_values)

    def _rate(self, values: Tensor) -> Tensor:
        return values if self.n_values == 1 else values[..., 0]

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        return half_deviance(outputs, self._rate(values))

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        rate = self._rate(values)
        mean = (rate * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        of_mean = (half_deviance(mean.log(), rate) * weight).sum(1)
        return 1 - (half_deviance(outputs, rate) * weight).sum(1) / of_mean

    def activate(self, outputs: Tensor) -> Tensor:
        return outputs.exp().unsqueeze(-1)

    def decode(self, activated):
        return activated[:, 0] * self.mean_

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        if len(np.unique(y_true)) < 2:
            return float("nan")  # the mean has no deviance to compare with
        # a rate that rounds to zero is infinitely wrong about a count, and no number
        said = np.maximum(y_pred, np.finfo(float).tiny)
        return float(d2_tweedie_score(y_true, said, sample_weight=sample_weight, power=1))


def half_deviance(log_rate: Tensor, values: Tensor) -> Tensor:
    """Half the Poisson deviance of values from rates whose logarithm is given."""
    return log_rate.exp() - values * log_rate - values + torch.xlogy(values, values)
