"""Weights that let all tasks train at one rate, by the norms of their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmtl._checks import check_float

from .adam import MemberAdam
from .base import GradientWeighting, Setting

LOWEST = (
    1e-3  # of a weight: at zero a task would train no more, and have no gradient to come back by
)


class GradNorm(GradientWeighting):
    """Gradient normalisation (Chen et al. 2018).

    A task's weight w_t is moved towards where the norm of its gradient is
    ``mean_s ||w_s g_s|| * r_t^alpha``: the mean norm, more for a task whose loss has fallen less than
    the others' (r_t is its loss over its first loss, divided by the mean of that over tasks). Weights
    sum to T.

    Departures: norms are taken at the shared features, or at all shared parameters, instead of the
    last shared layer's weights; weights move by Adam, so that the size of gradients does not matter.

    Parameters
    ----------
    alpha : float, default=1.5
        How strongly a task that lags behind is favoured (the paper searches from 0.5 to 3).
    learning_rate : float, default=0.025
        Step size of the weights (the paper's).
    at : {"auto", "features", "parameters"}, default="auto"
        Where gradients are looked at, as in `Aggregation`.

    References
    ----------
    Z. Chen, V. Badrinarayanan, C.-Y. Lee, A. Rabinovich (2018). GradNorm: gradient normalization for
    adaptive loss balancing in deep multitask networks. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.weighting import GradNorm
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights=GradNorm(alpha=0.5), max_iter=5, random_state=0)
    >>> est = est.fit(X, X @ np.ones((3, 2)))
    >>> round(est.history_[["weight_y0", "weight_y1"]].iloc[-1].sum().item(), 3)
    2.0
    """

    name = "gradnorm"

    def __init__(self, alpha=1.5, learning_rate=0.025, at="auto"):
        self.alpha = alpha
        self.learning_rate = learning_rate
        super().__init__(at)

    def start(self, setting: Setting) -> None:
        """Start from equal weights; see `Weighting.start`."""
        check_float(self.alpha, "alpha", self, low=0)
        check_float(self.learning_rate, "learning_rate", self, low=0)
        super().start(setting)
        shape = len(setting.generators), setting.n_tasks
        dtype = setting.like.cpu().numpy().dtype
        self._weights = MemberAdam(np.ones(shape, dtype), self.learning_rate)
        self._first = np.full(shape, np.nan, dtype)

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights (K, T) as the steps before have left them."""
        return torch.from_numpy(self._weights.values.copy()).to(losses)

    def aggregate(
        self, gradients: Any, losses: Tensor, moving: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Go by the weighted sum, and move the weights for the next step."""
        used, now = self._weights.values.copy(), losses.cpu().numpy()
        there = np.ones_like(used) if moving is None else moving.cpu().numpy().astype(used.dtype)
        n_there = there.sum(1, keepdims=True).clip(min=1)
        # the gradients are those of weighted losses
        direction = gradients.combine(torch.from_numpy(there).to(losses))
        squares = gradients.gramian().cpu().numpy().diagonal(axis1=1, axis2=2)
        norms = np.sqrt(squares.clip(min=0))
        self._first = np.where(np.isnan(self._first) & (there > 0), now, self._first)
        rate = np.zeros_like(used)
        first = self._first.clip(min=np.finfo(used.dtype).tiny)
        np.divide(now, first, out=rate, where=there > 0)
        # in this order: of one task alone it is 1 then, to the bit, and the slope 0
        rate = rate * n_there / rate.sum(1, keepdims=True).clip(min=1e-12)
        mean_norm = (norms * there).sum(1, keepdims=True) / n_there
        slope = np.sign(norms - mean_norm * rate**self.alpha) * norms / used
        self._weights.step(slope * there)
        moved = np.where(there > 0, self._weights.values, used).clip(min=LOWEST)
        self._weights.values[:] = moved * moved.shape[1] / moved.sum(1, keepdims=True)
        return torch.from_numpy(used * there).to(losses), direction

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        self._weights.keep(members)
        self._first = self._first[list(members)]
