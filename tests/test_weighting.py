"""Weights on losses and gradients: every name a user may write, against torchjd, by property."""

import pickle
import warnings

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from networks import Seed, architecture, optimizer, spread, started
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import Generator
from torchjd import aggregation, scalarization
from torchjd.autojac import backward, jac_to_grad, mtl_backward

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl._global_generator import drawn_from
from skmtl.inspection import LossWeightsDisplay
from skmtl.sharing import CGC, CrossStitch, HardSharing, MMoE
from skmtl.tasks import ClassificationTask, RegressionTask, TaskLosses
from skmtl.training import MultiTaskModule, TrainingData, clip_bounds
from skmtl.training.step import train_step
from skmtl.weighting import (
    FAMO,
    NEEDS_AN_OBJECT,
    Aggregation,
    FixedWeights,
    GradNorm,
    MinimaxDeviation,
    NNLSProjector,
    Scalarization,
    by_name,
    same,
    stack_weightings,
)
from skmtl.weighting.adapter import AGGREGATORS
from skmtl.weighting.derivatives import CLOSED_FORMS
from skmtl.weighting.solvers import MinNorm, OrderedProjections, together

QUICK = {"n_members": 2, "max_iter": 4, "hidden_layer_sizes": (8,), "random_state": 0}


def installed(name):
    try:
        started(clone(by_name()[name]), 3)
    except ImportError:
        return False
    return True


NAMES = [name for name in by_name() if installed(name)]
RANDOM = {"random", "pcgrad", "gradvac", "graddrop"}  # they draw, in the order of their tasks
UNEVEN = {"pcd", "nash_mtl"}  # the first task is the primary one; a solver's tolerance


def table(n=200, seed=0):
    """Three regressions of which the last two are at odds, labels missing in the first."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    Y = np.column_stack(
        [X[:, 0] * X[:, 1], np.sin(2 * X[:, 2]), -np.sin(2 * X[:, 2]) + X[:, 3] ** 2]
    )
    Y += 0.1 * rng.normal(size=Y.shape)
    Y[::3, 0] = np.nan
    return X, Y


class Problem:
    """A network with three tasks (3 classes, two numbers) and a batch of rows for it."""

    def __init__(self, scheme=None, heads=(), n_members=1, seed=0, hidden=(6, 5), missing=0.3):
        rng = np.random.default_rng(seed)
        numbers, words = rng.normal(size=40), np.array(["a", "b", "c", "b"] * 10)
        tasks = [RegressionTask(), ClassificationTask(), RegressionTask()]
        labels = [numbers, words, numbers**2]
        prepared = [t.prepare(y, np.ones(40), name="y") for t, y in zip(tasks, labels, strict=True)]
        self.loss = TaskLosses(prepared)
        values = [
            self.loss.tasks[t].encode(labels[i], name="y") for t, i in enumerate(self.loss.order)
        ]
        x = torch.from_numpy(rng.normal(size=(40, 4)))
        weight = torch.from_numpy((rng.random((40, 3)) > missing).astype(float))
        data = TrainingData(x, torch.from_numpy(np.hstack(values)), weight)
        rows = torch.arange(40).expand(n_members, -1)
        self.batch = data.take(rows)
        shape = architecture(tuple(self.loss.task_outputs), hidden, heads)
        generators = [Generator().manual_seed(7 + k) for k in range(n_members)]
        scheme = HardSharing() if scheme is None else scheme
        self.network = spread(scheme.build(shape, generators)).double()
        bounds = clip_bounds(data, torch.arange(40))
        self.module = MultiTaskModule(self.network, bounds).double()
        self.n_members = n_members

    def step(self, weighting, lr=0.01):
        adam = optimizer(self.network, lr)
        done = train_step(self.module, self.loss, self.batch, weighting, adam)
        gradients = {
            n: None if p.grad is None else p.grad.clone()
            for n, p in self.network.named_parameters()
        }
        return done, gradients

    def start(self, weighting, **changes):
        shared, _ = self.network.parameters_by_sharing()
        with torch.no_grad():
            features = self.network.features(self.batch.x)
        told = {"has_features": features is not None, "has_shared": bool(shared), **changes}
        return started(clone(weighting), 3, self.n_members, order=self.loss.order, **told)


# Names


def test_every_method_of_torchjd_is_known_or_says_why_not():
    bases = {"Scalarizer", "Aggregator", "WeightedAggregator", "GramianWeightedAggregator"}
    public = [*scalarization.__all__, *aggregation.__all__]
    methods = {n.lower() for n in public if n not in bases and not n.endswith("Weighting")}
    known = {name.replace("_", "") for name in [*by_name(), *NEEDS_AN_OBJECT]}
    assert methods <= known


@pytest.mark.parametrize("spelling", ["imtl_g", "IMTLG", "imtl-g", "ImtlG"])
def test_names_are_read_generously(spelling):
    X, Y = table()
    plain = MultiTaskRegressor(**QUICK, loss_weights="imtl_g").fit(X, Y)
    assert_array_equal(
        MultiTaskRegressor(**QUICK, loss_weights=spelling).fit(X, Y).predict(X), plain.predict(X)
    )


# The step


@pytest.mark.parametrize("scheme", [HardSharing(), MMoE(3), CGC(), CrossStitch()], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda: aggregation.UPGrad(projector=NNLSProjector()),
        aggregation.MGDA,
        aggregation.IMTLG,
        aggregation.ConFIG,
        aggregation.AlignedMTL,
        lambda: aggregation.FairGrad(1.0),
        aggregation.Sum,
        aggregation.ExcessMTL,
    ],
)
def test_the_full_jacobian_gives_the_step_of_torchjd(scheme, make):
    ours, theirs = Problem(scheme), Problem(scheme)
    _, gradients = ours.step(ours.start(Aggregation(make(), at="parameters")))
    losses, _ = theirs.loss(theirs.module(theirs.batch.x), theirs.batch.values, theirs.batch.weight)
    shared, own = theirs.network.parameters_by_sharing()
    inverse = np.argsort(theirs.loss.order)  # rows in the order of the table
    in_order = [losses[0, t] for t in inverse]
    torch.autograd.backward([losses.sum()], inputs=own, retain_graph=True)
    backward(in_order, inputs=shared, parallel_chunk_size=1)
    jac_to_grad(shared, make())
    for name, p in theirs.network.named_parameters():
        if p.requires_grad:
            assert_allclose(gradients[name], p.grad, atol=1e-6, err_msg=name)


def test_the_full_jacobian_gives_the_step_of_mtl_backward():
    """Hard sharing, where torchjd finds the features itself."""
    ours, theirs = Problem(), Problem()
    _, gradients = ours.step(ours.start(Aggregation(at="parameters")))
    network, batch = theirs.network, theirs.batch
    features = network.features(theirs.module.clip(batch.x))
    outputs = network.outputs(features, theirs.module.clip(batch.x))
    losses, _ = theirs.loss(outputs, batch.values, batch.weight)
    shared, own = network.parameters_by_sharing()
    in_order = [losses[0, t] for t in np.argsort(theirs.loss.order)]
    mtl_backward(
        in_order, features, tasks_params=[own] * 3, shared_params=shared, retain_graph=True
    )
    jac_to_grad(shared, aggregation.UPGrad(projector=NNLSProjector()))
    for name, p in network.named_parameters():
        assert_allclose(gradients[name], p.grad, atol=1e-6, err_msg=name)


class BySlope(aggregation.Aggregator):
    """Weighs tasks by how the square of the mean gradient changes with them: an autograd of its own."""

    def slope(self, matrix):
        at = torch.zeros(len(matrix), dtype=matrix.dtype, requires_grad=True)
        [slope] = torch.autograd.grad((at.softmax(0) @ matrix).square().sum(), at)
        return slope

    def forward(self, matrix, /):
        return (-self.slope(matrix)).softmax(0) @ matrix


class BySlopeWritten(BySlope):
    def slope(self, matrix):
        share = torch.full((len(matrix),), 1 / len(matrix), dtype=matrix.dtype)
        slope = 2 * matrix @ (matrix.T @ share)
        return share * (slope - share @ slope)


@pytest.mark.parametrize("heads", [(), (4,)])
@pytest.mark.parametrize("at", ["features", "parameters"])
def test_an_aggregator_may_differentiate(at, heads):
    steps = []
    for kind in (BySlope, BySlopeWritten):
        problem = Problem(heads=heads)
        steps.append(problem.step(problem.start(Aggregation(kind(), at=at)))[1])
    for name, gradient in steps[0].items():
        assert_allclose(gradient, steps[1][name], atol=1e-12, err_msg=name)


class InPlace(RegressionTask):
    def sample_loss(self, outputs, values):
        return outputs.sub_(values).square()


class NotInPlace(RegressionTask):
    def sample_loss(self, outputs, values):
        return (outputs - values).square()


@pytest.mark.parametrize("name", ["mgda", "gradnorm"])
def test_a_loss_may_work_in_place(name):
    X, Y = table()
    Y[:, 1] *= 50
    fits = [
        MultiTaskRegressor([task()] * 3, loss_weights=name, **QUICK).fit(X, Y)
        for task in (InPlace, NotInPlace)
    ]
    assert_allclose(fits[0].history_, fits[1].history_, rtol=1e-6)


@pytest.mark.parametrize("heads", [(), (4,)])
@pytest.mark.parametrize("at", ["features", "parameters"])
def test_the_sum_of_gradients_is_the_plain_step(at, heads):
    plain = Problem(heads=heads)
    _, expected = plain.step(plain.start(FixedWeights([1.0] * 3)))
    other = Problem(heads=heads)
    _, gradients = other.step(other.start(Aggregation(aggregation.Sum(), at=at)))
    for name, gradient in expected.items():
        assert_allclose(gradients[name], gradient, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("heads", [(), (4,)])
def test_the_mean_of_gradients_is_the_plain_step_of_a_third(heads):
    plain, at_features, full = (Problem(heads=heads) for _ in range(3))
    _, expected = plain.step(plain.start(FixedWeights([1.0] * 3)))
    _, one = at_features.step(at_features.start(Aggregation(aggregation.Mean(), "features")))
    _, other = full.step(full.start(Aggregation(aggregation.Mean(), "parameters")))
    shared, _ = plain.network.parameters_by_sharing()
    for name, p in plain.network.named_parameters():
        factor = 1 / 3 if any(p is s for s in shared) else 1.0
        assert_allclose(one[name], factor * expected[name], atol=1e-12, err_msg=name)
        assert_allclose(other[name], factor * expected[name], atol=1e-12, err_msg=name)


# Every name, by property


@pytest.mark.parametrize("name", NAMES)
def test_a_member_in_a_stack_gives_what_it_gives_alone(name):
    X, Y = table()
    params = {"hidden_layer_sizes": (8,), "max_iter": 6, "n_iter_no_change": 2, "tol": 0.02}
    params |= {"learning_rate_init": 0.02, "loss_weights": name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = MultiTaskRegressor(n_members=3, random_state=5, **params).fit(X, Y)
    seeds = np.random.RandomState(5).randint(2**31 - 1, size=3)
    outputs = stack.module_(torch.from_numpy(X).expand(3, -1, -1)).detach()
    for k, seed in enumerate(seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = MultiTaskRegressor(n_members=1, random_state=Seed(seed), **params).fit(X, Y)
        one = alone.module_(torch.from_numpy(X).unsqueeze(0)).detach()
        assert_allclose(one[0], outputs[k], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", sorted(set(NAMES) - RANDOM - UNEVEN))
def test_the_order_of_tasks_does_not_matter(name):
    X, Y = table()
    first = MultiTaskRegressor(**QUICK, loss_weights=name).fit(X, Y).predict(X)
    second = MultiTaskRegressor(**QUICK, loss_weights=name).fit(X, Y[:, [2, 0, 1]]).predict(X)
    assert_allclose(second, first[:, [2, 0, 1]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_is_repeatable_leaves_global_generators_alone_and_pickles(name):
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, loss_weights=name)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    est.fit(X, Y)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_array_equal(clone(est).fit(X, Y).predict(X), est.predict(X))
    assert_array_equal(pickle.loads(pickle.dumps(est)).predict(X), est.predict(X))
    weights = est.history_[["weight_y0", "weight_y1", "weight_y2"]]
    assert np.isfinite(weights.to_numpy()).all()


masks = st.lists(st.booleans(), min_size=3, max_size=3)


@pytest.mark.parametrize("heads", [(), (4,)])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(steps=st.lists(st.tuples(masks, masks), min_size=1, max_size=4))
def test_tasks_without_labels_are_safe(name, heads, steps):
    """No weight or parameter becomes NaN, no unlabelled task's head moves, and nothing stalls."""
    problem = Problem(n_members=2, heads=heads)
    weighting = problem.start(by_name()[name])
    adam = optimizer(problem.network, 0.01)
    whole = problem.batch
    owners = problem.network.owners()
    shared, _ = problem.network.parameters_by_sharing()
    for both in steps:
        there = torch.tensor(both)
        problem.batch = whole._replace(weight=whole.weight * there.unsqueeze(1))
        before = {n: p.detach().clone() for n, p in problem.network.named_parameters()}
        done = train_step(problem.module, problem.loss, problem.batch, weighting, adam)
        assert torch.isfinite(done.weights).all()
        assert (done.weights[~there] == 0).all()
        for n, p in problem.network.named_parameters():
            assert torch.isfinite(p).all()
            for k in range(2):
                for t in range(3):
                    still = ((owners[n] == t) & ~there[k, t]).broadcast_to(p[k].shape)
                    assert torch.equal(p[k][still], before[n][k][still])
        for k in range(2):
            assert any((p.grad[k] != 0).any() for p in shared) == bool(there[k].any())


def test_a_task_that_never_had_a_label_in_a_batch_can_come_later():
    X, Y = table()
    parts = [np.where([True, False, True], Y, np.nan), Y]
    for name in NAMES:
        est = MultiTaskRegressor(tasks="regression", loss_weights=name, hidden_layer_sizes=(8,))
        est.set_params(n_members=2, random_state=0).partial_fit(X, Y)
        for part in parts:
            est.partial_fit(X, part)
        assert np.isfinite(est.predict(X)).all()


# Methods against their definitions

positive = st.lists(st.floats(0.01, 10), min_size=3, max_size=3)


@pytest.mark.parametrize("name", ["uw", "geometric_mean", "stch", "pbi", "cosmos", "imtl_l"])
@given(losses=positive, there=masks.filter(any))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_weights_on_losses_are_the_derivatives_of_torchjds_scalar(name, losses, there):
    weighting = started(by_name()[name], 3)
    losses, there = torch.tensor([losses], dtype=torch.float64), torch.tensor([there])
    weights = weighting(losses, there)
    leaf = losses[there].requires_grad_()
    number = int(there.sum())
    alone = {
        "uw": lambda: scalarization.UW(number),
        "imtl_l": lambda: scalarization.IMTLL(number),
        "geometric_mean": scalarization.GeometricMean,
        "stch": lambda: scalarization.STCH(0.1),
        "pbi": lambda: scalarization.PBI(5.0, torch.ones(number, dtype=torch.float64)),
        "cosmos": lambda: scalarization.COSMOS(1.0, torch.ones(number, dtype=torch.float64)),
    }[name]()
    alone.double()(leaf).backward()
    assert_allclose(weights[there], leaf.grad)
    assert (weights[~there] == 0).all()


def test_dwa_weighs_by_the_mean_losses_of_epochs():
    weighting, theirs = started(Scalarization("dwa"), 3), scalarization.DWA()
    for epoch in ([3.0, 2.0, 1.0], [2.0, 1.9, 0.2], [1.0, 1.8, 0.1]):
        losses = torch.tensor(epoch, dtype=torch.float64)
        leaf = losses.clone().requires_grad_()
        theirs(leaf).backward()
        theirs.step()
        weights = weighting(losses.unsqueeze(0), None)
        weighting.after_epoch(losses.unsqueeze(0))
        assert_allclose(weights[0], leaf.grad)


def test_famo_sees_the_losses_after_the_step():
    bounds, order = torch.tensor([0.0, -0.5, 0.05]).double(), [2, 0, 1]
    theirs = scalarization.FAMO(3, min_losses=bounds[order]).double()
    weighting = started(FAMO(min_losses=bounds.numpy()), 3, order=order)
    assert weighting.looks_again
    rng = np.random.default_rng(0)
    for _ in range(9):
        before, after = (torch.from_numpy(rng.random(3) + 0.1) for _ in range(2))
        leaf = before.clone().requires_grad_()
        theirs(leaf).backward()
        theirs.update(after)
        weights = weighting(before.unsqueeze(0), None)
        weighting.after_step(after.unsqueeze(0), None)
        assert_allclose(weights[0], leaf.grad)


def test_famo_of_many_members_with_gaps_is_torchjds_one_by_one():
    """Also where tasks are left out of a step, and members leave."""
    theirs = Scalarization(scalarization.FAMO(3, min_losses=torch.tensor([0.0, -0.5, 0.05])))
    both = [started(w, 3, 4, [2, 0, 1]) for w in (theirs, FAMO(min_losses=[0.0, -0.5, 0.05]))]
    rng = np.random.default_rng(0)
    for step in range(20):
        if step == 10:
            for weighting in both:
                weighting.keep([3, 1])
        shape = (4 if step < 10 else 2, 3)
        before, after = (torch.from_numpy(rng.random(shape) + 0.1) for _ in range(2))
        there = torch.from_numpy(rng.random(shape) < 0.6) if step % 3 else None
        if there is not None:
            before[~there] = torch.nan
        expected, weights = (weighting(before, there) for weighting in both)
        assert_allclose(weights, expected, rtol=1e-6)
        for weighting in both:
            weighting.after_step(after, there)


@pytest.mark.parametrize("bounds", [[0.0, 0.1], 0.5, ["a", "b", "c"]])
def test_famo_refuses_bounds_that_are_not_one_for_each_task(bounds):
    with pytest.raises(ValueError, match="min_losses of FAMO must have a number for each of 3"):
        started(FAMO(min_losses=bounds), 3)


@pytest.mark.parametrize("name", sorted(set(AGGREGATORS) - {"nash_mtl"}))
def test_aggregators_of_many_members_are_those_of_each(name):
    rng, size = np.random.default_rng(0), 4
    J = rng.normal(size=(5, size, 7))
    J[3] = np.abs(J[3])  # no conflict
    J[4, 1] = -J[4, 0]
    gramians = torch.from_numpy(J @ J.transpose(0, 2, 1))
    aggregator = AGGREGATORS[name](size)
    generators = [Generator().manual_seed(k) for k in range(5)]
    found = together(aggregator, gramians, generators)
    assert (found is not None) == (name in {"upgrad", "dualproj", "mgda", "pcgrad"})
    for k, generator in enumerate(generators if found is not None else []):
        with drawn_from(generator.manual_seed(k)):
            assert_allclose(found[k], aggregator.gramian_weighting(gramians[k]), atol=1e-12)


OBJECTS = {
    scalarization.UW: {"shape": 4},
    scalarization.IMTLL: {"shape": 4},
    scalarization.STCH: {
        "mu": 0.3,
        "weights": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "reference": torch.tensor([0.3, 0.0, 0.2, 0.1]),
    },
    scalarization.PBI: {
        "theta": 2.0,
        "weights": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "reference": torch.tensor([0.3, 0.0, 0.2, 0.1]),
    },
    scalarization.COSMOS: {"lambda_": 0.7, "weights": torch.tensor([0.1, 0.2, 0.3, 0.4])},
}


@pytest.mark.parametrize("kind", CLOSED_FORMS, ids=lambda kind: kind.__name__)
def test_closed_forms_are_what_autograd_finds_one_by_one(kind):
    ours, theirs = (
        started(Scalarization(kind(**OBJECTS.get(kind, {}))), 4, 3, [2, 0, 3, 1]) for _ in range(2)
    )
    theirs._formula = None
    gaps = [[True] * 4, [True, False, True, True], [False] * 4]
    rng = np.random.default_rng(0)
    for there in (None, torch.tensor(gaps), None):
        losses = torch.from_numpy(rng.random((3, 4)) + 0.1)
        if there is not None:
            losses[~there] = torch.nan
        assert_allclose(ours(losses, there), theirs(losses, there), rtol=1e-6)
        for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            for p, q in zip(own, other, strict=True):
                assert (p.grad is None) == (q.grad is None)
                if p.grad is not None:
                    assert_allclose(p.grad, q.grad)
                    p.data -= 0.5 * p.grad
                    q.data -= 0.5 * q.grad


@pytest.mark.parametrize("name", ["uw", "imtl_l", "geometric_mean", "stch", "pbi", "cosmos", "dwa"])
def test_members_are_weighed_together_as_one_by_one(name):
    """By one call where no task is missing; whether or not they are several weightings'."""
    joint = stack_weightings([started(by_name()[name], 3, k) for k in (1, 2)], [1, 2])
    apart = [started(by_name()[name], 3) for _ in range(3)]
    assert type(joint) is Scalarization
    rng = np.random.default_rng(0)
    for step in range(4):
        losses = torch.from_numpy(rng.random((3, 3)) + 0.1)
        there = torch.tensor([[True] * 3, [False, True, True], [True] * 3]) if step == 2 else None
        weights = joint(losses, there)
        for k, alone in enumerate(apart):
            expected = alone(losses[k : k + 1], None if there is None else there[k : k + 1])
            assert_allclose(weights[k : k + 1], expected)
            for p, q in zip(joint.parameters()[k], alone.parameters()[0], strict=True):
                assert_allclose(p.grad, q.grad)
                for scale in (p, q):
                    scale.data -= 0.5 * scale.grad
        for weighting, some in [(joint, losses), *zip(apart, losses.split(1), strict=True)]:
            weighting.after_epoch(some)


def test_uw_learns_its_scales_as_an_optimizer_would():
    """At the optimum a scale is the loss: the weight of a constant loss tends to 1 / (2 loss)."""
    weighting = started(Scalarization("uw"), 2)
    adam = torch.optim.Adam(weighting.parameters()[0], lr=0.05)
    losses = torch.tensor([[0.2, 4.0]], dtype=torch.float64)
    for _ in range(500):
        weights = weighting(losses, None)
        adam.step()
    assert_allclose(weights, 0.5 / losses, rtol=1e-3)


grams = st.integers(1, 6).flatmap(
    lambda m: st.lists(
        st.lists(st.floats(-3, 3).map(lambda v: round(v, 3)), min_size=4, max_size=4),
        min_size=m,
        max_size=m,
    )
)


@given(rows=grams)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_projector_meets_the_conditions_of_its_problem(rows):
    """min v^T G v over v >= u: G v >= 0, and zero where v > u."""
    jacobian = torch.tensor(rows, dtype=torch.float64)
    gramian = jacobian @ jacobian.T
    u = torch.eye(len(rows), dtype=torch.float64) / len(rows)
    v = NNLSProjector()(u, gramian)
    scaled = gramian / gramian.trace() if gramian.trace() > 0 else gramian
    slope = v @ (scaled + 1e-4 * torch.eye(len(rows), dtype=torch.float64))
    assert (v >= u - 1e-9).all()
    assert (slope >= -1e-8).all()
    assert_allclose((slope * (v - u)), 0, atol=1e-7)


@given(rows=grams)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_mgda_is_the_shortest_convex_combination(rows):
    jacobian = torch.tensor(rows, dtype=torch.float64)
    gramian = jacobian @ jacobian.T
    weights = MinNorm()(gramian)
    assert (weights >= 0).all()
    assert float(weights.sum()) == pytest.approx(1)
    reach = gramian @ weights
    scale = max(1.0, float(gramian.trace()))
    assert float(reach.min()) >= float(weights @ reach) - 1e-8 * scale
    theirs = aggregation.MGDA().gramian_weighting(gramian)
    assert float(weights @ reach) <= float(theirs @ gramian @ theirs) + 1e-8 * scale


def test_pcgrad_projects_in_the_orders_it_draws():
    jacobian = torch.randn(6, 8, dtype=torch.float64, generator=Generator().manual_seed(3))
    gramian = jacobian @ jacobian.T
    torch.manual_seed(0)
    weights = OrderedProjections()(gramian)
    torch.manual_seed(0)
    order = torch.rand(6, 6).argsort(1)
    total = torch.zeros(8, dtype=torch.float64)
    for i in range(6):
        g = jacobian[i].clone()
        for j in order[i].tolist():
            if j != i and g @ jacobian[j] < 0:
                g -= (g @ jacobian[j]) / (jacobian[j] @ jacobian[j]) * jacobian[j]
        total += g
    assert_allclose(weights @ jacobian, total)
    pair = gramian[:2, :2]
    assert_allclose(OrderedProjections()(pair), aggregation.PCGrad().gramian_weighting(pair))


def test_gradnorm_brings_gradients_to_one_norm():
    """With alpha 0 and gradients that stay, w_t ||g_t|| becomes the same for all; weights sum to T."""
    weighting = started(GradNorm(alpha=0.0), 3)
    norms = torch.tensor([[0.1, 1.0, 2.0]], dtype=torch.float64)

    class Gradients:
        def gramian(self):
            return torch.diag_embed((norms * weighting(norms, None)) ** 2)

        def combine(self, weights):
            return weights

    for _ in range(2000):
        weighting.aggregate(Gradients(), torch.ones(1, 3, dtype=torch.float64), None)
    weights = weighting(norms, None)
    assert float(weights.sum()) == pytest.approx(3)
    product = weights * norms
    assert_allclose(product, product.mean().expand(1, 3), rtol=0.15)


def test_gradnorm_favours_the_task_that_lags_behind():
    weighting = started(GradNorm(alpha=1.5), 2)

    class Gradients:
        def gramian(self):
            return torch.eye(2, dtype=torch.float64).unsqueeze(0)

        def combine(self, weights):
            return weights

    weighting.aggregate(Gradients(), torch.tensor([[1.0, 1.0]]), None)
    weighting.aggregate(Gradients(), torch.tensor([[0.9, 0.1]]), None)
    weights = weighting(torch.ones(1, 2), None)[0]
    assert weights[0] > 1 > weights[1]


def starving(n=600, seed=0):
    """Seven tasks that are one and the same, and one that needs the trunk for itself."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    common, alone = np.sin(3 * X[:, 0]) * X[:, 1], np.sin(2 * X[:, 2]) * X[:, 3]
    Y = np.column_stack([common + 0.05 * rng.normal(size=n) for _ in range(7)] + [alone])
    return X, Y


def test_minimax_deviation_lowers_the_worst_regret_where_equal_weights_starve_a_task():
    X, Y = starving()
    common = {"hidden_layer_sizes": (10,), "sharing": HardSharing(linear_skip=False)}
    common |= {"n_members": 4, "random_state": 0, "learning_rate_init": 0.01, "max_iter": 150}
    single = MultiTaskRegressor(**common).set_params(sharing="none").fit(X, Y)
    lowest = single.history_.filter(like="valid_loss_").iloc[:, -8:].min()

    def worst(loss_weights):
        est = MultiTaskRegressor(**common, loss_weights=loss_weights).fit(X, Y)
        best = est.history_.iloc[est.history_["valid_loss"].argmin()]
        return max(best[name] - lowest[name] for name in lowest.index), est

    equal, _ = worst(None)
    minimax, est = worst("minimax_deviation")
    assert minimax < 0.8 * equal
    assert est.history_["weight_y7"].iloc[-1] > 1.5


def test_minimax_deviation_takes_best_losses_by_name_and_by_place():
    by_dict = started(
        MinimaxDeviation({"2": 0.3, "0": 0.1, "1": 0.2}),
        3,
        order=[2, 0, 1],
        task_names=["2", "0", "1"],
    )
    by_array = started(
        MinimaxDeviation([0.1, 0.2, 0.3]), 3, order=[2, 0, 1], task_names=["2", "0", "1"]
    )
    losses, all_there = torch.tensor([[1.0, 1.0, 1.0]]).double(), torch.ones(1, 3).bool()
    assert_allclose(by_dict.objective(losses, all_there), [0.9])
    assert_allclose(by_dict(losses, None), by_array(losses, None))
    assert_allclose(by_dict(losses, None).sum(), 3.0)


# In the estimator


def test_weights_are_kept_by_epoch():
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, loss_weights=[1.0, 2.0, 0.5]).fit(X, Y)
    assert_allclose(
        est.history_[["weight_y0", "weight_y1", "weight_y2"]],
        np.tile([1, 2, 0.5], (est.n_iter_, 1)),
    )
    est = MultiTaskRegressor(**QUICK, loss_weights="uw").fit(X, Y)
    first, last = est.history_["weight_y1"].iloc[[0, -1]]
    assert first == pytest.approx(0.5, rel=0.05)
    assert first != last


def test_a_display_draws_the_weights(plt):
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, loss_weights="uw").fit(X, Y)
    display = LossWeightsDisplay.from_estimator(est)
    assert display.ax_.get_title() == "loss_weights='uw'"
    assert [line.get_label() for line in display.lines_] == ["y0", "y1", "y2"]
    for task, line in zip(est.tasks_, display.lines_, strict=True):
        assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
        assert_array_equal(line.get_ydata(), est.history_[f"weight_{task}"])
    again = LossWeightsDisplay(display.weights).plot(display.ax_, line_kw={"lw": 3})
    assert again.figure_ is display.figure_
    assert again.lines_[0].get_linewidth() == 3


def test_learned_weights_live_on_between_parts():
    X, Y = table()
    est = MultiTaskRegressor(
        n_members=1, loss_weights="uw", random_state=0, learning_rate_init=0.01
    )
    weights = [est.partial_fit(X, Y).history_["weight_y1"].iloc[-1] for _ in range(10)]
    assert (np.diff(weights) != 0).all()
    assert abs(weights[-1] - 0.5) > 3 * abs(weights[0] - 0.5)


def test_grid_search_over_loss_weights_in_two_processes():
    X, Y = table()
    Y = pd.DataFrame(Y, columns=list("abc"))
    X, Y = X[Y["a"].notna()], Y[Y["a"].notna()]
    grid = [
        None,
        {"a": 2.0},
        "uw",
        "upgrad",
        aggregation.UPGrad(pref_vector=torch.tensor([0.5, 0.3, 0.2]), projector=NNLSProjector()),
        Aggregation("mgda", at="parameters"),
        GradNorm(alpha=0.5),
        scalarization.STCH(mu=1.0),
    ]
    scores = []
    for n_jobs in (1, 2):
        est = MultiTaskRegressor(**QUICK)
        search = GridSearchCV(est, {"loss_weights": grid}, cv=3, n_jobs=n_jobs).fit(X, Y)
        scores.append(search.cv_results_["mean_test_score"])
        pickle.loads(pickle.dumps(search)).predict(X)
    assert_array_equal(scores[0], scores[1])
    assert len(set(scores[0])) == len(grid)
    nested = GridSearchCV(
        MultiTaskRegressor(**QUICK, loss_weights=Aggregation()),
        {
            "loss_weights__at": ["features", "parameters"],
            "loss_weights__aggregator": ["mgda", "pcgrad"],
        },
        cv=3,
    ).fit(X, Y)
    assert len(set(nested.cv_results_["mean_test_score"])) == 4


def test_preference_vectors_are_in_the_order_of_the_table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = pd.DataFrame(
        {"n": X[:, 0] ** 2, "k": np.where(X[:, 1] > 0, "u", "v"), "m": np.sin(X[:, 2])}
    )
    weights = scalarization.Constant(torch.tensor([3.0, 1.0, 0.5]))
    est = MultiTaskClassifierRegressor(**QUICK, loss_weights=weights).fit(X, Y)
    assert_allclose(est.history_[["weight_n", "weight_k", "weight_m"]].iloc[-1], [3.0, 1.0, 0.5])
    fixed = MultiTaskClassifierRegressor(**QUICK, loss_weights=[3.0, 1.0, 0.5]).fit(X, Y)
    mixed = est.predict(X), fixed.predict(X)
    assert (mixed[0]["k"] == mixed[1]["k"]).mean() > 0.95


# What cannot work is said before training

BAD = [
    ({"loss_weights": "upgrad", "sharing": "none"}, "sharing=NoSharing() has none"),
    (
        {"loss_weights": Aggregation(at="features"), "sharing": "mmoe"},
        "sharing=MMoE() has no such place",
    ),
    ({"loss_weights": "mgda", "hidden_layer_sizes": ()}, "sharing=HardSharing() has none"),
    (
        {"loss_weights": Aggregation("excess_mtl", at="features")},
        "coordinates are those of a batch",
    ),
    (
        {"loss_weights": Aggregation(at="heads")},
        "'auto', 'features' or 'parameters'. Found 'heads'",
    ),
    ({"loss_weights": aggregation.Krum(n_byzantine=2)}, "does not fit 3 tasks"),
    ({"loss_weights": scalarization.UW(5)}, "does not fit 3 tasks"),
    ({"loss_weights": "krum"}, "how many tasks are adversarial"),
    ({"loss_weights": "constant"}, "as a dict or an array"),
    ({"loss_weights": "graddrip"}, "'upgrad', 'dualproj', 'mgda'"),
    ({"loss_weights": aggregation.MGDA().gramian_weighting}, "pass the aggregator"),
    ({"loss_weights": aggregation.MGDA}, "a class: pass an object"),
    ({"loss_weights": GradNorm(alpha=-1)}, "alpha of GradNorm must be a float in the range [0"),
    ({"loss_weights": MinimaxDeviation({"a": 1.0})}, "a finite loss for each of the tasks"),
    ({"loss_weights": MinimaxDeviation("best")}, "'single_task', or a finite loss"),
    ({"loss_weights": MinimaxDeviation(step_size="big")}, "step_size of MinimaxDeviation"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_pairs_that_cannot_work_are_refused(params, message, monkeypatch):
    monkeypatch.setattr("skmtl.training.net.train_step", None)
    X, Y = table()
    with pytest.raises((ValueError, TypeError)) as error:
        MultiTaskRegressor(**{**QUICK, **params}).fit(X, Y)
    assert message in str(error.value)


def test_a_method_whose_solver_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None)
    X, Y = table()
    with pytest.raises(ImportError, match="pip install"):
        MultiTaskRegressor(**QUICK, loss_weights="nash_mtl").fit(X, Y)


def test_a_method_that_makes_no_numbers_stops_with_its_name():
    class Broken(aggregation.WeightedAggregator):
        def __init__(self):
            super().__init__(aggregation.ConstantWeighting(torch.tensor([1.0, np.nan, 1.0])))

    X, Y = table()
    with pytest.raises(ValueError, match="no finite numbers"):
        MultiTaskRegressor(**QUICK, loss_weights=Broken()).fit(X, Y)


# What a review found


def test_a_task_that_is_rarely_there_is_weighed_by_its_regret_all_the_same():
    weighting, rng = started(MinimaxDeviation([0.0, 0.0]), 2), np.random.default_rng(0)
    losses = torch.tensor([[0.2, 1.0]]).double()
    for _ in range(3000):
        weights = weighting(losses, torch.tensor([[True, bool(rng.random() < 0.1)]]))
    assert weights[0, 1] > 1.5
    alone = started(MinimaxDeviation([0.0, 0.0]), 2)
    for turn in (0, 1) * 50:  # one at a time: there is nothing to divide
        moving = torch.tensor([[turn == 0, turn == 1]])
        assert_allclose(alone(losses, moving), [[1.0, 1.0]])


def test_single_task_losses_of_a_task_without_labels_are_zero():
    X, Y = table()
    est = MultiTaskRegressor(tasks="regression", n_members=1, random_state=0).partial_fit(X, Y)
    est.set_params(loss_weights="minimax_deviation")
    est.partial_fit(X, np.where([True, True, False], Y, np.nan))
    assert float(est.net_.weighting._best[0, 2]) == 0.0
    for _ in range(3):
        est.partial_fit(X, Y)
    assert est.history_["weight_y2"].iloc[-1] > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_task_whose_loss_is_zero_stops_no_other(name):
    X, Y = table()
    Y = np.column_stack([Y, np.full(len(Y), 3.0)])  # a constant is predicted from the start
    est = MultiTaskRegressor(**QUICK, loss_weights=name).fit(X, Y)
    assert np.isfinite(est.predict(X)).all()


def test_scales_and_their_moments_live_on_through_parts_and_pickles():
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, loss_weights="uw", batch_size=50)
    for _ in range(4):
        est = pickle.loads(pickle.dumps(est.partial_fit(X, Y)))
    optimizer, each = est.net_.optimizer_, est.net_.weighting.parameters()
    scales = [p for own in each for p in own]
    assert all(p is q for p, q in zip(optimizer.also, scales, strict=True))
    assert [float(optimizer.state[p]["step"]) for p in scales] == [16.0, 16.0]
    assert len(optimizer.state) == len(list(est.module_.parameters())) + 2
    est.set_params(loss_weights=None).partial_fit(X, Y)
    assert len(est.net_.optimizer_.state) == len(list(est.module_.parameters()))


def test_part_by_part_another_weighting_starts_anew_however_alike_it_looks():
    class One(FixedWeights):
        pass

    X, Y = table()
    est = MultiTaskRegressor(**QUICK, loss_weights=One([1.0, 1.0, 1.0])).partial_fit(X, Y)
    first = est.net_.weighting
    assert same(first, clone(first))
    est.set_params(loss_weights=FixedWeights([1.0, 1.0, 1.0])).partial_fit(X, Y)
    assert type(est.net_.weighting) is FixedWeights
    bounds = [torch.zeros(3), torch.tensor([0.1, 0.0, 0.0])]
    famo = [Scalarization(scalarization.FAMO(3, min_losses=b)) for b in bounds]
    assert same(famo[0], clone(famo[0]))
    assert not same(*famo)


@pytest.mark.parametrize(
    "aggregator",
    [
        aggregation.Krum(n_byzantine=0),
        aggregation.TrimmedMean(1),
        aggregation.PCD(tau=torch.tensor([0.1, 0.2])),
    ],
    ids=repr,
)
def test_objects_made_for_all_tasks_do_with_fewer(aggregator):
    X, Y = table()
    Y[rng_rows(0.7, Y.shape)] = np.nan
    Y[0] = 0.0
    est = MultiTaskRegressor(**QUICK, tasks="regression", batch_size=4, loss_weights=aggregator)
    assert np.isfinite(est.fit(X, Y).predict(X)).all()
    est.set_params(schedule="alternating").fit(X, table()[1])


def rng_rows(share, shape):
    return np.random.default_rng(1).random(shape) < share


def test_few_of_many_patterns_are_remembered_and_none_after_the_fit():
    X, Y = table()
    Y = np.column_stack([Y, Y, Y])
    Y[rng_rows(0.8, Y.shape)] = np.nan
    Y[0] = 0.0
    est = MultiTaskRegressor(tasks="regression", n_members=1, batch_size=4, random_state=0)
    est.set_params(loss_weights="gradvac").partial_fit(X, Y)
    assert len(est.net_.weighting._members[0]) == 32
    assert est.set_params(max_iter=1).fit(X, Y).net_.weighting._members == [{}]


MORE_BAD = [
    (Aggregation("foo"), ValueError, "aggregator of Aggregation must be one of ['upgrad'"),
    (Aggregation("uw"), ValueError, "Found 'uw'"),
    (Scalarization("upgrad"), ValueError, "scalarizer of Scalarization must be one of ['uw'"),
    (Aggregation(5), TypeError, "Found 5"),
    (Aggregation(aggregation.MGDA), TypeError, "a class: pass an object"),
    (Aggregation(scalarization.STCH(mu=0.1)), TypeError, "torchjd Aggregator"),
    (FixedWeights([1.0]), ValueError, "a weight for each of 3 tasks"),
    (FixedWeights(None), ValueError, "a weight for each of 3 tasks"),
    (FixedWeights([-1.0, 1.0, 1.0]), ValueError, "weights of FixedWeights must be a float in"),
    (FixedWeights([0, 0, 0]), ValueError, "must not be all 0"),
    (b"abc", TypeError, "Found b'abc'"),
]


@pytest.mark.parametrize(("loss_weights", "error", "message"), MORE_BAD)
def test_bad_objects_are_refused_before_training(loss_weights, error, message, monkeypatch):
    monkeypatch.setattr("skmtl.training.net.train_step", None)
    X, Y = table()
    with pytest.raises(error) as raised:
        MultiTaskRegressor(**QUICK, loss_weights=loss_weights).fit(X, Y)
    assert message in str(raised.value)


def test_names_inside_objects_are_read_generously_too():
    X, Y = table()
    one, other = (
        MultiTaskRegressor(**QUICK, loss_weights=w).fit(X, Y).predict(X)
        for w in (Aggregation("IMTL-G"), "imtl_g")
    )
    assert_array_equal(one, other)


def test_an_interrupt_of_the_single_task_networks_is_one_of_the_fit(monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    X, Y = table()
    monkeypatch.setattr("skmtl.training.net.train_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        MultiTaskRegressor(**QUICK, loss_weights="minimax_deviation").fit(X, Y)


def test_going_on_draws_no_more_seeds_from_the_users_generator():
    X, Y = table()
    state = np.random.RandomState(0)
    est = MultiTaskRegressor(n_members=2, random_state=state).partial_fit(X, Y)
    before = state.get_state()[2]
    est.partial_fit(X, Y)
    assert state.get_state()[2] == before
