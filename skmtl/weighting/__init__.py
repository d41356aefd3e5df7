"""How the losses of the tasks become one step: weights on losses, one gradient out of many.

>>> from skmtl.weighting import by_name
>>> [name for name in by_name() if "grad" in name]
['upgrad', 'pcgrad', 'cagrad', 'gradvac', 'graddrop', 'fairgrad', 'gradnorm']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base import FixedWeights, GradientWeighting, Setting, Weighting, same
from .famo import FAMO
from .gradnorm import GradNorm
from .minimax_deviation import MinimaxDeviation
from .stacked import stack_weightings

if TYPE_CHECKING:
    from .adapter import NEEDS_AN_OBJECT, is_aggregator, is_part, is_scalarizer
    from .aggregation import Aggregation
    from .scalarization import Scalarization
    from .solvers import NNLSProjector

# What stands on torchjd is imported when it is first asked for: torchjd takes cvxpy along where that is
# installed, a quarter of a second that most fits have no use for.
OF_TORCHJD = {
    "NEEDS_AN_OBJECT": "adapter",
    "is_aggregator": "adapter",
    "is_part": "adapter",
    "is_scalarizer": "adapter",
    "Aggregation": "aggregation",
    "Scalarization": "scalarization",
    "NNLSProjector": "solvers",
}

__all__ = [
    "FAMO",
    "NEEDS_AN_OBJECT",
    "Aggregation",
    "FixedWeights",
    "GradNorm",
    "GradientWeighting",
    "MinimaxDeviation",
    "NNLSProjector",
    "Scalarization",
    "Setting",
    "Weighting",
    "by_name",
    "is_aggregator",
    "is_part",
    "is_scalarizer",
    "same",
    "stack_weightings",
]


def __getattr__(name: str) -> Any:
    if name not in OF_TORCHJD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{OF_TORCHJD[name]}", __name__), name)


def by_name() -> dict[str, Weighting]:
    """All methods a user may name.

    Examples
    --------
    >>> from skmtl.weighting import by_name
    >>> by_name()["uw"], by_name()["gradnorm"]
    (Scalarization(), GradNorm())
    """
    from .adapter import AGGREGATORS, SCALARIZERS
    from .aggregation import Aggregation
    from .scalarization import Scalarization

    own = [globals()[name] for name in __all__ if name not in OF_TORCHJD]
    return {
        **{name: Scalarization(name) for name in SCALARIZERS},
        **{name: Aggregation(name) for name in AGGREGATORS},
        **{cls.name: cls() for cls in own if hasattr(cls, "name")},
    }
