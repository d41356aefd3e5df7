"""Nets made of a net, which stays as it is: a twin to train on, a member by itself.

skorch copies a net by writing every tensor to a file in memory; here nothing is written out.
"""

from __future__ import annotations

import copy

from torch import nn

from .net import MultiTaskNet


def copied(net: MultiTaskNet) -> MultiTaskNet:
    """A copy with everything that training changes; what was recorded of past epochs is shared.

    A stream has as many records as chunks.
    """
    twin = MultiTaskNet.__new__(type(net))
    shared = {id(net): twin, id(net.history): type(net.history)(net.history)}
    twin.__dict__.update(copy.deepcopy(vars(net), shared))
    return twin


def one_member(net: MultiTaskNet, k: int) -> MultiTaskNet:
    """A net of member k alone: its parameters are views, its optimizer starts anew."""
    own = {
        id(p): nn.Parameter(p.detach()[k : k + 1], p.requires_grad)
        for p in net.module_.parameters()
    }
    alone = MultiTaskNet.__new__(type(net))
    alone.__dict__.update(net.__dict__)
    alone.__dict__.pop("_on_device", None)
    alone.module = alone.module_ = copy.deepcopy(net.module_, own)  # all but the parameters
    alone.generators = [net.generators[k]]
    alone.weighting, alone.consolidation = copy.deepcopy((net.weighting, net.consolidation))
    for part in (alone.weighting, alone.consolidation):
        if part is not None:
            part.keep([k])
    alone.initialize_optimizer()  # without the moments of the others
    alone.optimizer_.adopt(alone.weighting.parameters())
    return alone
