"""Old rows, shown again."""

from __future__ import annotations

from typing import Any

import torch

from .remembering import Rehearsal


class Replay(Rehearsal):
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

    def extend(self, batch: Any) -> Any:
        """Add remembered rows to a batch."""
        past = self.recall(batch)
        if past is None:
            return batch
        weight = batch.weight
        if weight is None:
            weight = past.weight.new_ones(*batch.x.shape[:2], past.weight.shape[2])
        now = batch.x, batch.values, weight
        both = [torch.cat(pair, 1) for pair in zip(now, past, strict=True)]
        return batch._replace(x=both[0], values=both[1], weight=both[2])
