"""Which inputs each task rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from skmtl.metrics import multitask_scorer


def task_importances(
    estimator,
    X,
    y,
    *,
    metrics=None,
    n_repeats=5,
    n_jobs=None,
    random_state=None,
    sample_weight=None,
):
    """Permutation importance of every feature for every task (Breiman 2001).

    How much the score of a task falls when the values of a feature are shuffled:
    `sklearn.inspection.permutation_importance`, asked once for all tasks.

    Parameters
    ----------
    estimator : fitted estimator of skmtl, or a fitted Pipeline that ends in one
    X : array-like of shape (n, d)
        Best rows that training did not see.
    y : DataFrame or array-like of shape (n, T)
    metrics : dict from task to metric, or None, default=None
        As in `skmtl.metrics.multitask_scorer`.
    n_repeats : int, default=5
        Shuffles of each feature.
    n_jobs : int or None, default=None
    random_state : int, RandomState or None, default=None
    sample_weight : array-like of shape (n,) or None, default=None

    Returns
    -------
    importances : DataFrame
        A row a feature; columns are (task, "mean") and (task, "std") over the shuffles, the last
        task being "mean", the mean over tasks.

    References
    ----------
    L. Breiman (2001). Random forests. Machine Learning 45, 5-32.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.inspection import task_importances
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> est = MultiTaskRegressor(n_members=1, random_state=0).fit(X, X[:, [2, 0]])
    >>> table = task_importances(est, X, X[:, [2, 0]], random_state=0)
    >>> table.xs("mean", axis=1, level=1).idxmax().tolist()[:2]
    ['x2', 'x0']
    """
    found = permutation_importance(
        estimator,
        X,
        y,
        scoring=multitask_scorer(metrics),
        n_repeats=n_repeats,
        n_jobs=n_jobs,
        random_state=random_state,
        sample_weight=sample_weight,
    )
    names = X.columns if hasattr(X, "columns") else [f"x{i}" for i in range(np.shape(X)[1])]
    columns = {
        (task, statistic): result[f"importances_{statistic}"]
        for task, result in found.items()
        for statistic in ("mean", "std")
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="feature"))
