"""On a GPU, where there is one: the same as on the CPU, for every scheme and way to train."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, SoftSharingEnsemble, sharing
from skmtl._resolve import known_names
from skmtl.consolidation import AGEM, EWC, Replay
from skmtl.inspection import gradient_conflict, transfer_gain
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.tasks import QuantileTask
from skmtl.training import MixedPrecision
from skmtl.trunks import TabularTrunk

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

# of "ltb" a device draws the noise by itself
SCHEMES = sorted(set(known_names(sharing, sharing.Sharing)) - {"related", "ltb"})
WEIGHTINGS = [
    "uw",
    "dwa",
    "famo",
    "gradnorm",
    "upgrad",
    "pcgrad",
    "mgda",
    "imtl_g",
    "minimax_deviation",
]
SETTINGS = {"max_iter": 4, "hidden_layer_sizes": (16, 8), "n_members": 2, "random_state": 0}


def table(n=600):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 6)), columns=list("abcdef")).astype("float32")
    thirds = pd.qcut(X["a"], 3, labels=False)
    Y = pd.DataFrame({"kind": np.array(["x", "y", "z"])[thirds], "cost": 10 * X["c"] - X["d"]})
    Y["flag"] = (X["b"] > 0).astype("boolean")
    Y.iloc[rng.choice(n, 50, replace=False), 1] = np.nan
    return X, Y


def fitted(**changes):
    """The same fit on the CPU, in single precision as well, and on the GPU; and the inputs."""
    X, Y = table()
    kinds = [
        MultiTaskClassifierRegressor(**{**SETTINGS, **changes, "device": d})
        for d in ("cpu", "cuda")
    ]
    return *(est.fit(pd.concat([X, X]), pd.concat([Y, Y])) for est in kinds), X


def alike(cpu, gpu, X, atol=0.01):
    assert next(gpu.module_.parameters()).is_cuda
    here, there = cpu.predict(X), gpu.predict(X)
    assert (here["kind"] == there["kind"]).mean() > 0.98
    assert_allclose(here["cost"], there["cost"], atol=atol * here["cost"].std())


@pytest.mark.parametrize("scheme", [*SCHEMES, sharing.SoftSharing(penalty="l1")], ids=str)
def test_every_scheme_predicts_what_it_does_on_the_cpu(scheme):
    alike(*fitted(sharing=scheme))


def test_so_does_the_trace_norm_but_for_rounding_of_towers_that_start_equal():
    alike(*fitted(sharing=sharing.SoftSharing(penalty="trace_norm")), atol=0.05)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_weighting_predicts_what_it_does_on_the_cpu(weighting):
    alike(*fitted(loss_weights=weighting))


@pytest.mark.parametrize("schedule", ["alternating", "progressive"])
def test_every_schedule_predicts_what_it_does_on_the_cpu(schedule):
    alike(*fitted(schedule=schedule))


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.2}, {"sharing": "ltb"}], ids=str)
def test_what_was_fitted_there_is_pickled(changes):
    _, gpu, X = fitted(**changes)
    loaded = pickle.loads(pickle.dumps(gpu))
    assert_array_equal(loaded.predict(X)["cost"], gpu.predict(X)["cost"])
    X, Y = table()
    goes_on = [est.partial_fit(X, Y).predict(X)["cost"] for est in (gpu, loaded)]
    assert_array_equal(*goes_on)


def test_a_search_is_that_of_scikit_learn():
    X, _ = table()
    est = MultiTaskRegressor(**SETTINGS, device="cuda")
    grid = {"learning_rate_init": [1e-3, 1e-2], "sharing": ["hard", "soft"]}
    searches = [
        kind(est, grid, cv=2).fit(X, X[["a", "b"]]) for kind in (GridSearchCV, BatchedGridSearchCV)
    ]
    assert_allclose(*(s.cv_results_["mean_test_score"] for s in searches), atol=1e-3)


def test_a_task_per_row_predicts_what_it_does_on_the_cpu():
    X, _ = table()
    X["task"] = np.arange(len(X), dtype=np.float32) % 5
    y = X["a"] * (1 + X["task"])
    fits = [
        MultiTaskRegressor(task_column="task", device=d, **SETTINGS).fit(X, y)
        for d in ("cpu", "cuda")
    ]
    assert_allclose(*(est.predict(X) for est in fits), atol=0.01)


def test_tables_drawn_evenly_are_learned_as_on_the_cpu():
    X, _ = table()
    many, few = X[:500], X[500:560]
    tables = {"many": (many, many["a"]), "few": (few, -few["a"])}
    fits = [
        MultiTaskRegressor(device=d, **SETTINGS).fit_tasks(tables, sampling="even")
        for d in ("cpu", "cuda")
    ]
    assert_allclose(*(est.predict(few) for est in fits), atol=0.01)


def test_rows_of_a_dataset_are_learned_as_on_the_cpu():
    X, _ = table()
    x = torch.from_numpy(X.to_numpy())
    rows = torch.utils.data.TensorDataset(x, x[:, :2])
    fits = [MultiTaskRegressor(device=d, **SETTINGS).fit(rows) for d in ("cpu", "cuda")]
    assert_allclose(*(est.predict(x.numpy()) for est in fits), atol=0.01)


def test_counts_are_positive_and_quantiles_ascend():
    X, _ = table()
    rng = np.random.default_rng(1)
    grades = pd.Categorical.from_codes(
        rng.integers(0, 3, len(X)), ["lo", "mid", "hi"], ordered=True
    )
    Y = pd.DataFrame({"count": rng.poisson(2, len(X)), "grade": grades, "q": X["a"]})
    tasks = {"count": "count", "grade": "ordinal", "q": QuantileTask([0.1, 0.5, 0.9])}
    est = MultiTaskClassifierRegressor(tasks=tasks, device="cuda", **SETTINGS).fit(X, Y)
    assert (est.predict(X)["count"] > 0).all()
    assert (np.diff(est.predict_quantiles(X)["q"], axis=1) >= 0).all()


@pytest.mark.parametrize("consolidation", [Replay(), EWC(), AGEM()], ids=["replay", "ewc", "agem"])
def test_a_stream_ends_where_it_does_on_the_cpu(consolidation):
    X, Y = table()
    streams = []
    for device in ("cpu", "cuda"):
        est = MultiTaskClassifierRegressor(
            consolidation=consolidation, device=device, random_state=0
        )
        for i in range(0, len(X), 200):
            part = slice(i, i + 200)
            classes = {"kind": ["x", "y", "z"], "flag": [False, True]}
            est.partial_fit(X[part], Y[part], classes=classes)
        streams.append(est.predict(X)["cost"])
    assert np.corrcoef(*streams)[0, 1] > 0.99


def test_what_was_fitted_there_is_transferred_and_exported():
    X, Y = table()
    source = MultiTaskClassifierRegressor(device="cuda", **SETTINGS).fit(X, Y)
    assert list(source.add_task(X, X["e"]).predict(X)) == ["kind", "cost", "flag", "e"]
    assert np.isfinite(source.adapt(X[:40], X[["f"]][:40]).predict(X)["f"]).all()
    assert np.isfinite(source.transform(X)).all()
    outputs = source.to_torch()(torch.from_numpy(X.to_numpy()))
    assert_allclose(outputs["cost"].numpy(), source.predict(X)["cost"], rtol=1e-3, atol=1e-2)


def test_gains_conflicts_and_relations_are_found_there():
    X, Y = table()
    est = MultiTaskRegressor(device="cuda", **SETTINGS)
    assert np.isfinite(transfer_gain(est, X, X[["a", "b"]], cv=2).delta_m)
    gradient_conflict(est, X, X[["a", "b"]])
    relation = SoftSharingEnsemble(relation="learned", device="cuda", max_iter=5, random_state=0)
    assert_allclose(np.diag(relation.fit(X, Y).task_relation_), 1, atol=1e-6)


@pytest.mark.parametrize("scheme", ["none", "soft", sharing.MMoE(own_trunks=True)], ids=str)
def test_a_trunk_for_each_tower_or_expert_learns(scheme):
    X, Y = table()
    est = MultiTaskClassifierRegressor(
        trunk=TabularTrunk(), sharing=scheme, device="cuda", random_state=0
    )
    assert est.fit(X, Y).score(X, Y) > 0.8


@pytest.mark.parametrize("callbacks", [None, [MixedPrecision()]], ids=["single", "mixed"])
def test_a_trunk_learns_in_single_and_in_mixed_precision(callbacks):
    X, Y = table()
    est = MultiTaskClassifierRegressor(
        trunk=TabularTrunk(), device="cuda", callbacks=callbacks, random_state=0
    )
    assert est.fit(X, Y).score(X, Y) > 0.8
