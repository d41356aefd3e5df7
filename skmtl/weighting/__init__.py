"""How the losses of the tasks become one step: weights on losses, one gradient out of many.

>>> from skmtl.weighting import by_name
>>> [name for name in by_name() if "grad" in name]
['upgrad', 'pcgrad', 'cagrad', 'gradvac', 'graddrop', 'fairgrad', 'gradnorm']
"""

from .adapter import (
    AGGREGATORS,
    NEEDS_AN_OBJECT,
    SCALARIZERS,
    is_aggregator,
    is_part,
    is_scalarizer,
)
from .aggregation import Aggregation
from .base import FixedWeights, GradientWeighting, Setting, Weighting, same
from .gradnorm import GradNorm
from .minimax_deviation import MinimaxDeviation
from .scalarization import Scalarization
from .solvers import NNLSProjector
from .stacked import stack_weightings

__all__ = [
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


def by_name() -> dict[str, Weighting]:
    """All methods a user may name.

    Examples
    --------
    >>> from skmtl.weighting import by_name
    >>> by_name()["uw"], by_name()["gradnorm"]
    (Scalarization(), GradNorm())
    """
    own = [globals()[name] for name in __all__]
    return {
        **{name: Scalarization(name) for name in SCALARIZERS},
        **{name: Aggregation(name) for name in AGGREGATORS},
        **{cls.name: cls() for cls in own if hasattr(cls, "name")},
    }
