"""One gradient out of the tasks' gradients, by the aggregators of torchjd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import adapter
from .base import GradientWeighting, Setting


class Aggregation(GradientWeighting):
    """Turn the gradients of the tasks into one by an aggregator of torchjd.

    What the tasks share moves along that one gradient; what belongs to a task moves along the
    gradient of its own loss (Sener & Koltun 2018; `torchjd.autojac.mtl_backward`). Every member has
    aggregators of its own. Tasks without a label in a batch, and tasks whose gradient is zero, are
    left out; for each set of tasks that is left there is an aggregator, so that what one remembers
    fits.

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
    """

    def __init__(self, aggregator="upgrad", at="auto"):
        self.aggregator = aggregator
        super().__init__(at)

    def start(self, setting: Setting) -> None:
        """Make the aggregators; see `Weighting.start`."""
        super().start(setting)
        n_tasks = setting.n_tasks
        self._n_tasks, self._like = n_tasks, setting.like.cpu()
        self._table = torch.tensor(setting.task_order).argsort()  # engine's task at each position
        self._generators = adapter.fresh(setting.generators)
        self._members: list[dict[tuple[int, ...], Any]] = [{} for _ in setting.generators]
        first = self._aggregator(0, tuple(range(n_tasks)))
        self._only_gramian = adapter.only_gramian(first)
        adapter.probe(first, torch.eye(n_tasks).to(self._like), self)
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
        if positions not in known:
            known[positions] = adapter.make(
                self.aggregator, adapter.AGGREGATORS, self._n_tasks, positions, self._like
            )
        return known[positions]

    def aggregate(
        self, gradients: Any, losses: Tensor, moving: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Turn the gradients of the tasks into one; see `GradientWeighting.aggregate`."""
        table = self._table.to(losses.device)
        gramians = gradients.gramian()[:, table][:, :, table].cpu()
        there = gramians.diagonal(dim1=1, dim2=2) > 0
        if moving is not None:
            there &= moving.index_select(1, table).cpu()
        weights = torch.zeros_like(losses, device="cpu")
        directions: list[Tensor | None] = []
        rows = None if self._only_gramian else gradients.rows()[:, table].cpu()
        for k, gramian in enumerate(gramians):
            positions = there[k].nonzero()[:, 0]
            direction = None
            if len(positions):
                part = gramian[positions][:, positions]
                own = None if rows is None else rows[k, positions]
                found, direction = self._solve(k, positions, part, own)
                weights[k, self._table[positions]] = found.to(weights)
            directions.append(direction)
        weights = weights.to(losses.device)
        self._require_numbers(weights)
        if rows is None or all(d is None for d in directions):
            return weights, gradients.combine(weights)
        vectors = [torch.zeros_like(rows[0, 0]) if d is None else d for d in directions]
        return weights, gradients.shaped(torch.stack(vectors).to(losses.device))

    def _solve(
        self, k: int, positions: Tensor, gramian: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Weights of the tasks there, and the direction where it is more than their sum."""
        aggregator = self._aggregator(k, tuple(positions.tolist()))
        with adapter.drawn_from(self._generators[k]):
            if rows is None:
                return aggregator.gramian_weighting(gramian), None
            if adapter.only_weighs(aggregator):
                weights = aggregator.weighting(rows)
                return weights, weights @ rows
            direction = aggregator(rows)
        nearest = torch.linalg.lstsq(gramian.double(), (rows @ direction).double()).solution
        return nearest, direction

    def _require_numbers(self, weights: Tensor) -> None:
        if not torch.isfinite(weights).all():
            raise ValueError(
                f"loss_weights={self!r} made weights that are no finite numbers. Standardise the "
                "inputs, lower learning_rate_init, or use another method."
            )

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        self._members = [self._members[k] for k in members]
        self._generators = [self._generators[k] for k in members]
