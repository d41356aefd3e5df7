"""What a search shows while its stacks train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from skorch.callbacks import Callback


@contextmanager
def watching() -> Iterator[Watch]:
    """A bar over the epochs of all stacks, with the best score so far."""
    from tqdm.auto import tqdm  # warns in a notebook without ipywidgets

    with tqdm(total=0, unit="epoch") as bar:
        yield Watch(bar)


class Watch(Callback):
    """Moves the bar on; told of epochs by a stack, of scores by the search."""

    def __init__(self, bar: Any):
        self.bar = bar
        self.scores_: dict[str, list[float]] = {}

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Count in the epochs to come."""
        self.bar.total += net.max_epochs
        self.bar.refresh()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance."""
        self.bar.update()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Take out the epochs that were not needed."""
        self.bar.total -= net.max_epochs - len(net.history)
        self.bar.refresh()

    def scored(self, parameters: Any, scores: Any) -> None:
        """Show the best mean over the folds so far."""
        score = scores if not isinstance(scores, dict) else scores.get("mean", np.nan)
        self.scores_.setdefault(repr(parameters), []).append(float(score))
        means = [np.mean(values) for values in self.scores_.values()]
        if not np.isnan(means).all():
            self.bar.set_postfix({"best score": f"{np.nanmax(means):.4f}"}, refresh=False)
