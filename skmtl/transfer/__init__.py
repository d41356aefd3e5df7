"""From fitted tasks to new ones: start from what was shared, add tasks, use the representation.

Estimators have the methods `adapt`, `add_task` and `transform`; `TransferClassifier` and
`TransferRegressor` are estimators that start from a fitted one, for cross-validation and searches.

>>> from skmtl.transfer import TransferRegressor
>>> TransferRegressor(freeze="gradual")
TransferRegressor(freeze='gradual')
"""

from .adapting import Manner, adapt
from .adding import add_task
from .estimators import TransferClassifier, TransferRegressor
from .representation import shared_features

__all__ = [
    "Manner",
    "TransferClassifier",
    "TransferRegressor",
    "adapt",
    "add_task",
    "shared_features",
]
