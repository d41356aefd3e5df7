"""What is learned: one object a column of the target table.

A task knows its own column and nothing else: how labels become numbers (`encode`), how far a raw
output is from them (`sample_loss`), how outputs become labels again (`decode`), and which metric speaks
for it (`metric`). Whether labels are missing, how rows are weighed and how many networks train at
once is the business of the stages around it.

>>> from skmtl.tasks import RegressionTask
>>> RegressionTask(loss="huber")
RegressionTask(loss='huber')
"""

from .base import Task
from .binary import BinaryTask
from .classification import ClassificationTask
from .count import CountTask
from .grouped import GroupedLosses
from .heteroscedastic import HeteroscedasticRegressionTask
from .losses import TaskLosses
from .multilabel import MultilabelTask
from .ordinal import OrdinalTask
from .quantile import QuantileTask
from .ranking import RankingTask
from .regression import RegressionTask

__all__ = [
    "BinaryTask",
    "ClassificationTask",
    "CountTask",
    "GroupedLosses",
    "HeteroscedasticRegressionTask",
    "MultilabelTask",
    "OrdinalTask",
    "QuantileTask",
    "RankingTask",
    "RegressionTask",
    "Task",
    "TaskLosses",
]
