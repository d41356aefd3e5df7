"""A bounded memory of rows. Shapes: K members, M rows remembered, d features, V values, T tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

OWN_DRAWS = 2  # added to a member's seed: the draws of its batches stay what they were


class Remembered(NamedTuple):
    """Rows of every member: x (K, b, d), values (K, b, V), weight (K, b, T)."""

    x: Tensor
    values: Tensor
    weight: Tensor


class Reservoir:
    """At most ``size`` rows for every member, each row seen as likely among them as any other.

    Reservoir sampling (Vitter 1985, algorithm R), a chunk at a time. Encoded rows, on the device.

    Parameters
    ----------
    size : int
        Rows remembered, M.
    seeds : list of int
        One a member.

    Attributes
    ----------
    seen : int
        Rows that came by.
    rows : Remembered
        Of shapes (K, M, ...); those from ``seen`` on are not there yet.

    References
    ----------
    J. S. Vitter (1985). Random sampling with a reservoir. ACM Transactions on Mathematical Software.
    """

    rows: Remembered

    def __init__(self, size: int, seeds: Sequence[int]):
        self.size = size
        self.generators = [Generator().manual_seed(seed + OWN_DRAWS) for seed in seeds]
        self.forget()

    def forget(self) -> None:
        """Begin anew; the generators go on."""
        self.seen = 0
        self._attended = list(range(len(self.generators)))

    @property
    def filled(self) -> int:
        """Rows that are remembered."""
        return min(self.seen, self.size)

    def attend(self, members: Sequence[int]) -> None:
        """Draw for these members only."""
        self._attended = list(members)

    def add(self, x: Any, values: Tensor, weight: Tensor | None, n_tasks: int) -> None:
        """See rows: x (n, d), values (n, V), weight (n, T) or None, all one.

        Of sparse rows those are written out that are remembered.
        """
        self.attend(range(len(self.generators)))
        if weight is None:
            weight = values.new_ones(len(values), n_tasks)
        given = Remembered(x, values, weight)
        if not hasattr(self, "rows"):
            k = len(self.generators)
            self.rows = Remembered(
                *(
                    torch.zeros(k, self.size, t.shape[1], dtype=t.dtype, device=t.device)
                    for t in given
                )
            )
        number = torch.arange(self.seen, self.seen + len(x))
        for k, generator in enumerate(self.generators):
            slots, which = self._placed(number, generator)
            slots, which = slots.to(x.device), which.to(x.device)
            for memory, new in zip(self.rows, given, strict=True):
                memory[k].index_copy_(0, slots, new.index_select(0, which).to(memory))
        self.seen += len(x)

    def _placed(self, number: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Slots that change, and which of the rows of these running numbers comes into each."""
        drawn = torch.rand(len(number), generator=generator, dtype=torch.float64)
        slot = torch.where(number < self.size, number, (drawn * (number + 1)).long())
        stays = (slot < self.size).nonzero()[:, 0]
        last = torch.full((self.size,), -1)
        last.scatter_reduce_(0, slot[stays], stays, "amax")  # a later row takes an earlier's slot
        slots = (last >= 0).nonzero()[:, 0]
        return slots, last[slots]

    def draw(self, n_rows: int) -> Remembered:
        """Rows (K, b, ...) for the members attended to: as many, with replacement; at most all."""
        members = torch.tensor(self._attended).unsqueeze(1)
        if n_rows >= self.filled:
            rows = torch.arange(self.filled).expand(len(members), -1)
        else:
            own = [self.generators[k] for k in self._attended]
            rows = torch.stack(
                [torch.randint(self.filled, (n_rows,), generator=generator) for generator in own]
            )
        flat = (members * self.size + rows).reshape(-1).to(self.rows.x.device)
        return Remembered(
            *(t.flatten(0, 1).index_select(0, flat).unflatten(0, rows.shape) for t in self.rows)
        )

    def keep(self, members: Sequence[int]) -> None:
        """Forget the other members for good."""
        self.generators = [self.generators[k] for k in members]
        self.attend(range(len(members)))
        if hasattr(self, "rows"):
            self.rows = Remembered(*(t[list(members)] for t in self.rows))
