"""Regression of a column of real numbers whose spread is predicted too."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .base import Task
from .regression import evaluate_r2, numbers, r2, refuse_classes, unit

# least standard deviation, of the target's: no likelihood is infinite, and no loss below zero
LEAST = 1e-3


class HeteroscedasticRegressionTask(Task):
    """A column of real numbers, of which mean and standard deviation are predicted.

    Domain: finite numbers. Link: identity for the mean, logarithm for the deviation; on the
    standardised target, whose deviation the prediction cannot fall below by more than 1000 times.
    Loss: negative log-likelihood of a normal distribution (Nix & Weigend 1994), counted from that of
    the least deviation, so that it is never negative.
    Decode: the mean, in the target's own unit; `predict_std` gives the deviation. Members are a
    mixture, so it holds how far they differ too (Lakshminarayanan et al. 2017). Metric: R².

    Attributes
    ----------
    center_, scale_ : float
        Weighted mean and standard deviation of the labels seen first, in the target's own unit.

    References
    ----------
    D. Nix, A. Weigend (1994). Estimating the mean and variance of the target probability
    distribution. ICNN.

    B. Lakshminarayanan, A. Pritzel, C. Blundell (2017). Simple and scalable predictive uncertainty
    estimation using deep ensembles. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(400, 1))
    >>> y = X[:, 0] + np.exp(X[:, 0]) * rng.normal(size=400)  # wider to the right
    >>> est = MultiTaskRegressor("heteroscedastic_regression", random_state=0).fit(X, y)
    >>> left, right = est.predict_std([[-0.8], [0.8]])
    >>> bool(right > 2 * left)
    True
    """

    kind = "regression"
    metric = "r2"
    n_outputs = 2

    def prepare(self, labels, weight, *, name, classes=None):
        refuse_classes(classes, name)
        self.center_, self.scale_ = unit(numbers(labels, name), weight)
        return self

    def encode(self, labels, *, name):
        return ((numbers(labels, name) - self.center_) / self.scale_)[:, None]

    @property
    def key(self) -> Hashable:
        return type(self)

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        mean, log_std = outputs.unbind(-1)
        # log(std / LEAST), where std = LEAST + exp(log_std), without leaving the logarithm
        over = torch.nn.functional.softplus(log_std - np.log(LEAST))
        return over + 0.5 * ((values - mean) / LEAST * (-over).exp()).square()

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        return r2(outputs[..., 0], values, weight)

    def activate(self, outputs: Tensor) -> Tensor:
        mean, log_std = outputs.unbind(-1)
        second = mean.square() + (LEAST + log_std.exp()).square()
        return torch.stack([mean, second], -1)

    def decode(self, activated):
        return activated[:, 0] * self.scale_ + self.center_

    def decode_std(self, activated: np.ndarray) -> np.ndarray:
        """Predictive standard deviation of the members' mixture, (n,), in the target's unit."""
        variance = activated[:, 1] - activated[:, 0] ** 2
        return self.scale_ * np.sqrt(np.maximum(variance, LEAST**2))

    def decode_tensor(self, activated: Tensor) -> dict[str, Tensor]:
        mean, second = activated.unbind(1)
        scale, center = activated.new_tensor([self.scale_, self.center_]).unbind()
        std = (second - mean.square()).clamp(min=LEAST**2).sqrt()
        return {"": mean * scale + center, "std": std * scale}

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        return evaluate_r2(y_true, y_pred, sample_weight)
