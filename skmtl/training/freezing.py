"""Parameters that rest at first, thaw block by block, or go at a pace of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skorch.callbacks import Callback
from torch import nn


class Freezing(Callback):
    """Hold parameters of the network still for a while; after training all are as before.

    Parameters
    ----------
    blocks : list of list of str
        Names of the parameters, by block, in the order in which the data pass.
    thaw_every : int or None
        Epochs between one block and the next that thaws, the last block first (Howard & Ruder 2018);
        0: none rests at all. None: all rest to the end. Early stopping waits for the last to thaw.
    pace : float
        Step size of these parameters over that of the others.

    References
    ----------
    J. Howard, S. Ruder (2018). Universal language model fine-tuning for text classification. ACL.
    """

    def __init__(self, blocks: Sequence[Sequence[str]], thaw_every: int | None, pace: float):
        self.blocks = blocks
        self.thaw_every = thaw_every
        self.pace = pace

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Hold still what rests."""
        named = dict(net.module_.network.named_parameters())
        self.parameters_ = [
            [named[name] for name in block if named[name].requires_grad] for block in self.blocks
        ]
        flat = [p for block in self.parameters_ for p in block]
        net.optimizer_.set_pace(flat, self.pace)
        if self.thaw_every != 0:
            self._set(net, flat, moves=False)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Thaw the next block when its time has come."""
        if not self.thaw_every:
            return
        epoch, blocks = len(net.history) - 1, self.parameters_
        if epoch <= len(blocks) * self.thaw_every:
            done = epoch // self.thaw_every
            self._set(net, [p for block in blocks[len(blocks) - done :] for p in block], moves=True)
            if net.stopping is not None:
                net.stopping.waited_ = [0] * len(net.stopping.waited_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Let go."""
        flat = [p for block in self.parameters_ for p in block]
        self._set(net, flat, moves=True)
        net.optimizer_.set_pace(flat, 1.0)
        self.parameters_ = []

    def _set(self, net: Any, parameters: Sequence[nn.Parameter], *, moves: bool) -> None:
        for p in parameters:
            p.requires_grad_(moves)
        net.module_.network.__dict__.pop("_by_sharing", None)  # found anew when asked for
