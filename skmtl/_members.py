"""The members of a fitted stack, each an estimator of its own, and how far they differ.

Shapes: n rows, d features, K members.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import _num_samples

from skmtl.tasks import Task
from skmtl.training import MultiTaskNet, one_member

if TYPE_CHECKING:
    from typing_extensions import Self


class Members:
    """What an estimator has for being an ensemble."""

    net_: MultiTaskNet
    tasks_: dict[Any, Task]
    n_members: Any
    _forward: Callable[[Any], list[np.ndarray]]
    _check_fitted: Callable[[], None]

    @property
    def members_(self) -> list[Self]:
        """The networks of the ensemble, each as a fitted estimator of one member.

        They predict and score as any estimator does; their average is what the ensemble predicts.
        They share its memory, and ``history_`` is that of the ensemble.
        """
        self._check_fitted()
        return [self._member(k) for k in range(self.net_.module_.n_members)]

    def _member(self, k: int) -> Self:
        member = copy.copy(self)
        member.net_, member.n_members = one_member(self.net_, k), 1
        return member

    def _spread(self, X: Any) -> dict[Any, np.ndarray]:
        """Standard deviation (n,) of each task's labels, or of its members; NaN for classes."""
        members = self.members_
        spread, outputs = {}, None
        for at, (name, task) in enumerate(self.tasks_.items()):
            if task.kind != "regression":
                spread[name] = np.full(_num_samples(X), np.nan)
                continue
            if outputs is None:
                if len(members) < 2:
                    raise ValueError(
                        "return_std=True tells how far the members of an ensemble differ, and there "
                        "is one. Fit with n_members=8, or more."
                    )
                outputs = [member._forward(X) for member in members]
            spread[name] = np.std([task.decode(own[at]) for own in outputs], axis=0)
        if outputs is None:
            raise ValueError(
                "return_std=True is for regressions, and every task here has classes: "
                "predict_proba tells how sure the ensemble is."
            )
        return spread
