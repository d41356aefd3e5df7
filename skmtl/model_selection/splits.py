"""Splitters for tables with several targets: of rows, as `cv=` of scikit-learn's tools, and of tasks.

In: a target table in any container, gaps included. Out: pairs of index arrays.
Shapes: n rows, T tasks, L labels, k parts.
"""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import KFold, ShuffleSplit

from skmtl._parameters import draw_seeds

from .labels import read_labels, read_table, warn_of_missing
from .stratification import stratify


class MultiTaskStratifiedKFold(KFold):
    """K folds, alike in the labels of all tasks at once: classes, bins of numbers, and gaps.

    Every row is in one test fold, and sizes of test folds differ by one at most. Rows are dealt out
    by iterative stratification (Sechidis et al. 2011), those with the rarest labels first. The
    counts of the rarest label, and of every class in a single column, differ by one at most, as in
    `StratifiedKFold`. Those of the other labels mostly differ by a few rows, however many there are.

    A task with as many labels as folds has one in each fold, and so has a class, where that can be
    found; a warning names the tasks and classes that are not in every fold.

    Rows are not kept in blocks: if neighbours depend on each other, use a splitter for groups or
    time series, shuffled or not.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to draw which of the rows with equal claims goes where; otherwise their order says.
    random_state : int, RandomState, Generator or None, default=None
        Draws the order if ``shuffle=True``. An int makes every call of `split` give the same folds.
        Global generators are never touched.
    tasks : "infer", str, Task, dict or list, default="infer"
        What each column of y is, as in `MultiTaskClassifierRegressor`: a classification is balanced
        by class, a regression by five quantile bins. "infer" goes by the labels of all rows, without
        a word where that is a close call.

    See Also
    --------
    MultiTaskStratifiedShuffleSplit : Random splits into train and test rows.
    sklearn.model_selection.StratifiedKFold : For one column of classes.

    References
    ----------
    K. Sechidis, G. Tsoumakas, I. Vlahavas (2011). On the stratification of multi-label data. ECML
    PKDD, 145-158.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.model_selection import cross_validate
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> from skmtl.model_selection import MultiTaskStratifiedKFold
    >>> y = pd.DataFrame({"kind": ["a", "b", "b"] * 10, "size": [1.5, 2.5, None] * 10})
    >>> X = pd.DataFrame({"x": y["kind"] == "a"}, dtype=float)
    >>> cv = MultiTaskStratifiedKFold(5)
    >>> [y.loc[test, "kind"].value_counts().to_dict() for _, test in cv.split(X, y)][:2]
    [{'b': 4, 'a': 2}, {'b': 4, 'a': 2}]
    >>> est = MultiTaskClassifierRegressor(max_iter=20, n_members=1, random_state=0)
    >>> len(cross_validate(est, X, y, cv=cv)["test_score"])
    5
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None, tasks="infer"):
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)
        self.tasks = tasks

    def split(self, X, y, groups=None):
        """Generate train and test rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Only its length matters.
        y : DataFrame, array-like of shape (n, T) or (n,)
            Targets, as in `fit` of the estimators; NaN, None and pd.NA mean that a label is missing.
        groups : object, default=None
            Ignored, with a warning if not None.

        Returns
        -------
        splits : iterator of (ndarray of int, ndarray of int)
            Train and test rows of each fold, sorted.
        """
        return super().split(X, y, groups)

    def _iter_test_masks(self, X=None, y=None, groups=None):
        labels = read_labels(y, self.tasks)
        n, k = len(labels.codes), self.n_splits
        order = np.arange(n)
        if self.shuffle:
            order = np.random.RandomState(draw_seeds(self.random_state, 1)[0]).permutation(n)
        worth = np.repeat(labels.worth[:, None], k, axis=1)
        fold = stratify(labels.codes, [n // k] * k, worth, order=order, spare=n % k)
        warn_of_missing(labels, fold, worth, lambda there: f"{there.sum()} of {k} test folds")
        for j in range(k):
            yield fold == j


class MultiTaskStratifiedShuffleSplit(ShuffleSplit):
    """Random train and test rows, alike in the labels of all tasks: classes, bins, and gaps.

    Sizes are exactly those of `ShuffleSplit`, and every split is drawn anew. A task with two labels
    or more has some on both sides where that can be found, and a class is there to train on first;
    a warning names tasks and classes that a side lacks.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float, int or None, default=None
        Share or number of test rows. None: what `train_size` leaves, or a tenth.
    train_size : float, int or None, default=None
        Share or number of train rows. None: what `test_size` leaves.
    random_state : int, RandomState, Generator or None, default=None
        Draws the splits. An int makes every call of `split` give the same. Global generators are
        never touched.
    tasks : "infer", str, Task, dict or list, default="infer"
        As in `MultiTaskStratifiedKFold`.

    See Also
    --------
    MultiTaskStratifiedKFold : Every row is in one test fold; says how rows are dealt out.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskStratifiedShuffleSplit
    >>> y = np.column_stack([np.arange(100) % 4, np.linspace(0, 1, 100)])
    >>> y[:50, 1] = np.nan
    >>> cv = MultiTaskStratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    >>> [(train, test)] = cv.split(y, y)
    >>> np.bincount(y[test, 0].astype(int)), int(np.isnan(y[test, 1]).sum())
    (array([5, 5, 5, 5]), 10)
    """

    def __init__(
        self, n_splits=10, *, test_size=None, train_size=None, random_state=None, tasks="infer"
    ):
        super().__init__(
            n_splits=n_splits, test_size=test_size, train_size=train_size, random_state=random_state
        )
        self.tasks = tasks

    def split(self, X, y, groups=None):
        """Generate train and test rows of each split.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Only its length matters.
        y : DataFrame, array-like of shape (n, T) or (n,)
            Targets, as in `fit` of the estimators; NaN, None and pd.NA mean that a label is missing.
        groups : object, default=None
            Ignored, with a warning if not None.

        Returns
        -------
        splits : iterator of (ndarray of int, ndarray of int)
            Train and test rows of each split, in random order.
        """
        return super().split(X, y, groups)

    def _iter_indices(self, X, y=None, groups=None):
        labels = read_labels(y, self.tasks)
        n = len(labels.codes)
        plain = ShuffleSplit(
            1, test_size=self.test_size, train_size=self.train_size, random_state=0
        )  # whose sizes are of interest, and its checks
        [(train, test)] = plain.split(labels.codes)
        sizes = [len(train), len(test), n - len(train) - len(test)]
        sizes = sizes if sizes[2] else sizes[:2]
        worth = np.zeros((len(labels.worth), len(sizes)))
        worth[:, :2] = labels.worth[:, None]
        # a test set need not have a class of which its share is less than a row
        worth[(labels.worth == 1) & (labels.number * len(test) < n), 1] = 0
        for seed in draw_seeds(self.random_state, self.n_splits):
            rng = np.random.RandomState(seed)
            part = stratify(labels.codes, sizes, worth, order=rng.permutation(n))
            warn_of_missing(labels, part, worth, _side)
            yield tuple(rng.permutation(np.flatnonzero(part == side)) for side in (0, 1))


def _side(there):
    train, test = there[:2]
    return "the train set only" if train else "the test set only" if test else "neither set"


class LeaveOneTaskOut:
    """Each task in turn is the target, all the others are the sources: to judge transfer.

    It splits the columns of y, not the rows, so it is no ``cv=`` of scikit-learn's tools.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.model_selection import LeaveOneTaskOut
    >>> y = pd.DataFrame({"a": [1.5, 2.0], "b": [None, 0.5], "c": [3.5, 4.0]})
    >>> for source, target in LeaveOneTaskOut().split(y, y):
    ...     print(y.columns[source].tolist(), "->", y.columns[target])
    ['b', 'c'] -> a
    ['a', 'c'] -> b
    ['a', 'b'] -> c
    """

    def split(self, X, y):
        """Generate the source tasks and the target task, as positions of y's columns.

        Parameters
        ----------
        X : object
            Ignored.
        y : DataFrame or array-like of shape (n, T)
            Targets of two tasks or more.

        Yields
        ------
        source : ndarray of int, shape (T - 1,)
            ``y.iloc[:, source]``, or ``y[:, source]`` of an array, are the sources.
        target : int
            ``y.iloc[:, target]`` is the target.
        """
        n_tasks = self.get_n_splits(X, y)
        if n_tasks < 2:
            raise ValueError(f"y must have two tasks or more to leave one out. Found {n_tasks}.")
        for target in range(n_tasks):
            yield np.delete(np.arange(n_tasks), target), target

    def get_n_splits(self, X, y):
        """Return the number of tasks, T.

        Parameters
        ----------
        X : object
            Ignored.
        y : DataFrame or array-like of shape (n, T)
            Targets.

        Returns
        -------
        n_splits : int
        """
        return len(read_table(y))

    def __repr__(self):
        return "LeaveOneTaskOut()"
