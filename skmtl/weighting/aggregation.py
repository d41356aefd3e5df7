"""One gradient out of the tasks' gradients, by the aggregators of torchjd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skmtl._global_generator import drawn_from

from . import adapter
from .base import GradientWeighting, Setting, require_numbers
from .solvers import together

PATTERNS = 32  # sets of tasks whose aggregator, with what it remembers, is kept


class Aggregation(GradientWeighting):
    """Turn the gradients of the tasks into one by an aggregator of torchjd.

    What the tasks share moves along that one gradient; what belongs to a task moves along the
    gradient of its own loss (Sener & Koltun 2018; `torchjd.autojac.mtl_backward`). Every member has
    aggregators of its own. Tasks without a label in a batch, and tasks whose gradient is zero, are
    left out; for each set of tasks that is left (the 32 seen last) there is an aggregator, so that what
    one remembers fits. Where a set is too small for a method (Krum, trimmed mean), its gradients are
    averaged.

    Parameters
    ----------
    aggregator : str or torchjd.aggregation.Aggregator, default="upgrad"
        A name (see docs/weighting.md for what each stands for and its paper), or an object, whose
        vectors, if any, have an entry per task in the order of the target table.
    at : {"auto", "features", "parameters"}, default="auto"
        "features": gradients at the representation all tasks share, in units of a row's gradient;
        their Gramian costs next to nothing. "parameters": at the shared parameters, the full
        Jacobian, at the price of a backward pass per task. "auto": at the features where the sharing
        scheme has them and the aggregator does not need coordinates that last.

    References
    ----------
    O. Sener, V. Koltun (2018). Multi-task learning as multi-objective optimization. NeurIPS.
    P. Quinton, V. Rey (2024). Jacobian descent for multi-objective optimization. arXiv:2406.16232.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.weighting import Aggregation
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights=Aggregation("mgda"), max_iter=5, random_state=0)
    >>> est = est.fit(X, X @ np.ones((3, 2)))
    >>> est.history_["weight_y0"].shape
    (5,)
    """

    def __init__(self, aggregator="upgrad", at="auto"):
        self.aggregator = aggregator
        super().__init__(at)

    def start(self, setting: Setting) -> None:
        """Make the aggregators; see `Weighting.start`."""
        kind = adapter.aggregation.Aggregator
        adapter.check(self.aggregator, adapter.AGGREGATORS, kind, "aggregator of Aggregation")
        super().start(setting)
        n_tasks = setting.n_tasks
        self._n_tasks, self._like = n_tasks, setting.like.cpu()
        self._order = adapter.Order(setting.task_order, setting.like.device)
        self._members: list[dict[tuple[int, ...], Any]] = [{} for _ in setting.generators]
        self._everybody = tuple(range(n_tasks))
        first = self._aggregator(0, self._everybody)
        self._only_gramian = adapter.only_gramian(first)
        draws = adapter.probe(first, torch.eye(n_tasks).to(self._like), self)
        self._generators = adapter.fresh(setting.generators, draws=draws)
        if isinstance(first, adapter.BY_COORDINATE):
            if self.at == "features":
                raise ValueError(
                    f"Parameter loss_weights={self!r} follows each coordinate of the gradients over "
                    "time; at features the coordinates are those of a batch. Use at='parameters'."
                )
            self.level = "parameters"

    def _aggregator(self, k: int, positions: tuple[int, ...]) -> Any:
        """Member k's aggregator for the tasks at these positions of the table."""
        known = self._members[k]
        aggregator = known.pop(positions, None)
        if aggregator is None:
            aggregator = adapter.make(
                self.aggregator, adapter.AGGREGATORS, self._n_tasks, positions, self._like
            )
            if len(known) >= PATTERNS:
                del known[next(iter(known))]  # used longest ago
        known[positions] = aggregator
        return aggregator

    def aggregate(
        self, gradients: Any, losses: Tensor, moving: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Turn the gradients of the tasks into one; see `GradientWeighting.aggregate`."""
        order = self._order
        gramians = order.to_table(order.to_table(gradients.gramian()), dim=2)
        rows = None if self._only_gramian else order.to_table(gradients.rows())
        gramians, rows = gramians.cpu(), None if rows is None else rows.cpu()
        there = gramians.diagonal(dim1=1, dim2=2) > 0
        there = there if moving is None else there & order.to_table(moving).cpu()
        everywhere, weights, directions = bool(there.all()), None, []
        if everywhere:
            one = self._aggregator(0, self._everybody)
            weights = together(one, gramians, self._generators)
        if weights is None:
            each = []
            for k, gramian in enumerate(gramians):
                own = None if rows is None else rows[k]
                which = None if everywhere else there[k].nonzero()[:, 0]
                found, direction = self._solve(k, which, gramian, own)
                each.append(found)
                directions.append(direction)
            weights = torch.stack(each)
        weights = weights.to(losses)
        require_numbers(weights, self)
        weights = order.to_engine(weights)
        if rows is None:
            return weights, gradients.combine(weights)
        return weights, gradients.shaped(torch.stack(directions).to(losses))

    def _solve(
        self, k: int, which: Tensor | None, gramian: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Weights (T,) of member k's tasks, and the direction (N,) if it was made of rows.

        ``which`` lists the tasks that are there, None: all; in the order of the table.
        """
        if which is not None:
            weights = torch.zeros(len(gramian), dtype=gramian.dtype)
            if not len(which):
                return weights, torch.zeros_like(gramian[0] if rows is None else rows[0])
            part = None if rows is None else rows[which]
            weights[which], direction = self._aggregate(
                k, tuple(which.tolist()), gramian[which][:, which], part
            )
            return weights, direction
        return self._aggregate(k, self._everybody, gramian, rows)

    def _aggregate(
        self, k: int, positions: tuple[int, ...], gramian: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        aggregator = self._aggregator(k, positions)
        if self._generators[k] is None:
            return self._weigh(aggregator, gramian, rows)
        with drawn_from(self._generators[k]):
            return self._weigh(aggregator, gramian, rows)

    def _weigh(
        self, aggregator: Any, gramian: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if rows is None:
            return aggregator.gramian_weighting(gramian), gramian
        if adapter.only_weighs(aggregator):
            weights = aggregator.weighting(rows)
            return weights, weights @ rows
        direction = aggregator(rows)
        nearest = torch.linalg.lstsq(gramian.double(), (rows @ direction).double()).solution
        return nearest.to(gramian), direction

    def finish(self) -> None:
        """Let go of what the aggregators remember."""
        self._members = [{} for _ in self._members]

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        self._members = [self._members[k] for k in members]
        self._generators = [self._generators[k] for k in members]
