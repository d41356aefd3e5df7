"""What the tools of inspection find, on problems where the truth is planted."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.inspection import (
    GradientConflictDisplay,
    LearningCurveDisplay,
    TaskAffinityDisplay,
    TaskGrouping,
    TransferGainDisplay,
    gradient_conflict,
    task_affinity,
    task_importances,
    transfer_gain,
)
from skmtl.inspection.gain import corrected_interval
from skmtl.inspection.partition import _best_partition, _worth, best_groups
from skmtl.inspection.probes import AffinityProbe, ConflictProbe
from skmtl.inspection.subsets import for_tasks
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.sharing import HardSharing, RelatedSharing
from skmtl.training.batches import Batch

QUICK = {"n_members": 1, "max_iter": 25, "hidden_layer_sizes": (32,), "random_state": 0}


def two_groups(n=500, seed=0):
    """Two groups of tasks, each on features of its own; classes and numbers, some labels missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    one, other = np.tanh(2 * X[:, 0] * X[:, 1]), np.sin(2 * X[:, 2]) * X[:, 3]
    noise = 0.2 * rng.normal(size=(n, 3))
    Y = pd.DataFrame(
        {
            "a": one + noise[:, 0],
            "b": other + noise[:, 1],
            "a class": np.where(one > 0, "up", "down"),
            "b too": 3 - 2 * other + noise[:, 2],
            "a again": -one,
        }
    )
    Y.loc[::7, "a"] = np.nan
    return X, Y


# Gradients


@pytest.mark.parametrize("sharing", ["hard", "mmoe"])
def test_affinity_separates_the_groups(sharing):
    X, Y = two_groups()
    affinity = task_affinity(MultiTaskClassifierRegressor(**QUICK, sharing=sharing), X, Y, every=2)
    ours = np.array([[i.split()[0] == j.split()[0] for j in Y] for i in Y])
    values = affinity.to_numpy()
    off = ~np.eye(5, dtype=bool)
    assert values[ours & off].min() > 3 * abs(values[~ours]).max()
    assert list(affinity) == list(affinity.index) == list(Y)


def test_gradients_agree_inside_a_group_only():
    X, Y = two_groups()
    conflict = gradient_conflict(MultiTaskClassifierRegressor(**QUICK), X, Y, every=2)
    cosines = conflict.cosines
    assert_allclose(np.diag(cosines), 1, atol=1e-6)
    assert_allclose(cosines, cosines.T, atol=1e-6)
    assert cosines.loc["a", "a class"] > 0.3
    assert cosines.loc["b", "b too"] > 0.3
    assert abs(cosines.loc["a", "b"]) < 0.1
    assert conflict.by_epoch.shape == (25, 10)
    assert "a, b" in conflict.by_epoch
    assert "mean cosines" in repr(conflict)


def test_two_tasks_at_odds_are_opposed_where_training_ends():
    """A single linear unit cannot serve both: where their sum is zero, gradients point apart."""
    X = np.random.default_rng(0).normal(size=(400, 2))
    est = MultiTaskRegressor(activation="identity", sharing=HardSharing(linear_skip=False))
    est.set_params(hidden_layer_sizes=(1,), n_members=1, random_state=0, max_iter=100)
    est.set_params(batch_size=400, learning_rate_init=0.05, early_stopping=False)
    conflict = gradient_conflict(est, X, X, every=1)
    assert conflict.by_epoch.iloc[-1, 0] < -0.95


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_look_does_not_change_the_training(dropout):
    X, Y = two_groups(200)
    est = MultiTaskClassifierRegressor(**QUICK, dropout=dropout)
    plain = clone(est).fit(X, Y)
    for kind in (ConflictProbe, AffinityProbe):
        probed = clone(est).set_params(callbacks=[("probe", kind(1))]).fit(X, Y)
        for p, q in zip(plain.module_.parameters(), probed.module_.parameters(), strict=True):
            assert torch.equal(p, q)


def test_what_is_seen_is_what_is_defined():
    """Both probes against their formulas, on a fitted net and one batch."""
    X, Y = two_groups(200)
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    net, module = est.net_, est.module_.eval()
    values = np.random.default_rng(0).normal(size=(50, 5))
    values[:, np.array(net.criterion_.order) == 2] = 1.0  # a class

    x, values = (torch.from_numpy(a.astype(module.dtype)).unsqueeze(0) for a in (X[:50], values))
    batch = Batch(x, values, None)
    shared, _ = module.network.parameters_by_sharing()

    def losses():
        return net.criterion_(module(x), values, None)[0][0]

    rows = []
    for t in range(5):
        parts = torch.autograd.grad(losses()[t], shared)
        rows.append(torch.cat([g.flatten() for g in parts]))
    rows = torch.stack(rows)
    units = rows / rows.norm(dim=1, keepdim=True)
    assert_allclose(ConflictProbe(1).look(net, batch)[0], units @ units.T, atol=1e-6)
    before, seen = losses().detach(), AffinityProbe(1).look(net, batch)[0].detach()
    expected = net.lr * (rows @ rows.T) / before  # to first order in the step
    assert_allclose(seen, expected, rtol=0.05, atol=2e-4 * float(expected.abs().max()))


def test_gradients_need_shared_parameters():
    X, Y = two_groups(100)
    with pytest.raises(ValueError, match="no parameters that tasks share"):
        task_affinity(MultiTaskClassifierRegressor(**QUICK, sharing="none"), X, Y)
    with pytest.raises(TypeError, match="every must be an int"):
        gradient_conflict(MultiTaskClassifierRegressor(**QUICK), X, Y, every=1.5)


# Groups


def test_grouping_finds_the_groups_and_predicts_by_them():
    X, Y = two_groups()
    est = make_pipeline(StandardScaler(), MultiTaskClassifierRegressor(**QUICK))
    groups = TaskGrouping(est, every=2).fit(X, Y)
    assert groups.groups_ == [["a", "a class", "a again"], ["b", "b too"]]
    predicted = groups.predict(X)
    assert list(predicted) == list(Y)
    for names, fitted in zip(groups.groups_, groups.estimators_, strict=True):
        alone = clone(est).fit(X, Y[names])
        pd.testing.assert_frame_equal(fitted.predict(X), alone.predict(X))
        pd.testing.assert_frame_equal(predicted[names], alone.predict(X))
    assert list(groups.predict_proba(X)) == ["a class"]
    by_task = [
        multitask_scorer()(fitted, X, Y[names])[name]
        for names, fitted in zip(groups.groups_, groups.estimators_, strict=True)
        for name in names
    ]
    assert groups.score(X, Y) == pytest.approx(np.mean(by_task))
    assert groups.n_features_in_ == 6


def test_grouping_of_an_array_gives_an_array():
    X, Y = two_groups()
    Y = Y[["a", "b", "b too", "a again"]].to_numpy()
    weight = np.ones((len(X), 4))
    groups = TaskGrouping(MultiTaskRegressor(**QUICK), n_groups=2).fit(X, Y, weight)
    assert groups.groups_ == [["y0", "y3"], ["y1", "y2"]]
    assert groups.predict(X).shape == (500, 4)
    assert isinstance(groups.predict(X), np.ndarray)
    assert groups.score(X, Y) > 0.3
    assert clone(groups).get_params()["n_groups"] == 2


def partitions(tasks):
    if not tasks:
        yield []
        return
    first, *rest = tasks
    for partition in partitions(rest):
        yield [[first], *partition]
        for i in range(len(partition)):
            yield [*partition[:i], sorted([first, *partition[i]]), *partition[i + 1 :]]


@pytest.mark.parametrize("n_groups", range(1, 7))
def test_the_partition_is_the_best_of_all(n_groups):
    affinity = np.random.default_rng(n_groups).normal(size=(6, 6))
    every = [p for p in partitions(list(range(6))) if len(p) == n_groups]
    best = max(every, key=lambda p: sum(_worth(affinity, group) for group in p))
    assert sorted(best) == sorted(_best_partition(affinity, n_groups))


@pytest.mark.parametrize("n_tasks", [6, 12, 20])
def test_planted_groups_are_found_and_no_structure_is_one_group(n_tasks):
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=(n_tasks, n_tasks))
    block = np.arange(n_tasks) % 2
    planted = noise + 0.7 * (block[:, None] == block)
    np.fill_diagonal(planted, 1)
    assert best_groups(planted, None) == [np.flatnonzero(block == b).tolist() for b in (0, 1)]
    even = noise + 0.7
    np.fill_diagonal(even, 1)
    assert best_groups(even, None) == [list(range(n_tasks))]


def test_the_number_of_groups_is_checked():
    X, Y = two_groups(60)
    est = MultiTaskClassifierRegressor(**QUICK)
    with pytest.raises(ValueError, match="n_groups must be an int in the range"):
        TaskGrouping(est, n_groups=6).fit(X, Y)


# Transfer gain


def test_the_interval_is_that_of_nadeau_and_bengio():
    differences = np.array([0.1, 0.3, 0.2, 0.0, 0.4])
    low, high = corrected_interval(differences, 0.25, 0.9)
    error = np.sqrt((1 / 5 + 0.25) * differences.var(ddof=1))
    assert_allclose([low, high], 0.2 + error * stats.t.ppf([0.05, 0.95], 4))
    assert corrected_interval([np.nan, 0.1], 0.25, 0.9) == (-np.inf, np.inf)


def test_a_task_that_is_helped_is_called_so():
    """Few labels of a task that is, but for noise, another with many."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 6))
    common = np.sin(2 * X[:, 0]) * X[:, 1]
    Y = pd.DataFrame({"rich": common + 0.1 * rng.normal(size=600), "poor": common})
    Y.loc[rng.random(600) > 0.12, "poor"] = np.nan
    est = MultiTaskRegressor(hidden_layer_sizes=(64,), n_members=2, random_state=0)
    gain = transfer_gain(est.set_params(learning_rate_init=0.01), X, Y)
    assert gain.table.loc["poor", "verdict"] == "helps"
    assert gain.table.loc["poor", "low"] > 0
    assert "Δm" in repr(gain)


def test_a_task_that_is_hurt_is_called_so():
    """Three trunk units, wanted by tasks of a hundred times the weight for something else."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    other = np.sin(2 * X[:, 1]) + 0.05 * rng.normal(size=400)
    Y = pd.DataFrame({"one": other, "two": other, "harmed": np.sin(2 * X[:, 0])})
    est = MultiTaskRegressor(hidden_layer_sizes=(3,), n_members=4, random_state=0, batch_size=64)
    est.set_params(
        activation="tanh", sharing=HardSharing(linear_skip=False), loss_weights={"harmed": 0.01}
    )
    gain = transfer_gain(est.set_params(learning_rate_init=0.03, max_iter=100), X, Y)
    assert gain.table.loc["harmed", "verdict"] == "hurts"
    assert set(gain.table.loc[["one", "two"], "verdict"]) == {"undecided"}


def test_a_model_for_some_tasks_leaves_out_what_is_said_of_others():
    est = MultiTaskClassifierRegressor(
        {"b": "regression", "c": "classification"},
        loss_weights=[1.0, 2.0, 3.0],
        sharing=RelatedSharing(relation=np.eye(3)),
        schedule="alternating",
    )
    two = for_tasks(make_pipeline(StandardScaler(), est), ["a", "c"], ["a", "b", "c"])[-1]
    assert two.tasks == {"c": "classification"}
    assert two.loss_weights == [1.0, 3.0]
    assert two.schedule == "alternating"
    one = for_tasks(est.set_params(loss_weights={"b": 2.0}), ["a"], ["a", "b", "c"])
    assert (one.tasks, one.loss_weights, one.schedule) == ("infer", None, "joint")
    assert one.sharing.relation == "learned"
    assert est.loss_weights == {"b": 2.0}


def test_independent_tasks_are_not_called_anything():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 6))
    Y = pd.DataFrame(X @ rng.normal(size=(6, 3)) + rng.normal(size=(300, 3)), columns=list("abc"))
    est = MultiTaskRegressor(hidden_layer_sizes=(64,), n_members=1, random_state=0)
    gain = transfer_gain(est, X, Y)
    assert set(gain.table["verdict"]) == {"undecided"}
    for task in Y:
        difference = gain.scores[task, "multi"] - gain.scores[task, "single"]
        assert gain.table.loc[task, "gain"] == pytest.approx(difference.mean())
    error = 1 - gain.table["single"]
    assert gain.delta_m == pytest.approx((100 * gain.table["gain"] / error).mean())
    by_loss = transfer_gain(est, X, Y, cv=2, metrics=dict.fromkeys(Y, "neg_mean_absolute_error"))
    expected = (-100 * by_loss.table["gain"] / by_loss.table["single"]).mean()
    assert by_loss.delta_m == pytest.approx(expected)


def test_the_gain_is_that_of_models_fitted_one_by_one():
    X, Y = two_groups(120)
    Y = Y[["a", "b"]].assign(sign=np.where(Y["a"] > 0, "up", "down"))
    Y = Y.mask(np.random.default_rng(0).random(Y.shape) < 0.1)
    est = make_pipeline(StandardScaler(), MultiTaskClassifierRegressor(**QUICK))
    folds = list(MultiTaskStratifiedKFold(3).split(X, Y))
    gain = transfer_gain(est, X, Y, cv=folds)
    for names, kind in ((list(Y), "multi"), (["a"], "single"), (["sign"], "single")):
        for fold, (train, test) in enumerate(folds):
            model = clone(est).fit(X[train], Y[names].iloc[train])
            scores = multitask_scorer()(model, X[test], Y[names].iloc[test])
            for name in names:
                assert gain.scores.loc[fold, (name, kind)] == pytest.approx(scores[name], abs=1e-9)


def test_one_task_has_nothing_to_gain():
    X, Y = two_groups(60)
    est = MultiTaskClassifierRegressor(**QUICK)
    with pytest.raises(ValueError, match="two tasks or more"):
        transfer_gain(est, X, Y[["a"]])
    with pytest.raises(ValueError, match="which y has not"):
        transfer_gain(est, X, Y, metrics={"c": "r2"})
    with pytest.raises(ValueError, match="confidence must be"):
        transfer_gain(est, X, Y, confidence=95)


def test_importances_are_those_of_scikit_learn_task_by_task():
    X, Y = two_groups(300)
    X = pd.DataFrame(X, columns=list("uvwxyz"))
    model = make_pipeline(StandardScaler(), MultiTaskClassifierRegressor(**QUICK)).fit(X, Y)
    table = task_importances(model, X, Y, n_repeats=3, random_state=0)
    assert list(table.index) == list(X)
    view = make_pipeline(model[0], model[-1].for_task("a class"))
    alone = permutation_importance(view, X, Y["a class"], n_repeats=3, random_state=0)
    assert_allclose(table["a class", "mean"], alone.importances_mean)
    assert_allclose(table["a class", "std"], alone.importances_std)
    for task in Y:
        strongest = table[task, "mean"].nlargest(2).index
        assert set(strongest) == set("uv" if task[0] == "a" else "wx")


# Displays


def test_displays_draw_what_they_are_given(plt):
    X, Y = two_groups(200)
    est = MultiTaskClassifierRegressor(**{**QUICK, "n_members": 2}).fit(X, Y)
    curves = LearningCurveDisplay.from_estimator(est)
    assert [ax.get_title() for ax in curves.axes_] == list(Y)
    for task, (train, valid) in zip(Y, curves.lines_, strict=True):
        assert_array_equal(train.get_ydata(), est.history_[f"train_loss_{task}"])
        assert_array_equal(valid.get_ydata(), est.history_[f"valid_loss_{task}"])
    assert set(curves.chosen_epochs) == set(est.net_.stopping.best_epochs_)
    with pytest.raises(ValueError, match="must be 5 Axes"):
        curves.plot(curves.axes_[:2])
    heat = TaskAffinityDisplay.from_estimator(est, X, Y)
    assert heat.image_.get_array().shape == (5, 5)
    assert [t.get_text() for t in heat.ax_.get_xticklabels()] == [list(Y)[i] for i in heat.order]
    lines = GradientConflictDisplay.from_estimator(est, X, Y)
    assert len(lines.lines_) == 10
    table = pd.DataFrame(
        {
            "gain": [0.1, -0.2],
            "low": [0.05, -0.5],
            "high": [0.2, 0.1],
            "verdict": ["helps", "undecided"],
        },
        index=["a", "b"],
    )
    gain = TransferGainDisplay(table).plot()
    assert [t.get_text() for t in gain.ax_.get_yticklabels()] == ["a", "b"]
    assert_array_equal([c.lines[0].get_xdata()[0] for c in gain.containers_], [0.1, -0.2])


@pytest.mark.parametrize(("n_tasks", "n_numbers"), [(12, 144), (13, 0)])
def test_a_heat_map_of_many_tasks_shows_no_numbers(plt, n_tasks, n_numbers):
    affinity = pd.DataFrame(np.random.default_rng(0).normal(size=(n_tasks, n_tasks)))
    assert len(TaskAffinityDisplay(affinity).plot().ax_.texts) == n_numbers


def test_without_matplotlib_a_plot_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install skmtl\[plot\]"):
        TaskAffinityDisplay(pd.DataFrame(np.eye(2))).plot()
