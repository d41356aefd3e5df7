"""Losses of rankings against the papers' formulas, NDCG against scikit-learn's."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from ranked import mean_ndcg

from skmtl.tasks import RankingTask, TaskLosses

KINDS = ["ranknet", "listnet", "lambdarank"]
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 8, "n_members": 2, "random_state": 0}


def batch(seed=0, n=24, n_queries=5):
    """Scores (n,), grades (n,) with ties, queries (n,) in no order, one of a single row."""
    rng = np.random.default_rng(seed)
    qid = np.concatenate([[n_queries], rng.integers(1, n_queries, size=n - 1)])
    return rng.normal(size=n), rng.integers(0, 4, size=n).astype(float), qid.astype(float)


def losses(loss, scores, grades, qid, weight=None):
    """Mean loss of the rows, and its gradient."""
    s = torch.tensor(scores, requires_grad=True)
    values = torch.from_numpy(np.column_stack([grades, qid])).unsqueeze(0)
    weight = None if weight is None else torch.from_numpy(weight).view(1, -1, 1)
    [[mean]], _ = TaskLosses([RankingTask(loss)])(s.view(1, -1, 1), values, weight)
    mean.backward()
    return float(mean.detach()), s.grad.numpy()


def pairs_of(rows, grades):
    return [(i, j) for i in rows for j in rows if grades[i] > grades[j]]


def ranknet(scores, grades, rows):
    """Burges et al. 2005: C = -o + log(1 + exp(o)), o = s_i - s_j, mean over pairs; and its slope."""
    pairs, loss, slope = pairs_of(rows, grades), 0.0, np.zeros(len(scores))
    for i, j in pairs:
        o = scores[i] - scores[j]
        loss += (-o + np.log1p(np.exp(o))) / len(pairs)
        slope[i] -= 1 / (1 + np.exp(o)) / len(pairs)
        slope[j] += 1 / (1 + np.exp(o)) / len(pairs)
    return loss, slope


def listnet(scores, grades, rows):
    """Cao et al. 2007: -sum_j P_y(j) log P_s(j), P a softmax; its slope is P_s - P_y."""
    p_y, p_s = (np.exp(v[rows]) / np.exp(v[rows]).sum() for v in (grades, scores))
    slope = np.zeros(len(scores))
    slope[rows] = p_s - p_y
    return -(p_y * np.log(p_s)).sum(), slope


def lambdarank(scores, grades, rows):
    """Burges et al. 2006: lambda_ij = |dNDCG_ij| / (1 + exp(s_i - s_j)), by trading places."""
    loss, slope = 0.0, np.zeros(len(scores))

    def ndcg(order):
        gains = grades[order] / np.log2(np.arange(len(order)) + 2)
        return gains.sum() / (np.sort(grades[rows])[::-1] / np.log2(np.arange(len(rows)) + 2)).sum()

    order = sorted(rows, key=lambda i: -scores[i])
    for i, j in pairs_of(rows, grades):
        traded = [{i: j, j: i}.get(r, r) for r in order]
        change = abs(ndcg(order) - ndcg(traded))
        loss += change * np.log1p(np.exp(scores[j] - scores[i]))
        slope[i] -= change / (1 + np.exp(scores[i] - scores[j]))
        slope[j] += change / (1 + np.exp(scores[i] - scores[j]))
    return loss, slope


@pytest.mark.parametrize("loss", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_the_papers(loss, seed):
    scores, grades, qid = batch(seed)
    formula = {"ranknet": ranknet, "listnet": listnet, "lambdarank": lambdarank}[loss]
    expected, slope = 0.0, np.zeros(len(scores))
    for q in np.unique(qid):
        rows = np.flatnonzero(qid == q)
        own, gradient = formula(scores, grades, rows)
        expected += own * len(rows) / len(scores)
        slope += gradient * len(rows) / len(scores)
    found, gradient = losses(loss, scores, grades, qid)
    assert found == pytest.approx(expected)
    assert_allclose(gradient, slope, atol=1e-12)


@pytest.mark.parametrize("loss", KINDS)
def test_rows_of_other_queries_never_change_the_loss_of_a_query(loss):
    task = RankingTask(loss)
    for seed in range(10):
        scores, grades, qid = batch(seed)
        others = qid != 2
        scores2, grades2, qid2 = (v.copy() for v in batch(seed))
        rng = np.random.default_rng(seed)
        scores2[others] = rng.normal(scale=30, size=others.sum())
        grades2[others] = rng.integers(0, 50, size=others.sum())
        qid2[others] = rng.integers(3, 9, size=others.sum())
        of_all, changed = (
            task.sample_loss(torch.from_numpy(s), torch.from_numpy(np.column_stack([g, q])))
            for s, g, q in ((scores, grades, qid), (scores2, grades2, qid2))
        )
        assert_allclose(of_all[~others], changed[~others], rtol=1e-12)
        alone = task.sample_loss(
            torch.from_numpy(scores[~others]),
            torch.from_numpy(np.column_stack([grades, qid])[~others]),
        )
        assert_allclose(of_all[~others], alone, rtol=1e-12)


@pytest.mark.parametrize("loss", ["ranknet", "listnet"])
def test_a_weight_of_two_is_a_repeated_row(loss):
    scores, grades, qid = batch()
    times = np.random.default_rng(1).integers(0, 3, size=len(scores))
    times[qid == 2] += 1
    again = np.repeat(np.arange(len(scores)), times)
    weighed, slope = losses(loss, scores, grades, qid, times.astype(float))
    scaled, _ = losses(loss, scores, grades, qid, 0.01 * times)
    repeated, of_rows = losses(loss, scores[again], grades[again], qid[again])
    assert scaled == pytest.approx(weighed)
    assert_allclose(slope, np.bincount(again, of_rows, minlength=len(scores)), atol=1e-12)
    if loss == "ranknet":
        assert weighed == pytest.approx(repeated)


def test_a_pair_of_lambdarank_counts_the_weights_of_both_its_rows():
    scores, grades, qid = batch()
    weight = np.random.default_rng(2).integers(1, 4, size=len(scores)).astype(float)
    expected = 0.0
    for q in np.unique(qid):
        rows = np.flatnonzero(qid == q)
        order = rows[np.argsort(-scores[rows])]
        place = {row: 1 / np.log2(k + 2) for k, row in enumerate(order)}
        ideal = (np.sort(grades[rows])[::-1] / np.log2(np.arange(len(rows)) + 2)).sum()
        for i, j in pairs_of(rows, grades):
            change = (grades[i] - grades[j]) * abs(place[i] - place[j]) / ideal
            cost = change * np.log1p(np.exp(scores[j] - scores[i]))
            expected += cost * weight[i] * weight[j] / weight[rows].mean() * len(rows)
    found, _ = losses("lambdarank", scores, grades, qid, weight)
    assert found == pytest.approx(expected / weight.sum())


@pytest.mark.parametrize("loss", KINDS)
@pytest.mark.parametrize("weight", [1e-30, 1e30])
def test_extreme_scores_and_weights_are_survived(loss, weight):
    scores, grades, qid = batch()
    weights = np.where(np.arange(len(scores)) % 3, 1.0, weight)
    found, gradient = losses(loss, 1e3 * scores, 100 * grades, qid, weights)
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()


# NDCG


@pytest.mark.parametrize("seed", range(5))
def test_the_score_is_the_mean_of_ndcg_score_over_queries(seed):
    scores, grades, qid = batch(seed)
    scores = scores.round(int(seed > 2))  # with ties
    grades[qid == 1] = 0
    expected = mean_ndcg(scores, grades, qid)
    labels = np.column_stack([grades, qid])
    assert RankingTask().evaluate(labels, scores, None) == pytest.approx(expected)
    values = torch.from_numpy(labels).unsqueeze(0)
    while_training = TaskLosses([RankingTask()]).score(
        torch.from_numpy(scores).view(1, -1, 1), values, None
    )
    assert float(while_training) == pytest.approx(expected)
    values[..., 0] /= 100  # the unit of grades does not matter
    in_hundredths = TaskLosses([RankingTask()]).score(
        torch.from_numpy(scores).view(1, -1, 1), values, None
    )
    assert float(in_hundredths) == pytest.approx(expected)
    assert np.isnan(RankingTask().evaluate(labels[:1], scores[:1], None))


def test_scores_that_are_all_alike_share_the_discounts_of_their_own_query():
    scores, grades, qid = batch(1)
    values = torch.from_numpy(np.column_stack([grades, qid])).unsqueeze(0)
    found = TaskLosses([RankingTask()]).score(torch.zeros(1, len(qid), 1).double(), values, None)
    assert float(found) == pytest.approx(mean_ndcg(0 * scores, grades, qid))


@pytest.mark.parametrize("loss", KINDS)
def test_queries_of_one_number_are_apart_in_other_members_and_tasks(loss):
    rng, losses = np.random.default_rng(0), TaskLosses([RankingTask(loss)] * 3)
    scores = torch.from_numpy(rng.normal(size=(3, 10, 3)))
    grades, codes = rng.integers(0, 4, (3, 10, 3)), rng.integers(1, 3, (3, 10, 3))
    values = torch.from_numpy(np.stack([grades, codes], -1).astype(float)).flatten(2)
    found, ndcg = losses(scores, values, None)[0], losses.score(scores, values, None)
    alone = TaskLosses([RankingTask(loss)])
    for k in range(3):
        for g in range(3):
            own = scores[k : k + 1, :, g : g + 1], values[k : k + 1, :, 2 * g : 2 * g + 2], None
            assert_allclose(found[k, g], alone(*own)[0][0, 0])
            assert_allclose(ndcg[k, g], alone.score(*own)[0, 0])
