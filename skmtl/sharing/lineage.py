"""How a network for other tasks starts from a fitted one of the same scheme, block by block.

What is taken over follows from what the blocks say of their own parameters: whom each entry serves
(`Block.owners`) and for which task it was made (`Block.made_for`). Shapes: K members, S tasks of the
source, T tasks of the new network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .base import Block, Network

SHARED = -1


@dataclass(frozen=True)
class Lineage:
    """What the tasks of a new network have to do with those of the source; engine's orders.

    Attributes
    ----------
    tasks : list of int or None
        The task of the source that each task is; None: a new one.
    kinds : list of int or None
        The kind of the source that each kind is; None: the source has no task of this kind.
    shared : bool
        Whether what serves all tasks is taken over, and where new tasks start from it. If not, only
        the parts of tasks that the source has are.

    Examples
    --------
    >>> from skmtl.sharing import Lineage
    >>> lineage = Lineage(tasks=[0, None], kinds=[0])  # the source's first task, and a new one
    >>> lineage.kept, lineage.new
    ([(0, 0)], [1])
    """

    tasks: Sequence[int | None]
    kinds: Sequence[int | None]
    shared: bool = True

    @property
    def kept(self) -> list[tuple[int, int]]:
        """Pairs of a task and what it is in the source."""
        return [(t, s) for t, s in enumerate(self.tasks) if s is not None]

    @property
    def new(self) -> list[int]:
        """The tasks that the source has not."""
        return [t for t, s in enumerate(self.tasks) if s is None]


def inherit(
    network: Network, source: Network, lineage: Lineage, n_layers: int | None = None
) -> list[list[str]]:
    """Let the blocks of a network take over what they can from those of a source.

    Parameters
    ----------
    network, source : Network
        Built by one scheme, with equally many members.
    n_layers : int or None
        Blocks that take over something shared, counted from the inputs; the others start anew. None:
        all.

    Returns
    -------
    taken : list of list of str
        Parameters that serve all tasks and came from the source, in the order of the data's way, by
        block.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.sharing import Lineage, inherit
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0).fit(X, X[:, :2])
    >>> new = est.set_params(random_state=1).fit(X, X[:, :2]).module_.network
    >>> source = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0).fit(X, X[:, :2])
    >>> taken = inherit(new, source.module_.network, Lineage(tasks=[0, 1], kinds=[0]))
    >>> len(taken)  # the two layers of the trunk
    2
    """
    theirs: dict[str, Any] = dict(source.named_modules())
    taken: list[list[str]] = []
    for path, block in network.named_blocks():
        origin = theirs.get(path)
        if n_layers is not None and len(taken) >= n_layers:
            break
        if type(origin) is not type(block) or not same_form(
            block, origin, is_last=path.endswith("last")
        ):
            continue
        names = block.inherit(origin, lineage)
        if names:
            taken.append([f"{path}.{name}" for name in sorted(names)])
    return taken


def same_form(block: Block, origin: Any, *, is_last: bool) -> bool:
    """Whether two blocks of one class are layers of one size, but for what grows with the tasks."""
    ours, theirs = (dict(b.named_parameters(recurse=False)).get("weight") for b in (block, origin))
    if ours is None or theirs is None:
        return ours is theirs
    whose = [b.made_for()["weight"] for b in (block, origin)]
    if ours.dim() != theirs.dim() or whose[0].dim() != whose[1].dim():
        return False  # heads side by side, and heads with layers of their own
    for at in (-2, -1):
        by_task = any(made.dim() >= -at and made.shape[at] > 1 for made in whose)
        padded = is_last and at == -1  # to the widest task
        if ours.shape[at] != theirs.shape[at] and not by_task and not padded:
            return False
    return True


@torch.no_grad()
def inherit_entries(block: Block, source: Block, lineage: Lineage) -> set[str]:
    """Take over entry by entry; return the names of what serves all tasks and was taken.

    Entries made for no task are copied; those made for a task that is kept are that task's. Those
    made for a new task are left as they start if they are its own, and the mean over the source's
    tasks where they serve others too. What is no subject of training (a temperature) goes along with
    a block without parts of tasks; beside choices that start anew it starts anew.
    """
    owners, made_for, was_for = block.owners(), block.made_for(), source.made_for()
    theirs = dict(source.named_parameters(recurse=False))
    settled = all((owner == SHARED).all() for owner in owners.values())
    taken = set()
    for name, p in block.named_parameters(recurse=False):
        if name not in made_for or name not in theirs or not (p.requires_grad or settled):
            continue
        common = bool((owners[name] == SHARED).all())
        if _fill(p, theirs[name], made_for[name], was_for[name], lineage, common=common) and common:
            taken.add(name)
    return taken


def _fill(
    p: Tensor, q: Tensor, made_for: Tensor, was_for: Tensor, lineage: Lineage, *, common: bool
) -> bool:
    """Fill a parameter from the source's; whether all that makes it up was there."""
    if made_for.dim() > 1 and made_for.shape[-1] == 1:  # towers are padded to the widest task
        width = min(p.shape[-1], q.shape[-1])
        p, q = p[..., :width], q[..., :width]
    for t, s in lineage.kept:
        _copy(p, made_for, t, _part(q, was_for, s))
    if not lineage.shared:
        return False
    complete = _copy(p, made_for, SHARED, _part(q, was_for, SHARED))
    if common and (made_for != SHARED).any():
        n_tasks = int(was_for.max()) + 1
        parts = torch.stack([_part(q, was_for, s) for s in range(n_tasks)])
        mean = (parts if parts.is_floating_point() else parts.double()).mean(0)
        for t in lineage.new:
            complete &= _copy(p, made_for, t, mean)
    return complete


def _part(p: Tensor, whose: Tensor, task: int) -> Tensor:
    """Entries (K, m) of a parameter that are a task's."""
    return p[:, (whose == task).to(p.device).expand(p.shape[1:])]


def _copy(p: Tensor, whose: Tensor, task: int, values: Tensor) -> bool:
    """Put entries (K, m) where those of a task stand; False if they are not as many."""
    mask = (whose == task).to(p.device).expand(p.shape[1:])
    if int(mask.sum()) != values.shape[1]:
        return False
    p[:, mask] = values.to(p)
    return True
