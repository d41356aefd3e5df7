"""Old rows, shown again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .base import Consolidation, Learner, check_memory, labelled
from .reservoir import Reservoir


class Replay(Consolidation):
    """Train on remembered rows beside new ones (experience replay).

    Every member remembers a uniform sample of all rows seen in earlier chunks, and adds rows drawn
    from it to each of its batches. A task's loss is then the mean over its labels among both; tasks
    without a label in the chunk go on learning from what is remembered. Rows shown in two calls of
    ``partial_fit`` count twice.

    Parameters
    ----------
    memory_size : int, default=1000
        Rows that a member remembers.
    batch_size : int or "auto", default="auto"
        Remembered rows in a step; "auto": as many as there are new ones. At most all there are.

    References
    ----------
    A. Chaudhry et al. (2019). On tiny episodic memories in continual learning. arXiv:1902.10486.
    R. Ratcliff (1990). Connectionist models of recognition memory: constraints imposed by learning and
    forgetting functions. Psychological Review 97.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.consolidation import Replay
    >>> X = np.random.default_rng(0).normal(size=(400, 3))
    >>> y = np.column_stack([X[:, 0], X[:, 1]])
    >>> first, second = y.copy(), y.copy()
    >>> first[:, 1], second[:, 0] = np.nan, np.nan
    >>> est = MultiTaskRegressor(consolidation=Replay(memory_size=100), random_state=0)
    >>> est = est.partial_fit(X[:50], y[:50])  # settles the units of both
    >>> for _ in range(50):
    ...     est = est.partial_fit(X, first)
    >>> for _ in range(50):
    ...     est = est.partial_fit(X, second)
    >>> bool(est.score(X, y) > 0.95)
    True
    """

    def __init__(self, memory_size=1000, batch_size="auto"):
        self.memory_size = memory_size
        self.batch_size = batch_size

    def start(self, seeds: Sequence[int], module: Any) -> None:
        """Begin with an empty memory; see `Consolidation.start`."""
        super().start(seeds, module)
        check_memory(self)
        self.memory = Reservoir(int(self.memory_size), seeds)

    def attend(self, members: Sequence[int]) -> None:
        """Draw for these members only."""
        self.memory.attend(members)

    def extend(self, batch: Any) -> Any:
        """Add remembered rows to a batch."""
        if not self.memory.seen:
            return batch
        past = self.memory.draw(rows_of(self.batch_size, batch))
        weight = batch.weight
        if weight is None:
            weight = past.weight.new_ones(*batch.x.shape[:2], past.weight.shape[2])
        now = batch.x, batch.values, weight
        both = [torch.cat(pair, 1) for pair in zip(now, past, strict=True)]
        return batch._replace(x=both[0], values=both[1], weight=both[2])

    def end(self, learner: Learner, data: Any) -> None:
        """Remember rows of the chunk."""
        self.memory.add(*labelled(data), len(learner.loss.tasks))

    def keep(self, members: Sequence[int]) -> None:
        """Forget the other members for good."""
        self.memory.keep(members)


def rows_of(batch_size: int | str, batch: Any) -> int:
    """Remembered rows of a step."""
    return batch.x.shape[1] if batch_size == "auto" else int(batch_size)
