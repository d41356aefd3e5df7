"""Scores over the stages of a stream, in the style of scikit-learn's displays.

Numbers in `__init__`, drawing in `plot`. Shapes: T tasks, S stages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skmtl.metrics.lifelong import read_scores

from .axes import axes_of


class StageScoresDisplay:
    """The score of every task after every stage of a stream, and their mean so far.

    Parameters
    ----------
    scores : DataFrame or array-like of shape (T, S)
        Score of each task after each stage, as the measures of `skmtl.metrics` take it. NaN is left
        out.
    learned_at : sequence of int of shape (T,), default=None
        Stage that taught each task, from zero. None: task t by stage t.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One a task: dotted until the task is learned, which a dot marks.
    mean_line_ : matplotlib Line2D
        Mean over the tasks learned so far.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.inspection import StageScoresDisplay
    >>> scores = pd.DataFrame([[0.9, 0.7], [0.5, 0.8]], ["old", "new"], ["first", "second"])
    >>> display = StageScoresDisplay(scores).plot()
    >>> display.mean_line_.get_ydata().tolist()
    [0.9, 0.75]
    """

    def __init__(self, scores, learned_at=None):
        self.scores = scores
        self.learned_at = learned_at

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> StageScoresDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        line_kw : dict, default=None
            Keyword parameters of ``ax.plot`` for the tasks.

        Returns
        -------
        display : StageScoresDisplay
        """
        table, learned = read_scores(self.scores, self.learned_at)
        frame = self.scores if isinstance(self.scores, pd.DataFrame) else pd.DataFrame(table)
        ax = axes_of(ax)
        places = np.arange(table.shape[1])
        self.lines_ = []
        for task, own, stage in zip(frame.index, table, learned, strict=True):
            kwargs = {"label": str(task), "marker": "o", "markevery": [0], **(line_kw or {})}
            self.lines_ += ax.plot(places[stage:], own[stage:], **kwargs)
            before = {"color": self.lines_[-1].get_color(), "linestyle": ":"}
            ax.plot(places[: stage + 1], own[: stage + 1], **before)
        so_far = np.where(learned[:, None] <= places, table, np.nan)
        none = np.isnan(so_far).all(0)
        mean = np.full(len(places), np.nan)
        mean[~none] = np.nanmean(so_far[:, ~none], axis=0)
        [self.mean_line_] = ax.plot(places, mean, "k--", label="mean so far")
        ax.set_xticks(places, [str(stage) for stage in frame.columns])
        ax.set(xlabel="after stage", ylabel="score")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
