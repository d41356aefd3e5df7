"""How tasks share: a scheme is configuration, and builds the network that carries it out.

From nothing shared to everything: `NoSharing`; `SoftSharing` and `RelatedSharing` tie a tower per
task by a penalty; `CrossStitch` mixes the towers' features; `CGC`, `PLE`, `MMoE` and `DSelectK` mix
experts by gates; `MTAN` masks a shared trunk, `LowRank` adapts it and `LTB` branches it per task;
`HardSharing` sends every task through one trunk. Every parameter of a network has the stack of
members as its first dimension, so one network object is K independent networks that train as one.

>>> from skmtl.sharing import HardSharing
>>> HardSharing(linear_skip=False)
HardSharing(linear_skip=False)
"""

from .base import SHARED, Architecture, Block, Network, Sharing
from .cross_stitch import CrossStitch
from .experts import CGC, PLE, MMoE
from .hard import HardSharing, LowRank, NoSharing
from .layers import ACTIVATIONS
from .lineage import Lineage, inherit
from .related import RelatedSharing
from .routing import LTB, MTAN
from .selection import DSelectK
from .soft import SoftSharing

__all__ = [
    "ACTIVATIONS",
    "CGC",
    "LTB",
    "MTAN",
    "PLE",
    "SHARED",
    "Architecture",
    "Block",
    "CrossStitch",
    "DSelectK",
    "HardSharing",
    "Lineage",
    "LowRank",
    "MMoE",
    "Network",
    "NoSharing",
    "RelatedSharing",
    "Sharing",
    "SoftSharing",
    "inherit",
]
