"""Curves over epochs, in the style of scikit-learn's displays.

Numbers in `__init__`, drawing in `plot`. Shapes: T tasks.
"""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from .axes import axes_of, panels_of
from .gradients import gradient_conflict


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
        ax = axes_of(ax)
        self.lines_ = []
        for task in self.weights:
            kwargs = {"label": str(task), **(line_kw or {})}
            self.lines_ += ax.plot(self.weights.index, self.weights[task], **kwargs)
        ax.set(xlabel="epoch", ylabel="mean weight of the task", title=self.name)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


class LearningCurveDisplay:
    """Training and validation loss of every task over the epochs of a fit, a panel a task.

    Parameters
    ----------
    train, valid : DataFrame of shape (n_epochs, T)
        Losses; a column a task, the index is the epoch. ``valid`` may be None.
    chosen_epochs : list of int, default=()
        Epochs whose parameters were kept, one a member.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (T,)
    figure_ : matplotlib Figure
    lines_ : list of list of matplotlib Line2D
        Of each task, training and, if any, validation.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.inspection import LearningCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> est = MultiTaskRegressor(max_iter=5, random_state=0).fit(X, X @ np.ones((3, 2)))
    >>> display = LearningCurveDisplay.from_estimator(est)
    >>> [ax.get_title() for ax in display.axes_]
    ['y0', 'y1']
    """

    def __init__(self, train, valid=None, chosen_epochs=()):
        self.train = train
        self.valid = valid
        self.chosen_epochs = chosen_epochs

    @classmethod
    def from_estimator(cls, estimator: Any, *, axes: Any = None) -> LearningCurveDisplay:
        """Draw the losses of a fitted estimator.

        Parameters
        ----------
        estimator : MultiTaskClassifierRegressor or another estimator of skmtl
            Fitted.
        axes : sequence of matplotlib Axes, default=None
            One a task; None: a new figure.

        Returns
        -------
        display : LearningCurveDisplay
        """
        check_is_fitted(estimator)
        history, tasks = estimator.history_.set_index("epoch"), list(estimator.tasks_)
        parts = []
        for prefix in ("train", "valid"):
            columns = [f"{prefix}_loss_{task}" for task in tasks]
            there = set(columns) <= set(history)
            parts.append(history[columns].set_axis(tasks, axis=1) if there else None)
        stopping = estimator.net_.stopping
        chosen = stopping.best_epochs_ if stopping is not None and parts[1] is not None else ()
        train, valid = parts
        return cls(train, valid, chosen).plot(axes)

    def plot(self, axes: Any = None) -> LearningCurveDisplay:
        """Draw.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, default=None
            One a task; None: a new figure.

        Returns
        -------
        display : LearningCurveDisplay
        """
        self.axes_ = panels_of(axes, len(self.train.columns))
        self.lines_ = []
        for ax, task in zip(self.axes_, self.train, strict=True):
            lines = ax.plot(self.train.index, self.train[task], label="training")
            if self.valid is not None:
                lines += ax.plot(self.valid.index, self.valid[task], label="validation")
            for epoch in sorted(set(self.chosen_epochs)):
                ax.axvline(epoch, color="tab:gray", lw=0.5)
            ax.set(xlabel="epoch", ylabel="loss", title=str(task))
            self.lines_.append(lines)
        self.axes_[0].legend()
        self.figure_ = self.axes_[0].figure
        return self


class GradientConflictDisplay:
    """Cosine similarity of the gradients of every pair of tasks over a training.

    Parameters
    ----------
    by_epoch : DataFrame
        As ``GradientConflict.by_epoch``.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One a pair.

    Examples
    --------
    >>> from skmtl.inspection import GradientConflictDisplay
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = np.column_stack([X[:, 0], -X[:, 0]])
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0)
    >>> display = GradientConflictDisplay.from_estimator(est, X, y, every=1)
    >>> len(display.lines_)
    1
    """

    def __init__(self, by_epoch):
        self.by_epoch = by_epoch

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, every: int = 10, ax: Any = None
    ) -> GradientConflictDisplay:
        """Train a clone, and draw how its gradients agree.

        Parameters
        ----------
        estimator, X, y, every
            As in `gradient_conflict`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : GradientConflictDisplay
        """
        return cls(gradient_conflict(estimator, X, y, every=every).by_epoch).plot(ax)

    def plot(self, ax: Any = None) -> GradientConflictDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : GradientConflictDisplay
        """
        ax = axes_of(ax)
        self.lines_ = []
        for pair in self.by_epoch:
            self.lines_ += ax.plot(self.by_epoch.index, self.by_epoch[pair], label=pair)
        ax.axhline(0, color="tab:gray", lw=0.8)
        ax.set(xlabel="epoch", ylabel="cosine of the tasks' gradients")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
