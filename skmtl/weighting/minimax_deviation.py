"""Weights that hold down the worst task's regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmtl._checks import check_float

from .base import Setting, Weighting

EVEN = 0.02  # share of a task's weight that is spread evenly: no task is lost from sight


class MinimaxDeviation(Weighting):
    """Minimise the largest deviation of a task's loss from the best it could have.

    ``min max_t (L_t - L_t*)``: the minimax deviation of Schlesinger & Vodolazskiy (2017), with tasks in
    the place of models. It has a saddle point in weights on the simplex, found as in Sagawa et al.
    (2020): at every step a task's weight is multiplied by ``exp(step_size * (L_t - L_t*))``, among
    those with a label in the batch. Members are judged, and stop early, by their largest deviation.
    Weights sum to T.

    Parameters
    ----------
    best_losses : "single_task", dict or array-like of shape (T,), default="single_task"
        L*, in units of the training loss (``history_["valid_loss_<task>"]``). "single_task": the
        lowest validation loss of each task's own network with these parameters, which is trained
        first. A dict is from task to loss.
    step_size : float, default=0.1
        Of the weights' logarithms.

    References
    ----------
    M. Schlesinger, E. Vodolazskiy (2017). Minimax deviation strategies for machine learning and
    recognition with short learning samples. arXiv:1707.04849.
    S. Sagawa, P. W. Koh, T. Hashimoto, P. Liang (2020). Distributionally robust neural networks for
    group shifts. ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.weighting import MinimaxDeviation
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights=MinimaxDeviation([0.1, 0.1]), max_iter=5, random_state=0)
    >>> est = est.fit(X, X @ np.ones((3, 2)))
    >>> round(est.history_[["weight_y0", "weight_y1"]].iloc[-1].sum().item(), 3)
    2.0
    """

    name = "minimax_deviation"

    def __init__(self, best_losses="single_task", step_size=0.1):
        self.best_losses = best_losses
        self.step_size = step_size

    def start(self, setting: Setting) -> None:
        """Learn what the best losses are; see `Weighting.start`."""
        check_float(self.step_size, "step_size", self, low=0)
        shape = len(setting.generators), setting.n_tasks
        if isinstance(self.best_losses, str) and self.best_losses == "single_task":
            best = setting.single_task_losses()
        else:
            best = torch.tensor(self._given(setting)).expand(shape)
        self._best = best.to(setting.like)
        self._shares = setting.like.new_full(shape, 1 / setting.n_tasks)

    def _given(self, setting: Setting) -> list[float]:
        """Best losses a user gave, in the engine's order."""
        names = [setting.task_names[t] for t in np.argsort(setting.task_order)]
        given: Any = self.best_losses
        if isinstance(given, Mapping):
            given = {str(name): loss for name, loss in given.items()}
            given = [given.get(name) for name in names] if set(given) == set(names) else None
        accepted = f"'single_task', or a finite loss for each of the tasks {names}"
        try:
            losses = np.asarray(given, dtype=float)
        except (TypeError, ValueError):
            losses = np.array(np.nan)
        if losses.shape != (len(names),) or not np.isfinite(losses).all():
            raise ValueError(
                f"Parameter best_losses of MinimaxDeviation must be {accepted}. "
                f"Found {self.best_losses!r}."
            )
        return losses[list(setting.task_order)].tolist()

    def __call__(self, losses: Tensor, moving: Tensor | None) -> Tensor:
        """Weights (K, T), moved towards the tasks that deviate most."""
        there = torch.ones_like(self._shares) if moving is None else moving.to(self._shares)
        raised = (self.step_size * (losses - self._best)).where(there > 0, 0.0)
        raised = self._shares * (raised - raised.amax(1, keepdim=True)).exp() * there
        # a task that is absent keeps its share: only those that are there divide theirs anew
        theirs = (self._shares * there).sum(1, keepdim=True)
        raised = raised / raised.sum(1, keepdim=True).clamp(min=torch.finfo(raised.dtype).tiny)
        even = there / there.sum(1, keepdim=True).clamp(min=1)
        moved = theirs * ((1 - EVEN) * raised + EVEN * even)
        self._shares = moved.where(there > 0, self._shares)
        return self._shares * self._shares.shape[1]

    def objective(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Largest deviation."""
        return (losses - self._best).where(labelled, -torch.inf).amax(-1)

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        index = torch.tensor(members, device=self._best.device)
        self._best, self._shares = self._best[index], self._shares[index]
