"""Heat maps, in the style of scikit-learn's displays: numbers in `__init__`, drawing in `plot`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.utils.validation import check_is_fitted

from .axes import axes_of
from .gradients import task_affinity

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
        self.order = _side_by_side(relation)

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
        ax = axes_of(ax)
        self.image_ = _draw(ax, self.relation, self.order, reach=1, cmap=cmap)
        ax.figure.colorbar(self.image_, ax=ax, label="correlation of the tasks")
        self.ax_, self.figure_ = ax, ax.figure
        return self


class TaskAffinityDisplay:
    """Heat map of how much a step for one task serves another, tasks alike side by side.

    Parameters
    ----------
    affinity : DataFrame or ndarray of shape (T, T)
        As `task_affinity` gives it.

    Attributes
    ----------
    order : list of int
        Position of the tasks in `affinity` in the order they are drawn.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage

    Examples
    --------
    >>> from skmtl.inspection import TaskAffinityDisplay
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> display = TaskAffinityDisplay.from_estimator(est, X, y, every=1)
    >>> display.image_.get_array().shape
    (2, 2)
    """

    def __init__(self, affinity):
        self.affinity = affinity
        self.order = _side_by_side(affinity)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, every: int = 10, ax: Any = None
    ) -> TaskAffinityDisplay:
        """Train a clone, and draw the affinities of its tasks.

        Parameters
        ----------
        estimator, X, y, every
            As in `task_affinity`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : TaskAffinityDisplay
        """
        return cls(task_affinity(estimator, X, y, every=every)).plot(ax)

    def plot(self, ax: Any = None, *, cmap: Any = "RdBu_r") -> TaskAffinityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        cmap : str or Colormap, default="RdBu_r"
            Diverging colours around zero.

        Returns
        -------
        display : TaskAffinityDisplay
        """
        ax = axes_of(ax)
        reach = float(np.nanmax(np.abs(np.asarray(self.affinity, dtype=float))))
        self.image_ = _draw(ax, self.affinity, self.order, reach=reach, cmap=cmap)
        label = "share by which the loss of the column falls"
        ax.figure.colorbar(self.image_, ax=ax, label=label)
        ax.set(xlabel="loss of", ylabel="step for")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _side_by_side(table: Any) -> list[int]:
    """Order in which tasks with like rows are neighbours: hierarchical clustering, average linkage."""
    values = np.nan_to_num(np.asarray(table, dtype=float))
    order = leaves_list(linkage(values, "average")) if len(values) > 2 else range(len(values))
    return [int(i) for i in order]


def _draw(ax: Any, table: Any, order: list[int], *, reach: float, cmap: Any) -> Any:
    """Image of a table (T, T), its rows and columns in this order; colours go from -reach to reach."""
    values = np.asarray(table, dtype=float)[np.ix_(order, order)]
    known = getattr(table, "index", range(len(values)))
    image = ax.imshow(values, vmin=-reach, vmax=reach, cmap=cmap)
    names, at = [str(known[i]) for i in order], range(len(values))
    ax.set_xticks(at, names, rotation=90)
    ax.set_yticks(at, names)
    if len(values) <= NUMBERED:
        for i, j in np.ndindex(values.shape):
            dark = abs(values[i, j]) > 0.6 * reach
            text = f"{values[i, j]:.2g}" if reach < 0.1 else f"{values[i, j]:.2f}"
            ax.text(j, i, text, ha="center", va="center", c="w" if dark else "k")
    return image
