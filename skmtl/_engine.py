"""From an encoded table to a trained net, and from rows to outputs.

The one door between the estimators and `training`: it turns what was asked (`Plan`) and what the
data look like into members, batches, decay and callbacks, and builds the network once they are
known. Shapes: n rows, d features, T tasks, K members, C outputs, m outputs of one task.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Generator, Tensor

from skmtl import _parameters
from skmtl.schedules import Schedule
from skmtl.sharing import Architecture, Network, Sharing
from skmtl.targets import Targets, stratify
from skmtl.tasks import TaskLosses
from skmtl.training import (
    FORWARD_ROWS,
    EpochBar,
    EpochLines,
    FixedWeights,
    MemberStopping,
    MultiTaskModule,
    MultiTaskNet,
    Rows,
    TrainingData,
    clip_bounds,
    validation_split,
)

SMALL = 10_000  # rows up to which "auto" trains an ensemble; above, one network has learned enough
MEMBERS = 8  # more gain little; eight cost about three times one
FEW = 10  # rows under which "auto" spares the validation split
EPOCH_STEPS = 20  # steps of an epoch that batch_size="auto" aims at, by benchmarks/quality.py
BATCH_RANGE = 32, 256  # and the sizes it stays between
LOOK = 2000  # rows looked at to tell whether the inputs are standardised
FAR = 100.0  # a column's size, or times the median column's, from which they are not
PRECISE = 1000  # rows up to which all is float64 and equal rows are merged: cheap there


@dataclass(frozen=True)
class Plan:
    """What the parameters of an estimator ask for, checked and resolved; tasks in table order."""

    feature_names: Sequence[str] | None
    task_names: list[str]
    loss_weights: list[float]
    sharing: Sharing
    schedule: Schedule
    hidden_layer_sizes: tuple[int, ...]
    head_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    batch_size: int | str
    learning_rate: float
    alpha: float
    max_iter: int
    tol: float
    early_stopping: bool | str
    validation_fraction: float
    patience: int
    n_members: int | str
    callbacks: list[Any]
    device: str
    random_state: Any
    verbose: int


def precision(n_rows: int, device: str) -> Any:
    """Dtype of a new network and its data.

    In float32, two orders of summation part within a few hundred steps: only float64 lets a weight of
    two equal a repeated row, and a row predicted alone equal itself among others.
    """
    return np.float64 if n_rows <= PRECISE and device == "cpu" else np.float32


def train(
    X: np.ndarray,
    table: Targets,
    criterion: TaskLosses,
    plan: Plan,
    *,
    previous: MultiTaskNet | None,
    one_epoch: bool,
) -> MultiTaskNet:
    """Train a stack on the labelled rows; go on from ``previous`` if there is one.

    ``one_epoch`` trains a single epoch, without validation, and keeps the optimizer's state.
    """
    if len(X) <= PRECISE:
        X, table = _merge_equal_rows(X, table)
    labelled = _labelled_rows(table)
    data = TrainingData(
        _to_device(X, plan.device),
        _to_device(table.values, plan.device),
        None if table.weight is None else _to_device(_scaled(table.weight, X.dtype), plan.device),
    )
    _require_labels(table, labelled, plan, criterion, one_epoch=one_epoch)
    net = previous if one_epoch and previous is not None and previous.incremental else None
    n_members = _count_members(plan, len(labelled), previous)
    architecture = _architecture(X.shape[1], criterion, plan)
    if previous is not None:
        _check_same(previous.module_, architecture, plan, n_members)
    rows = Rows(labelled.expand(n_members, -1), None)
    if net is not None:
        module = net.module_
    else:
        seeds = _parameters.draw_seeds(plan.random_state, n_members)
        generators = [Generator().manual_seed(seed) for seed in seeds]
        if not one_epoch and _validates(plan, len(labelled)):
            rows = _split(table, criterion, labelled, plan.validation_fraction, seeds)
        if previous is None:
            _warn_if_unscaled(data.x, labelled, plan.feature_names)
            module = _build_module(data, labelled, architecture, plan.sharing, generators)
        else:
            module = previous.module_
        net = _build_net(module, criterion, plan, generators, incremental=one_epoch)
    net.ask(
        lr=plan.learning_rate,
        decay=_decay(module.network, table, plan.alpha, len(labelled)),
        weighting=FixedWeights([plan.loss_weights[t] for t in criterion.order]),
        active=plan.schedule.active,
    )
    net.batch_size = _batch_size(plan, len(labelled))
    net.partial_fit((data, rows))
    _warn_of_the_end(net)
    return net


def _warn_of_the_end(net: MultiTaskNet) -> None:
    if net.interrupted_:
        warnings.warn(
            f"Training was interrupted after epoch {len(net.history)}; the best weights are kept.",
            UserWarning,
            stacklevel=4,
        )
    elif net.stopping is not None and not net.stopping.converged_ and not net.stopped_early_:
        warnings.warn(
            f"Training stopped at max_iter={net.max_epochs} before the loss had settled. Raise "
            "max_iter or learning_rate_init, or standardise the inputs.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _merge_equal_rows(X: np.ndarray, table: Targets) -> tuple[np.ndarray, Targets]:
    """Make one row, with their weights added, of rows that are equal in inputs and labels.

    A weight of two then is a repeated row in everything that follows, and copies of a row cannot
    stand on both sides of a validation split. The rows come in an order of their own, so that of
    the table does not matter.
    """
    weight = np.ones((len(X), table.n_tasks)) if table.weight is None else table.weight
    key = np.hstack([X, table.values, weight > 0])
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    merged = np.zeros((len(first), table.n_tasks), X.dtype)
    np.add.at(merged, inverse.reshape(-1), weight)
    return X[first], replace(
        table, values=table.values[first], weight=None if np.all(merged == 1) else merged
    )


def _labelled_rows(table: Targets) -> Tensor:
    """Rows with a label of some task, (n_labelled,); the others take no part in a fit."""
    if table.weight is None:
        return torch.arange(len(table.values), dtype=torch.int32)
    there = (table.weight > 0).any(axis=1)
    return torch.from_numpy(np.flatnonzero(there).astype(np.int32))


def _to_device(array: np.ndarray, device: str) -> Tensor:
    if any(step < 0 for step in array.strides):
        array = array.copy()  # torch knows no negative strides
    with warnings.catch_warnings():
        # a read-only memory map is fine: nothing here writes to the table
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)


def _require_labels(
    table: Targets, labelled: Tensor, plan: Plan, criterion: TaskLosses, *, one_epoch: bool
) -> None:
    """Raise where a task has nothing to learn from; partial_fit asks for one label of any task."""
    counts = np.full(table.n_tasks, len(labelled))
    if table.weight is not None:
        counts = (table.weight > 0).sum(axis=0)
    empty = [plan.task_names[t] for t, n in zip(criterion.order, counts, strict=True) if n == 0]
    if empty and (not one_epoch or len(empty) == table.n_tasks):
        raise ValueError(
            f"Task {empty[0]!r} has no label with a weight above zero. Leave the column out, or give "
            "it a label."
        )


def _scaled(weight: np.ndarray, dtype: Any) -> np.ndarray:
    """Weights over their task's largest, which a mean does not notice and float32 can hold."""
    peak = weight.max(axis=0)
    return (weight / np.where(peak > 0, peak, 1)).astype(dtype)


def _count_members(plan: Plan, n_rows: int, previous: MultiTaskNet | None) -> int:
    if plan.n_members != "auto":
        return int(plan.n_members)
    if previous is not None:
        return previous.module_.n_members
    return MEMBERS if n_rows <= SMALL else 1


def _batch_size(plan: Plan, n_rows: int) -> int:
    if plan.batch_size != "auto":
        return int(plan.batch_size)
    low, high = BATCH_RANGE
    return min(max(n_rows // EPOCH_STEPS, low), high)


def _validates(plan: Plan, n_rows: int) -> bool:
    if plan.early_stopping == "auto":
        return n_rows >= FEW
    if plan.early_stopping and n_rows < 2:
        raise ValueError(
            "Parameter early_stopping=True needs two labelled rows that differ, one to validate on. "
            f"Found {n_rows}. Use early_stopping='auto' or False."
        )
    return bool(plan.early_stopping)


def _split(
    table: Targets,
    criterion: TaskLosses,
    labelled: Tensor,
    fraction: float,
    seeds: Sequence[int],
) -> Rows:
    strata = stratify(table, criterion.tasks)
    if len(labelled) < len(strata):
        strata = strata[labelled.numpy()]
    train, valid = validation_split(strata, fraction=fraction, seeds=seeds)
    return Rows(labelled[torch.from_numpy(train)], labelled[torch.from_numpy(valid)])


def _build_module(
    data: TrainingData,
    labelled: Tensor,
    architecture: Architecture,
    sharing: Sharing,
    generators: Sequence[Generator],
) -> MultiTaskModule:
    network = sharing.build(architecture, generators)
    bounds = clip_bounds(data.x, data.weight, labelled)
    return MultiTaskModule(network, bounds, (architecture, sharing)).to(data.x)


def _warn_if_unscaled(x: Tensor, labelled: Tensor, names: Sequence[str] | None) -> None:
    some = labelled[:: max(1, len(labelled) // LOOK)].to(x.device)
    size = x.index_select(0, some).double().square().mean(0).sqrt().cpu().numpy()
    worst = int(np.argmax(size))
    usual = np.median(size[size > 0]) if (size > 0).any() else 1.0
    if size[worst] == 0 or (1 / FAR < size[worst] < FAR and size[worst] < FAR * usual):
        return
    name = f"column {worst}" if names is None else f"column {names[worst]!r}"
    warnings.warn(
        f"The inputs are far from standardised: {name} of X has a root mean square of "
        f"{size[worst]:.3g}, the median column {usual:.3g}. Networks learn poorly from that: put a "
        "StandardScaler before the estimator.",
        UserWarning,
        stacklevel=5,
    )


def _architecture(n_features: int, criterion: TaskLosses, plan: Plan) -> Architecture:
    return Architecture(
        n_features=n_features,
        task_outputs=tuple(criterion.task_outputs),
        hidden_layer_sizes=plan.hidden_layer_sizes,
        head_layer_sizes=plan.head_layer_sizes,
        activation=plan.activation,
        dropout=plan.dropout,
        task_kinds=tuple(t for t, group in enumerate(criterion.groups) for _ in range(group.size)),
        task_order=tuple(criterion.order),
    )


def _check_same(
    module: MultiTaskModule, architecture: Architecture, plan: Plan, n_members: int
) -> None:
    """Raise if training cannot go on from this module because something else is asked for now."""
    was, sharing = module.built_for
    changed = [
        f"{name} (was {getattr(was, name)!r}, now {getattr(architecture, name)!r})"
        for name in vars(was)
        if getattr(was, name) != getattr(architecture, name)
    ]
    if not _equal(sharing, plan.sharing):
        changed.append(f"sharing (was {sharing!r}, now {plan.sharing!r})")
    if module.n_members != n_members:
        changed.append(f"n_members (was {module.n_members}, now {n_members})")
    if changed:
        raise ValueError(
            "warm_start=True and partial_fit go on with the network that is there, which does not "
            f"fit any more: {', '.join(changed)}. Fit a clone to start anew."
        )


def _equal(one: Sharing, other: Sharing) -> bool:
    """Whether two schemes are of one class and have equal parameters, arrays compared by value."""
    ours, theirs = one.get_params(), other.get_params()
    return type(one) is type(other) and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def _decay(
    network: Network, table: Targets, alpha: float, n_rows: int
) -> dict[str, float | Tensor]:
    """L2 gradient factor by parameter name: alpha / (weight of the labels it serves).

    A task's parameters see its labels, shared ones every row: with a mean loss, alpha then is what
    it is in `Ridge` (and 1 / C in `LogisticRegression`). Biases are free. The quadratic penalties of
    the sharing scheme are added.
    """
    if table.weight is None:
        per_task, shared = np.full(table.n_tasks, float(n_rows)), float(n_rows)
    else:
        weight = table.weight.astype(float)
        per_task, shared = weight.sum(axis=0), float(weight.max(axis=1).sum())
    served = np.append(per_task, shared)  # SHARED is the last
    factors = torch.from_numpy(np.divide(alpha, served, out=0 * served, where=served > 0))
    decay: dict[str, float | Tensor] = {}
    of_scheme = network.decay()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    for name, owner in network.owners().items():
        decays = name in trained and not name.endswith("bias")
        factor = (factors[owner] if decays else torch.zeros(())) + of_scheme.get(name, 0.0)
        decay[name] = float(factor.flatten()[0]) if len(factor.unique()) == 1 else factor
    return decay


def _build_net(
    module: MultiTaskModule,
    criterion: TaskLosses,
    plan: Plan,
    generators: Sequence[Generator],
    *,
    incremental: bool,
) -> MultiTaskNet:
    callbacks = list(plan.callbacks)
    if plan.verbose:
        callbacks.append(EpochBar() if plan.verbose == 1 else EpochLines())
    if not incremental:  # last: it ends an epoch early, after the others have seen it
        callbacks.append(("stopping", MemberStopping(plan.tol, plan.patience)))
    return MultiTaskNet(
        module,
        criterion,
        task_names=[plan.task_names[t] for t in criterion.order],
        generators=generators,
        incremental=incremental,
        callbacks=callbacks,
        max_epochs=1 if incremental else plan.max_iter,
        device=plan.device,
        verbose=0,
    )


def infer(module: MultiTaskModule, criterion: TaskLosses, X: np.ndarray) -> list[np.ndarray]:
    """Activated outputs (n, m) of each task, averaged over the members, in the table's order."""
    x = _to_device(X, str(module.low.device))
    with torch.inference_mode():
        chunks = [
            criterion.activate(module(part.expand(module.n_members, *part.shape)))
            for part in x.split(FORWARD_ROWS)
        ]
        groups = chunks[0] if len(chunks) == 1 else map(torch.cat, zip(*chunks, strict=True))
        return criterion.by_task([group.double().cpu().numpy() for group in groups])
