"""What schemes ask of an architecture, checked when a network is built: before training."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Architecture, Sharing


def check_skip(linear_skip: Any) -> None:
    """Raise unless ``linear_skip`` is True or False."""
    if not isinstance(linear_skip, bool | np.bool_):
        raise TypeError(f"Parameter linear_skip must be True or False. Found {linear_skip!r}.")


def require_layers(architecture: Architecture, scheme: Sharing, why: str) -> None:
    """Raise if the scheme has no meaning without hidden layers."""
    if not architecture.hidden_layer_sizes:
        raise ValueError(
            f"{scheme!r} needs hidden layers: {why}. Found hidden_layer_sizes=(). Give it a layer, or "
            "take another scheme."
        )


def require_experts(architecture: Architecture, scheme: Any, why: str) -> None:
    """Raise unless the scheme's experts have layers, or trunks of their own."""
    if not isinstance(scheme.own_trunks, bool | np.bool_):
        raise TypeError(f"Parameter own_trunks must be True or False. Found {scheme.own_trunks!r}.")
    if not scheme.own_trunks:
        cure = " (or, with own_trunks=True, copies of the trunk)" if architecture.trunk else ""
        require_layers(architecture, scheme, why + cure)
    elif architecture.trunk is None:
        raise ValueError(
            f"{scheme!r} gives each expert a copy of the estimator's trunk. Found trunk=None. Give it "
            "one, or leave out own_trunks."
        )
