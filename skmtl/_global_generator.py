"""torch's global generators, from which modules and methods of others draw, lent to one at a time.

In: a generator of ours, which decides what is drawn meanwhile. The global ones are then as before.
Two threads that lent them at once would draw each other's numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator

LOCK = threading.RLock()  # a module may be made, and tried, while they are lent


@contextmanager
def kept(devices: list[torch.device]) -> Iterator[None]:
    """Let the CPU's global generator, and those of ``devices``, be as before afterwards."""
    with LOCK, torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Let the global generators be seeded from this one meanwhile."""
    device = generator.device
    with kept([device] if device.type == "cuda" else []):
        seed = torch.randint(2**62, (), generator=generator, device=device)
        torch.manual_seed(int(seed))
        yield


@contextmanager
def drawn_from(generator: Generator | None) -> Iterator[None]:
    """Lend the CPU's global generator the state of this one, which then goes on; None: do nothing."""
    if generator is None:
        yield
        return
    with LOCK:
        before = torch.get_rng_state()
        torch.set_rng_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)
