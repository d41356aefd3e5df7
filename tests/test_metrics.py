"""Scorers and the table of scores: against scikit-learn's metrics, with gaps, in its tools."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.metrics import multitask_scorer, score_table, task_scorer
from skmtl.tasks import ClassificationTask, RegressionTask

QUICK = {"n_members": 1, "max_iter": 20, "hidden_layer_sizes": (8,), "random_state": 0}
TASKS = ["colour", "sick", "cost"]
METRICS = ["accuracy", "f1_macro", "log_loss", "roc_auc", "r2", "mae", "rmse"]
undefined = pytest.warns(UndefinedMetricWarning)


class Prophet(BaseEstimator):
    """Says of row i what a table and probabilities say, and counts how often it is asked."""

    def __init__(self, table, proba):
        self.table, self.proba = table, proba
        self.tasks_ = {}
        for name in table:
            labels, one = table[name].to_numpy(), np.ones(len(table))
            task, classes = RegressionTask(), None
            if name in proba:
                classes = proba[name].columns.to_numpy()
                task = ClassificationTask()
            self.tasks_[name] = task.prepare(labels, one, name=name, classes=classes)
        self.asked = []

    def predict(self, X):
        self.asked.append("predict")
        return self.table.iloc[np.ravel(X)]

    def predict_proba(self, X):
        self.asked.append("predict_proba")
        return {name: p.to_numpy()[np.ravel(X)] for name, p in self.proba.items()}

    def fit(self, X, y):
        return self


def prophesy(n, rng, classes=("blue", "green", "red")):
    """Rows, a prophet of three tasks, and a table of labels without gaps."""
    logits = {"colour": rng.normal(size=(n, len(classes))), "sick": rng.normal(size=(n, 2))}
    proba = {k: np.exp(v) / np.exp(v).sum(1, keepdims=True) for k, v in logits.items()}
    names = {"colour": np.array(classes), "sick": np.array([False, True])}
    proba = {k: pd.DataFrame(p.round(2), columns=names[k]) for k, p in proba.items()}  # with ties
    proba = {k: p.div(p.sum(axis=1), axis=0) for k, p in proba.items()}
    table = {k: names[k][p.to_numpy().argmax(1)] for k, p in proba.items()}
    table["cost"] = rng.normal(size=n)
    truth = {k: rng.permutation(v) for k, v in table.items()}
    return np.arange(n)[:, None], Prophet(pd.DataFrame(table), proba), pd.DataFrame(truth)


@pytest.fixture
def fitted(mixed):
    X, Y = mixed
    return MultiTaskClassifierRegressor(**QUICK).fit(X, Y), X, Y


def labelled(X, Y, task):
    there = Y[task].notna().to_numpy()
    y = Y.loc[there, task]
    return X[there], y.astype(bool) if task == "sick" else y


# against scikit-learn's metrics


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", get_scorer_names())
def test_every_scorer_of_sklearn_gives_what_it_gives_on_the_labelled_rows(fitted, name):
    est, X, Y = fitted
    for task in TASKS:
        score = task_scorer(task, name)(est, X, Y)
        try:
            expected = get_scorer(name)(est.for_task(task), *labelled(X, Y, task))
        except (ValueError, TypeError, AttributeError):  # not a metric of this kind
            expected = np.nan
        assert score == pytest.approx(expected, nan_ok=True)
    assert np.isfinite([task_scorer(task, name)(est, X, Y) for task in TASKS]).any() or (
        name.endswith("_samples")  # of multilabel targets
    )


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"])
def test_label_weights_reach_the_metric(fitted, name):
    est, X, Y = fitted
    weight = np.random.default_rng(0).integers(3, size=Y.shape)
    X_there, y = labelled(X, Y, "colour")
    w = weight[Y["colour"].notna().to_numpy(), 0]
    expected = get_scorer(name)(est.for_task("colour"), X_there, y, sample_weight=w)
    assert task_scorer("colour", name)(est, X, Y, weight) == pytest.approx(expected)
    for given_as in (pd.DataFrame(weight, columns=TASKS), weight[:, [0, 0, 0]]):
        assert task_scorer("colour", name)(est, X, Y, sample_weight=given_as) == pytest.approx(
            expected
        )


def test_a_label_of_weight_zero_is_a_missing_label(fitted):
    est, X, Y = fitted
    weight = (np.arange(60) % 3 > 0).astype(float)
    scorer = multitask_scorer({"colour": "neg_log_loss", "cost": "neg_mean_absolute_error"})
    gone = Y.mask(np.broadcast_to(weight[:, None] == 0, Y.shape))
    assert scorer(est, X, Y, sample_weight=weight) == pytest.approx(scorer(est, X, gone))
    assert_frame_equal(score_table(est, X, Y, weight), score_table(est, X, gone))


def sklearns_table(prophet, X, Y, weight):
    rows = {}
    for t, name in enumerate(Y):
        there = Y[name].notna().to_numpy() & (weight[:, t] > 0)
        y, w = Y.loc[there, name], weight[there, t]
        row = {"n_labels": there.sum()}
        said = prophet.predict(X)[name][there]
        if name in prophet.proba and len(y):
            classes = prophet.proba[name].columns.to_numpy()
            y = y.astype(classes.dtype).to_numpy()
            proba = prophet.predict_proba(X)[name][there]
            row["accuracy"] = accuracy_score(y, said, sample_weight=w)
            row["f1_macro"] = f1_score(y, said, average="macro", sample_weight=w)
            row["log_loss"] = log_loss(y, proba, labels=classes, sample_weight=w)
            aucs = [
                roc_auc_score(y == c, p, sample_weight=w)
                for c, p in zip(classes, proba.T, strict=True)
                if 0 < (y == c).sum() < len(y)
            ]
            row["roc_auc"] = np.mean(aucs) if aucs else np.nan
        elif len(y):
            y = y.astype(float)
            row["r2"] = r2_score(y, said, sample_weight=w) if len(y) > 1 else np.nan
            row["mae"] = mean_absolute_error(y, said, sample_weight=w)
            row["rmse"] = root_mean_squared_error(y, said, sample_weight=w)
        rows[name] = row
    return pd.DataFrame(rows).reindex(["n_labels", *METRICS]).T


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), data=st.data())
def test_the_table_holds_sklearns_metrics_of_the_labelled_rows(seed, n, data):
    X, prophet, Y = prophesy(n, np.random.default_rng(seed))
    gaps = data.draw(hnp.arrays(bool, (n, 3)))
    weight = data.draw(hnp.arrays(float, (n, 3), elements=st.integers(0, 3)))
    Y = Y.astype(object).mask(gaps)
    table = score_table(prophet, X, Y, sample_weight=weight)
    assert table["kind"].tolist() == ["classification", "classification", "regression"]
    expected = sklearns_table(prophet, X, Y, weight)
    assert_allclose(table.drop(columns="kind").astype(float), expected.astype(float))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_area_under_the_curve_is_sklearns_one_versus_rest(seed):
    X, prophet, Y = prophesy(50, np.random.default_rng(seed))
    table = score_table(prophet, X, Y)
    for task in ("colour", "sick"):
        proba = prophet.predict_proba(X)[task]
        of = proba if task == "colour" else proba[:, 1]
        expected = roc_auc_score(Y[task], of, multi_class="ovr")
        assert table.loc[task, "roc_auc"] == pytest.approx(expected)


def test_certain_and_wrong_costs_what_it_costs_in_sklearn():
    table = pd.DataFrame({"sick": [True, False, True]})
    for dtype in (float, np.float32):
        proba = pd.DataFrame([[0, 1], [1, 0], [0, 1]], columns=[False, True]).astype(dtype)
        prophet, y = Prophet(table, {"sick": proba}), ~table
        expected = log_loss(y["sick"], proba.to_numpy())
        found = score_table(prophet, np.arange(3), y).loc["sick", "log_loss"]
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", range(2, 20))
def test_the_r2_of_a_constant_is_one_or_zero_and_one_row_has_none(n):
    table, X, weight = pd.DataFrame({"cost": np.full(n, 0.1)}), np.arange(n), np.full(n, 0.7)
    prophet = Prophet(table, {})
    assert score_table(prophet, X, table, weight).loc["cost", "r2"] == 1
    assert score_table(prophet, X, table + 0.2, weight).loc["cost", "r2"] == 0
    assert np.isnan(score_table(prophet, X[:1], table[:1]).loc["cost", "r2"])


def test_the_default_scorer_is_what_score_says(fitted):
    est, X, Y = fitted
    scores = multitask_scorer()(est, X, Y)
    assert list(scores) == [*TASKS, "mean"]
    assert scores["mean"] == pytest.approx(est.score(X, Y))
    table = score_table(est, X, Y)
    assert [scores[t] for t in TASKS] == pytest.approx(
        [table.loc["colour", "accuracy"], table.loc["sick", "accuracy"], table.loc["cost", "r2"]]
    )


# forms of y


def forms_of_y():
    rng = np.random.default_rng(0)
    n = 40
    a, b, real = rng.integers(3, size=n), rng.integers(2, size=n), rng.normal(size=n)
    gap = rng.permutation(n) < 6
    words = np.array(["x", "y", "z"])[a]
    frames = {
        "strings": pd.Series(words).mask(gap),
        "categories": pd.Series(words).mask(gap).astype("category"),
        "objects": pd.Series(words.astype(object)).mask(gap, None),
        "booleans": pd.Series(b == 1).astype("boolean").mask(gap),
        "bools and None": pd.Series(b == 1).astype(object).mask(gap, None),
        "integers": pd.Series(a).astype("Int64").mask(gap),
        "floats": pd.Series(a).astype(float).mask(gap),
    }
    for name, column in frames.items():
        yield f"frame of {name}", pd.DataFrame({"a": column, 7: real}), {"a": column, 7: real}
    mixed = np.column_stack([words.astype(object), real.astype(object)])
    mixed[gap, 0] = None
    yield "object array", mixed, {"y0": mixed[:, 0], "y1": real}
    two = np.column_stack([a, b]).astype(float)
    two[gap, 1] = np.nan
    yield "float array", two, {"y0": a, "y1": two[:, 1]}
    yield "integer array", np.column_stack([a, b]), {"y0": a, "y1": b}
    yield "strings array", np.column_stack([words, words[::-1]]), {"y0": words, "y1": words[::-1]}
    yield "vector", words, {"y": words}
    yield "series", pd.Series(b == 1, name="b"), {"b": b == 1}
    yield "list of lists", two.tolist(), {"y0": a, "y1": two[:, 1]}


@pytest.mark.parametrize(("y", "columns"), [pytest.param(*f[1:], id=f[0]) for f in forms_of_y()])
def test_every_form_of_y_is_scored_on_its_labelled_rows(y, columns):
    X = np.random.default_rng(1).normal(size=(40, 3))
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, y)
    metrics = {
        name: "neg_log_loss" if task.kind == "classification" else "neg_mean_absolute_error"
        for name, task in est.tasks_.items()
    }
    scores, table = multitask_scorer(metrics)(est, X, y), score_table(est, X, y)
    assert list(scores) == [*map(str, columns), "mean"]
    assert table.index.tolist() == list(columns)
    for name, column in columns.items():
        there = pd.notna(np.asarray(column, dtype=object))
        view = est.for_task(name)
        truth = pd.Series(np.asarray(column, dtype=object)[there]).infer_objects().to_numpy()
        expected = get_scorer(metrics[name])(view, X[there], truth)
        assert scores[str(name)] == pytest.approx(expected)
        assert table.loc[name, "n_labels"] == there.sum()
        loss = "log_loss" if "log" in metrics[name] else "mae"
        assert table.loc[name, loss] == pytest.approx(-expected)


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("as_frame", [True, False])
def test_pure_estimators_in_every_output_form(pure, as_frame):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    Y = (X[:, :2] + rng.normal(size=(50, 2)) > 0).astype(int)
    Y = pd.DataFrame(Y, columns=["a", "b"]) if as_frame else Y
    est = (MultiTaskClassifier if pure else MultiTaskClassifierRegressor)(**QUICK).fit(X, Y)
    names = list(est.tasks_)
    scores = multitask_scorer(dict.fromkeys(names, "roc_auc"))(est, X, Y)
    for t, name in enumerate(names):
        proba = est.for_task(name).predict_proba(X)[:, 1]
        assert scores[name] == pytest.approx(roc_auc_score(np.asarray(Y)[:, t], proba))


def test_columns_are_matched_by_name(fitted):
    est, X, Y = fitted
    scorer = multitask_scorer()
    assert scorer(est, X, Y[["cost", "colour", "sick"]]) == scorer(est, X, Y)
    with pytest.raises(ValueError, match="columns seen in fit"):
        scorer(est, X, Y.rename(columns={"cost": "price"}))


# one prediction a call


@pytest.mark.parametrize("inside", ["alone", "pipeline", "search"])
def test_the_estimator_predicts_once_whatever_is_asked(inside):
    X, prophet, Y = prophesy(30, np.random.default_rng(0))
    est, asked = prophet, prophet.asked
    if inside == "pipeline":
        est = make_pipeline("passthrough", prophet)
    elif inside == "search":
        est = GridSearchCV(prophet, {})
        est.best_estimator_ = prophet
        est.refit = True
    multitask_scorer({"colour": "neg_log_loss", "sick": "roc_auc"})(est, X, Y)
    assert asked == ["predict", "predict_proba"]
    asked.clear()
    score_table(est, X, Y, n_bootstrap=20, random_state=0)
    assert asked == ["predict", "predict_proba"]
    asked.clear()
    multitask_scorer({"colour": "f1_macro"})(est, X, Y)
    assert asked == ["predict"]


def test_a_scorer_of_ones_own_sees_one_task_and_its_rows(fitted):
    est, X, Y = fitted
    seen = {}

    def own(estimator, X, y):
        seen.update(estimator=estimator, X=X, y=y)
        return estimator.score(X, y)

    score = task_scorer("sick", own)(est, X, Y)
    X_there, y = labelled(X, Y, "sick")
    assert score == pytest.approx(accuracy_score(y, est.for_task("sick").predict(X_there)))
    assert_frame_equal(seen["X"], X_there)
    assert_array_equal(seen["y"], y)
    one = seen["estimator"]
    assert is_classifier(one)
    assert one.classes_.tolist() == [False, True]
    some = X.iloc[[5, 3]]  # other rows are asked for, not guessed
    assert_array_equal(one.predict(some), est.for_task("sick").predict(some))
    assert_array_equal(one.predict_proba(some), est.for_task("sick").predict_proba(some))
    task_scorer("cost", own)(est, X, Y)
    assert is_regressor(seen["estimator"])
    assert_allclose(seen["estimator"].predict(some), est.for_task("cost").predict(some))


# tasks without a score


def test_the_mean_is_over_the_tasks_that_have_a_score():
    X, prophet, Y = prophesy(12, np.random.default_rng(0))
    Y["cost"] = np.nan
    Y.loc[:, "sick"] = True
    expected = accuracy_score(Y["colour"], prophet.predict(X)["colour"])
    with pytest.warns(UndefinedMetricWarning) as warned:
        scores = multitask_scorer()(prophet, X, Y)
    assert scores == pytest.approx(
        {"colour": expected, "sick": np.nan, "cost": np.nan, "mean": expected}, nan_ok=True
    )
    assert [str(w.message) for w in warned] == [
        "Task 'sick' has no score: it has one class only here, True. Task 'cost' has no score: it has "
        "no label here. The mean is over 1 of 3 tasks."
    ]
    assert warned[0].filename == __file__


def test_no_label_at_all_is_no_score_and_no_crash():
    X, prophet, Y = prophesy(12, np.random.default_rng(0))
    Y = Y.astype(object).mask(Y.notna())
    with pytest.warns(UndefinedMetricWarning, match="The mean is over 0 of 3 tasks"):
        scores = multitask_scorer()(prophet, X, Y)
    assert np.isnan(list(scores.values())).all()
    with undefined:
        assert np.isnan(multitask_scorer(single=True)(prophet, X, Y))
    with pytest.warns(
        UndefinedMetricWarning, match="^Task 'sick' has no score: .* no label here.$"
    ):
        assert np.isnan(task_scorer("sick")(prophet, X, Y))
    table = score_table(prophet, X, Y, n_bootstrap=5, random_state=0)  # n_labels says it
    assert table["n_labels"].tolist() == [0, 0, 0]
    assert table.drop(columns=["kind", "n_labels"]).isna().all(axis=None)


def test_labels_that_training_never_saw_are_named():
    X, prophet, Y = prophesy(12, np.random.default_rng(0))
    Y.loc[3, "colour"] = "mauve"
    Y["cost"] = Y["cost"].astype(object)
    Y.loc[4, "cost"] = "dear"
    says = r"'colour' has no score: its labels \['mauve'\] were not among the classes seen in fit"
    with pytest.warns(UndefinedMetricWarning, match=says) as warned:
        scores = multitask_scorer()(prophet, X, Y)
    assert "'cost' has no score: could not convert string to float: 'dear'" in str(
        warned[0].message
    )
    assert np.isnan([scores["colour"], scores["cost"]]).all()
    assert scores["mean"] == scores["sick"]
    with pytest.warns(UndefinedMetricWarning, match=says):
        table = score_table(prophet, X, Y)
    assert table["n_labels"].tolist() == [12, 12, 12]
    assert table[METRICS].notna().sum(axis=1).tolist() == [0, 4, 0]
    numbers = Y.assign(colour=1)  # of a type that does not compare with the classes
    with pytest.warns(UndefinedMetricWarning, match=r"its labels \[1\] were not among"):
        multitask_scorer()(prophet, X, numbers)


def test_a_class_that_no_row_has_takes_no_score_away():
    X, prophet, Y = prophesy(30, np.random.default_rng(0))
    rare = (Y["colour"] == "green").to_numpy()
    X, Y = X[~rare], Y[~rare]
    proba = prophet.predict_proba(X)["colour"]
    classes = ["blue", "green", "red"]
    scorer = multitask_scorer({"colour": "neg_log_loss", "sick": "neg_brier_score"})
    scores = scorer(prophet, X, Y)
    assert scores["colour"] == pytest.approx(-log_loss(Y["colour"], proba, labels=classes))
    brier = task_scorer("colour", "neg_brier_score")(prophet, X, Y)
    assert brier == pytest.approx(-brier_score_loss(Y["colour"], proba, labels=classes))
    # one against the rest needs the one: scikit-learn's scorer has none, the table leaves it out
    with pytest.warns(
        UndefinedMetricWarning, match="'roc_auc_ovr' failed with ValueError: Number of"
    ):
        assert np.isnan(task_scorer("colour", "roc_auc_ovr")(prophet, X, Y))
    blue, red = (
        roc_auc_score(Y["colour"] == c, proba[:, classes.index(c)]) for c in ("blue", "red")
    )
    assert score_table(prophet, X, Y).loc["colour", "roc_auc"] == pytest.approx((blue + red) / 2)


def test_a_metric_that_fails_costs_its_task_only(fitted):
    est, X, Y = fitted

    def broken(estimator, X, y):
        raise ZeroDivisionError("no luck")

    with pytest.warns(
        UndefinedMetricWarning, match="failed with ZeroDivisionError: no luck. The mean"
    ):
        scores = multitask_scorer({"sick": broken})(est, X, Y)
    assert np.isnan(scores["sick"])
    assert scores["mean"] == pytest.approx((scores["colour"] + scores["cost"]) / 2)
    with pytest.warns(
        UndefinedMetricWarning, match="has none of the following attributes: predict_pr"
    ):
        task_scorer("cost", "neg_log_loss")(est, X, Y)
    with pytest.warns(UndefinedMetricWarning, match="<lambda>.* is not defined on its labels here"):
        task_scorer("cost", lambda est, X, y: np.nan)(est, X, Y)


@pytest.mark.parametrize("bad", ["no labels", "one class"])
@pytest.mark.parametrize("task", TASKS)
def test_a_bad_fold_is_nan_for_its_task_and_the_search_goes_on(mixed, task, bad):
    X, Y = mixed
    if bad == "no labels":
        Y.iloc[40:, Y.columns.get_loc(task)] = pd.NA if task == "sick" else np.nan
    elif task != "cost":
        Y.loc[Y.index >= 40, task] = "red" if task == "colour" else True
    search = GridSearchCV(
        MultiTaskClassifierRegressor(**QUICK),
        {"alpha": [1e-4, 100.0], "hidden_layer_sizes": [(), (8,)]},
        scoring=multitask_scorer(),
        refit="mean",
        cv=KFold(3),
    )
    if (task, bad) == ("cost", "one class"):
        search.fit(X, Y)
    else:
        with pytest.warns(UserWarning, match="The mean is over 2 of 3 tasks|non-finite"):
            search.fit(X, Y)
        assert np.isnan(search.cv_results_[f"split2_test_{task}"]).all()
        rest = [search.cv_results_[f"split2_test_{t}"] for t in TASKS if t != task]
        assert_allclose(search.cv_results_["split2_test_mean"], np.mean(rest, axis=0))
    assert np.isfinite(search.cv_results_["mean_test_mean"]).all()
    assert search.best_index_ == search.cv_results_["mean_test_mean"].argmax()
    assert search.best_score_ == search.cv_results_["mean_test_mean"].max()


# the mean


@given(
    weights=st.lists(st.floats(0, 1e3), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-3),
    gone=st.sets(st.sampled_from(TASKS), max_size=2),
)
@settings(max_examples=30, deadline=None)
def test_the_mean_is_weighed_over_the_tasks_that_have_a_score(weights, gone):
    X, prophet, Y = prophesy(20, np.random.default_rng(0))
    for task in gone:
        Y[task] = None
    average = dict(zip(TASKS, weights, strict=True))
    there = {t: w for t, w in average.items() if t not in gone and w > 0}
    scorer = multitask_scorer(average=average)
    if gone:
        with pytest.warns(UndefinedMetricWarning) as warned:
            scores = scorer(prophet, X, Y)
        n_tasks = np.count_nonzero(weights)
        assert f"The mean is over {len(there)} of {n_tasks} tasks." in str(warned[0].message)
    else:
        scores = scorer(prophet, X, Y)
    expected = np.nan
    if there:
        expected = np.average([scores[t] for t in there], weights=list(there.values()))
    assert scores["mean"] == pytest.approx(expected, nan_ok=True)


def test_tasks_that_average_leaves_out_weigh_one(fitted):
    est, X, Y = fitted
    some, all_ = multitask_scorer(average={"cost": 3}), dict.fromkeys(TASKS, 1) | {"cost": 3}
    assert some(est, X, Y) == multitask_scorer(average=all_)(est, X, Y)
    single = multitask_scorer(average={"cost": 3}, single=True)(est, X, Y)
    assert single == some(est, X, Y)["mean"]
    assert type(single) is float


# what is refused


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: multitask_scorer("f1_macro"), TypeError, "metrics must be a dict.*'f1_macro'"),
        (lambda: multitask_scorer({"a": "f1_marco"}), ValueError, r"metrics\['a'\].*'f1_macro'"),
        (
            lambda: multitask_scorer({"a": 3}),
            TypeError,
            r"metrics\['a'\] must be the name.*Found 3",
        ),
        (lambda: multitask_scorer({"a": f1_score}), ValueError, "make_scorer"),
        (lambda: multitask_scorer(average="median"), TypeError, "average must be 'mean' or a dict"),
        (
            lambda: multitask_scorer(average={"a": -1}),
            ValueError,
            r"average\['a'\] must be a float",
        ),
        (lambda: multitask_scorer(single="yes"), ValueError, "single must be one of"),
        (lambda: task_scorer("a", "f1_marco"), ValueError, "metric must be one of.*'f1_macro'"),
    ],
)
def test_a_wrong_parameter_is_refused_at_once(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_what_does_not_fit_the_tasks_is_refused(fitted):
    est, X, Y = fitted
    known = r"Its tasks are \['colour', 'sick', 'cost'\]"
    with pytest.raises(ValueError, match=r"metrics names \['sex'\].*" + known):
        multitask_scorer({"sex": "f1"})(est, X, Y)
    with pytest.raises(ValueError, match=r"average names \['sex'\].*" + known):
        multitask_scorer(average={"sex": 1})(est, X, Y)
    with pytest.raises(ValueError, match=r"task is \['sex'\].*" + known):
        task_scorer("sex")(est, X, Y)
    with pytest.raises(ValueError, match="weight above 0"):
        multitask_scorer(average=dict.fromkeys(TASKS, 0))(est, X, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        multitask_scorer()(est, X, Y[:50])
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        score_table(est, X, Y, np.ones(50))
    with pytest.raises(NotFittedError):
        multitask_scorer()(clone(est), X, Y)
    scaler = StandardScaler().fit(X)
    scaler.predict = scaler.transform  # neither a classifier nor a regressor
    with pytest.raises(TypeError, match=r"Parameter estimator must be a fitted .* Found .*Scaler"):
        score_table(scaler, X, X)


def test_a_search_with_an_unknown_task_says_so(mixed):
    search = GridSearchCV(
        MultiTaskClassifierRegressor(**QUICK),
        {"alpha": [1e-4, 1.0]},
        scoring=multitask_scorer({"sex": "f1"}),
        refit=False,
        cv=KFold(2),
    )
    with pytest.warns(UserWarning, match=r"Its tasks are|non-finite"):
        search.fit(*mixed)
    with pytest.raises(ValueError, match=r"Its tasks are \['colour', 'sick', 'cost'\]"):
        search.set_params(error_score="raise").fit(*mixed)


def test_a_task_may_not_be_called_mean():
    X, prophet, Y = prophesy(10, np.random.default_rng(0))
    prophet = Prophet(prophet.table[["cost"]].rename(columns={"cost": "mean"}), {})
    Y = Y[["cost"]].rename(columns={"cost": "mean"})
    with pytest.raises(ValueError, match=r"No task may be called 'mean'.*Rename the column"):
        multitask_scorer()(prophet, X, Y)
    assert multitask_scorer(single=True)(prophet, X, Y) == task_scorer("mean")(prophet, X, Y)


@pytest.mark.parametrize(
    "bad", [{"n_bootstrap": -1}, {"n_bootstrap": 1.5}, {"confidence": 1}, {"random_state": "x"}]
)
def test_the_table_refuses_what_it_cannot_use(fitted, bad):
    with pytest.raises((ValueError, TypeError), match=f"Parameter {next(iter(bad))} must be"):
        score_table(*fitted, **bad)


# scikit-learn's tools


def test_grid_search_with_refit_of_the_mean(mixed):
    X, Y = mixed
    scorer = multitask_scorer({"colour": "neg_log_loss", "sick": "roc_auc"})
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MultiTaskClassifierRegressor(**QUICK)),
        {"multitaskclassifierregressor__alpha": [1e-4, 10.0]},
        scoring=scorer,
        refit="mean",
        cv=KFold(2),
        n_jobs=2,
        return_train_score=True,
        error_score="raise",
    )
    search = clone(search).fit(X, Y)
    for part in ("test", "train"):
        means = [search.cv_results_[f"mean_{part}_{t}"] for t in TASKS]
        assert_allclose(search.cv_results_[f"mean_{part}_mean"], np.mean(means, axis=0))
    assert search.score(X, Y) == scorer(search.best_estimator_, X, Y)["mean"]
    assert scorer(search, X, Y) == scorer(search.best_estimator_, X, Y)
    assert_frame_equal(score_table(search, X, Y), score_table(search.best_estimator_, X, Y))


def test_cross_validate_gives_every_task_and_the_mean(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    result = cross_validate(
        est, X, Y, cv=KFold(3), scoring=multitask_scorer(), return_train_score=True
    )
    folds = [clone(est).fit(X.iloc[a], Y.iloc[a]) for a, _ in KFold(3).split(X)]
    for part in ("test", "train"):
        for f, (train, test) in enumerate(KFold(3).split(X)):
            rows = {"train": train, "test": test}[part]
            scores = multitask_scorer()(folds[f], X.iloc[rows], Y.iloc[rows])
            assert {t: result[f"{part}_{t}"][f] for t in scores} == pytest.approx(scores)


def test_tools_that_take_a_float_only(mixed):
    X, Y = mixed
    est, cv = MultiTaskClassifierRegressor(**QUICK), KFold(2)
    for scorer in (multitask_scorer(single=True), task_scorer("sick", "f1_macro")):
        scores = cross_val_score(est, X, Y, cv=cv, scoring=scorer, error_score="raise")
        _, train, test = learning_curve(
            est, X, Y, cv=cv, scoring=scorer, train_sizes=[0.7, 1.0], error_score="raise"
        )
        assert_allclose(test[1], scores)
        assert np.isfinite(train).all()
        _, test = validation_curve(
            est, X, Y, param_name="alpha", param_range=[1e-4], cv=cv, scoring=scorer
        )
        assert_allclose(test[0], scores)
        halving = HalvingGridSearchCV(
            est,
            {"alpha": [1e-4, 1e-2, 10.0]},
            scoring=scorer,
            cv=KFold(2),
            min_resources=30,
            factor=2,
            random_state=0,
            error_score="raise",
        ).fit(X, Y)
        assert halving.n_iterations_ == 2
        assert np.isfinite(halving.best_score_)


def test_permutation_importance_of_each_task(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**{**QUICK, "max_iter": 100}).fit(X, Y)
    found = permutation_importance(est, X, Y, scoring=multitask_scorer(), random_state=0)
    assert list(found) == [*TASKS, "mean"]
    assert [found[t].importances_mean.argmax() for t in TASKS] == [0, 1, 2]  # columns a, b, c


def test_scorers_pickle_and_print(fitted):
    est, X, Y = fitted
    for scorer in (
        multitask_scorer({"sick": "f1_macro"}, average={"cost": 2.0}),
        multitask_scorer({"cost": make_scorer(mean_absolute_error)}, single=True),
        task_scorer("sick", "f1_macro"),
    ):
        copy = pickle.loads(pickle.dumps(scorer))
        assert copy(est, X, Y) == scorer(est, X, Y)
        assert repr(copy) == repr(scorer)
    assert repr(task_scorer("sick")) == "task_scorer('sick', metric=None)"


def test_a_task_is_watched_while_training(mixed):
    X, Y = mixed
    est, scorer = MultiTaskClassifierRegressor(**QUICK), task_scorer("cost")
    scores = [scorer(est.partial_fit(X, Y), X, Y) for _ in range(60)]
    assert max(scores) > max(scores[:5]) + 0.1


@pytest.mark.parametrize("request_", [True, False])
def test_weights_are_routed_on_request(mixed, request_):
    X, Y = mixed
    weight = np.random.default_rng(0).integers(3, size=Y.shape).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        est = MultiTaskClassifierRegressor(**QUICK).set_fit_request(sample_weight=True)
        for scorer in (multitask_scorer(single=True), task_scorer("colour")):
            with pytest.raises(
                ValueError, match="not explicitly set as requested or not requested"
            ):
                cross_val_score(est, X, Y, scoring=scorer, params={"sample_weight": weight})
            scorer.set_score_request(sample_weight=request_)
            scorer = pickle.loads(pickle.dumps(scorer))
            search = GridSearchCV(est, {"alpha": [1e-4]}, scoring=scorer, cv=KFold(2))
            search.fit(X, Y, sample_weight=weight)
            for f, (train, test) in enumerate(KFold(2).split(X)):
                fold = clone(est).fit(X.iloc[train], Y.iloc[train], sample_weight=weight[train])
                w = weight[test] if request_ else None
                expected = scorer(fold, X.iloc[test], Y.iloc[test], sample_weight=w)
                assert search.cv_results_[f"split{f}_test_score"][0] == pytest.approx(expected)


def test_scorers_in_a_dict_take_weights_without_routing(mixed):
    X, Y = mixed
    scoring = {task: task_scorer(task) for task in TASKS}
    search = GridSearchCV(
        MultiTaskClassifierRegressor(**QUICK), {}, scoring=scoring, refit=False, cv=KFold(2)
    ).fit(X, Y, sample_weight=np.ones(60))
    assert np.isfinite([search.cv_results_[f"mean_test_{t}"] for t in TASKS]).all()


# estimators of others


def test_estimators_of_sklearn_are_scored_in_the_same_table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    real, classes = X[:, :2] + rng.normal(size=(60, 2)), np.array(["n", "y"])[(X[:, :2] > 0) * 1]
    ridge = make_pipeline(StandardScaler(), Ridge()).fit(X, real)
    gappy = np.where(rng.random((60, 2)) < 0.2, np.nan, real)
    table = score_table(ridge, X, pd.DataFrame(gappy, columns=["u", "v"]))
    for t, name in enumerate("uv"):
        there = ~np.isnan(gappy[:, t])
        expected = r2_score(real[there, t], ridge.predict(X)[there, t])
        assert table.loc[name, "r2"] == pytest.approx(expected)
    logistic = LogisticRegression().fit(X, classes[:, 0])
    proba = logistic.predict_proba(X)
    scores = multitask_scorer({"y": "neg_log_loss"})(logistic, X, classes[:, 0])
    assert scores["mean"] == pytest.approx(-log_loss(classes[:, 0], proba))
    both = MultiOutputClassifier(LogisticRegression()).fit(X, classes)
    assert score_table(both, X, classes).loc["y0", "log_loss"] == pytest.approx(-scores["mean"])
    svm = LinearSVC().fit(X, classes[:, 0])  # has no probabilities
    table = score_table(svm, X, classes[:, 0])
    assert table.loc["y", "accuracy"] == pytest.approx(svm.score(X, classes[:, 0]))
    assert table[["log_loss", "roc_auc"]].isna().all(axis=None)


def test_what_a_meta_estimator_fitted_is_found():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X[:, :2] + rng.normal(size=(60, 2))
    est = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), MultiTaskRegressor(**QUICK)), transformer=StandardScaler()
    ).fit(X, Y)
    table = score_table(est, X, Y)
    assert table.index.tolist() == ["y0", "y1"]
    assert table["r2"].mean() == pytest.approx(r2_score(Y, est.predict(X)))


# intervals


def test_intervals_are_those_of_scipys_bootstrap():
    X, prophet, Y = prophesy(150, np.random.default_rng(0))
    table = score_table(prophet, X, Y, n_bootstrap=4000, confidence=0.9, random_state=0)
    said, proba = prophet.predict(X), prophet.predict_proba(X)
    rows = np.arange(150)
    for task, metric, score in [
        ("colour", "accuracy", lambda i: accuracy_score(Y["colour"][i], said["colour"][i])),
        ("sick", "roc_auc", lambda i: roc_auc_score(Y["sick"][i], proba["sick"][i, 1])),
        ("cost", "r2", lambda i: r2_score(Y["cost"][i], said["cost"][i])),
    ]:
        there = scipy.stats.bootstrap(
            (rows,),
            score,
            n_resamples=700,
            confidence_level=0.9,
            method="percentile",
            vectorized=False,
            random_state=np.random.default_rng(1),  # `rng` in scipy 1.15 and newer
        )
        found = table.loc[task, [f"{metric}_low", f"{metric}_high"]].astype(float)
        near = 0.28 * there.standard_error  # 3.5 times the error of a quantile of 700 draws
        assert_allclose(found, there.confidence_interval, atol=near)
        assert found.iloc[0] < table.loc[task, metric] < found.iloc[1]


def test_intervals_cover_what_they_promise():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        table = pd.DataFrame({"cost": np.zeros(40)})
        y = pd.DataFrame({"cost": rng.uniform(-1, 1, size=40)})  # mean absolute error 1/2
        prophet = Prophet(table, {})
        row = score_table(prophet, np.arange(40), y, n_bootstrap=200, random_state=0).loc["cost"]
        covered.append(row["mae_low"] <= 0.5 <= row["mae_high"])
    assert 0.88 < np.mean(covered) < 0.99


def test_intervals_are_reproducible_and_leave_the_scores_as_they_are(fitted):
    est, X, Y = fitted
    plain = score_table(est, X, Y)
    table = score_table(est, X, Y, n_bootstrap=50, random_state=3)
    assert_frame_equal(table[plain.columns], plain)
    assert list(table.columns[:5]) == [
        "kind",
        "n_labels",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
    ]
    assert_frame_equal(table, score_table(est, X, Y, n_bootstrap=50, random_state=3))
    other = score_table(est, X, Y, n_bootstrap=50, random_state=np.random.default_rng(4))
    assert not other.equals(table)
    narrow = score_table(est, X, Y, n_bootstrap=50, confidence=0.5, random_state=3)
    assert (narrow["mae_high"] - narrow["mae_low"])["cost"] < (
        (table["mae_high"] - table["mae_low"])["cost"]
    )


def test_a_resample_without_a_class_is_left_out_of_its_interval():
    X, prophet, Y = prophesy(12, np.random.default_rng(0))
    Y["sick"] = np.arange(12) == 0  # missing from a third of the resamples
    row = score_table(prophet, X, Y, n_bootstrap=100, random_state=0).loc["sick"]
    assert 0 <= row["roc_auc_low"] <= row["roc_auc_high"] <= 1
    Y.loc[0, "sick"] = False
    row = score_table(prophet, X, Y, n_bootstrap=100, random_state=0).loc["sick"]
    assert np.isnan([row["roc_auc"], row["roc_auc_low"], row["roc_auc_high"]]).all()
    assert np.isfinite(row["accuracy_high"])


def test_resamples_of_many_rows_come_in_chunks(monkeypatch):
    X, prophet, Y = prophesy(60, np.random.default_rng(0))
    whole = score_table(prophet, X, Y, n_bootstrap=50, random_state=0)
    monkeypatch.setattr("skmtl.metrics.table.AT_ONCE", 60 * 7)
    assert_frame_equal(score_table(prophet, X, Y, n_bootstrap=50, random_state=0), whole)
