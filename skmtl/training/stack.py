"""Nets of one structure trained as one stack, each as if it were alone.

`structure` says which nets can, `train_together` joins them, trains, and hands each its part back.
What may differ between the members of a stack is in tensors with an entry per member. Shapes: K
members of the stack, T tasks, E epochs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.history import History
from torch import Tensor, nn

from .batches import Rows, TrainingData, with_empty_row
from .module import MultiTaskModule
from .net import RECORDED, MultiTaskNet
from .sparse import SparseRows
from .step import EpochLosses
from .stopping import MemberStopping

SMALL_STACK_STEP = 3e7  # multiply-adds under which a second thread gains little and can lose much
OWN = {"_parameters", "_buffers", "_modules", "generators", "built_for"} | {
    "_by_sharing",  # found when they are first asked for
    "_with_penalty",
}


class Ready(NamedTuple):
    """A net, and what it is about to be trained on."""

    net: MultiTaskNet
    data: TrainingData
    rows: Rows


def structure(ready: Ready) -> Hashable:
    """What nets must have in common to be trained together; None: it must train alone."""
    net, data, rows = ready
    if net.incremental or net.consolidation is not None or rows.draw is not None:
        return None  # what draws by itself draws from the rows of this net
    if [type(cb) for _, cb in net.callbacks_] != [MemberStopping]:
        return None
    if isinstance(data.x, SparseRows):  # tables of several are not laid below one another
        return None
    n_rows = rows.train.shape[1]
    draws = any(hasattr(part, "generators") for part in net.module_.modules())
    return (
        tuple(_signature(net.module_)),
        (data.x.dtype, str(data.x.device), data.values.shape[1]),
        net.criterion_.signature,
        (net.weighting.level, net.weighting.looks_again),
        (net.schedule.freezes, net.schedule.shared, net.schedule.joint),
        (net.batch_size, -(-n_rows // net.batch_size)),  # batches of an epoch
        n_rows if draws else None,  # a mask for rows that fill up would shift all that follow
        rows.valid is None,
    )


def _signature(module: MultiTaskModule) -> Iterator[Hashable]:
    """Classes, shapes and settings of the modules inside, but for those that a stack may vary."""
    for path, part in module.named_modules():
        yield path, type(part)
        yield from (
            (n, p.shape[1:], p.requires_grad) for n, p in part._parameters.items() if p is not None
        )
        if part is not module:
            yield from ((n, _value(b)) for n, b in part._buffers.items())
        varies = OWN.union(getattr(part, "settings", ()))
        yield from (
            (name, _value(value))
            for name, value in sorted(vars(part).items())
            if name not in varies
        )


def _value(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return tuple(value.shape), tuple(value.flatten().tolist())
    return repr(value)


def train_together(
    readies: Sequence[Ready],
    join_weightings: Callable[[list[Any], list[int]], Any],
    join_schedules: Callable[[list[Any]], Any],
    callbacks: Sequence[Any] = (),
) -> list[Exception | None]:
    """Train nets of equal `structure` as one stack; for each, the error that ended it, if any.

    A net that fails is left untrained; the others are not touched by it. One net trains by itself, with
    callbacks of its own only.
    """
    if len(readies) == 1:
        return [_train_alone(readies[0])]
    joint = _join(readies, join_weightings, join_schedules, callbacks)
    joint.partial_fit(_join_tables(readies))
    if joint.interrupted_:
        raise KeyboardInterrupt
    errors = [joint.failed.get(members.start) for members in joint.members_of]
    for ready, members, error in zip(readies, joint.members_of, errors, strict=True):
        if error is None:
            _hand_back(joint, ready.net, members)
    return list(errors)


def _train_alone(ready: Ready) -> Exception | None:
    try:
        ready.net.partial_fit((ready.data, ready.rows))
    except Exception as error:  # noqa: BLE001 - whatever a callback of the user's raises
        return error
    if ready.net.interrupted_:
        raise KeyboardInterrupt
    return None


class JointNet(MultiTaskNet):
    """A stack of the members of several nets.

    Attributes
    ----------
    members_of : list of slice
        The members of each net.
    names_of : list of list of str
        The names of the tasks of each net.
    epochs : list of dict
        Of every epoch, what is recorded of each member: arrays (K, T) by what they are.
    """

    members_of: list[slice]
    names_of: list[list[str]]
    epochs: list[dict[str, np.ndarray]]

    def _steps_are_small(self) -> bool:
        return self.step_size < SMALL_STACK_STEP

    def record(self, prefix: str, values: Any) -> None:
        """Keep a copy for the histories of the nets, and a mean for those who watch."""
        if prefix == "train":
            self.epochs.append({})
        for key in ("total", *RECORDED[prefix]):
            self.epochs[-1][f"{prefix}_{key}"] = values[f"{prefix}_{key}"].copy()
        alive = values[f"{prefix}_total"][self._stack]
        self.history.record(f"{prefix}_loss", float(np.mean(alive)))

    def _stop_if_diverged(self, epoch: EpochLosses) -> None:
        """Let all members of a net go of which one has a loss that is no number."""
        for k, error in self.diverged(epoch).items():
            members = self.members_of[self._net_of(k)]
            for member in range(members.start, members.stop):
                self.failed.setdefault(member, error)

    def name_of(self, position: int, task: int) -> str:
        """Name that a task has in the net of the member at a position of the stack."""
        return self.names_of[self._net_of(position)][task]

    def _net_of(self, position: int) -> int:
        member = self._stack[position]
        return next(i for i, s in enumerate(self.members_of) if s.start <= member < s.stop)


def _join(
    readies: Sequence[Ready],
    join_weightings: Callable[[list[Any], list[int]], Any],
    join_schedules: Callable[[list[Any]], Any],
    callbacks: Sequence[Any],
) -> JointNet:
    nets = [ready.net for ready in readies]
    sizes = [net.module_.n_members for net in nets]
    first = nets[0]
    limits = ("tol", "patience", "max_epochs")
    stopping = MemberStopping(
        *([v for net in nets for v in getattr(net.stopping, name)] for name in limits)
    )
    joint = JointNet(
        _join_modules([net.module_ for net in nets]),
        first.criterion_,
        task_names=first.task_names,
        generators=[g for net in nets for g in net.generators],
        callbacks=[*callbacks, ("stopping", stopping)],
        max_epochs=max(net.max_epochs for net in nets),
        device=first.device,
        verbose=0,
    )
    joint.members_of = [slice(a, b) for a, b in pairwise(accumulate(sizes, initial=0))]
    joint.names_of = [net.task_names for net in nets]
    joint.epochs = []
    rates = torch.tensor([net.lr for net in nets], dtype=torch.float64)
    rates = rates.repeat_interleave(torch.tensor(sizes))
    joint.ask(
        lr=nets[0].lr if len(rates.unique()) == 1 else rates.to(joint.module.low),
        decay=_join_decays(dict(joint.module.network.named_parameters()), nets, sizes),
        weighting=join_weightings([net.weighting for net in nets], sizes),
        schedule=join_schedules([net.schedule for net in nets]),
    )
    joint.batch_size = first.batch_size
    return joint


def _join_modules(modules: list[MultiTaskModule]) -> MultiTaskModule:
    """One module with the parameters of all; settings that differ become parameters at rest."""
    joint = copy.deepcopy(modules[0])
    joint.network.__dict__.pop("_with_penalty", None)  # found anew: settings differ
    sizes = [m.n_members for m in modules]
    named = [dict(m.named_parameters()) for m in modules]
    for name, p in joint.named_parameters():
        p.data = torch.cat([own[name].detach() for own in named])
    for name in ("low", "high", "span"):
        own = [getattr(m, name).expand(k, 1, -1) for m, k in zip(modules, sizes, strict=True)]
        setattr(joint, name, torch.cat(own))
    for path, part in joint.named_modules():
        for name in getattr(part, "settings", ()):
            values = [getattr(m.get_submodule(path), name) for m in modules]
            if len(set(values)) > 1:
                each = torch.tensor(values).repeat_interleave(torch.tensor(sizes)).to(joint.low)
                delattr(part, name)
                part.register_parameter(name, nn.Parameter(each, requires_grad=False))
    return joint


def _join_decays(
    parameters: dict[str, nn.Parameter], nets: Sequence[MultiTaskNet], sizes: Sequence[int]
) -> dict[str, float | Tensor]:
    """Decay of each parameter in each member."""
    joint: dict[str, float | Tensor] = {}
    for name, p in parameters.items():
        own = [net.decay.get(name, 0.0) for net in nets]
        if not any(isinstance(f, Tensor) for f in own) and len(set(own)) == 1:
            joint[name] = own[0]
            continue
        parts = []
        for factor, size in zip(own, sizes, strict=True):
            f = torch.as_tensor(factor, dtype=p.dtype)
            parts.append(f.reshape(*[1] * (p.dim() - f.dim()), *f.shape).expand(size, *p.shape[1:]))
        joint[name] = torch.cat(parts)
    return joint


def _join_tables(readies: Sequence[Ready]) -> tuple[TrainingData, Rows]:
    """One table of all labels, over one copy of each table of inputs, and everybody's rows."""
    tables = {id(r.data): r.data for r in readies}  # a fold's is one for all its candidates
    inputs: dict[Hashable, Any] = {_address(data.x): data.x for data in tables.values()}
    offsets = _offsets(tables, [len(data.values) for data in tables.values()])
    train = [r.rows.train.long() + offsets[id(r.data)] for r in readies]
    valid = [r.rows.valid.long() + offsets[id(r.data)] for r in readies if r.rows.valid is not None]
    counts = [rows.shape[1] for rows in train for _ in rows]
    ragged = len(set(counts)) > 1 or len({rows.shape[1] for rows in valid}) > 1
    values = [data.values for data in tables.values()]
    where = weight = None
    if len(tables) > 1 or any(data.where is not None for data in tables.values()):
        starts = _offsets(inputs, [len(x) for x in inputs.values()])
        where = [
            data.rows_of_inputs().long() + starts[_address(data.x)] for data in tables.values()
        ]
    n_tasks = len(readies[0].net.task_names)
    if any(data.weight is not None for data in tables.values()):
        weight = [data.label_weight(n_tasks) for data in tables.values()]
    data = TrainingData(
        _one(list(inputs.values())),
        _one(values),
        None if weight is None else _one(weight),
        None if where is None else _one(where),
    )
    if ragged:  # the empty row fills up the shorter members
        train, valid = (_padded(parts, len(data.values)) for parts in (train, valid))
        data = with_empty_row(data, n_tasks)
    return data, Rows(
        torch.cat(train), torch.cat(valid) if valid else None, counts if ragged else None
    )


def _offsets(keys: Iterable[Hashable], sizes: Sequence[int]) -> dict[Hashable, int]:
    """Where each begins when they stand one below the other."""
    return dict(zip(keys, accumulate(sizes[:-1], initial=0), strict=True))


def _one(parts: list[Tensor]) -> Tensor:
    """All below one another; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _address(x: Any) -> Hashable:
    return x.data_ptr(), tuple(x.shape), x.stride()


def _padded(parts: list[Tensor], row: int) -> list[Tensor]:
    longest = max((part.shape[1] for part in parts), default=0)
    return [nn.functional.pad(p, (0, longest - p.shape[1]), value=row) for p in parts]


def _hand_back(joint: JointNet, net: MultiTaskNet, members: slice) -> None:
    """Give a net what its members have become, and the history it would have had alone."""
    parameters = dict(joint.module_.named_parameters())
    for name, p in net.module_.named_parameters():
        p.data = parameters[name][members].detach().clone()  # a view would keep the whole stack
    stopping, ours = net.stopping, joint.stopping
    assert stopping is not None, "nets of a stack have a stopping"
    assert ours is not None, "nets of a stack have a stopping"
    for name in ("best_losses_", "best_epochs_", "last_epochs_", "settled_"):
        setattr(stopping, name, getattr(ours, name)[members])
    stopping.members_, stopping.best_ = [], {}
    n_epochs = max(stopping.last_epochs_)
    net.stopped_early_, net.interrupted_ = n_epochs < net.max_epochs, False
    net.history_ = History()
    net._best = {}
    for epoch in joint.epochs[:n_epochs]:
        own = {key: values[members] for key, values in epoch.items()}
        net.history.new_epoch()
        net.history.record("epoch", len(net.history))
        net.history.new_batch()
        net.record("train", own)
        if "valid_total" in own:
            net.record("valid", own)
    net.module_.eval()
    net.optimizer_.forget()
    net.weighting.finish()
