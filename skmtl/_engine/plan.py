"""What is asked of a fit. Shapes: T tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skmtl.consolidation import Consolidation
from skmtl.schedules import Schedule
from skmtl.sharing import Sharing
from skmtl.sharing.base import TrunkPlan
from skmtl.weighting import Weighting


@dataclass(frozen=True)
class Plan:
    """What the parameters of an estimator ask for, checked and resolved; tasks in table order."""

    feature_names: Sequence[str] | None
    names: list[Any]
    weighting: Weighting
    sharing: Sharing
    trunk: TrunkPlan | None
    schedule: Schedule
    hidden_layer_sizes: tuple[int, ...]
    head_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    batch_size: int | str
    learning_rate: float
    alpha: float
    max_iter: int
    tol: float
    early_stopping: bool | str
    validation_fraction: float
    patience: int
    n_members: int | str
    callbacks: list[Any]
    consolidation: Consolidation | None
    device: str
    random_state: Any
    verbose: int

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks as they are printed."""
        return [str(name) for name in self.names]
