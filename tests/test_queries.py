"""Queries are kept whole; tasks that rank learn beside others, in all of scikit-learn's tools."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from networks import Seed
from numpy.testing import assert_allclose, assert_array_equal
from ranked import mean_ndcg, mixed, ragged, searches
from routing import scores_pipelines
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import ndcg_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Generator

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, _parameters
from skmtl.inspection import TaskGrouping, gradient_conflict, transfer_gain
from skmtl.metrics import multitask_scorer, score_table, task_scorer
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.tasks import RankingTask
from skmtl.training import QueryBatches, TrainingData, padded_rows, query_split, with_empty_row

KINDS = ["ranknet", "listnet", "lambdarank"]
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 8, "n_members": 2, "random_state": 0}


# Queries are kept whole


def cut(qid, rows, seeds, counts=None, batch_size=32):
    n = len(qid)
    data = TrainingData(torch.arange(n).float().view(-1, 1), torch.zeros(n, 1), None)
    generators = [Generator().manual_seed(seed) for seed in seeds]
    queries = torch.from_numpy(qid)
    return QueryBatches(
        with_empty_row(data, 1), rows, batch_size, generators, counts, queries=queries
    )


def rows_of(batches, member):
    """Rows of a member in each batch, without those that fill up."""
    found = [(b.x[member, :, 0].int().numpy(), b.weight[member, :, 0].numpy() > 0) for b in batches]
    return [x[there] for x, there in found if there.any()]


def test_no_batch_parts_a_query_and_none_misses_a_row():
    qid = ragged()
    n = len(qid)
    batches = cut(qid, torch.arange(n).expand(3, -1), seeds=[1, 2, 3])
    orders = []
    for _ in range(2):
        epoch = list(batches)
        for member in range(3):
            parts = rows_of(epoch, member)
            assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
            in_batch = [set(qid[rows]) for rows in parts]
            assert sum(map(len, in_batch)) == len(set(qid))
            assert len(parts) == -(-n // 32)
            assert all(32 - 12 < len(rows) < 32 + 12 for rows in parts)
            orders.append(np.concatenate(parts).tolist())
    assert len(set(map(tuple, orders))) == 6


def test_a_query_longer_than_a_batch_is_a_batch():
    qid = np.r_[np.ones(100, int), np.arange(2, 30)]
    batches = cut(qid, torch.arange(len(qid)).expand(2, -1), [0, 1], batch_size=16)
    for parts in (rows_of(list(batches), member) for member in range(2)):
        assert sum(map(len, parts)) == len(qid)
        assert [1 in qid[rows] for rows in parts].count(True) == 1
        assert all(len(rows) < 16 + 100 for rows in parts)


def test_a_member_gets_the_batches_that_it_gets_alone():
    qid = ragged()
    n = len(qid)
    rows = padded_rows(
        [(np.arange(n // 2), np.arange(1)), (np.arange(n), np.arange(1))], torch.arange(n), n
    )
    together = cut(qid, rows.train, [1, 2], rows.counts)
    alone = cut(qid, rows.train[:1, : n // 2], [1])
    ours, theirs = rows_of(together, 0), rows_of(alone, 0)
    assert [part.tolist() for part in ours] == [part.tolist() for part in theirs]
    together.keep(torch.tensor([1]))
    assert len(np.concatenate(rows_of(together, 0))) == n


def test_a_validation_split_parts_no_query_and_has_grades_to_tell_on_both_sides():
    qid = ragged(40)
    rng = np.random.default_rng(0)
    grades = np.zeros(len(qid), int)
    telling = [q for q in range(1, 41) if (qid == q).sum() > 1][:2]  # all other grades are alike
    for q in telling:
        grades[np.flatnonzero(qid == q)[0]] = 1
    other = np.where(rng.random(len(qid)) < 0.3, -1, rng.integers(0, 3, size=len(qid)))
    codes = np.column_stack([grades, other])
    parts = query_split(codes, qid, [True, False], fraction=0.1, seeds=range(8))
    assert len({tuple(valid) for _, valid in parts}) > 1
    for train, valid in parts:
        assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(len(qid)))
        assert not set(qid[train]) & set(qid[valid])
        assert {q in qid[valid] for q in telling} == {True, False}
        assert set(other[train]) == {-1, 0, 1, 2}
        assert 4 <= len(set(qid[valid])) <= 6


def ready(est, X, y, qid):
    lesson = (reading := est._read(torch.from_numpy(X), y, None, qid=qid)).lesson
    return lesson, est._make_ready(reading, est._plan(list(reading.prepared)))


@pytest.mark.parametrize("task", [RankingTask(), "regression"])
def test_a_fit_holds_back_whole_queries_whatever_the_task(task):
    X, y, qid = searches()
    lesson, (_, _, rows) = ready(MultiTaskRegressor(task, **QUICK), X, y, qid)
    queries = np.append(lesson.queries, 0)  # of the empty row
    for train, valid in zip(rows.train, rows.valid, strict=True):
        train, valid = (set(queries[side]) - {0} for side in (train, valid))
        assert len(valid) == 3
        assert not train & valid
        assert len(train | valid) == 30


def test_without_queries_nothing_is_added():
    X, y, _ = searches()
    _, (_, data, rows) = ready(MultiTaskRegressor(**QUICK), X, y, None)
    assert data.weight is None
    assert data.where is None
    assert rows.counts is None
    assert rows.draw is None


# Fits


def test_planted_orders_are_found_where_queries_differ_more_than_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    qid = np.repeat(np.arange(60), 10)
    hidden = np.tanh(X[:, 0]) + X[:, 1]
    y = 40 + 4 * (hidden + 3 * rng.normal(size=60)[qid]).clip(-9, 9)
    place = hidden.reshape(-1, 10).argsort(1).argsort(1).ravel()
    train, test = slice(0, 400), slice(400, None)
    found = {}
    for task in ("regression", *map(RankingTask, ["ranknet", "lambdarank"])):
        est = MultiTaskRegressor(task, n_members=2, random_state=0, max_iter=60)
        est.fit(X[train], y[train], qid=qid[train])
        found[str(task)] = mean_ndcg(est.predict(X[test]), place[test], qid[test])
    plain = found.pop("regression")
    assert all(1 - score < 0.5 * (1 - plain) for score in found.values()), (plain, found)


@pytest.mark.parametrize("loss", KINDS)
def test_it_learns_beside_other_kinds_with_labels_missing(loss):
    X, Y, qid = mixed()
    settings = QUICK | {"max_iter": 30, "learning_rate_init": 0.02, "batch_size": 50}
    est = MultiTaskClassifierRegressor({"rank": RankingTask(loss)}, **settings).fit(X, Y, qid=qid)
    there = Y["rank"].notna().to_numpy()
    expected = mean_ndcg(
        est.predict(X)["rank"].to_numpy()[there], Y["rank"].to_numpy()[there], qid[there]
    )
    assert expected > 0.9
    scores = multitask_scorer()(est, X, Y, qid=qid)
    assert scores["rank"] == pytest.approx(expected)
    assert scores["mean"] == pytest.approx(est.score(X, Y, qid=qid))
    assert task_scorer("rank")(est, X, Y, qid=qid) == scores["rank"]
    assert est.for_task("rank").score(X, Y["rank"], qid=qid) == pytest.approx(expected)
    own = multitask_scorer({"rank": "neg_mean_absolute_error"})(est, X, Y, qid=qid)
    assert own["rank"] < 0
    table = score_table(est, X, Y, qid=qid, n_bootstrap=20, random_state=0)
    assert table.loc["rank", "ndcg"] == pytest.approx(expected)
    assert table.loc["rank", ["kind", "n_labels"]].tolist() == ["ranking", there.sum()]
    assert table.loc["rank", ["r2", "mae"]].isna().all()
    assert table.loc["size", "r2"] > 0.5
    assert "rank" in est._repr_html_()
    twin = pickle.loads(pickle.dumps(est))
    pd.testing.assert_frame_equal(twin.predict(X), est.predict(X))
    twin.partial_fit(X[:40], Y[:40], qid=qid[:40])
    assert twin.score(X, Y, qid=qid) > 0.5


def test_a_missing_grade_is_a_row_left_out():
    X, y, qid = searches()
    y[::4] = np.nan
    est = MultiTaskRegressor(RankingTask(), **QUICK)
    there = ~np.isnan(y)
    all_rows, rest = (
        clone(est).fit(X, y, qid=qid),
        clone(est).fit(X[there], y[there], qid=qid[there]),
    )
    assert_allclose(all_rows.predict(X), rest.predict(X), rtol=1e-9)
    none = clone(est).fit(X, np.nan_to_num(y), sample_weight=there.astype(float), qid=qid)
    assert_allclose(none.predict(X), rest.predict(X), rtol=1e-9)


@pytest.mark.parametrize("loss", ["ranknet", "listnet"])
def test_a_weight_of_two_in_fit_is_a_repeated_row(loss):
    X, y, qid = searches()
    times = np.random.default_rng(0).integers(0, 3, size=len(X))
    again = np.repeat(np.arange(len(X)), times)
    est = MultiTaskRegressor(RankingTask(loss), **QUICK)
    weighed = clone(est).fit(X, y, sample_weight=times, qid=qid)
    repeated = clone(est).fit(X[again], y[again], qid=qid[again])
    assert_allclose(weighed.predict(X), repeated.predict(X), rtol=1e-6)


def test_the_order_of_rows_and_the_names_of_queries_do_not_matter():
    X, y, qid = searches()
    order = np.random.default_rng(0).permutation(len(X))
    est = MultiTaskRegressor(RankingTask("listnet"), **QUICK)
    one = clone(est).fit(X, y, qid=qid)
    other = clone(est).fit(
        X[order], y[order], qid=np.array(list("abcdefghijklmnopqrstuvwxyzABCD"))[qid][order]
    )
    names = clone(est).fit(X, y, qid=np.sort(np.random.default_rng(1).normal(size=30))[qid])
    assert_allclose(names.predict(X), one.predict(X), rtol=1e-9)
    assert mean_ndcg(other.predict(X), y, qid) == pytest.approx(
        mean_ndcg(one.predict(X), y, qid), abs=0.02
    )


def test_a_member_is_the_same_alone_and_in_a_stack():
    rng = np.random.default_rng(0)
    qid = ragged(50)  # so that members have rows of different number
    X = rng.normal(size=(len(qid), 3))
    y = np.digitize(X[:, 0] + rng.normal(size=51)[qid], [-1, 0, 1])
    settings = QUICK | {"batch_size": 40, "n_members": 3}
    est = MultiTaskRegressor(RankingTask(), **settings).fit(X, y, qid=qid)
    counts = ready(MultiTaskRegressor(RankingTask(), **settings), X, y, qid)[1].rows.counts
    assert len(set(counts)) > 1
    seeds = _parameters.draw_seeds(0, 3)
    for seed, member in zip(seeds, est.members_, strict=True):
        own = clone(est).set_params(n_members=1, random_state=Seed(seed)).fit(X, y, qid=qid)
        assert_allclose(member.predict(X), own.predict(X), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss_weights", ["uw", "pcgrad"])
def test_it_goes_with_methods_on_losses_and_on_gradients(loss_weights):
    X, Y, qid = mixed()
    tasks = {"rank": RankingTask()}
    settings = QUICK | {"max_iter": 20, "learning_rate_init": 0.02}
    est = MultiTaskClassifierRegressor(tasks, loss_weights=loss_weights, **settings)
    assert est.fit(X, Y, qid=qid).score(X, Y, qid=qid) > 0.7


def test_transfer_takes_queries():
    X, Y, qid = mixed(gaps=False)
    est = MultiTaskRegressor(**QUICK).fit(X, Y[["size"]])
    adapted = est.adapt(X, Y[["rank"]], tasks="ranking", qid=qid)
    both = est.add_task(X, Y[["rank"]], tasks="ranking", qid=qid)
    assert_allclose(both.predict(X)["size"], est.predict(X)["size"], rtol=1e-6)
    assert adapted.score(X, Y[["rank"]], qid=qid) > 0.8
    more = both.add_task(X, pd.Series(X[:, 2], name="third"))
    assert_allclose(more.predict(X)["rank"], both.predict(X)["rank"], rtol=1e-6)


# scikit-learn's tools


@scores_pipelines
def test_routing_takes_queries_through_pipelines():
    X, Y, qid = mixed()
    est = MultiTaskClassifierRegressor({"rank": RankingTask()}, **QUICK)
    with config_context(enable_metadata_routing=True):
        pipe = make_pipeline(
            StandardScaler(), est.set_fit_request(qid=True).set_score_request(qid=True)
        )
        params = {"qid": qid, "groups": qid}
        cv = GroupKFold(3)
        found = cross_validate(pipe, X, Y, cv=cv, params=params, error_score="raise")["test_score"]
        by_hand = []
        for train, test in cv.split(X, groups=qid):
            own = clone(pipe).fit(X[train], Y.iloc[train], qid=qid[train])
            by_hand.append(own.score(X[test], Y.iloc[test], qid=qid[test]))
        assert_allclose(found, by_hand)


def test_routing_takes_queries_through_searches():
    X, Y, qid = mixed()
    est = MultiTaskClassifierRegressor({"rank": RankingTask()}, **QUICK)
    with config_context(enable_metadata_routing=True):
        est = est.set_fit_request(qid=True)
        scorer = multitask_scorer().set_score_request(qid=True)
        grid = {"learning_rate_init": [1e-3, 1e-2]}
        searches = [
            search(est, grid, cv=GroupKFold(3), scoring=scorer, refit="mean").fit(
                X, Y, qid=qid, groups=qid
            )
            for search in (GridSearchCV, BatchedGridSearchCV)
        ]
        results = [s.cv_results_["mean_test_rank"] for s in searches]
        assert not np.isnan(results[0]).any()
        assert_allclose(*results)


# What is refused


def test_errors_say_what_is_missing():
    X, y, qid = searches(5)
    est = MultiTaskRegressor("ranking", **QUICK)
    with pytest.raises(ValueError, match=r"Task 'y' ranks the rows of a query: pass qid="):
        est.fit(X, y)
    with pytest.raises(ValueError, match=r"qid must have shape \(50,\)"):
        est.fit(X, y, qid=qid[:-1])
    with pytest.raises(ValueError, match=r"every row\. Found 1 missing, the first in row 7"):
        est.fit(X, y, qid=np.where(np.arange(50) == 7, np.nan, qid))
    with pytest.raises(ValueError, match=r"grades >= 0.*Found 50 others"):
        est.fit(X, -1 - y, qid=qid)
    with pytest.raises(ValueError, match="loss must be one of"):
        clone(est).set_params(tasks=RankingTask("hinge")).fit(X, y, qid=qid)
    with pytest.raises(ValueError, match="with qid two queries"):
        clone(est).set_params(early_stopping=True).fit(X, y, qid=np.zeros(50))
    est.fit(X, y, qid=np.zeros(50))  # all rows are one query, if one says so
    assert est.validation_scores_ is None
    with pytest.raises(ValueError, match="pass qid="):
        est.score(X, y)
    with pytest.raises(ValueError, match="pass qid="):
        multitask_scorer()(est, X, y)
    with pytest.raises(ValueError, match="pass qid="):
        clone(est).fit(X, y, sample_task=qid)
    with pytest.raises(ValueError, match="rows that have a task each"):
        clone(est).fit(X, y, sample_task=qid, qid=qid)
    assert est.score(X, y, qid=np.zeros(50)) == pytest.approx(ndcg_score([y], [est.predict(X)]))


def test_gains_groups_and_conflicts_are_found_with_queries():
    X, Y, qid = mixed()
    est = MultiTaskClassifierRegressor({"rank": RankingTask()}, **QUICK)
    gain = transfer_gain(est, X, Y, qid=qid, cv=3)
    folds = list(GroupKFold(3, shuffle=True, random_state=0).split(X, Y, qid))
    for names, kind in ((list(Y), "multi"), (["rank"], "single"), (["size"], "single")):
        own = clone(est).set_params(tasks={"rank": RankingTask()} if "rank" in names else "infer")
        for fold, (train, test) in enumerate(folds):
            own.fit(X[train], Y[names].iloc[train], qid=qid[train])
            scores = multitask_scorer()(own, X[test], Y[names].iloc[test], qid=qid[test])
            for name in names:
                assert gain.scores.loc[fold, (name, kind)] == pytest.approx(scores[name], abs=1e-9)
    piped = make_pipeline(StandardScaler(), est)
    assert transfer_gain(piped, X, Y, qid=qid, cv=2).table["gain"].notna().all()
    with pytest.raises(ValueError, match="pass qid="):
        transfer_gain(est, X, Y, cv=2)
    assert gradient_conflict(est, X, Y, qid=qid).cosines.notna().all(axis=None)
    groups = TaskGrouping(piped, n_groups=2).fit(X, Y, qid=qid)
    each = [
        fitted[-1].score(fitted[:-1].transform(X), Y[names], qid=qid) * len(names)
        for names, fitted in zip(groups.groups_, groups.estimators_, strict=True)
    ]
    assert groups.score(X, Y, qid=qid) == pytest.approx(sum(each) / 3)
    with config_context(enable_metadata_routing=True):
        asked = est.set_fit_request(qid=True).set_score_request(qid=True)
        again = TaskGrouping(make_pipeline(StandardScaler(), asked), n_groups=2)
        again.set_fit_request(qid=True).set_score_request(qid=True)
        found = cross_validate(again, X, Y, cv=GroupKFold(2), params={"groups": qid, "qid": qid})
        assert np.isfinite(found["test_score"]).all()
