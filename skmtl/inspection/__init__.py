"""Look at what was learned, and at what sharing does; plots need matplotlib (``skmtl[plot]``).

>>> import pandas as pd
>>> from skmtl.inspection import TaskRelationDisplay
>>> relation = pd.DataFrame([[1.0, -0.5], [-0.5, 1.0]], ["a", "b"], ["a", "b"])
>>> TaskRelationDisplay(relation).order
[0, 1]
"""

from .curves import GradientConflictDisplay, LearningCurveDisplay, LossWeightsDisplay
from .gain import TransferGain, TransferGainDisplay, transfer_gain
from .gradients import GradientConflict, gradient_conflict, task_affinity
from .grouping import TaskGrouping
from .heatmaps import TaskAffinityDisplay, TaskRelationDisplay
from .importance import task_importances
from .stages import StageScoresDisplay

__all__ = [
    "GradientConflict",
    "GradientConflictDisplay",
    "LearningCurveDisplay",
    "LossWeightsDisplay",
    "StageScoresDisplay",
    "TaskAffinityDisplay",
    "TaskGrouping",
    "TaskRelationDisplay",
    "TransferGain",
    "TransferGainDisplay",
    "gradient_conflict",
    "task_affinity",
    "task_importances",
    "transfer_gain",
]
