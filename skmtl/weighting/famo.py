"""Weights under which all losses fall at one relative rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from skmtl._checks import check_float

from .adam import MemberAdam
from .base import Setting, Weighting, require_numbers

LEAST = 1e-8  # of a loss above its lower bound, as in the authors' code: its logarithm is taken


class FAMO(Weighting):
    """Fast adaptive multitask optimisation (Liu et al. 2023).

    ``w_t`` is proportional to ``z_t / (L_t - b_t)`` and sums to 1, with ``z = softmax(xi)``. After each
    step the losses of its batch are seen again, and ``xi`` moves by Adam towards the tasks whose
    ``log(L_t - b_t)`` fell least.

    It does what `torchjd.scalarization.FAMO` does, for all members of a stack at once.

    Parameters
    ----------
    min_losses : array-like of shape (T,), default=None
        Lower bounds b_t of the losses, in the order of the target table. None: zeros.
    learning_rate : float, default=0.025
        Step size of ``xi`` (the paper's).
    weight_decay : float, default=1e-3
        Pull of ``xi`` towards equal weights (the paper's).

    References
    ----------
    B. Liu, Y. Feng, P. Stone, Q. Liu (2023). FAMO: fast adaptive multitask optimization. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.weighting import FAMO
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights=FAMO(learning_rate=0.1), max_iter=5, random_state=0)
    >>> est = est.fit(X, X @ np.ones((3, 2)))
    >>> round(est.history_[["weight_y0", "weight_y1"]].iloc[-1].sum().item(), 3)
    1.0
    """

    name = "famo"
    looks_again = True

    def __init__(self, min_losses=None, learning_rate=0.025, weight_decay=1e-3):
        self.min_losses = min_losses
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def start(self, setting: Setting) -> None:
        """Start from equal ``z``; see `Weighting.start`."""
        check_float(self.learning_rate, "learning_rate", self, low=0)
        check_float(self.weight_decay, "weight_decay", self, low=0)
        n_tasks = setting.n_tasks
        dtype = setting.like.cpu().numpy().dtype
        self._bounds: np.ndarray | None = None
        if self.min_losses is not None:
            bounds = np.asarray(self.min_losses)
            if bounds.shape != (n_tasks,) or bounds.dtype.kind not in "iuf":
                raise ValueError(
                    f"Parameter min_losses of FAMO must have a number for each of {n_tasks} tasks. "
                    f"Found {self.min_losses!r}."
                )
            self._bounds = bounds[list(setting.task_order)].astype(dtype)
        logits = np.zeros((len(setting.generators), n_tasks), dtype)
        self._logits = MemberAdam(logits, self.learning_rate, self.weight_decay)

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights (K, T); zero for tasks that do not move."""
        there = None if moving is None else moving.cpu().numpy()
        self._above = self._above_bounds(losses, there)
        logits = self._logits.values
        z = self._z = softmax(logits)
        if there is not None:  # where no task is there, all are, and weigh nothing below
            nobody = ~there.any(1, keepdims=True)
            z = softmax(np.where(there | nobody, logits, -np.inf))
        share = z / self._above
        share /= share.sum(1, keepdims=True)
        weights = torch.from_numpy(share if there is None else share * there).to(losses)
        require_numbers(weights, self)
        return weights

    def after_step(self, losses: Tensor, moving: Tensor | None) -> None:
        """Move ``xi`` by what became of the losses; to a task that did not move, nothing did."""
        there = None if moving is None else moving.cpu().numpy()
        fell = np.log(self._above / self._above_bounds(losses, there)) * self._z
        self._logits.step(fell - self._z * fell.sum(1, keepdims=True))

    def _above_bounds(self, losses: Tensor, there: np.ndarray | None) -> np.ndarray:
        """How far losses are above their lower bounds; 1 for a task that does not move."""
        above = losses.detach().cpu().numpy()
        above = above + LEAST if self._bounds is None else above - self._bounds + LEAST
        return above if there is None else np.where(there, above, 1.0)

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        self._logits.keep(members)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of each row (K, T), in a third of the time of SciPy's."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
