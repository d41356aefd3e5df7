"""Scores of every kind of task side by side, with gaps and weights, against scikit-learn's metrics."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_series_equal
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    d2_tweedie_score,
    f1_score,
    get_scorer,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    ndcg_score,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import make_pipeline

from skmtl import MultiTaskClassifierRegressor
from skmtl.metrics import multitask_scorer, score_table, task_scorer
from skmtl.metrics.frame import ScoreTable
from skmtl.metrics.table import _resamples as resamples
from skmtl.tasks import CountTask, MultilabelTask, RankingTask

N = 60
METRICS = ["accuracy", "f1_macro", "log_loss", "roc_auc", "r2", "mae", "rmse"]
TASKS = ["colour", "sick", "cost", "visits", "tags", "rank"]


@pytest.fixture(scope="module")
def scene():
    """An estimator of six kinds, hardly trained, rows, targets with gaps, label weights, queries."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    days = rng.integers(1, 9, size=N).astype(float)
    Y = pd.DataFrame(
        {
            "colour": np.array(["blue", "green", "red"])[np.digitize(X[:, 0], [-0.5, 0.5])],
            "sick": X[:, 1] + rng.normal(size=N) > 0,
            "cost": X[:, 2] + rng.normal(size=N),
            "visits": rng.poisson(days * np.exp(X[:, 0])).astype(float),
            "days": days,
            "t0": (X[:, 1] + rng.normal(size=N) > -0.5).astype(float),
            "t1": (X[:, 0] > -0.3).astype(float),
            "rank": rng.integers(0, 4, size=N).astype(float),
        }
    )
    tasks = {
        "colour": "classification",
        "sick": "classification",
        "cost": "regression",
        "visits": CountTask("days"),
        "tags": MultilabelTask(["t0", "t1"]),
        "rank": RankingTask(),
    }
    qid = np.arange(N) // 6
    est = MultiTaskClassifierRegressor(
        tasks, n_members=1, max_iter=9, early_stopping=False, learning_rate_init=0.1, random_state=0
    )
    est.fit(X, Y, qid=qid)
    weight = rng.integers(0, 3, size=(N, len(TASKS))).astype(float)
    for t, column in enumerate(["colour", "sick", "cost", "visits", "t0", "rank"]):
        gone = rng.random(N) < 0.2
        Y[column] = Y[column].astype(object).mask(gone) if t < 2 else Y[column].mask(gone)
    return est, X, Y, weight, qid


def rows_of(Y, weight, task):
    """Positions of the rows whose label counts, and its weights."""
    columns = {"tags": ["t0", "t1"]}.get(task, [task])
    there = Y[columns].notna().any(axis=1).to_numpy()
    w = np.ones(N) if weight is None else weight[:, TASKS.index(task)]
    rows = np.flatnonzero(there & (w > 0))
    return rows, w[rows]


@pytest.mark.parametrize("weighted", [True, False])
def test_the_table_of_all_kinds_holds_sklearns_metrics(scene, weighted):
    est, X, Y, weight, qid = scene
    weight = weight if weighted else None
    table = score_table(est, X, Y, weight, qid=qid)
    assert isinstance(table, ScoreTable)
    assert table.index.tolist() == TASKS
    assert table.index.name == "task"
    kinds = ["classification"] * 2 + ["regression"] * 2 + ["multilabel", "ranking"]
    assert table["kind"].tolist() == kinds
    predicted, proba = est.predict(X), est.predict_proba(X)
    expected = pd.DataFrame(np.nan, TASKS, table.columns[1:])
    for task in TASKS:
        rows, w = rows_of(Y, weight, task)
        expected.loc[task, "n_labels"] = len(rows)
        y = Y[task].iloc[rows] if task != "tags" else Y[["t0", "t1"]].iloc[rows].to_numpy()
        if task in ("colour", "sick"):
            y = y.astype(str if task == "colour" else bool).to_numpy()
            said, p = predicted[task].iloc[rows], proba[task][rows]
            of = p if task == "colour" else p[:, 1]
            expected.loc[task, ["accuracy", "f1_macro", "log_loss"]] = [
                accuracy_score(y, said, sample_weight=w),
                f1_score(y, said, sample_weight=w, average="macro"),
                log_loss(y, p, sample_weight=w),
            ]
            classes = est.classes_[task] if task == "colour" else [True]
            aucs = [
                roc_auc_score(y == c, of[:, i] if task == "colour" else of, sample_weight=w)
                for i, c in enumerate(classes)
            ]
            expected.loc[task, "roc_auc"] = np.mean(aucs)
        elif task in ("cost", "visits"):
            if task == "visits":
                days = Y["days"].to_numpy()[rows]
                y, w = y / days, w * days
            said = predicted[task].iloc[rows]
            expected.loc[task, ["r2", "mae", "rmse"]] = [
                r2_score(y, said, sample_weight=w),
                mean_absolute_error(y, said, sample_weight=w),
                root_mean_squared_error(y, said, sample_weight=w),
            ]
        elif task == "tags":
            said, p = predicted[["t0", "t1"]].to_numpy()[rows], proba["tags"][rows]
            right = ((y == said) | np.isnan(y)).all(axis=1)
            expected.loc[task, "accuracy"] = np.average(right, weights=w)
            of_label = []
            for j in range(2):
                has = ~np.isnan(y[:, j])
                own = {"sample_weight": w[has]}
                of_label.append(
                    [
                        f1_score(y[has, j], said[has, j], **own),
                        log_loss(y[has, j], p[has, j], **own),
                        roc_auc_score(y[has, j], p[has, j], **own),
                    ]
                )
            expected.loc[task, ["f1_macro", "log_loss", "roc_auc"]] = np.mean(of_label, axis=0)
        else:
            expected.loc[task, "ndcg"] = ndcg_by_query(y.to_numpy(), predicted[task], qid, rows, w)
    assert_allclose(table.drop(columns="kind").astype(float), expected, rtol=1e-9)


def test_the_table_has_a_column_of_ndcg_only_beside_a_ranking():
    X, y = np.arange(9.0)[:, None], np.arange(9.0) ** 2
    table = score_table(LinearRegression().fit(X, y), X, y)
    assert list(table) == ["kind", "n_labels", *METRICS]


def ndcg_by_query(y, said, qid, rows, w):
    found, counts = [], []
    for q in np.unique(qid[rows]):
        at = np.flatnonzero(qid[rows] == q)
        if len(at) > 1:
            found.append(ndcg_score(y[None, at], said.to_numpy()[rows][None, at]))
            counts.append(w[at].mean())
    return np.average(found, weights=counts)


@pytest.mark.parametrize("weighted", [True, False])
def test_the_scores_of_all_kinds_are_those_of_their_own_metrics(scene, weighted):
    est, X, Y, weight, qid = scene
    weight = weight if weighted else None
    scores = multitask_scorer()(est, X, Y, weight, qid)
    predicted, expected = est.predict(X), {}
    for task in TASKS:
        rows, w = rows_of(Y, weight, task)
        y = Y[task].to_numpy()[rows] if task != "tags" else Y[["t0", "t1"]].to_numpy()[rows]
        columns = ["t0", "t1"] if task == "tags" else task
        said = predicted[columns].iloc[rows].to_numpy()
        if task == "visits":
            days = Y["days"].to_numpy()[rows]
            expected[task] = d2_tweedie_score(y / days, said, sample_weight=w * days, power=1)
        elif task == "tags":
            has = ~np.isnan(y)
            own = np.repeat(w[:, None], 2, axis=1)[has]
            expected[task] = f1_score(y[has], said[has], sample_weight=own)
        elif task == "rank":
            expected[task] = ndcg_by_query(y, predicted[task], qid, rows, w)
        elif task == "cost":
            expected[task] = r2_score(y, said, sample_weight=w)
        else:
            expected[task] = np.average(y == said, weights=w)
    assert scores == pytest.approx({**expected, "mean": np.mean(list(expected.values()))})
    for task in TASKS:
        alone = task_scorer(task)(est, X, Y, weight, qid)
        assert type(alone) is float
        assert alone == scores[task]
    single = multitask_scorer(average={"cost": 2.5, "rank": 0}, single=True)(est, X, Y, weight, qid)
    weights = [2.5 if t == "cost" else float(t != "rank") for t in TASKS]
    assert single == pytest.approx(np.average(list(expected.values()), weights=weights))


def test_metrics_are_taken_by_name_and_of_ones_own(scene):
    est, X, Y, weight, qid = scene
    seen = {}

    def own(one, rows, y, sample_weight=None):
        seen.update(one=one, rows=rows, y=y, w=sample_weight)
        return 0.25

    scorer = multitask_scorer(
        {"cost": "neg_mean_squared_error", "sick": own, "tags": "f1_samples"}, average="mean"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows without a label of their own
        scores = scorer(est, X, Y.assign(t0=Y["t0"].fillna(0)), None, qid)
    rows, _ = rows_of(Y, None, "cost")
    said = est.predict(X)["cost"].iloc[rows]
    assert scores["cost"] == pytest.approx(-mean_squared_error(Y["cost"].iloc[rows], said))
    assert scores["sick"] == 0.25
    rows, _ = rows_of(Y, None, "sick")
    assert_array_equal(seen["rows"], X[rows])
    assert_array_equal(seen["y"], Y["sick"].to_numpy()[rows].astype(bool))
    assert seen["w"] is None
    assert is_classifier(seen["one"])
    assert seen["one"].classes_.tolist() == [False, True]
    assert_array_equal(seen["one"].predict(X[:5]), est.for_task("sick").predict(X[:5]))
    assert_array_equal(seen["one"].predict_proba(X[:5]), est.for_task("sick").predict_proba(X[:5]))
    task_scorer("cost", own)(est, X, Y, weight, qid)
    assert is_regressor(seen["one"])
    assert_array_equal(seen["w"], rows_of(Y, weight, "cost")[1])
    assert not hasattr(seen["one"], "predict_proba")


def test_where_no_label_is_missing_a_metric_of_ones_own_gets_the_table_itself(scene):
    """Not a copy of its rows, which would be as large."""
    est, X, Y, _, qid = scene
    seen = []
    scorer = task_scorer("cost", lambda one, rows, y: seen.append(rows) or 0.0)
    scorer(est, X, Y.assign(cost=Y["cost"].fillna(0.0)), None, qid)
    assert seen[0] is X


def test_a_group_is_shown_to_a_metric_as_indicators(scene):
    est, X, Y, _, qid = scene
    seen = {}

    def own(one, rows, y):
        seen.update(classes=one.classes_, y=y, said=one.predict(rows), p=one.predict_proba(rows))
        seen["some"] = one.predict(rows[:5])  # other rows are asked for
        return 1.0

    task_scorer("tags", own)(est, X, Y, None, qid)
    rows, _ = rows_of(Y, None, "tags")
    assert_array_equal(seen["some"], est.predict(X[:5])[["t0", "t1"]])
    assert_array_equal(seen["y"], Y[["t0", "t1"]].to_numpy()[rows])
    assert np.asarray(seen["classes"]).tolist() == [[0, 1], [0, 1]]
    assert_array_equal(seen["said"], est.predict(X)[["t0", "t1"]].to_numpy()[rows])
    assert_array_equal(seen["p"], est.predict_proba(X)["tags"][rows])


def test_a_group_may_say_what_its_rows_weigh(scene):
    """By `compared`, as counts over an exposure do."""
    est, X, Y, _, qid = scene
    other, tags = copy.copy(est), copy.copy(est.tasks_["tags"])
    tags.compared = lambda labels: (labels, 1.0 + np.arange(len(labels)))
    other.tasks_ = {**est.tasks_, "tags": tags}
    rows, _ = rows_of(Y, None, "tags")
    weight = np.ones((N, len(TASKS)))
    weight[rows, TASKS.index("tags")] += np.arange(len(rows))
    expected = score_table(est, X, Y, weight, qid=qid).loc["tags"]
    assert expected["accuracy"] != score_table(est, X, Y, qid=qid).loc["tags", "accuracy"]
    assert_series_equal(score_table(other, X, Y, qid=qid).loc["tags"], expected)


def test_what_has_no_score_is_said_by_name_once(scene):
    est, X, Y, _, qid = scene
    gone = Y.assign(cost=np.nan, sick=True)
    message = (
        "Task 'sick' has no score: it has one class only here, True. Task 'cost' has no score: it "
        "has no label here. The mean is over 4 of 6 tasks."
    )
    with pytest.warns(UndefinedMetricWarning) as warned:
        multitask_scorer()(est, X, gone, None, qid)
    assert [str(w.message) for w in warned] == [message]
    with pytest.warns(UndefinedMetricWarning, match="'median' is not|failed with") as warned:
        task_scorer("cost", "roc_auc")(est, X, Y, None, qid)
    assert "Task 'cost' has no score: 'roc_auc' failed with" in str(warned[0].message)
    with pytest.raises(ValueError, match="Task 'rank' ranks the rows of a query: pass qid="):
        multitask_scorer()(est, X, Y)


def test_resamples_draw_whole_rows_for_all_tasks(scene):
    """Every resample of one row is that row: scores are those of the row, or none."""
    est, X, Y, _, qid = scene
    there = np.flatnonzero(Y.notna().all(axis=1))[:1]
    one = score_table(est, X[there], Y.iloc[there], n_bootstrap=7, qid=qid[there], random_state=0)
    for task, metric in [("colour", "accuracy"), ("sick", "log_loss"), ("visits", "mae")]:
        ends = one.loc[task, [f"{metric}_low", f"{metric}_high"]].astype(float)
        assert_allclose(ends, one.loc[task, metric])
    assert one.loc["cost", ["r2", "r2_low", "r2_high"]].isna().all()
    whole = score_table(est, X, Y, n_bootstrap=30, confidence=0.5, qid=qid, random_state=1)
    wide = score_table(est, X, Y, n_bootstrap=30, qid=qid, random_state=1)
    names = [c for c in whole.columns if c.endswith("_low")]
    assert [c.removesuffix("_low") for c in names] == METRICS
    for low in names:
        high, metric = low.replace("_low", "_high"), low.removesuffix("_low")
        where = list(whole.columns).index(metric)
        assert list(whole.columns[where : where + 3]) == [metric, low, high]
        has = whole[metric].notna()
        assert (wide.loc[has, low] <= whole.loc[has, low]).all()
        assert (whole.loc[has, low] < whole.loc[has, high]).all()
        assert wide.loc[has, metric].between(wide.loc[has, low], wide.loc[has, high]).all()
        assert (whole.loc[has, high] <= wide.loc[has, high]).all()
        assert whole.loc[~has, [low, high]].isna().all(axis=None)


def test_an_interval_of_a_share_is_the_binomials():
    """One task of labels that are right with probability 0.8: quantiles of a binomial."""
    from scipy.stats import binom

    class Always(ClassifierMixin, BaseEstimator):
        classes_ = np.array([0, 1])

        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.ones(len(X), int)

    y = (np.arange(500) % 5 > 0).astype(int)
    for confidence in (0.9, 0.5):
        row = score_table(
            Always(), np.zeros((500, 1)), y, n_bootstrap=2000, confidence=confidence, random_state=0
        ).loc["y"]
        ends = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], 500, 0.8) / 500
        assert_allclose([row["accuracy_low"], row["accuracy_high"]], ends, atol=0.003)
    weight = np.where(y, 1000.0, 1.0)  # rows that are right weigh more, in resamples too
    row = score_table(Always(), np.zeros((500, 1)), y, weight, n_bootstrap=50, random_state=0)
    assert row.loc["y", "accuracy_low"] > 0.99


# What scorers are asked for


def test_routing_is_asked_for_by_what_was_set():
    scorer = task_scorer("a")
    for request in ({"sample_weight": True}, {"qid": "group"}, {"sample_weight": False}):
        assert scorer.set_score_request(**request) is scorer
    found = scorer.get_metadata_routing().score.requests
    assert found == {"sample_weight": False, "qid": "group"}
    plain = multitask_scorer().get_metadata_routing()
    assert plain.score.requests == {"sample_weight": None, "qid": None}
    assert plain.owner == "multitask_scorer(None, average='mean', single=False)"
    assert scorer._accept_sample_weight()


REFUSED = {
    "no dict": ({"metrics": "f1_macro"}, TypeError, "metrics must be a dict from task to the name"),
    "no scorer": ({"metrics": {"a": "f1_marco"}}, ValueError, "metrics['a'] must be one of"),
    "number": ({"metrics": {"a": 3}}, TypeError, "metrics['a'] must be the name of a scorer or a"),
    "metric": ({"metrics": {"a": f1_score}}, ValueError, "metrics['a'] must be called as scorer(e"),
    "average": (
        {"average": "median"},
        TypeError,
        "average must be 'mean' or a dict from task to w",
    ),
    "negative": (
        {"average": {"a": -1}},
        ValueError,
        "average['a'] must be a float in the range [0, inf)",
    ),
    "single": ({"single": "yes"}, ValueError, "single must be one of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_parameter_is_refused_with_what_was_found(case):
    given, error, message = REFUSED[case]
    with pytest.raises(error) as caught:
        multitask_scorer(**given)
    assert f"Parameter {message}" in str(caught.value)
    [value] = given.values()
    value = value["a"] if isinstance(value, dict) else value
    assert f"Found {value!r}" in str(caught.value)


def test_one_tasks_wrong_metric_is_called_metric():
    with pytest.raises(ValueError, match=r"Parameter metric must be one of .* Found 'f1_marco'"):
        task_scorer("a", "f1_marco")
    with pytest.raises(TypeError, match=r"Parameter metric must be the name .* Found 3"):
        task_scorer("a", 3)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("n_bootstrap", -1), ("n_bootstrap", 1.5), ("confidence", 0), ("confidence", 1.0)],
)
def test_intervals_that_cannot_be_are_refused(scene, parameter, value):
    est, X, Y, _, qid = scene
    with pytest.raises((ValueError, TypeError), match=f"Parameter {parameter} must be .* {value}"):
        score_table(est, X, Y, qid=qid, **{parameter: value})


def test_estimators_of_scikit_learn_are_judged_as_it_judges_them():
    X, y = np.arange(9.0)[:, None], np.arange(9.0) ** 2
    for est, target in [(LinearRegression(), y), (LogisticRegression(), y > 20)]:
        scores = multitask_scorer()(est.fit(X, target), X, target)
        assert scores == pytest.approx(dict.fromkeys(["y", "mean"], est.score(X, target)))


def test_the_r2_of_small_numbers_is_that_of_large_ones():
    X, y = np.arange(9.0)[:, None], np.arange(9.0) ** 2
    line = LinearRegression().fit(X, y)
    small = score_table(LinearRegression().fit(X, 1e-4 * y), X, 1e-4 * y)
    assert small.loc["y", "r2"] == pytest.approx(line.score(X, y))


def test_a_classifier_of_one_column_is_not_scored_on_two():
    X, y = np.arange(9.0)[:, None], np.arange(9) > 4
    with pytest.raises(ValueError, match="y must have one column for each of the tasks"):
        score_table(LogisticRegression().fit(X, y), X, np.column_stack([y, y]))


def test_a_metric_that_is_no_number_is_left_out_of_the_mean(scene):
    est, X, Y, _, qid = scene
    scorer = multitask_scorer({"cost": lambda one, rows, y: np.nan}, average={"rank": 0})
    with pytest.warns(UndefinedMetricWarning, match="is not defined on its labels here.*4 of 5"):
        scores = scorer(est, X, Y, None, qid)
    assert np.isnan(scores["cost"])
    assert scores["mean"] == pytest.approx(np.mean([scores[t] for t in TASKS[:5] if t != "cost"]))


@pytest.mark.parametrize("strange", ["amber", "golden", "violet"])
def test_a_label_never_seen_is_named_wherever_it_sorts(scene, strange):
    """Before, between and behind the classes, which are blue, green and red."""
    est, X, Y, _, qid = scene
    message = rf"'colour' has no score: its labels \['{strange}'\] were not among the classes"
    with pytest.warns(UndefinedMetricWarning, match=message):
        scores = multitask_scorer()(est, X, Y.assign(colour=strange), None, qid)
    assert np.isnan(scores["colour"])


def test_at_most_five_labels_never_seen_are_shown(scene):
    est, X, Y, _, qid = scene
    strange = Y.assign(colour=np.resize(list("ABCDEFG"), N))
    with pytest.warns(UndefinedMetricWarning, match=r"\['A', 'B', 'C', 'D', 'E'\] were not among"):
        multitask_scorer()(est, X, strange, None, qid)


def test_certain_and_wrong_labels_of_a_group_cost_what_they_cost_in_sklearn(scene):
    est, X, Y, _, qid = scene
    truth, wrong = Y[["t0", "t1"]].to_numpy(), copy.copy(est)
    said = np.where(truth == 1, 0.0, 1.0)
    wrong.predict_proba = lambda X: {**est.predict_proba(X), "tags": said}
    expected = [
        log_loss(t[h], p[h]) for t, p in zip(truth.T, said.T, strict=True) for h in [t == t]
    ]
    found = score_table(wrong, X, Y, qid=qid).loc["tags", "log_loss"]
    assert found == pytest.approx(np.mean(expected))


def test_tasks_may_be_called_by_tuples():
    y = pd.DataFrame(np.arange(8.0).reshape(4, 2) ** 2)
    y.columns = pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)
    X = np.arange(4.0)[:, None]
    line = LinearRegression().fit(X, y)
    table = score_table(line, X, y)
    assert table.index.tolist() == [("a", 1), ("b", 2)]
    assert not isinstance(table.index, pd.MultiIndex)


@pytest.mark.parametrize("at_once", [2**22, 20, 1])
def test_resamples_are_as_many_as_asked_for_and_of_as_many_rows(at_once, monkeypatch):
    monkeypatch.setattr("skmtl.metrics.table.AT_ONCE", at_once)
    drawn = list(resamples(6, 5, np.random.default_rng(0)))
    assert [d.shape[1] for d in drawn] == {20: [3, 2], 1: [1] * 5}.get(at_once, [5])
    assert all((d.sum(axis=0) == 6).all() for d in drawn)
    counts = np.hstack(drawn)
    assert len(np.unique(counts, axis=1).T) > 1
    alike = np.concatenate([d.ravel() for d in resamples(1000, 9, np.random.default_rng(0))])
    assert alike.mean() == 1
    assert alike.var() == pytest.approx(1, abs=0.1)  # of Poisson's distribution, nearly


@pytest.mark.parametrize(
    "metric", [max, lambda est, X, y: 0.0, get_scorer("r2")], ids=["builtin", "own", "sklearns"]
)
def test_callables_are_taken_as_they_are(metric):
    assert task_scorer("a", metric).metric is metric


@pytest.mark.parametrize("n_before", [1, 3])
def test_an_estimator_at_the_end_of_a_pipeline_is_found(scene, n_before):
    est, X, Y, weight, qid = scene
    pipe = make_pipeline(*["passthrough"] * n_before, est)
    found = multitask_scorer()(pipe, X, Y, weight, qid)
    assert found == multitask_scorer()(est, X, Y, weight, qid)
    plain = multitask_scorer()(est, X, Y, None, qid)
    assert multitask_scorer()(est, X, Y[Y.columns[::-1]], None, qid) == plain


# The table in a notebook


def test_a_table_of_scores_shows_itself_and_what_is_taken_from_it(scene):
    est, X, Y, _, qid = scene
    table = score_table(est, X, Y, n_bootstrap=5, qid=qid, random_state=0)
    html = table._repr_html_()
    assert "Scores of 6 tasks" in html
    row = table.loc["colour"]
    assert f"{row['accuracy']:.3f}" in html
    assert f"{row['accuracy_low']:.3f} to {row['accuracy_high']:.3f}" in html
    assert "accuracy_low" not in html
    assert f">{int(row['n_labels'])}<" in html
    assert html.count("classification") == 2
    some = table.loc[["cost", "visits"], ["r2", "mae"]].round(2)
    assert isinstance(some, ScoreTable)
    assert "Scores of 2 tasks<" in some._repr_html_()
    assert "labels" not in some._repr_html_()
    assert "<br>" not in some._repr_html_()  # below the name stands the kind, if known
    for other in (
        table[["kind"]],
        table.iloc[:0],
        table.assign(note="x"),
        table.assign(**{"rank": [None] * 6}),
        table[["r2", "r2"]],
        table.rename(columns={"r2": 2}),
    ):
        assert "Scores of" not in other._repr_html_()
    with pd.option_context("display.notebook_repr_html", False):
        assert table._repr_html_() is None
