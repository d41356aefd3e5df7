"""Scores of every task, whatever labels are missing: scorers for scikit-learn's tools, and a table.

A fitted estimator, alone or inside pipelines and searches, is asked once for labels and at most once
for probabilities. Each task is then scored on the rows that have its label, by any scorer of
scikit-learn: it is shown to it as an estimator of its own.

>>> from skmtl.metrics import multitask_scorer
>>> multitask_scorer({"sex": "f1_macro", "age": "neg_mean_absolute_error"})
multitask_scorer({'sex': 'f1_macro', 'age': 'neg_mean_absolute_error'}, average='mean', single=False)
"""

from .lifelong import average_accuracy, backward_transfer, forgetting, forward_transfer
from .scorers import multitask_scorer, task_scorer
from .table import score_table

__all__ = [
    "average_accuracy",
    "backward_transfer",
    "forgetting",
    "forward_transfer",
    "multitask_scorer",
    "score_table",
    "task_scorer",
]
