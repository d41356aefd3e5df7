"""Folds with rows of every task on both sides."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold

from skmtl.model_selection import TaskGroupKFold


def test_folds_have_every_task_on_both_sides():
    task = np.repeat(list("abcde"), [31, 17, 6, 3, 2])
    for shuffle in (False, True):
        cv = TaskGroupKFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
        folds = list(cv.split(np.zeros((59, 1)), groups=task))
        assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(59))
        counts = pd.DataFrame([pd.Series(task[test]).value_counts() for _, test in folds]).fillna(0)
        assert (counts.max() - counts.min() <= 1).all()
        assert max(len(test) for _, test in folds) - min(len(test) for _, test in folds) <= 1
        assert all(set(task[train]) == set("abcde") for train, _ in folds)
    with pytest.warns(UserWarning, match=r"Tasks \['lone'\] have one row"):
        list(TaskGroupKFold(2).split(np.zeros((60, 1)), groups=[*task, "lone"]))
    with pytest.raises(ValueError, match="Found neither"):
        next(TaskGroupKFold(2).split(np.zeros((59, 1))))
    assert KFold(2).get_n_splits() == TaskGroupKFold(2).get_n_splits()
