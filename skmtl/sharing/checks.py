"""Parameters of schemes, checked when a network is built: before training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

from .base import Architecture, Sharing


def check_int(value: Any, name: str, scheme: Sharing, *, low: int, high: float = math.inf) -> None:
    """Raise unless ``value`` is an int in the interval."""
    top = ")" if high == math.inf else "]"
    _check(value, name, scheme, Integral, f"an int in the range [{low}, {high}{top}", low, high)


def check_float(
    value: Any, name: str, scheme: Sharing, *, low: float, high: float = math.inf
) -> None:
    """Raise unless ``value`` is a finite number in the interval."""
    top = ")" if high == math.inf else "]"
    _check(value, name, scheme, Real, f"a float in the range [{low:g}, {high:g}{top}", low, high)


def _check(
    value: Any, name: str, scheme: Sharing, kind: Any, accepted: str, low: float, high: float
) -> None:
    what = f"Parameter {name} of {type(scheme).__name__} must be {accepted}. Found {value!r}."
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(what)
    if not (low <= value <= high) or math.isinf(value):
        raise ValueError(what)


def check_choice(value: Any, name: str, scheme: Sharing, choices: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"Parameter {name} of {type(scheme).__name__} must be one of {choices}. Found {value!r}."
        )


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
