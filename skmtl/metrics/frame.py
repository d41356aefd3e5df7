"""A table of scores that shows itself with bars in a notebook."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skmtl import _html

BOUNDED = {"accuracy", "f1_macro", "roc_auc", "r2", "score"}  # at most one, and zero is nothing


class ScoreTable(pd.DataFrame):
    """A DataFrame with a row a task; its HTML has a bar below every score that goes up to one.

    Columns ``kind`` and ``n_labels`` stand beside the task, ``accuracy_low`` and ``accuracy_high``
    show on hovering over ``accuracy``. Rows taken from it, or rounded, show alike; a table with other
    than these and numbers shows as any DataFrame.
    """

    @property
    def _constructor(self):
        return ScoreTable

    def _repr_html_(self) -> str | None:
        if not pd.get_option("display.notebook_repr_html") or not self._holds_scores():
            return super()._repr_html_()  # type: ignore[misc]
        frame = pd.DataFrame(self)
        kinds = frame.get("kind", pd.Series("", frame.index)).astype(str)
        counts = frame["n_labels"].tolist() if "n_labels" in frame else [None] * len(frame)
        tasks = list(zip(map(str, frame.index), kinds, counts, strict=True))
        return _html.score_table(tasks, {m: self._scores(frame, m) for m in self._metrics()})

    def _metrics(self) -> list[Any]:
        """Columns of scores, in their order; those of an interval belong to another."""
        ends = {f"{c}_{end}" for c in self.columns for end in ("low", "high")}
        return [c for c in self.columns if c not in ends | {"kind", "n_labels"}]

    def _holds_scores(self) -> bool:
        named = all(isinstance(c, str) for c in self.columns) and self.columns.is_unique
        if not named or not len(self):
            return False
        numeric = self.drop(columns="kind", errors="ignore").dtypes
        return all(isinstance(t, np.dtype) and t.kind in "fi" for t in numeric) and bool(
            self._metrics()
        )

    @staticmethod
    def _scores(frame: pd.DataFrame, metric: str) -> list[_html.Score]:
        ends = [f"{metric}_low", f"{metric}_high"]
        low, high = (frame[e] if e in frame else pd.Series(np.nan, frame.index) for e in ends)
        bounded = metric in BOUNDED
        return [
            _html.Score(float(v), float(a), float(b), bounded)
            for v, a, b in zip(frame[metric], low, high, strict=True)
        ]
