"""Adam for what a weighting moves by itself.

Shapes: K members.
"""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = 0.9, 0.999
LEAST = 1e-8  # added to the root of the mean square


class MemberAdam:
    """Adam (Kingma & Ba 2015) of one small tensor (K, ...), from which members may leave.

    By torch's own kernel, without what `torch.optim.Adam` does around it at every step: on a few
    numbers ten times as long.

    Parameters
    ----------
    values : Tensor of shape (K, ...)
        Moved in place.
    learning_rate : float
    weight_decay : float, default=0.0
        Factor of the L2 gradient that is added.
    """

    def __init__(self, values: Tensor, learning_rate: float, weight_decay: float = 0.0):
        self.values = values
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._n_steps = torch.zeros((), device=values.device)

    def step(self, gradient: Tensor) -> None:
        """Move the values down."""
        self._n_steps += 1
        torch._fused_adam_(
            [self.values],
            [gradient],
            [self._mean],
            [self._square],
            [],
            [self._n_steps],
            lr=self.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=LEAST,
            amsgrad=False,
            maximize=False,
        )

    def keep(self, members: Tensor) -> None:
        """Let the other members leave."""
        for name in ("values", "_mean", "_square"):
            setattr(self, name, getattr(self, name)[members])
