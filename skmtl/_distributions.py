"""What a fitted estimator says of its targets beyond a value: quantiles, standard deviations.

In: rows, through the network. Out: an array a task that has them. Shapes: n rows, d features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from skmtl import tasks
from skmtl._resolve import meant
from skmtl.tasks import Task


def _has(method: str) -> Callable[[Any], bool]:
    """Whether some task of an estimator has the method, or may have it once it is fitted."""

    def check(estimator: Any) -> bool:
        if hasattr(estimator, "tasks_"):
            return any(hasattr(task, method) for task in estimator.tasks_.values())
        given = estimator.tasks
        specs = given.values() if isinstance(given, Mapping) else given
        specs = [given] if isinstance(given, str | Task) else specs
        return any(hasattr(meant(spec, tasks, Task), method) for spec in specs)

    return check


class Distributions:
    """Methods of estimators whose tasks are more than their mean."""

    _container: Any
    _forward: Callable[[Any], list[np.ndarray]]
    _check_fitted: Callable[[], None]
    tasks_: dict[Any, Task]

    @available_if(_has("decode_quantiles"))
    def predict_quantiles(self, X):
        """Predict quantiles of the tasks that are a `QuantileTask`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.

        Returns
        -------
        quantiles : dict from task to ndarray of shape (n, n_quantiles), or the ndarray for a 1-D y
            Columns in the order of the task's ``quantiles``.
        """
        return self._answers(X, "decode_quantiles")

    @available_if(_has("decode_std"))
    def predict_std(self, X):
        """Predict the standard deviation of the tasks that are a `HeteroscedasticRegressionTask`.

        It is that of a label, not of the predicted mean: what the network takes for noise, and how
        far its members differ.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.

        Returns
        -------
        std : dict from task to ndarray of shape (n,), or the ndarray for a 1-D y
            In the target's own unit.
        """
        return self._answers(X, "decode_std")

    def _answers(self, X: Any, method: str) -> Any:
        self._check_fitted()
        by_task = {
            name: getattr(task, method)(out)
            for (name, task), out in zip(self.tasks_.items(), self._forward(X), strict=True)
            if hasattr(task, method)
        }
        return by_task if self._container.kind != "vector" else next(iter(by_task.values()))
