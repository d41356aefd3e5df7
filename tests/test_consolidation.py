"""Consolidations: closed forms, bounded memory, member by member, and what None must not change."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from networks import Seed
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from torchjd.aggregation import DualProj

import skmtl.consolidation
from skmtl import (
    MultiTaskClassifierRegressor,
    MultiTaskRegressor,
    SoftSharingEnsemble,
    sharing,
)
from skmtl._resolve import known_names
from skmtl.consolidation import AGEM, EWC, Consolidation, Replay
from skmtl.consolidation.agem import project
from skmtl.metrics import forgetting
from skmtl.tasks import ClassificationTask
from skmtl.training.batches import Batch
from skmtl.training.step import Learner
from skmtl.weighting import FixedWeights, NNLSProjector

EVERY = {
    "replay": Replay(memory_size=20),
    "agem": AGEM(memory_size=20, batch_size=15),
    "ewc": EWC(strength=10.0, stage=1, memory_size=20),
    "ewc by tasks": EWC(strength=10.0, memory_size=20),
}
QUICK = {"hidden_layer_sizes": (6,), "n_members": 2, "batch_size": 16, "random_state": 0}
X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.column_stack([X[:, 0], np.tanh(2 * X[:, 1]), X[:, 2] ** 2])


def chunks():
    """Three chunks: all tasks, then some."""
    yield X, Y
    yield X[:40], np.where([True, False, False], Y[:40], np.nan)
    yield X[20:], np.where([False, True, True], Y[20:], np.nan)


def trained(est, n_chunks=3):
    for part in list(chunks())[:n_chunks]:
        est.partial_fit(*part)
    return est


def parameters(est):
    return [p.detach().numpy() for p in est.module_.parameters()]


def assert_same(one, other):
    for p, q in zip(parameters(one), parameters(other), strict=True):
        assert_array_equal(p, q)


def test_names_are_known_and_read_generously():
    assert list(known_names(skmtl.consolidation, Consolidation)) == [
        "agem",
        "ewc",
        "replay",
    ]
    by_name = trained(MultiTaskRegressor(consolidation="A-GEM", **QUICK))
    assert_same(by_name, trained(MultiTaskRegressor(consolidation=AGEM(), **QUICK)))


# Replay


def test_rows_without_a_label_are_not_remembered():
    gaps = Y.copy()
    gaps[:50] = np.nan
    est = MultiTaskRegressor(consolidation=Replay(memory_size=100), **QUICK).partial_fit(X, gaps)
    assert est.net_.consolidation.memory.seen == 10


def test_replay_is_training_on_both():
    """A step on a batch and what is remembered is a step on the rows of both."""
    both = Replay(memory_size=60)
    options = {**QUICK, "batch_size": 60}
    est = MultiTaskRegressor(consolidation=both, **options).partial_fit(X, Y)
    plain = MultiTaskRegressor(**options).partial_fit(X, Y)
    est.set_params(alpha=0.0).partial_fit(X[:50] + 1, Y[:50])
    plain.set_params(alpha=0.0, batch_size=200)
    plain.partial_fit(np.vstack([X[:50] + 1, X]), np.vstack([Y[:50], Y]))
    for p, q in zip(parameters(est), parameters(plain), strict=True):
        # "auto" adds as many rows as are new: 50 drawn of 60
        assert np.abs(p - q).max() < 2e-3
    est = MultiTaskRegressor(consolidation=Replay(60, batch_size=60), **options).partial_fit(X, Y)
    est.set_params(alpha=0.0).partial_fit(X[:50] + 1, Y[:50])
    for p, q in zip(parameters(est), parameters(plain), strict=True):
        assert_allclose(p, q, atol=1e-9)


def test_replay_goes_on_teaching_tasks_without_a_label_in_the_chunk():
    nothing = np.where([True, True, False], Y, np.nan)
    for consolidation, moves in ((None, False), (Replay(), True)):
        est = MultiTaskRegressor(consolidation=consolidation, **QUICK).partial_fit(X, Y)
        before = est.module_.network.heads.last.weight[..., 2].detach().clone()
        est.partial_fit(X, nothing)
        moved = (est.module_.network.heads.last.weight[..., 2] != before).any()
        assert bool(moved) == moves


# A-GEM


def test_the_projection_is_the_papers_and_torchjds():
    """Eq. 11 of Chaudhry et al. (2019); torchjd's dual projection gives the same."""
    draws = torch.Generator().manual_seed(0)
    g, r = torch.randn(2, 50, 7, generator=draws, dtype=torch.float64)
    mine = [g[:, :3].clone(), g[:, 3:].clone()]
    against = project(mine, [r[:, :3], r[:, 3:]])
    mine = torch.cat(mine, 1)
    product = (g * r).sum(1)
    assert_array_equal(against, product < 0)
    expected = g - (product / r.square().sum(1)).unsqueeze(1) * r
    assert_allclose(mine, torch.where(against.unsqueeze(1), expected, g))
    assert (mine * r).sum(1).min() > -1e-12
    jd = DualProj(torch.tensor([1.0, 0.0], dtype=torch.float64), projector=NNLSProjector())
    for k in range(50):
        assert_allclose(jd(torch.stack([g[k], r[k]])), mine[k], atol=2e-3)  # torchjd regularises


def test_a_gradient_without_a_reference_stays():
    g = [torch.tensor([[1.0, 2.0]])]
    assert not project(g, [torch.zeros(1, 2)]).any()
    assert g[0].tolist() == [[1.0, 2.0]]


def test_agem_corrects_where_two_stages_are_at_odds():
    """Same inputs, opposite targets: the gradient that is left is none against the past."""
    est = MultiTaskRegressor(consolidation=AGEM(memory_size=60, batch_size=60), **QUICK)
    for _ in range(5):
        est.partial_fit(X, Y)
    net = est.net_
    rows = net.consolidation.memory.rows
    batch = Batch(rows.x, -rows.values, None)
    net.module_.train()
    loss, _ = net.criterion_(net.module_(batch.x), batch.values, None)
    loss.sum().backward()
    before = [p.grad.clone() for p in net.module_.parameters()]
    learner = Learner(net.module_, net.criterion_, net.weighting)
    assert net.consolidation.correct(learner, batch, None, None) is None
    past = net.consolidation.memory.draw(60)
    loss, _ = net.criterion_(net.module_(past.x), past.values, past.weight)
    reference = torch.autograd.grad(loss.sum(), list(net.module_.parameters()))
    now = [p.grad for p in net.module_.parameters()]
    was, left = (
        sum((g * r).flatten(1).sum(1) for g, r in zip(gradients, reference, strict=True))
        for gradients in (before, now)
    )
    assert was.min() < -0.01
    assert_allclose(left, was.clamp(min=0), atol=1e-9)


# EWC


def test_ewc_adds_the_gradient_of_its_penalty():
    """strength / 2 * sum_s F_s (θ - θ_s)², of all stages, each with decay."""
    est = MultiTaskRegressor(consolidation=EWC(3.0, stage=1, decay=0.5), **QUICK)
    held, points = [], []
    for _ in range(3):
        est.partial_fit(X, Y)
        points.append({n: p.detach().clone() for n, p in est.module_.network.named_parameters()})
        held.append({n: p.clone() for n, p in est.net_.consolidation.precision.items()})
    own = [
        {n: p - (0.5 * held[s - 1][n] if s else 0) for n, p in held[s].items()} for s in range(3)
    ]
    net = est.net_
    ewc = net.consolidation
    ewc.begin(Learner(net.module_, net.criterion_, net.weighting), Batch(None, torch.ones(1), None))
    with torch.no_grad():
        for p in net.module_.network.parameters():
            p.add_(0.1).grad = torch.zeros_like(p)
    penalty = 0
    for name, p in net.module_.network.named_parameters():
        for s, share in enumerate([0.25, 0.5, 1.0]):
            penalty = penalty + 1.5 * share * (own[s][name] * (p - points[s][name]) ** 2).sum()
    expected = torch.autograd.grad(penalty, list(net.module_.network.parameters()))
    ewc.correct(Learner(net.module_, net.criterion_, net.weighting), None, None, None)
    for p, g in zip(net.module_.network.parameters(), expected, strict=True):
        assert_allclose(p.grad, g, atol=1e-12)


def test_a_stage_ends_where_other_tasks_have_labels():
    est = MultiTaskRegressor(consolidation=EWC(memory_size=30), **QUICK)
    one, other = (np.where(mask, Y, np.nan) for mask in ([True, True, False], [False, False, True]))
    est.partial_fit(X, Y).partial_fit(X, Y)
    assert not est.net_.consolidation.precision
    est.partial_fit(X, one)
    first = est.net_.consolidation.precision["heads.last.weight"].clone()
    assert (first > 0).all()
    est.partial_fit(X, one)
    assert_array_equal(est.net_.consolidation.precision["heads.last.weight"], first)
    est.partial_fit(X, other)
    grew = est.net_.consolidation.precision["heads.last.weight"] - first
    assert (grew[..., :2] > 0).all()  # the stage that ended had labels of these
    assert (grew[..., 2] == 0).all()


def test_a_strength_of_zero_does_nothing_and_a_huge_one_holds_what_the_past_needs():
    """Zero is nothing at all; a huge one holds what the past depends on where it was."""
    plain = trained(MultiTaskRegressor(**QUICK))
    none = trained(MultiTaskRegressor(consolidation=EWC(0.0, stage=1), **QUICK))
    for p, q in zip(parameters(plain), parameters(none), strict=True):
        assert_array_equal(p, q)
    moved = {}
    for strength in (0.0, 1e6):
        est = MultiTaskRegressor(consolidation=EWC(strength, stage=30), **QUICK)
        for _ in range(30):
            est.partial_fit(X, Y)
        before = est.predict(X)
        for _ in range(30):
            est.partial_fit(X, -Y)
        moved[strength] = np.abs(est.predict(X) - before).mean()
    assert moved[1e6] < 0.2 * moved[0.0]


# All of them


@pytest.mark.parametrize("name", EVERY)
def test_nothing_before_the_first_chunk_has_been_seen(name):
    """A first chunk, and a fit, are to the bit what they are without."""
    for train in ("fit", "partial_fit"):
        options = {**QUICK, "max_iter": 3, "tol": 0.1}
        plain = getattr(MultiTaskRegressor(**options), train)(X, Y)
        other = getattr(MultiTaskRegressor(consolidation=EVERY[name], **options), train)(X, Y)
        assert_same(plain, other)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_state_survives_pickling_to_the_bit(name, copied):
    est = MultiTaskRegressor(consolidation=EVERY[name], dropout=0.2, **QUICK)
    twin = copy.deepcopy(est)
    for part in list(chunks()) * 2:
        est.partial_fit(*part)
        twin = copied(twin.partial_fit(*part))
    assert_same(est, twin)
    assert_array_equal(est.predict(X), twin.predict(X))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("scheme", sorted(known_names(sharing, sharing.Sharing)))
def test_every_scheme_with_mixed_tasks_gaps_and_weights(name, scheme, mixed, rng):
    inputs, table = mixed
    weight = rng.integers(0, 3, size=(60, 3)) + 0.5
    options = {**QUICK, "hidden_layer_sizes": (5, 4), "dropout": 0.1}
    plain, est = (
        MultiTaskClassifierRegressor(sharing=scheme, consolidation=c, **options)
        for c in (None, EVERY[name])
    )
    for _ in range(2):
        for e in (plain, est):
            e.partial_fit(inputs, table, weight)
            e.partial_fit(inputs, table.assign(colour=None, sick=pd.NA), weight)
    assert np.isfinite(est.loss_curve_).all()
    differ = [
        not np.array_equal(p, q) for p, q in zip(parameters(plain), parameters(est), strict=True)
    ]
    assert any(differ)


@pytest.mark.parametrize("loss_weights", ["uw", "famo", "upgrad", [2.0, 1.0, 0.5]])
@pytest.mark.parametrize("schedule", ["joint", "alternating", "progressive"])
@pytest.mark.parametrize("name", EVERY)
def test_every_level_of_weighting_and_schedule(name, schedule, loss_weights):
    est = MultiTaskRegressor(
        consolidation=EVERY[name], loss_weights=loss_weights, schedule=schedule, **QUICK
    )
    assert np.isfinite(trained(est).predict(X)).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_member_in_a_stack_is_the_member_alone(name):
    est = trained(MultiTaskRegressor(consolidation=EVERY[name], **QUICK))
    seeds = [g.initial_seed() for g in est.net_.generators]
    for k, member in enumerate(est.members_):
        options = {**QUICK, "n_members": 1, "random_state": Seed(seeds[k])}
        alone = trained(MultiTaskRegressor(consolidation=EVERY[name], **options))
        for p, q in zip(parameters(alone), parameters(member), strict=True):
            assert_allclose(p, q, rtol=1e-6, atol=1e-9)
        member.partial_fit(X, Y)  # goes on with its part of what is remembered


@pytest.mark.parametrize("name", EVERY)
def test_members_may_leave_a_warm_fit(name):
    est = MultiTaskRegressor(
        consolidation=EVERY[name], **{**QUICK, "n_members": 3, "max_iter": 100}, n_iter_no_change=2
    )
    est.partial_fit(X, Y).set_params(warm_start=True, learning_rate_init=0.02).fit(X, -Y)
    assert len(set(est.net_.stopping.last_epochs_)) > 1
    memory = est.net_.consolidation.memory
    assert memory.rows.x.shape[0] == 3
    est.partial_fit(X, Y)
    assert np.isfinite(est.predict(X)).all()


@pytest.mark.parametrize("name", EVERY)
def test_what_is_remembered_is_bounded(name):
    est = SoftSharingEnsemble(consolidation=EVERY[name], **QUICK)
    sizes = []
    for _ in range(4):
        for part in chunks():
            est.partial_fit(*part)
        est.net_.history.clear()
        sizes.append(len(pickle.dumps(est.net_.consolidation)))
    assert max(sizes[1:]) - min(sizes[1:]) <= 16  # counters take a byte more
    assert est.net_.consolidation.memory.rows.x.shape == (2, 20, 3)


@pytest.mark.parametrize(
    "consolidation",
    [Replay(300, batch_size=300), AGEM(300, batch_size=300), EWC(10.0, stage=1, memory_size=300)],
    ids=["replay", "agem", "ewc"],
)
def test_sparse_rows_are_remembered_as_dense_ones_are(consolidation):
    """All rows in each step: sparse and dense ones are in another order."""
    inputs = np.where(X > 0.3, np.clip(X, -1, 1), 0)  # within the bounds: sparse ones know none
    options = {"consolidation": consolidation, **QUICK, "batch_size": 60}
    dense, sparse = MultiTaskRegressor(**options), MultiTaskRegressor(**options)
    for mask in ([True] * 3, [True, False, True], [False, True, True], [True] * 3):
        dense.partial_fit(inputs, np.where(mask, Y, np.nan))
        sparse.partial_fit(csr_array(inputs), np.where(mask, Y, np.nan))
    assert_allclose(sparse.predict(inputs), dense.predict(inputs), atol=1e-9)
    seen = [est.net_.consolidation.memory.rows.x.sum() for est in (dense, sparse)]
    assert_allclose(*seen)


def test_stages_may_be_told_otherwise_after_one_has_just_ended():
    est = MultiTaskRegressor(consolidation=EWC(1.0, stage=1), **QUICK).partial_fit(X, Y)
    before = est.net_.consolidation.precision["heads.last.weight"].clone()
    est.set_params(consolidation__stage="tasks")
    est.partial_fit(X, np.where([True, True, False], Y, np.nan))  # no row is of a stage to end
    assert_array_equal(est.net_.consolidation.precision["heads.last.weight"], before)


def test_what_was_recorded_is_not_copied_with_every_chunk():
    est = MultiTaskRegressor(**QUICK).partial_fit(X, Y)
    first, earlier = est.net_.history[0], est.net_
    est.partial_fit(X, Y)
    assert est.net_.history[0] is first
    assert (len(earlier.history), len(est.net_.history)) == (1, 2)


def test_a_chunk_that_fails_leaves_what_is_remembered():
    est = trained(MultiTaskRegressor(consolidation=Replay(), **QUICK))
    twin = copy.deepcopy(est)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        est.partial_fit(np.where(X > 2, np.inf, X), Y)
    est.set_params(learning_rate_init=1e300)
    with pytest.raises(ValueError, match="training loss became"):
        est.partial_fit(X, Y).partial_fit(X, Y)
    est.net_, est.learning_rate_init = copy.deepcopy(twin).net_, twin.learning_rate_init
    assert_same(est.partial_fit(X, Y), twin.partial_fit(X, Y))


def test_parameters_may_change_but_not_the_size_of_what_is_remembered():
    est = trained(MultiTaskRegressor(consolidation=EWC(1.0, stage=1), **QUICK))
    before = est.net_.consolidation.precision["heads.last.weight"].clone()
    est.set_params(consolidation__strength=7.0, consolidation__stage=5).partial_fit(X, Y)
    assert est.net_.consolidation.strength == 7.0
    assert_array_equal(est.net_.consolidation.precision["heads.last.weight"], before)
    with pytest.raises(ValueError, match="memory_size of EWC is settled by the first call"):
        est.set_params(consolidation__memory_size=3).partial_fit(X, Y)
    est.set_params(consolidation=None).partial_fit(X, Y)
    assert est.net_.consolidation is None


@pytest.mark.parametrize(
    ("consolidation", "error", "text"),
    [
        ("rehearsal", ValueError, r"one of \['agem', 'ewc', 'replay'\]"),
        (3, TypeError, "None, one of"),
        (Replay(memory_size=0), ValueError, "memory_size of Replay"),
        (Replay(batch_size=2.5), TypeError, "batch_size of Replay must be 'auto' or an int"),
        (AGEM(memory_size="all"), TypeError, "memory_size of AGEM"),
        (EWC(strength=-1), ValueError, "strength of EWC"),
        (EWC(decay=1.5), ValueError, "decay of EWC"),
        (EWC(stage="epochs"), ValueError, "stage of EWC must be 'tasks' or an int"),
        (EWC(stage=0), ValueError, "stage of EWC"),
    ],
)
def test_what_is_refused_is_refused_before_training(consolidation, error, text):
    est = MultiTaskRegressor(consolidation=consolidation, **QUICK)
    with pytest.raises(error, match=text):
        est.partial_fit(X, Y)
    assert not hasattr(est, "net_")


# Streams of tasks


def test_a_first_chunk_may_lack_tasks_whose_classes_are_said(mixed):
    inputs, table = mixed
    classes = {"colour": ["blue", "green", "red"], "sick": [False, True]}
    late = table.assign(colour=np.nan, sick=np.nan)
    est = MultiTaskClassifierRegressor(**QUICK).partial_fit(inputs, late, classes=classes)
    first = est.predict(inputs)
    assert set(first["colour"]) <= set(classes["colour"])
    assert first["sick"].dtype == bool
    for _ in range(60):
        est.partial_fit(inputs, table)
    assert est.score_tasks(inputs, table)["accuracy"].min() > 0.6
    with pytest.raises(ValueError, match=r"'colour' has no label.*or its classes"):
        MultiTaskClassifierRegressor(**QUICK).partial_fit(inputs, late, classes={"sick": [0, 1]})
    with pytest.raises(ValueError, match="balanced"):
        MultiTaskClassifierRegressor({"sick": ClassificationTask("balanced")}, **QUICK).partial_fit(
            inputs, late, classes=classes
        )


def test_consolidation_forgets_less_than_fine_tuning():
    """Two tasks on one trunk of few units, one after the other."""
    inputs = np.random.default_rng(1).normal(size=(200, 4))
    Z = np.column_stack([np.sin(2 * inputs[:, 0]), np.sin(2 * inputs[:, 1])])
    fell = []
    for consolidation in (None, Replay(100), AGEM(100), EWC(100.0)):
        est = MultiTaskRegressor(
            consolidation=consolidation,
            sharing=sharing.HardSharing(linear_skip=False),
            **{**QUICK, "hidden_layer_sizes": (24,), "learning_rate_init": 0.01},
        ).partial_fit(inputs, Z)
        scores = []
        for mask in ([True, False], [False, True]):
            for _ in range(40):
                est.partial_fit(inputs, np.where(mask, Z, np.nan))
            scores.append(est.score_tasks(inputs, Z)["r2"])
        fell.append(forgetting(np.array(scores).T))
    assert fell[0] > 0.2
    assert max(fell[1:]) < 0.5 * fell[0]


def test_loss_weights_count_in_the_fisher_information():
    held = []
    for weights in ([1.0, 1.0, 1.0], [1.0, 4.0, 1.0]):
        est = MultiTaskRegressor(
            consolidation=EWC(stage=1), loss_weights=FixedWeights(weights), alpha=0.0, **QUICK
        ).partial_fit(X, Y)
        held.append(est.net_.consolidation.precision["heads.last.weight"])
    assert_allclose(held[1][..., 1].mean() / held[0][..., 1].mean(), 4, rtol=0.3)


def test_heads_of_the_tasks_in_a_batch_are_refused():
    with pytest.raises(ValueError, match="Give the target one column per task"):
        MultiTaskRegressor(consolidation="replay", task_column="t", **QUICK).partial_fit(
            pd.DataFrame(X, columns=list("abc")).assign(t=np.arange(60) % 30), Y[:, 0]
        )
