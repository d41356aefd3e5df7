"""Adam for what a weighting moves by itself: a few numbers, in numpy, whose calls cost least.

Shapes: K members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BETAS = 0.9, 0.999
LEAST = 1e-8  # added to the root of the mean square


class MemberAdam:
    """Adam (Kingma & Ba 2015) of one small array (K, ...), from which members may leave.

    Parameters
    ----------
    values : ndarray of shape (K, ...)
        Moved in place.
    learning_rate : float
    weight_decay : float, default=0.0
        Factor of the L2 gradient that is added.
    """

    def __init__(self, values: np.ndarray, learning_rate: float, weight_decay: float = 0.0):
        self.values = values
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._mean, self._square = np.zeros_like(values), np.zeros_like(values)
        self._n_steps = 0

    def step(self, gradient: np.ndarray) -> None:
        """Move the values down."""
        self._n_steps += 1
        (beta1, beta2), n = BETAS, self._n_steps
        if self.weight_decay:
            gradient = gradient + self.weight_decay * self.values
        self._mean += (1 - beta1) * (gradient - self._mean)
        self._square += (1 - beta2) * (gradient * gradient - self._square)
        root = np.sqrt(self._square / (1 - beta2**n)) + LEAST
        self.values -= self.learning_rate / (1 - beta1**n) * self._mean / root

    def keep(self, members: Sequence[int]) -> None:
        """Let the other members leave."""
        staying = list(members)
        for name in ("values", "_mean", "_square"):
            setattr(self, name, getattr(self, name)[staying])
