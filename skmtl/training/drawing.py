"""Generators of the layers that draw while training: a device draws from generators of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor


def layer_generators(
    generators: Sequence[Generator], device: Any, kept: Sequence[Generator | Tensor] | None
) -> list[Generator]:
    """Generators for the layers on a device: these on a CPU, elsewhere some of equal seeds.

    ``kept`` are those of the device that were handed out before, or what `states` made of them.
    """
    if torch.device(device).type == "cpu":
        return list(generators)
    if kept is None:
        return [Generator(device).manual_seed(g.initial_seed()) for g in generators]
    return [g if isinstance(g, Generator) else Generator(device).set_state(g) for g in kept]


def states(generators: Sequence[Generator | Tensor]) -> list[Generator | Tensor]:
    """Generators as they can be pickled: of a device, their states, which load without it."""
    return [
        g.get_state() if isinstance(g, Generator) and g.device.type != "cpu" else g
        for g in generators
    ]
