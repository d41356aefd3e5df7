"""Different rows per task: tables below one another, and how often their tasks are drawn."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, SoftSharingEnsemble
from skmtl.training import SampledBatches, TrainingData

QUICK = {"n_members": 2, "max_iter": 3, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.fixture
def tables():
    """A regression on 200 rows and a classification on 40, of the same three features."""
    rng = np.random.default_rng(0)
    A, B = (pd.DataFrame(rng.normal(size=(n, 3)), columns=list("xyz")) for n in (200, 40))
    return {"cost": (A, 3 * A["x"] + 7), "sick": (B[["z", "x", "y"]], B["y"] > 0)}


def test_it_is_a_fit_on_the_tables_below_one_another(tables):
    (A, cost), (B, sick) = tables.values()
    X = pd.concat([A, B[list("xyz")]], ignore_index=True)
    y = pd.DataFrame(
        {"cost": [*cost, *[np.nan] * 40], "sick": pd.array([*[None] * 200, *sick], dtype="boolean")}
    )
    est = MultiTaskClassifierRegressor(**QUICK).fit_tasks(tables)
    expected = MultiTaskClassifierRegressor(**QUICK).fit(X, y).predict(X)
    assert_frame_equal(est.predict(X), expected)
    assert [task.kind for task in est.tasks_.values()] == ["regression", "classification"]
    assert est.predict(A)["sick"].dtype == "boolean"
    assert est.for_task("sick").score(B[list("xyz")], sick) > 0.5
    arrays = {name: (X[list("xyz")].to_numpy(), y.to_numpy()) for name, (X, y) in tables.items()}
    assert_array_equal(
        MultiTaskClassifierRegressor(**QUICK).fit_tasks(arrays).predict(X.to_numpy()), expected
    )


def test_every_estimator_has_it(tables):
    (A, cost), (B, sick) = tables.values()
    both = {"cost": (A, cost), "late": (B, sick.astype(float))}
    for cls in (MultiTaskRegressor, SoftSharingEnsemble):
        est = cls(tasks="regression", **QUICK).fit_tasks(both, sampling="even")
        assert list(est.predict(A)) == ["cost", "late"]


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.01, 0.01, 0.98]])
def test_an_epoch_has_each_task_by_its_share_and_its_rows_in_rounds(shares):
    tasks = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    data = TrainingData(torch.arange(100.0).unsqueeze(1), torch.zeros(100, 3), None)
    batches = SampledBatches(
        data,
        torch.arange(100, dtype=torch.int32).expand(2, -1),
        7,
        [torch.Generator().manual_seed(seed) for seed in range(2)],
        tasks=tasks,
        shares=torch.tensor(shares, dtype=torch.float64),
    )
    first, second = (torch.cat([b.x for b in batches], 1)[..., 0].long() for _ in range(2))
    assert (first != second).any()
    assert (first[0] != first[1]).any()
    for rows in first:
        assert torch.bincount(tasks[rows], minlength=3).tolist() == [round(100 * s) for s in shares]
        for task in range(3):
            times = torch.bincount(rows[tasks[rows] == task], minlength=100)[tasks == task]
            assert times.max() - times.min() <= 1


def test_temperature_goes_from_proportional_to_even(tables):
    def drawn(sampling):
        est = MultiTaskRegressor("regression", **{**QUICK, "batch_size": 16}, early_stopping=False)
        (A, cost), (B, sick) = tables.values()
        rare = {"cost": (A, cost), "late": (B, sick.astype(float))}
        return est.fit_tasks(rare, sampling=sampling).predict(A).to_numpy()

    assert_array_equal(drawn("proportional"), drawn(1))
    assert_array_equal(drawn("even"), drawn(np.inf))
    assert (drawn("even") != drawn(2.0)).any()
    assert (drawn("even") != drawn(1)).any()


def test_even_draws_serve_the_rare_task():
    rng = np.random.default_rng(0)
    w, X, few = rng.normal(size=(2, 5)), rng.normal(size=(2000, 5)), rng.normal(size=(40, 5))
    tables = {"common": (X, X @ w[0]), "rare": (few, few @ w[1])}
    params = {
        **QUICK,
        "hidden_layer_sizes": (),
        "early_stopping": False,
        "learning_rate_init": 0.01,
    }
    scores = {
        sampling: MultiTaskRegressor(**params)
        .fit_tasks(tables, sampling=sampling)
        .for_task("rare")
        .score(X, X @ w[1])
        for sampling in ("proportional", 2.0, "even")
    }
    assert scores["proportional"] < scores[2.0] < scores["even"]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda t: [], TypeError, "tables must be a dict .* Found 'list'"),
        (lambda t: {}, TypeError, "with a task at least"),
        (lambda t: {**t, "more": t["cost"][0]}, TypeError, "'more': .* Found DataFrame"),
        (lambda t: {**t, "more": (t["cost"][0], [1.0])}, ValueError, "Found 200 and 1"),
        (lambda t: {**t, "more": (t["cost"][0], t["cost"][0])}, ValueError, "y must be one column"),
        (lambda t: {**t, "more": (np.zeros((2, 3)), [1, 2])}, TypeError, "all arrays"),
        (
            lambda t: {**t, "more": (t["cost"][0].rename(columns={"x": "w"}), t["cost"][1])},
            ValueError,
            r"only: \['w', 'x'\]",
        ),
    ],
)
def test_tables_that_do_not_go_together_are_refused(tables, change, error, match):
    with pytest.raises(error, match=match):
        MultiTaskClassifierRegressor(**QUICK).fit_tasks(change(tables))


@pytest.mark.parametrize("sampling", ["evenly", 0.5, None, True])
def test_sampling_is_checked(tables, sampling):
    with pytest.raises((ValueError, TypeError), match="sampling must be 'proportional', 'even' or"):
        MultiTaskClassifierRegressor(**QUICK).fit_tasks(tables, sampling=sampling)


def test_a_task_column_has_no_place_in_it(tables):
    with pytest.raises(ValueError, match="task_column must be None"):
        MultiTaskRegressor(task_column="x", **QUICK).fit_tasks(tables)
