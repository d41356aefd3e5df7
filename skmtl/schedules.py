"""In what order tasks train: a schedule says which tasks move at an epoch.

>>> from skmtl.schedules import Alternating, Tasks
>>> tasks = Tasks(names=["price", "stars"], n_labels=[1000, 50])
>>> [Alternating().active(epoch, tasks, seed=0) for epoch in range(3)]
[[True, False], [False, True], [True, False]]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skmtl._checks import check_int, check_word

__all__ = ["Alternating", "Joint", "Progressive", "Schedule"]


@dataclass(frozen=True)
class Tasks:
    """What a schedule may know of the tasks, in the order of the target table.

    Attributes
    ----------
    names : list
        Their names.
    n_labels : list of int
        Labels of each.
    ease : list of float or None
        Share of its labels' variance that a linear model explains on rows it has not seen; None
        if the schedule does not ask for it.
    """

    names: Sequence[Any]
    n_labels: Sequence[int]
    ease: Sequence[float] | None = None

    def __len__(self) -> int:
        return len(self.names)


class Schedule(BaseEstimator, ABC):
    """Which tasks train at which epoch. Immutable configuration.

    A member's schedule depends on its seed and the epoch alone, so that going on with a fit goes on
    with the schedule.

    Examples
    --------
    >>> from skmtl.schedules import Schedule, Tasks
    >>> class FirstOnly(Schedule):
    ...     '''The first task alone for some epochs, then all.'''
    ...
    ...     def __init__(self, n_epochs=5):
    ...         self.n_epochs = n_epochs
    ...
    ...     def active(self, epoch, tasks, seed):
    ...         return [True] + [epoch >= self.n_epochs] * (len(tasks) - 1)
    >>> tasks = Tasks(names=["price", "stars"], n_labels=[1000, 50])
    >>> [FirstOnly(1).active(epoch, tasks, seed=0) for epoch in range(2)]
    [[True, False], [True, True]]
    """

    freezes = True  # whether parameters of the tasks that rest stay as they are
    shared = True  # whether parameters that serve all tasks move
    asks_ease = False  # whether it wants to know how easy the tasks are

    def check(self, names: Sequence[Any]) -> None:
        """Raise ValueError or TypeError where a parameter is not what it must be."""

    @abstractmethod
    def active(self, epoch: int, tasks: Tasks, seed: int) -> list[bool]:
        """Say for each task whether its loss counts at this epoch (the first is 0)."""

    def complete(self, epoch: int, tasks: Tasks) -> bool:
        """Whether every task has trained when this epoch ends: no epoch before is kept as the best."""
        return True

    def counts(self, epoch: int, tasks: Tasks) -> bool:
        """Whether an epoch without improvement counts towards ``n_iter_no_change``."""
        return True


class Joint(Schedule):
    """All tasks at every step.

    Examples
    --------
    >>> from skmtl.schedules import Joint, Tasks
    >>> Joint().active(0, Tasks(names=["price", "stars"], n_labels=[1000, 50]), seed=0)
    [True, True]
    """

    def active(self, epoch: int, tasks: Tasks, seed: int) -> list[bool]:
        """Say True for every task."""
        return [True] * len(tasks)


class Alternating(Schedule):
    """One task at a time, phase after phase (Caruana 1997; Sanh et al. 2019).

    Every epoch passes over all rows, with the loss of one task. Early stopping counts rounds, in which
    every task has a turn, where joint training counts epochs; ``max_iter`` and ``n_iter_`` are epochs.

    Parameters
    ----------
    phase_epochs : int, default=1
        Epochs until it is another task's turn.
    order : {"round_robin", "proportional", "random"}, default="round_robin"
        Whose turn it is: in the order of the table; in proportion to the labels of each task, after
        one turn each; or in a new random order every round.
    freeze : {"others", "none", "others_and_trunk"}, default="others"
        What rests meanwhile: the parameters of the other tasks, their moments and decay included;
        nothing, so that the others go on by momentum and decay; or also the parameters that all
        tasks share, which then stay what they are at the start (or were, under ``warm_start``).

    References
    ----------
    R. Caruana (1997). Multitask learning. Machine Learning 28, 41-75.
    V. Sanh, T. Wolf, S. Ruder (2019). A hierarchical multi-task approach for learning embeddings
    from semantic tasks. AAAI (proportional sampling).

    Examples
    --------
    >>> from skmtl.schedules import Alternating, Tasks
    >>> tasks = Tasks(names=["price", "stars"], n_labels=[1000, 50])
    >>> [Alternating(phase_epochs=2).active(epoch, tasks, seed=0) for epoch in range(4)]
    [[True, False], [True, False], [False, True], [False, True]]
    """

    def __init__(self, phase_epochs=1, order="round_robin", freeze="others"):
        self.phase_epochs = phase_epochs
        self.order = order
        self.freeze = freeze

    @property
    def freezes(self) -> bool:  # type: ignore[override]
        """Whether parameters of the tasks that rest stay as they are."""
        return self.freeze != "none"

    @property
    def shared(self) -> bool:  # type: ignore[override]
        """Whether parameters that serve all tasks move."""
        return self.freeze != "others_and_trunk"

    def check(self, names: Sequence[Any]) -> None:
        """Raise where a parameter is not what it must be."""
        check_int(self.phase_epochs, "phase_epochs", self, low=1)
        check_word(self.order, "order", self, ["round_robin", "proportional", "random"])
        check_word(self.freeze, "freeze", self, ["others", "none", "others_and_trunk"])

    def active(self, epoch: int, tasks: Tasks, seed: int) -> list[bool]:
        """Say True for the task whose turn it is."""
        n_tasks, phase = len(tasks), epoch // self.phase_epochs
        turn = phase % n_tasks
        if self.order == "random":
            turn = int(np.random.default_rng([seed, phase // n_tasks]).permutation(n_tasks)[turn])
        elif self.order == "proportional":
            turn = _in_proportion(tasks.n_labels, phase)[-1]
        return [t == turn for t in range(n_tasks)]

    def complete(self, epoch: int, tasks: Tasks) -> bool:
        """Whether the first round has ended."""
        return epoch + 1 >= self.phase_epochs * len(tasks)

    def counts(self, epoch: int, tasks: Tasks) -> bool:
        """Count the last epoch of every round."""
        if self.order != "proportional":
            return (epoch + 1) % (self.phase_epochs * len(tasks)) == 0
        if (epoch + 1) % self.phase_epochs:
            return False
        ends, waiting = False, set(range(len(tasks)))
        for turn in _in_proportion(tasks.n_labels, epoch // self.phase_epochs):
            waiting.discard(turn)
            ends = not waiting
            waiting = waiting or set(range(len(tasks)))
        return ends


class Progressive(Schedule):
    """Tasks join stage by stage: first one, then two, at last all (Pentina et al. 2015).

    Early stopping counts from the epoch in which the last task has joined.

    Parameters
    ----------
    order : "given", "easy_first" or array-like of shape (T,), default="given"
        In which order they join: that of the table; from the task of which a ridge explains the
        largest share of variance down, by leave-one-out; or the names of the tasks in order.
    epochs_per_stage : int, default=5
        Epochs until the next task joins.

    References
    ----------
    A. Pentina, V. Sharmanska, C. Lampert (2015). Curriculum learning of multiple tasks. CVPR.

    Examples
    --------
    >>> from skmtl.schedules import Progressive, Tasks
    >>> tasks = Tasks(names=["price", "stars"], n_labels=[1000, 50])
    >>> stages = Progressive(["stars", "price"], epochs_per_stage=2)
    >>> [stages.active(epoch, tasks, seed=0) for epoch in range(3)]
    [[False, True], [False, True], [True, True]]
    """

    def __init__(self, order="given", epochs_per_stage=5):
        self.order = order
        self.epochs_per_stage = epochs_per_stage

    @property
    def asks_ease(self) -> bool:  # type: ignore[override]
        """Whether tasks join by ease."""
        return isinstance(self.order, str) and self.order == "easy_first"

    def check(self, names: Sequence[Any]) -> None:
        """Raise where a parameter is not what it must be."""
        check_int(self.epochs_per_stage, "epochs_per_stage", self, low=1)
        if isinstance(self.order, str):
            check_word(self.order, "order", self, ["given", "easy_first"])
            return
        given = list(self.order) if isinstance(self.order, list | tuple | np.ndarray) else []
        if len(given) != len(names) or any(name not in given for name in names):
            raise ValueError(
                "Parameter order of Progressive must be 'given', 'easy_first' or a list of every "
                f"task's name once. Found {self.order!r} for the tasks {list(names)}."
            )

    def active(self, epoch: int, tasks: Tasks, seed: int) -> list[bool]:
        """Say True for the tasks that have joined."""
        order = tasks.names if isinstance(self.order, str) else list(self.order)
        if tasks.ease is not None:
            order = [tasks.names[t] for t in np.argsort(np.negative(tasks.ease), kind="stable")]
        joined = order[: 1 + epoch // self.epochs_per_stage]
        return [name in joined for name in tasks.names]

    def complete(self, epoch: int, tasks: Tasks) -> bool:
        """Whether all have joined."""
        return epoch >= self.epochs_per_stage * (len(tasks) - 1)

    def counts(self, epoch: int, tasks: Tasks) -> bool:
        """Count when all have joined."""
        return self.complete(epoch, tasks)


@dataclass(frozen=True)
class Timetable:
    """Schedules for the members of a stack, in the engine's order of tasks.

    Attributes
    ----------
    members : list of (Schedule, Tasks, int)
        What each member follows, on which tasks, and its seed.
    task_order : list of int
        Where each task of the engine stands in the table.
    """

    members: Sequence[tuple[Schedule, Tasks, int]]
    task_order: Sequence[int]

    @classmethod
    def stacked(cls, timetables: Sequence[Timetable]) -> Timetable:
        """The members of all."""
        return cls([m for table in timetables for m in table.members], timetables[0].task_order)

    @property
    def freezes(self) -> bool:
        """Whether parameters of the tasks that rest stay as they are."""
        return self.members[0][0].freezes

    @property
    def shared(self) -> bool:
        """Whether parameters that serve all tasks move."""
        return self.members[0][0].shared

    @property
    def joint(self) -> bool:
        """Whether all tasks train at every epoch in all members."""
        return all(type(schedule) is Joint for schedule, *_ in self.members)

    def active(self, epoch: int, member: int) -> list[bool]:
        """Say for each task whether it counts at this epoch in this member."""
        schedule, tasks, seed = self.members[member]
        active = schedule.active(epoch, tasks, seed)
        return [active[t] for t in self.task_order]

    def complete(self, epoch: int, member: int) -> bool:
        """Whether every task has trained when this epoch ends."""
        schedule, tasks, _ = self.members[member]
        return schedule.complete(epoch, tasks)

    def counts(self, epoch: int, member: int) -> bool:
        """Whether an epoch without improvement counts."""
        schedule, tasks, _ = self.members[member]
        return schedule.counts(epoch, tasks)


def _in_proportion(n_labels: Sequence[int], phase: int) -> list[int]:
    """Tasks of the phases up to this one: one turn each, then as many as their share of labels.

    Turns are spread evenly: the k-th of a task of share s is due at (k + 1/2) / s (Webster's method
    of apportionment).
    """
    n_tasks = len(n_labels)
    first = list(range(min(n_tasks, phase + 1)))
    left = phase + 1 - n_tasks
    if left <= 0:
        return first
    shares = np.asarray(n_labels) / np.sum(n_labels)
    n_turns = np.ceil(shares * left).astype(int) + 1  # of each task, enough for all that are left
    task = np.repeat(np.arange(n_tasks), n_turns)
    turn = np.concatenate([np.arange(n) for n in n_turns])
    due = (turn + 0.5) / shares[task]
    return first + task[np.lexsort((task, due))[:left]].tolist()
