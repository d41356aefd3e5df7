"""In what order tasks train: a schedule says which tasks move at an epoch.

>>> from skmtl.schedules import Joint
>>> Joint().active(epoch=0, n_tasks=3)
[True, True, True]
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from sklearn.base import BaseEstimator

__all__ = ["Joint", "Schedule"]


class Schedule(BaseEstimator, ABC):
    """Which tasks train at which epoch. Immutable configuration."""

    @abstractmethod
    def active(self, epoch: int, n_tasks: int) -> list[bool]:
        """Say for each task whether its loss counts at this epoch (the first is 0)."""


class Joint(Schedule):
    """All tasks at every step."""

    def active(self, epoch: int, n_tasks: int) -> list[bool]:
        """Say True for every task."""
        return [True] * n_tasks
