"""Plots in the style of scikit-learn's displays: numbers in `__init__`, drawing in `plot`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.utils.validation import check_is_fitted

NUMBERED = 12  # tasks up to which every cell shows its number


class TaskRelationDisplay:
    """Heat map of how tasks are related, related tasks side by side.

    Parameters
    ----------
    relation : DataFrame or ndarray of shape (T, T)
        Correlations of the tasks, -1 to 1, as ``task_relation_``.

    Attributes
    ----------
    order : list of int
        Position of the tasks in `relation` in the order they are drawn: that of a hierarchical
        clustering (average linkage) of their rows.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SoftSharingEnsemble
    >>> from skmtl.inspection import TaskRelationDisplay
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = SoftSharingEnsemble(max_iter=5, random_state=0).fit(X, X @ np.ones((3, 2)))
    >>> display = TaskRelationDisplay.from_estimator(est)
    >>> display.image_.get_array().shape
    (2, 2)
    """

    def __init__(self, relation):
        self.relation = relation
        values = np.asarray(relation, dtype=float)
        order = leaves_list(linkage(values, "average")) if len(values) > 2 else range(len(values))
        self.order = [int(i) for i in order]

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> TaskRelationDisplay:
        """Draw the relation of a fitted `SoftSharingEnsemble`.

        Parameters
        ----------
        estimator : SoftSharingEnsemble
            Fitted.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : TaskRelationDisplay
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "task_relation_"):
            raise TypeError(
                "TaskRelationDisplay draws the task_relation_ of a SoftSharingEnsemble. Found a "
                f"{type(estimator).__name__}."
            )
        return cls(estimator.task_relation_).plot(ax=ax)

    def plot(self, ax: Any = None, *, cmap: Any = "RdBu_r") -> TaskRelationDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        cmap : str or Colormap, default="RdBu_r"
            Diverging colours, from -1 to 1.

        Returns
        -------
        display : TaskRelationDisplay
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Plots need matplotlib: pip install skmtl[plot].") from error

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        values = np.asarray(self.relation, dtype=float)[np.ix_(self.order, self.order)]
        known = getattr(self.relation, "index", range(len(values)))
        self.image_ = ax.imshow(values, cmap=cmap, vmin=-1, vmax=1)
        names, at = [str(known[i]) for i in self.order], range(len(values))
        ax.set_xticks(at, names, rotation=90)
        ax.set_yticks(at, names)
        if len(values) <= NUMBERED:
            for i, j in np.ndindex(values.shape):
                dark = abs(values[i, j]) > 0.6
                ax.text(
                    j, i, f"{values[i, j]:.2f}", ha="center", va="center", c="w" if dark else "k"
                )
        ax.figure.colorbar(self.image_, ax=ax, label="correlation of the tasks")
        self.ax_, self.figure_ = ax, ax.figure
        return self
