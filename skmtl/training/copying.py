"""A net that can be trained on while the one it was made of stays."""

from __future__ import annotations

import copy

from .net import MultiTaskNet


def copied(net: MultiTaskNet) -> MultiTaskNet:
    """A copy with everything that training changes; what was recorded of past epochs is shared.

    skorch copies a net by writing every tensor to a file in memory, which takes longer than a small
    chunk takes to train; and a stream has as many records as chunks.
    """
    twin = MultiTaskNet.__new__(type(net))
    shared = {id(net): twin, id(net.history): copy.copy(net.history)}
    twin.__dict__.update(copy.deepcopy(vars(net), shared))
    return twin
