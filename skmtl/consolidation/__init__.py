"""What keeps a network from forgetting while it goes on learning, chunk after chunk, task after task.

`Replay` shows old rows again, `AGEM` lets no step raise the loss on old rows, `EWC` holds the
parameters that old rows depend on. All of them remember a bounded number of rows, whatever comes.

>>> from skmtl.consolidation import Replay
>>> Replay(memory_size=200)
Replay(memory_size=200)
"""

from .agem import AGEM
from .base import Consolidation
from .ewc import EWC
from .replay import Replay

__all__ = ["AGEM", "EWC", "Consolidation", "Replay"]
