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
        ax = _axes(ax)
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


class LossWeightsDisplay:
    """The weight of every task over the epochs of a fit.

    Parameters
    ----------
    weights : DataFrame of shape (n_epochs, T)
        Mean weight of each task's loss, or gradient, in each epoch; a column a task.
    name : str, default=None
        What made them, for the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One a task.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.inspection import LossWeightsDisplay
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(loss_weights="uw", max_iter=5, random_state=0)
    >>> display = LossWeightsDisplay.from_estimator(est.fit(X, X @ np.ones((3, 2))))
    >>> len(display.lines_)
    2
    """

    def __init__(self, weights, name=None):
        self.weights = weights
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> LossWeightsDisplay:
        """Draw the weights that a fitted estimator used.

        Parameters
        ----------
        estimator : MultiTaskClassifierRegressor or another estimator of skmtl
            Fitted.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : LossWeightsDisplay
        """
        check_is_fitted(estimator)
        history = estimator.history_
        weights = history[[f"weight_{task}" for task in estimator.tasks_]]
        weights = weights.set_axis(list(estimator.tasks_), axis=1)
        name = f"loss_weights={estimator.loss_weights!r}"
        return cls(weights.set_index(history["epoch"]), name).plot(ax=ax)

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> LossWeightsDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        line_kw : dict, default=None
            Keyword parameters of ``ax.plot``.

        Returns
        -------
        display : LossWeightsDisplay
        """
        ax = _axes(ax)
        self.lines_ = []
        for task in self.weights:
            kwargs = {"label": str(task), **(line_kw or {})}
            self.lines_ += ax.plot(self.weights.index, self.weights[task], **kwargs)
        ax.set(xlabel="epoch", ylabel="mean weight of the task", title=self.name)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _axes(ax: Any) -> Any:
    """Axes to draw on: these, or those of a new figure."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install skmtl[plot].") from error
    return plt.subplots(layout="constrained")[1] if ax is None else ax
