"""Split rows, and tasks, so that every task can be learned and judged; predict across the splits.

scikit-learn's stratified splitters look at one column of classes. `MultiTaskStratifiedKFold` and
`MultiTaskStratifiedShuffleSplit` look at all columns at once: classes, bins of numbers, and where
labels are missing. `cross_val_predict` keeps the columns and labels of the table. `LeaveOneTaskOut`
splits tasks; `TaskGroupKFold` splits rows that have one task each. `BatchedGridSearchCV`,
`BatchedRandomizedSearchCV` and `cross_validate` train all candidates and folds together.

>>> import numpy as np
>>> from skmtl.model_selection import MultiTaskStratifiedKFold
>>> y = np.full((12, 2), np.nan)
>>> y[:, 0] = np.arange(12) >= 9  # three of one class,
>>> y[:3, 1] = 0.5, 1.5, 2.5  # and three labels of the other task
>>> for train, test in MultiTaskStratifiedKFold(3).split(y, y):
...     print(test, y[test, 0].sum(), np.isfinite(y[test, 1]).sum())
[0 3 6 9] 1.0 1
[ 1  4  7 10] 1.0 1
[ 2  5  8 11] 1.0 1
"""

from .prediction import cross_val_predict
from .search import BatchedGridSearchCV, BatchedRandomizedSearchCV
from .splits import LeaveOneTaskOut, MultiTaskStratifiedKFold, MultiTaskStratifiedShuffleSplit
from .task_groups import TaskGroupKFold
from .validation import cross_validate

__all__ = [
    "BatchedGridSearchCV",
    "BatchedRandomizedSearchCV",
    "LeaveOneTaskOut",
    "MultiTaskStratifiedKFold",
    "MultiTaskStratifiedShuffleSplit",
    "TaskGroupKFold",
    "cross_val_predict",
    "cross_validate",
]
