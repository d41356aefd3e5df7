"""Split rows that have one task each so that every task can be learned and judged.

In: X with a column of tasks, or the tasks of rows as groups. Out: pairs of index arrays.
Shapes: n rows, k folds.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from skmtl._checks import listed
from skmtl._parameters import draw_seeds
from skmtl._task_labels import OfTasks, labels_of


class TaskGroupKFold(KFold):
    """K folds with rows of every task on both sides, for tables whose rows have one task each.

    The opposite of `sklearn.model_selection.GroupKFold`, which has a group on one side only: that asks
    how an unseen task is predicted, this how new rows of the tasks that are there. Numbers of rows of
    a task in two test folds differ by one at most, and so do the sizes of the folds.

    A task with as many rows as folds is in every test fold; one with fewer is in as many as it has
    rows, and always trained on. A task with a single row can be on one side only: a warning names it.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    task_column : str, int or None, default=None
        Column of X with the task of each row, as in the estimator. None: `split` takes ``groups``.
    shuffle : bool, default=False
        Whether to draw which rows of a task go where; otherwise they are dealt out in their order.
    random_state : int, RandomState, Generator or None, default=None
        Draws the order if ``shuffle=True``. Global generators are never touched.

    See Also
    --------
    MultiTaskStratifiedKFold : For tables with a column per task.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.model_selection import TaskGroupKFold
    >>> X = pd.DataFrame({"school": list("aaaabbc"), "x": range(7)})
    >>> for train, test in TaskGroupKFold(2, task_column="school").split(X.iloc[:6]):
    ...     print("".join(X["school"][train]), "".join(X["school"][test]))
    aab aab
    aab aab
    """

    # scikit-learn's name for what `split` is given by its tools without being asked
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(self, n_splits=5, *, task_column=None, shuffle=False, random_state=None):
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)
        self.task_column = task_column

    def split(self, X, y=None, groups=None):
        """Generate train and test rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Its ``task_column`` says the tasks, if there is one.
        y : object, default=None
            Ignored.
        groups : array-like of shape (n,), default=None
            Task of each row, where there is no ``task_column``.

        Yields
        ------
        train, test : ndarray of int
            Rows of a fold, sorted.
        """
        if (groups is None) == (self.task_column is None):
            found = "neither" if groups is None else "both"
            raise ValueError(
                "The tasks of rows must be said by task_column or by groups, one of the two. Found "
                f"{found}."
            )
        labels = labels_of(OfTasks(X, groups), self.task_column)[1]
        if len(labels) < self.n_splits:
            raise ValueError(
                f"Parameter n_splits={self.n_splits} must be at most the number of rows. Found "
                f"{len(labels)}."
            )
        fold = self._deal(*pd.factorize(labels))
        for j in range(self.n_splits):
            yield np.flatnonzero(fold != j), np.flatnonzero(fold == j)

    def _deal(self, tasks: np.ndarray, names: Any) -> np.ndarray:
        """Fold of each row."""
        _warn_of_lone(tasks, names)
        order = np.arange(len(tasks))
        if self.shuffle:
            rng = np.random.RandomState(draw_seeds(self.random_state, 1)[0])
            order = rng.permutation(len(tasks))
        dealt = order[np.argsort(tasks[order], kind="stable")]
        fold = np.empty(len(tasks), int)
        fold[dealt] = np.arange(len(tasks)) % self.n_splits
        return fold


def _warn_of_lone(tasks: np.ndarray, names: Any) -> None:
    lone = np.asarray(names)[np.bincount(tasks) == 1].tolist()
    if lone:
        warnings.warn(
            f"{listed('Task', lone)} have one row, which is tested without another to train on.",
            UserWarning,
            stacklevel=3,
        )
