"""Networks to try things on."""

import torch
from torch import Generator

from skmtl.sharing import Architecture


def architecture(task_outputs=(1, 3, 1), hidden=(6, 5), heads=(), dropout=0.0):
    kinds = sorted(set(task_outputs))
    return Architecture(
        4,
        tuple(task_outputs),
        hidden,
        heads,
        "relu",
        dropout,
        tuple(kinds.index(width) for width in task_outputs),
        tuple(range(len(task_outputs))),
    )


def spread(network):
    """Weights away from zero, so that last layers say something."""
    with torch.no_grad():
        for i, p in enumerate(network.parameters()):
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=Generator().manual_seed(i)))
    return network
