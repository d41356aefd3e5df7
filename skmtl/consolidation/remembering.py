"""What methods that remember rows have in common."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from skmtl._checks import check_int, check_number

from .base import Consolidation, Learner, labelled
from .reservoir import Remembered, Reservoir


class Remembering(Consolidation):
    """A consolidation with a memory of ``memory_size`` rows for each member."""

    memory_size: int

    def check(self) -> None:
        """Raise unless the parameters are what they must be."""
        check_int(self.memory_size, "memory_size", self, low=1)

    def start(self, seeds: Sequence[int], module: Any) -> None:
        """Begin with an empty memory; see `Consolidation.start`."""
        super().start(seeds, module)
        self.check()
        self.memory = Reservoir(int(self.memory_size), seeds)

    def go_on(self, asked: Consolidation) -> None:
        """Take other parameters, but for the size of the memory; see `Consolidation.go_on`."""
        assert isinstance(asked, Remembering), "it is of the same class"
        asked.check()
        if self.memory_size != asked.memory_size:
            raise ValueError(
                f"Parameter memory_size of {type(self).__name__} is settled by the first call: it was "
                f"{self.memory_size!r}, and now is {asked.memory_size!r}. Fit a clone to start anew."
            )
        super().go_on(asked)

    def end(self, learner: Learner, data: Any) -> None:
        """Remember rows of the chunk."""
        self.memory.add(*labelled(data), len(learner.loss.tasks))

    def keep(self, members: Sequence[int]) -> None:
        """Forget the other members for good."""
        self.memory.keep(members)


class Rehearsal(Remembering):
    """A consolidation that looks at remembered rows in every step."""

    def __init__(self, memory_size=1000, batch_size="auto"):
        self.memory_size = memory_size
        self.batch_size = batch_size

    def check(self) -> None:
        """Raise unless the parameters are what they must be."""
        super().check()
        name = f"batch_size of {type(self).__name__}"
        check_number(self.batch_size, name, Integral, low=1, or_auto=True)

    def attend(self, members: Sequence[int]) -> None:
        """Draw for these members only."""
        self.memory.attend(members)

    def recall(self, batch: Any) -> Remembered | None:
        """Remembered rows to look at beside a batch; None: there are none yet."""
        if not self.memory.seen:
            return None
        n_rows = batch.x.shape[1] if self.batch_size == "auto" else int(self.batch_size)
        return self.memory.draw(n_rows)
