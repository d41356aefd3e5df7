"""Turn what a user wrote for a parameter (a name or an object) into an object of its family.

A family is a package or module whose ``__all__`` is its registry: exporting a class is all it
takes to make it known by name. ``"hard"`` finds ``HardSharing``, ``"joint"`` finds ``Joint``; a
class attribute ``name`` says so where the class name does not.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sklearn.base import clone

from skmtl._checks import named


def known_names(family: ModuleType, base: type) -> dict[str, type]:
    """Classes of a family by the name a user may write, in the order of its ``__all__``."""
    classes = [getattr(family, name) for name in family.__all__]
    members = [c for c in classes if isinstance(c, type) and issubclass(c, base) and c is not base]
    short = (_snake(c.__name__.removesuffix(base.__name__)) for c in members)
    return {vars(c).get("name", name): c for c, name in zip(members, short, strict=True)}


def meant(value: Any, family: ModuleType, base: type) -> Any:
    """The class that a name stands for, or the object of ``family`` given; None if it is neither."""
    if isinstance(value, base):
        return value
    names = known_names(family, base)
    name = named(value, names) if isinstance(value, str) else None
    return None if name is None else names[name]


def resolve(value: Any, family: ModuleType, base: type, *, parameter: str) -> Any:
    """Return a fresh object of ``family`` for a name, or a clone of the object given."""
    found = meant(value, family, base)
    if found is not None:
        return clone(found) if isinstance(found, base) else found()
    accepted = f"one of {list(known_names(family, base))} or a {base.__name__} object"
    if isinstance(value, str):
        raise ValueError(f"Parameter {parameter} must be {accepted}. Found {value!r}.")
    what = f"the class {value}" if isinstance(value, type) else f"a {type(value).__name__}"
    raise TypeError(f"Parameter {parameter} must be {accepted}. Found {what}: {value!r}.")


def _snake(name: str) -> str:
    starts = [
        i
        for i, c in enumerate(name)
        if c.isupper() and i and (name[i - 1].islower() or name[i + 1 : i + 2].islower())
    ]
    parts = [name[i:j] for i, j in zip([0, *starts], [*starts, len(name)], strict=True)]
    return "_".join(parts).lower()
