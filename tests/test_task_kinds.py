"""Every kind of task in a fit, beside others in one table, with gaps, in all tools and schemes."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor, sharing
from skmtl import tasks as family
from skmtl._resolve import known_names
from skmtl.inspection import TaskGrouping, transfer_gain
from skmtl.metrics import multitask_scorer, score_table
from skmtl.model_selection import BatchedGridSearchCV, MultiTaskStratifiedKFold, cross_val_predict
from skmtl.tasks import (
    BinaryTask,
    CountTask,
    HeteroscedasticRegressionTask,
    MultilabelTask,
    OrdinalTask,
    QuantileTask,
    RankingTask,
    Task,
)

N = 120
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(N, 3)).clip(-2, 2), columns=list("abc"))  # none is bent inside
NOISY = X["a"] + 0.5 * rng.normal(size=N)
DAYS = rng.integers(1, 9, size=N)
LEVELS = ["low", "mid", "high"]
# kind -> the task and its columns; all of them rest on feature "a"
KINDS = {
    "binary": (BinaryTask(), {"binary": np.where(NOISY > 0.3, "yes", "no")}),
    "tuned": (BinaryTask("tuned", "f1"), {"tuned": NOISY > 0.6}),
    "classification": ("classification", {"classification": np.digitize(NOISY, [-0.5, 0.5])}),
    "count": (CountTask(), {"count": rng.poisson(np.exp(X["a"]))}),
    "exposed": (
        CountTask("days"),
        {"exposed": rng.poisson(DAYS * np.exp(X["a"])), "days": DAYS},
    ),
    "std": (HeteroscedasticRegressionTask(), {"std": 100 + 20 * NOISY}),
    "labels": (
        MultilabelTask(["l0", "l1", "l2"]),
        {f"l{j}": NOISY + rng.normal(size=N) > 0.3 * j for j in range(3)},
    ),
    "ordinal": (
        "infer",
        {
            "ordinal": pd.Categorical.from_codes(
                np.digitize(NOISY, [-0.5, 0.5]), LEVELS, ordered=True
            )
        },
    ),
    "quantile": (QuantileTask([0.9, 0.1]), {"quantile": 5 * NOISY - 3}),
    "regression": ("regression", {"regression": NOISY}),
}
QUICK = {"n_members": 2, "max_iter": 25, "hidden_layer_sizes": (8,), "random_state": 0}
QUICK |= {"learning_rate_init": 0.02}


def table(*kinds, gaps=False):
    """Tasks and target table of some kinds; with gaps, each lacks every sixth label."""
    Y = pd.DataFrame({name: column for k in kinds for name, column in KINDS[k][1].items()})
    if gaps:
        for t, name in enumerate(Y):
            if name != "days":
                Y[name] = Y[name].astype("boolean" if Y[name].dtype == bool else Y[name].dtype)
                Y[name] = Y[name].where(np.arange(N) % 6 != t % 6)
    return {k: KINDS[k][0] for k in kinds if k in KINDS and KINDS[k][0] != "infer"}, Y


def labels_of(Y):
    return Y.drop(columns="days", errors="ignore")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_every_kind_stands_here():
    named = known_names(family, Task)
    there = {named[t] if isinstance(t, str) else type(t) for t, _ in KINDS.values() if t != "infer"}
    assert set(named.values()) == there | {OrdinalTask, RankingTask}  # test_ranking.py has it


def test_it_learns_beside_another_kind_with_labels_missing(kind):
    tasks, Y = table(kind, "regression" if kind != "regression" else "binary", gaps=True)
    est = MultiTaskClassifierRegressor(tasks, **QUICK).fit(X, Y)
    predicted = est.predict(X)
    assert list(predicted) == list(labels_of(Y))
    assert not predicted.isna().to_numpy().any()
    if est.tasks_[kind].kind == "classification":
        assert (predicted.dtypes == labels_of(Y).dtypes).all()
    scores = multitask_scorer()(est, X, Y)
    assert scores[kind] > 0.3
    assert scores["mean"] == pytest.approx(est.score(X, Y))
    span = [c for c in KINDS[kind][1] if c in Y]
    assert est.for_task(kind).score(X, Y[span]) == pytest.approx(scores[kind])
    row = score_table(est, X, Y).loc[kind]
    assert (
        row["n_labels"] == labels_of(Y)[[c for c in span if c != "days"]].notna().any(axis=1).sum()
    )
    assert row.drop(["kind", "n_labels"]).notna().any()
    assert kind in est._repr_html_()


def test_a_pickle_predicts_the_same_and_parts_go_on(kind):
    tasks, Y = table(kind, "regression" if kind != "regression" else "binary", gaps=True)
    est = MultiTaskClassifierRegressor(tasks, **QUICK).fit(X, Y)
    twin = pickle.loads(pickle.dumps(est))
    pd.testing.assert_frame_equal(est.predict(X), twin.predict(X))
    pd.testing.assert_frame_equal(
        est.partial_fit(X, Y).predict(X), twin.partial_fit(X, Y).predict(X)
    )
    est.set_params(warm_start=True, max_iter=2).fit(X, Y)
    assert repr(est.tasks_[kind]) == repr(twin.tasks_[kind])


def test_stacked_searches_find_what_searches_find(kind):
    tasks, Y = table(kind, "regression" if kind != "regression" else "binary", gaps=True)
    est = MultiTaskClassifierRegressor(tasks, **{**QUICK, "max_iter": 4})
    settings = {"param_grid": {"alpha": [0.1, 1]}, "cv": KFold(2), "error_score": "raise"}
    together, alone = BatchedGridSearchCV(est, **settings), GridSearchCV(est, **settings)
    found, expected = (s.fit(X, Y).cv_results_["mean_test_score"] for s in (together, alone))
    assert_allclose(found, expected)


def test_a_weight_of_two_is_a_repeated_row_and_of_zero_a_missing_one(kind):
    tasks, Y = table(kind)
    twice, zero = np.arange(N) % 4 == 0, np.arange(N) % 5 == 1
    weight = np.where(zero, 0.0, np.where(twice, 2.0, 1.0))
    rows = np.repeat(np.arange(N), weight.astype(int))
    est = MultiTaskClassifierRegressor(tasks, **{**QUICK, "max_iter": 5})
    weighted = clone(est).fit(X, Y, sample_weight=weight)._forward(X)[0]
    repeated = clone(est).fit(X.iloc[rows], Y.iloc[rows])._forward(X)[0]
    assert_allclose(weighted, repeated, rtol=1e-6, atol=1e-9)


def test_its_estimator_takes_it_and_the_other_refuses_it(kind):
    tasks, Y = table(kind)
    classifies = kind in ("binary", "tuned", "classification", "labels", "ordinal")
    takes, refuses = MultiTaskRegressor, MultiTaskClassifier
    if classifies:
        takes, refuses = refuses, takes
    short = {**QUICK, "max_iter": 1}
    assert list(takes(tasks, **short).fit(X, Y).tasks_) == [kind]
    with pytest.raises(ValueError, match=rf"Task '{kind}'"):
        refuses(tasks or {kind: OrdinalTask()}, **short).fit(X, Y)


def test_importances_find_the_feature_it_rests_on(kind):
    tasks, Y = table(kind)
    est = MultiTaskClassifierRegressor(tasks, **QUICK).fit(X, Y)
    found = permutation_importance(est, X, Y, scoring=multitask_scorer(), random_state=0)
    assert found[kind].importances_mean.argmax() == 0


@pytest.mark.parametrize("scheme", known_names(sharing, sharing.Sharing))
def test_all_kinds_share_by_every_scheme(scheme):
    tasks, Y = table(*KINDS, gaps=True)
    settings = {**QUICK, "n_members": 1, "max_iter": 4}
    for sizes in ((), (4,)):
        est = MultiTaskClassifierRegressor(
            tasks, sharing=scheme, head_layer_sizes=sizes, **settings
        ).fit(X, Y)
        assert np.isfinite(est.score(X, Y))
    # thresholds do not depend on x, whatever the scheme
    proba = est.predict_proba(X)["ordinal"][:, [1, 2, 0]]  # low, mid, high
    below = proba.cumsum(1)[:, :2]
    assert np.ptp(below[:, 0]) > 0
    assert np.ptp(np.diff(np.log(below / (1 - below)), axis=1)) < 1e-6


@pytest.mark.parametrize("method", ["upgrad", "pcgrad", "famo", "uw", "dwa"])
def test_all_kinds_are_weighed_by_losses_and_by_gradients(method):
    tasks, Y = table(*KINDS, gaps=True)
    est = MultiTaskClassifierRegressor(tasks, loss_weights=method, **QUICK)
    assert est.fit(X, Y).score(X, Y) > 0.4


def test_all_kinds_in_splits_and_predictions_across_them():
    tasks, Y = table(*KINDS, gaps=True)
    cv = MultiTaskStratifiedKFold(2, tasks=tasks)
    est = MultiTaskClassifierRegressor(tasks, **{**QUICK, "max_iter": 2})
    assert list(cross_val_predict(est, X, Y, cv=cv)) == list(labels_of(Y))
    proba = cross_val_predict(est, X, Y, cv=cv, method="predict_proba")
    assert list(proba["labels"]) == ["l0", "l1", "l2"]
    assert {name: p.shape[1] for name, p in proba.items()} == {
        **dict.fromkeys(("binary", "tuned"), 2),
        **dict.fromkeys(("labels", "ordinal", "classification"), 3),
    }


def test_quantiles_and_spreads_are_there_where_a_task_has_them():
    tasks, Y = table("std", "quantile", "regression")
    unfitted = MultiTaskRegressor(tasks, **{**QUICK, "max_iter": 1})
    assert hasattr(unfitted, "predict_std")
    assert not hasattr(MultiTaskRegressor(), "predict_std")
    est = unfitted.fit(X, Y)
    assert {n: q.shape for n, q in est.predict_quantiles(X).items()} == {"quantile": (N, 2)}
    assert {n: s.shape for n, s in est.predict_std(X).items()} == {"std": (N,)}
    assert_allclose(est.for_task("std").predict_std(X), est.predict_std(X)["std"])
    view = est.for_task("quantile")
    assert_allclose(view.predict_quantiles(X), est.predict_quantiles(X)["quantile"])
    assert not hasattr(view, "predict_std")
    assert not hasattr(clone(est).set_params(tasks="infer").fit(X, Y), "predict_quantiles")


def test_parts_may_be_told_the_classes_they_miss():
    tasks, Y = table("ordinal", "labels")
    few = Y[Y["ordinal"] != "mid"].astype({"ordinal": str})
    told = {"ordinal": LEVELS, "labels": ["l0", "l1", "l2"]}
    est = MultiTaskClassifier(tasks | {"ordinal": OrdinalTask(LEVELS)}, **QUICK)
    est.partial_fit(X.loc[few.index], few, classes=told)
    assert est.tasks_["ordinal"].order_.tolist() == LEVELS
    est.partial_fit(X, Y.astype({"ordinal": str}), classes=told)
    with pytest.raises(ValueError, match="are its columns"):
        clone(est).partial_fit(X, Y, classes={"labels": ["l0", "l1"]})
    with pytest.raises(ValueError, match="order must hold all classes"):
        clone(est).partial_fit(X, Y, classes={"ordinal": [*LEVELS, "top"]})


BAD = {
    "CountTask accepts whole numbers >= 0. Found 9 others, such as -1": (CountTask(), [-1, 2] * 9),
    "CountTask accepts whole numbers": (CountTask(), [0.5, 2] * 9),
    "quantiles must be distinct numbers in": (QuantileTask([0.5, 0.5]), [0.5, 2] * 9),
    "quantiles must be distinct": (QuantileTask(0.5), [0.5, 2] * 9),
    r"loss must be one of \['cumulative', 'coral'\]": (OrdinalTask(loss="corn"), [1, 2] * 9),
    "order must be a list of distinct": (OrdinalTask([1, 1]), [1, 2] * 9),
    r"labels \[2\] were not among the classes": (OrdinalTask([1, 3]), [1, 2] * 9),
    "threshold must be a number in": (BinaryTask(1.5), [1, 2] * 9),
    "metric must be one of": (BinaryTask(metric="roc_auc"), [1, 2] * 9),
    "BinaryTask takes two classes": (BinaryTask(), [1, 2, 3] * 6),
    "takes two or more columns": (MultilabelTask(), [1, 0] * 9),
}


@pytest.mark.parametrize("message", BAD)
def test_what_a_kind_cannot_take_is_refused_by_name(message):
    task, y = BAD[message]
    with pytest.raises(ValueError, match=message) as caught:
        MultiTaskClassifierRegressor(task).fit(X[:18], y)
    assert "'y'" in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"t": MultilabelTask(["l0", "no"])}, "reads column 'no', which y has not"),
        (
            {"exposed": CountTask("days"), "no": QuantileTask()},
            "reads column 'no', which y has not",
        ),
        ({"exposed": CountTask("days"), "no": "count"}, r"names \['no'\], which y has not"),
        ({"t": MultilabelTask(["l0"])}, "list of two or more columns"),
        ({"t": "multilabel"}, "must say which columns"),
        ({"t": MultilabelTask(["l0", "l1"]), "l1": "binary"}, r"Found \['l1'\] in several"),
        ({"exposed": CountTask("l0")}, "must be > 0 wherever there is a count"),
        ([CountTask("days")] * 5, "must be a dict from task to object"),
        ({"t": MultilabelTask(["l0", "exposed"])}, "takes 0 and 1, or booleans.*'exposed'"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(tasks, message):
    _, Y = table("labels", "exposed")
    with pytest.raises(ValueError, match=message):
        MultiTaskClassifierRegressor(tasks).fit(X, Y)


def test_a_task_of_several_columns_gains_as_one():
    tasks, Y = table("labels", "exposed", "regression", gaps=True)
    Y = Y[["l1", "days", "regression", "l0", "exposed", "l2"]]
    folds = list(KFold(2).split(X))
    gain = transfer_gain(MultiTaskClassifierRegressor(tasks, **QUICK), X, Y, cv=folds)
    assert gain.table.index.tolist() == ["labels", "regression", "exposed"]
    alone = {"labels": ["l1", "l0", "l2"], "exposed": ["days", "exposed"]}
    for name, columns in alone.items():
        est = MultiTaskClassifierRegressor({name: tasks[name]}, **QUICK)
        for fold, (train, test) in enumerate(folds):
            est.fit(X.iloc[train], Y[columns].iloc[train])
            score = multitask_scorer()(est, X.iloc[test], Y[columns].iloc[test])[name]
            assert gain.scores.loc[fold, (name, "single")] == pytest.approx(score, abs=1e-6)
    with pytest.raises(ValueError, match="two tasks or more"):
        transfer_gain(MultiTaskClassifierRegressor("multilabel"), X, Y[alone["labels"]])
    with pytest.raises(ValueError, match=r"\['l1'\], which y has not. The tasks are \['labels'"):
        transfer_gain(MultiTaskClassifierRegressor(tasks), X, Y, metrics={"l1": "f1"})


def test_tasks_of_several_columns_are_grouped_as_one():
    tasks, Y = table("labels", "exposed", "regression", "count", gaps=True)
    tasks["count"] = CountTask("days")  # which two groups may read
    Y = Y[["l1", "days", "regression", "l0", "count", "exposed", "l2"]]
    est = MultiTaskClassifierRegressor(tasks, **QUICK)
    weight = np.ones((N, 4))
    weight[::3, 1] = 0  # the regression
    groups = TaskGrouping(est, n_groups=3).fit(X, Y, weight)
    names = ["labels", "regression", "count", "exposed"]
    assert list(groups.affinity_) == names
    assert sorted(name for group in groups.groups_ for name in group) == sorted(names)
    predicted = groups.predict(X)
    assert list(predicted) == ["l1", "regression", "l0", "count", "exposed", "l2"]
    scores = []
    for group, fitted in zip(groups.groups_, groups.estimators_, strict=True):
        read = {c for n in group for c in KINDS[n][1]}
        read |= {"days"} if "count" in group else set()
        columns = [c for c in Y if c in read]
        own = clone(est).set_params(tasks={n: tasks[n] for n in group})
        at = [names.index(n) for n in names if n in group]
        own.fit(X, Y[columns], weight[:, at])
        pd.testing.assert_frame_equal(fitted.predict(X), own.predict(X))
        scores += [own.score(X, Y[columns])] * len(group)
    assert groups.score(X, Y) == pytest.approx(np.mean(scores))
    assert list(groups.predict_proba(X)) == ["labels"]
    whole = TaskGrouping(MultiTaskClassifierRegressor(tasks["labels"], **QUICK))
    assert whole.fit(X, Y[["l0", "l1", "l2"]]).groups_ == [["y"]]


def test_all_kinds_go_into_a_torch_module():
    import torch

    tasks, Y = table(*KINDS, gaps=True)
    est = MultiTaskClassifierRegressor(tasks, **QUICK).fit(X, Y)
    found = est.to_torch()(torch.from_numpy(X.to_numpy()))
    predicted, proba = est.predict(X), est.predict_proba(X)
    for name, classes in est.classes_.items():
        assert_allclose(found[f"{name}_proba"], proba[name])
        if name == "labels":
            assert (found[name].numpy() == predicted[classes].to_numpy()).all()
        else:
            assert (classes[found[name].numpy()] == predicted[name].to_numpy()).all()
    for name in ("count", "exposed", "std", "quantile", "regression"):
        assert_allclose(found[name], predicted[name])
    assert_allclose(found["std_std"], est.predict_std(X)["std"])
    assert_allclose(found["quantile_quantiles"], est.predict_quantiles(X)["quantile"])
    _, spread = est.predict(X, return_std=True)
    assert list(spread) == list(predicted)
    assert spread[["l0", "binary"]].isna().all(axis=None)
    assert (spread[["count", "exposed"]] > 0).all(axis=None)
