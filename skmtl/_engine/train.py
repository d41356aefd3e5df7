"""From a plan and a lesson to a trained net, and from rows to outputs.

What was asked and what the data look like become members, batches, decay and callbacks; the network
is built once they are known. Shapes: n rows, d features, T tasks, K members, m outputs of one task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Generator, Tensor

from skmtl import _parameters
from skmtl._warn import warn
from skmtl.consolidation import Consolidation
from skmtl.schedules import Joint, Tasks, Timetable
from skmtl.sharing import NoSharing
from skmtl.tasks import TaskLosses
from skmtl.training import (
    FORWARD_ROWS,
    EpochBar,
    EpochLines,
    LowestLosses,
    MemberStopping,
    MultiTaskModule,
    MultiTaskNet,
    Ready,
    Rows,
)
from skmtl.weighting import FixedWeights, Setting, Weighting, same

from .build import architecture_of, build_module, check_same
from .lesson import Lesson
from .plan import Plan
from .table import inputs_to_device

SMALL = 10_000  # rows up to which "auto" trains an ensemble; above, one network has learned enough
MEMBERS = 8  # more gain little; eight cost about three times one
FEW = 10  # rows under which "auto" spares the validation split
EPOCH_STEPS = 20  # steps of an epoch that batch_size="auto" aims at, by benchmarks/quality.py
BATCH_RANGE = 32, 256  # and the sizes it stays between


def prepare(lesson: Lesson, plan: Plan, *, previous: MultiTaskNet | None, one_epoch: bool) -> Ready:
    """Make a net ready to learn the labelled rows; to go on from ``previous`` if there is one.

    ``one_epoch`` is for a single epoch, without validation, that keeps the optimizer's state.
    """
    criterion, labelled = lesson.criterion, lesson.labelled
    _require_labels(lesson, plan, one_epoch=one_epoch)
    net = previous if one_epoch and previous is not None and previous.incremental else None
    n_members = _count_members(plan, len(labelled), previous)
    architecture = architecture_of(lesson.data.x.shape[1], criterion, plan)
    if previous is not None:
        check_same(previous.module_, architecture, plan, n_members)
    rows = Rows(labelled.expand(n_members, -1), None, draw=lesson.draw)
    if net is not None:
        module, seeds = net.module_, [g.initial_seed() for g in net.generators]
    else:
        seeds = _parameters.draw_seeds(plan.random_state, n_members)
        if not one_epoch and _validates(plan, lesson.n_apart):
            rows = lesson.split(plan.validation_fraction, seeds)
        generators = [Generator().manual_seed(seed) for seed in seeds]
        if previous is None:
            if not lesson.is_raw(plan):
                lesson.warn_if_unscaled(plan.feature_names)
            module = build_module(lesson.bounds_for(plan), architecture, plan.sharing, generators)
        else:
            module = previous.module_
        net = _build_net(module, criterion, plan, generators, incremental=one_epoch)
    single_task_losses = partial(_single_task_losses, plan, lesson, rows, seeds)
    net.ask(
        lr=plan.learning_rate,
        decay=lesson.decay(module.network, plan.alpha),
        weighting=_start_weighting(net, plan, lesson, single_task_losses),
        schedule=_timetable(seeds, plan, lesson),
        consolidation=_start_consolidation(plan, previous, net),
    )
    net.batch_size = _batch_size(plan, len(labelled))
    return Ready(net, lesson.data, rows)


def train(ready: Ready) -> None:
    """Train a net by itself."""
    ready.net.partial_fit((ready.data, ready.rows))
    warn_of_the_end(ready.net)


def _start_weighting(
    net: MultiTaskNet, plan: Plan, lesson: Lesson, single_task_losses: Callable[[], Tensor]
) -> Weighting:
    """Return the weighting asked for, ready; part by part, the one that is there if it is equal."""
    before = getattr(net, "weighting", None)
    if before is not None and same(before, plan.weighting):
        return before
    network, data = net.module.network, lesson.data
    row = data.inputs(data.values.new_zeros(1, 1).long()).expand(len(net.generators), 1, -1)
    with torch.no_grad():
        has_features = network.eval().features(row) is not None
    plan.weighting.start(
        Setting(
            task_names=net.task_names,
            task_order=lesson.criterion.order,
            generators=net.generators,
            like=data.values.new_empty(0),
            scheme=repr(plan.sharing),
            has_features=has_features,
            has_shared=bool(network.parameters_by_sharing()[0]),
            single_task_losses=single_task_losses,
        )
    )
    return plan.weighting


def _start_consolidation(
    plan: Plan, previous: MultiTaskNet | None, net: MultiTaskNet
) -> Consolidation | None:
    """Return the consolidation asked for: the one that is there, if it is of the same class."""
    asked, before = plan.consolidation, None if previous is None else previous.consolidation
    if asked is not None and before is not None and type(before) is type(asked):
        before.go_on(asked)
        return before
    if asked is not None:
        asked.start([g.initial_seed() for g in net.generators], net.module)
    return asked


def _single_task_losses(plan: Plan, lesson: Lesson, rows: Rows, seeds: Sequence[int]) -> Tensor:
    """Lowest validation loss (K, T) of a network per task, on the same rows and splits."""
    lowest, data, criterion = LowestLosses(), lesson.data, lesson.criterion
    plan = replace(plan, callbacks=[lowest], verbose=0, sharing=NoSharing(), schedule=Joint())
    plan = replace(plan, weighting=FixedWeights([1.0] * len(plan.names)))
    generators = [Generator().manual_seed(seed) for seed in seeds]
    architecture = architecture_of(data.x.shape[1], criterion, plan)
    module = build_module(lesson.bounds_for(plan), architecture, plan.sharing, generators)
    net = _build_net(module, criterion, plan, generators, incremental=False)
    net.ask(
        lr=plan.learning_rate,
        decay=lesson.decay(net.module.network, plan.alpha),
        weighting=_start_weighting(net, plan, lesson, lambda: torch.empty(0)),
        schedule=_timetable(seeds, plan, lesson),
    )
    net.batch_size = _batch_size(plan, len(lesson.labelled))
    net.partial_fit((data, rows))
    if net.interrupted_:
        raise KeyboardInterrupt
    # of a task without a label so far nothing is known, but that no loss is below zero
    return lowest.losses_.nan_to_num(posinf=0.0)


def _timetable(seeds: Sequence[int], plan: Plan, lesson: Lesson) -> Timetable:
    """Return the schedule of every member."""
    order = lesson.criterion.order
    at = np.argsort(order)  # the engine's position of each task of the table
    ease = [lesson.ease[t] for t in at] if plan.schedule.asks_ease else None
    tasks = Tasks(plan.names, [lesson.n_labels[t] for t in at], ease)
    return Timetable([(plan.schedule, tasks, seed) for seed in seeds], order)


def warn_of_the_end(net: MultiTaskNet) -> None:
    """Warn if training was interrupted, or ran out of epochs."""
    if net.interrupted_:
        warn(f"Training was interrupted after epoch {len(net.history)}; the best weights are kept.")
    elif net.stopping is not None and not net.stopping.converged_ and not net.stopped_early_:
        warn(
            f"Training stopped at max_iter={net.max_epochs} before the loss had settled. Raise "
            "max_iter or learning_rate_init, or standardise the inputs.",
            ConvergenceWarning,
        )


def _require_labels(lesson: Lesson, plan: Plan, *, one_epoch: bool) -> None:
    """Raise where a task has nothing to learn from; partial_fit asks for one label of any task."""
    counts = zip(lesson.criterion.order, lesson.n_labels, strict=True)
    empty = [plan.task_names[t] for t, n in counts if n == 0]
    if empty and (not one_epoch or len(empty) == len(lesson.n_labels)):
        raise ValueError(
            f"Task {empty[0]!r} has no label with a weight above zero. Leave the column out, or give "
            "it a label."
        )


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


def _validates(plan: Plan, n_apart: int) -> bool:
    if plan.early_stopping == "auto":
        return n_apart >= FEW
    if plan.early_stopping and n_apart < 2:
        raise ValueError(
            "Parameter early_stopping=True needs two labelled rows that differ, or with qid two "
            f"queries, one to validate on. Found {n_apart}. Use early_stopping='auto' or False."
        )
    return bool(plan.early_stopping)


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
        n = len(generators)
        stopping = MemberStopping([plan.tol] * n, [plan.patience] * n, [plan.max_iter] * n)
        callbacks.append(("stopping", stopping))
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
    x = inputs_to_device(X, str(module.low.device))
    with torch.inference_mode():
        chunks = [
            criterion.activate(module(part.expand(module.n_members, *part.shape)))
            for part in x.split(FORWARD_ROWS)
        ]
        groups = chunks[0] if len(chunks) == 1 else map(torch.cat, zip(*chunks, strict=True))
        return criterion.by_task([group.double().cpu().numpy() for group in groups])
