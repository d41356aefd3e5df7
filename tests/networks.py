"""Networks to try things on."""

import numpy as np
import torch
from torch import Generator

from skmtl.sharing import Architecture
from skmtl.training.adam import StackAdam
from skmtl.weighting import Setting


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


class Seed(np.random.RandomState):
    """A random_state for one member that is a given one of a stack."""

    def __init__(self, seed):
        super().__init__()
        self.seed = int(seed)

    def randint(self, *args, size, **kwargs):
        return np.array([self.seed])


def setting(n_tasks, n_members=1, order=None, dtype=torch.float64, **changes):
    """What a weighting is told, for tasks "0", "1", ... of the engine."""
    given = {
        "task_names": [str(t) for t in range(n_tasks)],
        "task_order": list(range(n_tasks)) if order is None else order,
        "generators": [Generator().manual_seed(k) for k in range(n_members)],
        "like": torch.empty(0, dtype=dtype),
        "scheme": "HardSharing()",
        "has_features": True,
        "has_shared": True,
        "single_task_losses": lambda: torch.zeros(n_members, n_tasks),
    }
    return Setting(**{**given, **changes})


def started(weighting, *args, **kwargs):
    weighting.start(setting(*args, **kwargs))
    return weighting


def optimizer(network, lr=0.01, decay=None):
    named = dict(network.named_parameters())
    return StackAdam(named, decay or dict.fromkeys(named, 0.0), network.owners(), lr=lr)
