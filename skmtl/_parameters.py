"""Parameters of an estimator, checked before anything is done with them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from skmtl import consolidation, weighting
from skmtl._checks import check_choice, check_number, named
from skmtl._resolve import known_names, resolve
from skmtl.consolidation import Consolidation
from skmtl.sharing import ACTIVATIONS
from skmtl.weighting import Weighting

ACCEPTED = (
    "None, a dict from task to weight, an array of a weight per task, a Weighting, a torchjd "
    "Scalarizer or Aggregator, or a name"
)


def check_sizes(value: Any, name: str) -> tuple[int, ...]:
    """Layer sizes as a tuple; a single int is one layer."""
    sizes = [value] if isinstance(value, Integral) else value
    if not isinstance(sizes, list | tuple | np.ndarray) or np.ndim(sizes) != 1:
        raise TypeError(f"Parameter {name} must be a tuple of ints. Found {value!r}.")
    for i, size in enumerate(sizes):
        check_number(size, f"{name}[{i}]", Integral, low=1)
    return tuple(int(size) for size in sizes)


def check_numbers(estimator: Any) -> None:
    """Check the parameters that are plain numbers or one of a few words."""
    e = estimator
    check_choice(e.activation, "activation", ACTIVATIONS)
    check_number(e.dropout, "dropout", low=0, high=1, open_high=True)
    check_number(e.learning_rate_init, "learning_rate_init", low=0, open_low=True)
    check_number(e.alpha, "alpha", low=0)
    check_number(e.max_iter, "max_iter", Integral, low=1)
    check_number(e.tol, "tol", low=0)
    check_number(e.n_iter_no_change, "n_iter_no_change", Integral, low=1)
    check_number(
        e.validation_fraction, "validation_fraction", low=0, high=1, open_low=True, open_high=True
    )
    check_number(e.batch_size, "batch_size", Integral, low=1, or_auto=True)
    check_number(e.n_members, "n_members", Integral, low=1, or_auto=True)
    check_choice(e.early_stopping, "early_stopping", ["auto", True, False])
    check_choice(e.warm_start, "warm_start", [True, False])
    if isinstance(e.verbose, bool):
        return
    check_number(e.verbose, "verbose", Integral, low=0)


def check_device(device: Any) -> str:
    """Name of a torch device that is there; "auto" is CUDA where there is one."""
    if isinstance(device, str) and device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = ["auto", "cpu"]
    if torch.cuda.is_available():
        there += ["cuda"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        there.append("mps")
    if not isinstance(device, str | torch.device) or str(device) not in there:
        raise ValueError(
            f"Parameter device must be a device of this machine: {there}. Found {device!r}."
        )
    return str(device)


def check_callbacks(callbacks: Any) -> list[Any]:
    """Copies of skorch callbacks, or of ``(name, callback)`` pairs: fit leaves parameters alone."""
    accepted = "a list of skorch callbacks or (name, callback) pairs"
    if callbacks is not None and not isinstance(callbacks, list | tuple):
        raise TypeError(f"Parameter callbacks must be {accepted}. Found {callbacks!r}.")
    checked = []
    for entry in callbacks or []:
        is_pair = isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)
        callback = entry[1] if is_pair else entry
        is_class = isinstance(callback, type) and issubclass(callback, Callback)
        if not (isinstance(callback, Callback) or is_class):
            raise TypeError(f"Parameter callbacks must be {accepted}. Found {entry!r}.")
        fresh = callback() if is_class else copy.deepcopy(callback)
        checked.append((entry[0], fresh) if is_pair else fresh)
    return checked


def read_gradients(callbacks: Sequence[Any]) -> bool:
    """Whether any of the checked callbacks is told of gradients."""
    own = [entry[1] if isinstance(entry, tuple) else entry for entry in callbacks]
    return any(type(cb).on_grad_computed is not Callback.on_grad_computed for cb in own)


def resolve_consolidation(value: Any) -> Consolidation | None:
    """Return a fresh consolidation for what a user wrote, or None."""
    if value is None:
        return None
    if isinstance(value, Consolidation | str):
        return resolve(value, consolidation, Consolidation, parameter="consolidation")
    raise TypeError(
        "Parameter consolidation must be None, one of "
        f"{list(known_names(consolidation, Consolidation))} or a Consolidation object. Found {value!r}."
    )


def resolve_loss_weights(loss_weights: Any, names: Sequence[Any]) -> Weighting:
    """Return a fresh weighting of the tasks for what a user wrote."""
    if isinstance(loss_weights, Weighting):
        return clone(loss_weights)
    if isinstance(loss_weights, nn.Module):  # whoever has an object of torchjd has imported it
        if weighting.is_scalarizer(loss_weights):
            return weighting.Scalarization(loss_weights)
        if weighting.is_aggregator(loss_weights):
            return weighting.Aggregation(loss_weights)
    if isinstance(loss_weights, str):
        known, more = weighting.by_name(), weighting.NEEDS_AN_OBJECT
        name = named(loss_weights, [*known, *more])
        if name in known:
            return known[name]
        found = f"Found {loss_weights!r}."
        if name is not None:
            found = f"Found {loss_weights!r}, which is more than a name: {more[name]}."
        raise ValueError(
            f"Parameter loss_weights must be {ACCEPTED}, one of {list(known)}. {found}"
        )
    return weighting.FixedWeights(_fixed_weights(loss_weights, names))


def _fixed_weights(loss_weights: Any, names: Sequence[Any]) -> list[float]:
    """Weight of each task in the order of ``names``; tasks a dict leaves out weigh one."""
    if loss_weights is None:
        return [1.0] * len(names)
    if hasattr(loss_weights, "to_dict"):  # a Series, by its index
        loss_weights = loss_weights.to_dict()
    if isinstance(loss_weights, Mapping):
        there = set(names)
        unknown = [name for name in loss_weights if name not in there]
        if unknown:
            raise ValueError(
                f"Parameter loss_weights names {unknown}, which y has not. The tasks are "
                f"{list(names)}."
            )
        given = [loss_weights.get(name, 1.0) for name in names]
    elif not isinstance(loss_weights, bytes) and (
        isinstance(loss_weights, Sequence) or hasattr(loss_weights, "__array__")
    ):
        given = loss_weights.tolist() if hasattr(loss_weights, "tolist") else list(loss_weights)
        if not isinstance(given, list) or len(given) != len(names):
            raise ValueError(
                f"Parameter loss_weights must have one weight a task: {len(names)} for "
                f"{list(names)}. Found {loss_weights!r}."
            )
    else:
        found = f"{loss_weights!r}"
        if isinstance(loss_weights, nn.Module) and weighting.is_part(loss_weights):
            found += ", the inner part of an aggregator: pass the aggregator"
        elif isinstance(loss_weights, type):
            found += ", a class: pass an object of it"
        raise TypeError(f"Parameter loss_weights must be {ACCEPTED}. Found {found}.")
    for name, weight in zip(names, given, strict=True):
        check_number(weight, f"loss_weights of task {name!r}", low=0)
    if not any(given):
        raise ValueError("Parameter loss_weights must weigh some task above 0. Found all 0.")
    return [float(weight) for weight in given]


def draw_seeds(random_state: Any, n_members: int) -> list[int]:
    """A seed per member; the first seeds are the same however many are drawn.

    ``None`` draws fresh entropy: numpy's global generator is neither read nor moved.
    """
    if random_state is None:
        random_state = np.random.RandomState()
    elif isinstance(random_state, Integral) and not isinstance(random_state, bool):
        check_number(random_state, "random_state", Integral, low=0, high=2**32 - 1)
        random_state = np.random.RandomState(int(random_state))
    if isinstance(random_state, np.random.Generator):
        return random_state.integers(2**31 - 1, size=n_members).tolist()
    if not isinstance(random_state, np.random.RandomState):
        raise ValueError(
            "Parameter random_state must be None, an int, a numpy RandomState or Generator. "
            f"Found {random_state!r}."
        )
    return random_state.randint(2**31 - 1, size=n_members).tolist()
