"""Families: which names a user may write, and members of a user's own."""

import torch

from skmtl import MultiTaskClassifierRegressor, schedules, sharing, tasks
from skmtl._resolve import known_names, resolve
from skmtl.sharing import HardSharing
from skmtl.tasks import RegressionTask, Task


def test_a_family_has_these_names_and_an_object_is_taken_as_a_copy():
    schemes = "cgc cross_stitch dselectk hard low_rank ltb mmoe mtan none ple related soft"
    assert sorted(known_names(sharing, sharing.Sharing)) == schemes.split()
    kinds = "binary classification count heteroscedastic_regression multilabel ordinal quantile"
    assert list(known_names(tasks, Task)) == [*kinds.split(), "ranking", "regression"]
    assert list(known_names(schedules, schedules.Schedule)) == [
        "alternating",
        "joint",
        "progressive",
    ]
    given = HardSharing(linear_skip=False)
    taken = resolve(given, sharing, sharing.Sharing, parameter="sharing")
    assert taken is not given
    assert repr(taken) == repr(given)


def test_a_scheme_of_the_users_own_and_a_task_of_the_users_own(mixed):
    class Straight(HardSharing):
        def __init__(self, linear_skip=False):
            super().__init__(linear_skip)

    class LogCosh(RegressionTask):
        def sample_loss(self, outputs, values):
            return torch.log(torch.cosh(outputs - values))

    X, Y = mixed
    est = MultiTaskClassifierRegressor(
        {"cost": LogCosh()}, sharing=Straight(), n_members=1, max_iter=2, random_state=0
    ).fit(X, Y)
    assert est.module_.network.skip is None
    assert isinstance(est.tasks_["cost"], LogCosh)
