"""How tasks share: a scheme is configuration, and builds the network that carries it out.

`NoSharing` trains a network per task; `HardSharing` (Caruana 1997) sends every task through one
shared trunk with a head each. Every parameter of a network has the stack of members as its first
dimension, so one network object is K independent networks that train as one.

>>> from skmtl.sharing import HardSharing
>>> HardSharing(linear_skip=False)
HardSharing(linear_skip=False)
"""

from .base import SHARED, Architecture, Network, Sharing
from .hard import HardSharing, NoSharing
from .layers import ACTIVATIONS

__all__ = [
    "ACTIVATIONS",
    "SHARED",
    "Architecture",
    "HardSharing",
    "Network",
    "NoSharing",
    "Sharing",
]
