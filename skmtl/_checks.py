"""A parameter is what it must be, or an error says what it is and what is accepted."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

LISTED = 5  # names that a message gives; it counts the others


def check_number(
    value: Any,
    name: str,
    kind: Any = Real,
    *,
    low: float,
    high: float = math.inf,
    or_auto: bool = False,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number of ``kind`` in the interval."""
    what = "an int" if kind is Integral else "a float"
    left, right = "(" if open_low else "[", ")" if open_high or high == math.inf else "]"
    accepted = f"{what} in the range {left}{low:g}, {high:g}{right}"
    if or_auto:
        if isinstance(value, str) and value == "auto":
            return
        accepted = f"'auto' or {accepted}"
    if not isinstance(value, kind) or isinstance(value, bool | np.bool_):
        raise TypeError(
            f"Parameter {name} must be {accepted}. Found {value!r} of type {type(value).__name__}."
        )
    below = value <= low if open_low else value < low
    above = value >= high if open_high else value > high
    if below or above or value != value or abs(value) > sys.float_info.max:
        raise ValueError(f"Parameter {name} must be {accepted}. Found {value!r}.")


def check_choice(value: Any, name: str, choices: Iterable[Any]) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    choices = list(choices)
    plain = value.item() if isinstance(value, np.generic) else value
    if not any(plain is c or (type(plain) is type(c) and plain == c) for c in choices):
        raise ValueError(f"Parameter {name} must be one of {choices}. Found {value!r}.")


def named(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant, whatever its case, hyphens and underscores; None: no one's."""
    wanted = _plain(name)
    return next((k for k in known if _plain(k) == wanted), None)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def check_int(value: Any, name: str, of: Any, *, low: int, high: float = math.inf) -> None:
    """Raise unless ``value``, a parameter of the object ``of``, is an int in the interval."""
    check_number(value, f"{name} of {type(of).__name__}", Integral, low=low, high=high)


def check_float(value: Any, name: str, of: Any, *, low: float, high: float = math.inf) -> None:
    """Raise unless ``value``, a parameter of the object ``of``, is a number in the interval."""
    check_number(value, f"{name} of {type(of).__name__}", low=low, high=high)


def check_word(value: Any, name: str, of: Any, words: Iterable[str]) -> None:
    """Raise unless ``value``, a parameter of the object ``of``, is one of ``words``."""
    check_choice(value, f"{name} of {type(of).__name__}", words)


def listed(what: str, names: Iterable[Any]) -> str:
    """Write "Tasks ['a', 'b'] and 3 others"."""
    plain = [name.item() if isinstance(name, np.generic) else name for name in names]
    more = f" and {len(plain) - LISTED} others" if len(plain) > LISTED else ""
    return f"{what}s {plain[:LISTED]}{more}"
