"""Weightings of ours against their papers' formulas, step by step, with gaps; stacks of several."""

import copy

import numpy as np
import pytest
import torch
from networks import started
from numpy.testing import assert_allclose
from sklearn.base import clone
from torchjd import aggregation

from skmtl.training.jacobian import Rows
from skmtl.weighting import (
    FAMO,
    Aggregation,
    FixedWeights,
    GradNorm,
    MinimaxDeviation,
    NNLSProjector,
    Scalarization,
    same,
    solvers,
    stack_weightings,
)
from skmtl.weighting.adapter import AGGREGATORS, make
from skmtl.weighting.solvers import MinNorm

N_TASKS, N_STEPS = 3, 12


def steps(n_members, seed=0):
    """Losses, norms of gradients and the tasks that are there (None: all), at every step."""
    rng = np.random.default_rng(seed)
    for step in range(N_STEPS):
        losses, norms = (torch.from_numpy(rng.random((n_members, N_TASKS)) + 0.1) for _ in "ab")
        there = torch.from_numpy(rng.random((n_members, N_TASKS)) < 0.6) if step % 3 else None
        if there is not None:
            losses[~there] = torch.nan
        yield losses, norms, there


class Gradients:
    """Orthogonal gradients of these norms."""

    def __init__(self, norms):
        self.norms = norms

    def gramian(self):
        return torch.diag_embed(self.norms**2)

    def combine(self, weights):
        return weights


class GradNormOfThePaper:
    """Chen et al. (2018), algorithm 1, of one member: the weights descend |G - G_mean r^alpha|."""

    def __init__(self, alpha, learning_rate):
        self.weights = torch.ones(N_TASKS, dtype=torch.float64, requires_grad=True)
        self.adam = torch.optim.Adam([self.weights], lr=learning_rate)
        self.first = torch.full((N_TASKS,), torch.nan, dtype=torch.float64)
        self.alpha = alpha

    def step(self, losses, norms, there):
        """Move the weights; ``norms`` are of the gradients of the losses without weights."""
        new = there & self.first.isnan()
        self.first[new] = losses[new]
        before = self.weights.detach().clone()
        self.adam.zero_grad(set_to_none=False)
        if there.any():
            G = self.weights[there] * norms[there]
            rate = (losses / self.first)[there]
            target = (G.mean() * (rate / rate.mean()) ** self.alpha).detach()
            (G - target).abs().sum().backward()
        self.adam.step()
        with torch.no_grad():
            self.weights[~there] = before[~there]
            self.weights.clamp_(min=1e-3).mul_(N_TASKS / self.weights.sum())


def test_gradnorm_is_that_of_the_paper():
    n_members, alpha, learning_rate = 2, 1.2, 0.05
    weighting = started(GradNorm(alpha, learning_rate), N_TASKS, n_members)
    theirs = [GradNormOfThePaper(alpha, learning_rate) for _ in range(n_members)]
    for losses, norms, there in steps(n_members):
        used = weighting(losses, there)
        gone_by, direction = weighting.aggregate(Gradients(used * norms), losses, there)
        present = torch.ones(losses.shape, dtype=bool) if there is None else there
        assert_allclose(direction, present)  # the gradients are those of weighted losses
        for k, reference in enumerate(theirs):
            expected = reference.weights.detach().clone()
            assert_allclose(used[k], expected, rtol=1e-9)
            assert_allclose(gone_by[k], expected * present[k], rtol=1e-9)
            reference.step(losses[k], norms[k], present[k])


def minimax_shares(shares, losses, best, there, step_size, even):
    """Exponentiated gradient ascent of one member on the shares of the tasks that are there."""
    shares = shares.copy()
    if there.any():
        theirs = shares[there]
        raised = theirs * np.exp(step_size * (losses - best)[there])
        mixed = (1 - even) * raised / raised.sum() + even / there.sum()
        shares[there] = theirs.sum() * mixed
    return shares


def test_minimax_deviation_climbs_the_deviations():
    n_members, best = 2, np.array([0.5, 0.1, 0.3])
    weighting = started(MinimaxDeviation(best, step_size=0.7), N_TASKS, n_members)
    shares = np.full((n_members, N_TASKS), 1 / N_TASKS)
    for losses, _, there in steps(n_members):
        weights = weighting(losses, there)
        present = np.ones(losses.shape, bool) if there is None else there.numpy()
        for k in range(n_members):
            shares[k] = minimax_shares(
                shares[k], losses[k].numpy(), best, present[k], step_size=0.7, even=0.02
            )
        assert_allclose(weights, shares * N_TASKS)


def test_members_are_judged_by_the_largest_deviation_of_labelled_tasks():
    weighting = started(MinimaxDeviation([0.5, 0.1, 0.3]), N_TASKS, 2)
    losses = torch.tensor([[0.4, np.nan, 0.1], [0.9, 0.2, 9.0]]).double()
    labelled = torch.tensor([[True, False, True], [True, True, False]])
    assert_allclose(weighting.objective(losses, labelled), [-0.1, 0.4])


def test_members_are_judged_by_the_weighted_sum_of_labelled_tasks():
    weighting = started(FixedWeights([2.0, 1.0, 0.5]), N_TASKS, 2)
    losses = torch.tensor([[0.4, np.nan, 0.1], [0.9, 0.2, 9.0]]).double()
    labelled = torch.tensor([[True, False, True], [True, True, False]])
    assert_allclose(weighting.objective(losses, labelled), [0.85, 2.0])


@pytest.mark.parametrize(
    "given", [{"0": 0.1, "1": 0.1, "2": 0.1, "3": 0.1}, [0.1, 0.2], [[0.1] * 3]]
)
def test_best_losses_are_one_for_each_task(given):
    with pytest.raises(ValueError, match="best_losses of MinimaxDeviation must be 'single_task'"):
        started(MinimaxDeviation(given), N_TASKS, task_names=["0", "1", "2"])


def test_dwa_goes_by_what_was_last_known_of_each_task():
    """Liu et al. (2019): T softmax(r / 2), r the losses of an epoch over those of the one before."""
    weighting = started(Scalarization("dwa"), N_TASKS, 2)
    epochs = torch.tensor(
        [
            [[3.0, 2.0, 1.0], [0.4, 0.3, 0.9]],
            [[2.0, np.nan, 0.2], [0.3, 0.3, np.nan]],
            [[1.0, 1.8, 0.1], [0.1, np.nan, 0.5]],
            [[0.9, 1.7, 0.1], [0.1, 0.2, 0.4]],
        ]
    ).double()
    gaps = torch.tensor([[True, False, True], [False, True, True]])
    members, now = [0, 1], epochs[0]
    for at, epoch in enumerate(epochs):
        losses, there = epoch[members], gaps[members]
        before, now = now, losses.where(losses.isfinite(), now)
        weighting.after_epoch(losses)
        heat = (now / before / 2).exp()
        for some in (torch.ones_like(there), there, torch.ones_like(there)):
            expected = heat * some
            expected = some.sum(1, keepdim=True) * expected / expected.sum(1, keepdim=True)
            batch = torch.ones_like(now).where(some, torch.nan)
            assert_allclose(weighting(batch, None if some.all() else some), expected)
        if at == 1:
            weighting.keep([1])
            members, now = [1], now[1:]


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [
        (FAMO, "learning_rate"),
        (FAMO, "weight_decay"),
        (GradNorm, "learning_rate"),
        (GradNorm, "alpha"),
    ],
)
def test_a_number_below_zero_is_refused(kind, parameter):
    with pytest.raises(ValueError, match=f"{parameter} of {kind.__name__} must be"):
        started(kind(**{parameter: -1.0}), N_TASKS)


@pytest.mark.parametrize("bounds", [None, [0.0, 0.0, 0.0], [0, 1, 0]])
def test_famo_bears_a_loss_at_its_lower_bound(bounds):
    weighting = started(FAMO(bounds), N_TASKS)
    losses = torch.tensor([[0.5, 1.0, 0.0]]).double()
    weights = weighting(losses, None)
    weighting.after_step(losses, None)
    assert weights.isfinite().all()
    assert weighting(losses, None).isfinite().all()


def test_famo_weighs_a_task_that_is_there_alone_however_little_it_counts_beside_others():
    weighting = started(FAMO(), N_TASKS, 2)
    weighting._logits.values[:, 0] = -2000.0  # its share of all three is no number above zero
    losses = torch.tensor([[0.5, 1.0, 2.0]] * 2).double()
    there = torch.tensor([[True, False, False], [False, False, False]])
    assert_allclose(weighting(losses, there), [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize("pivots", [0, 1, 6])
@pytest.mark.parametrize("likeness", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("n_tasks", [1, 2, 5, 20])
def test_projections_are_optimal_however_few_pivots_they_have(
    n_tasks, likeness, pivots, monkeypatch
):
    """Also where gradients are nearly one, or one of two, and conflict all the same."""
    monkeypatch.setattr(solvers, "PIVOTS", pivots)
    rng = np.random.default_rng(n_tasks)
    common, own = rng.normal(size=(2, 30))[rng.integers(2, size=n_tasks)], rng.normal(size=30)
    signs = rng.choice([-1.0, 1.0], size=(n_tasks, 1))
    J = signs * (likeness * common + (1 - likeness) * rng.normal(size=(n_tasks, 30)) + 0.01 * own)
    G = J @ J.T / np.square(J).sum() + 1e-4 * np.eye(n_tasks)
    q = np.vstack([G, rng.normal(size=(3, n_tasks))])
    z = solvers._complementary(np.repeat(G[None], len(q), axis=0), q)
    w = z @ G + q
    assert (z >= 0).all()
    assert (w >= -1e-9).all()
    assert_allclose(z * w, 0, atol=1e-9 * max(1.0, z.max()))


def test_pivots_solve_what_gradients_are_as_a_rule(monkeypatch):
    monkeypatch.setattr(solvers, "nnls", None)
    rng = np.random.default_rng(0)
    for n_tasks in (2, 5, 20):
        J = rng.normal(size=(8, n_tasks, 200))
        G = torch.from_numpy(J @ J.transpose(0, 2, 1))
        found = solvers._projected(torch.eye(n_tasks) / n_tasks, G)
        assert ((found @ G) >= -1e-2 * G.diagonal(dim1=1, dim2=2).max()).all()


def known(rows):
    """Gradients (K, T, N) that were found before."""
    return Rows(rows, (-1,))


def jacobians(n_members, n_steps=6):
    """Gradients of three tasks, step by step."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=(n_steps, n_members, N_TASKS, 8)) + 0.3)


def test_an_aggregator_remembers_the_steps_before():
    """For each set of tasks apart: PCD keeps a mean of squared norms."""
    weighting = started(Aggregation("pcd"), N_TASKS, 2)
    everybody, few = ([aggregation.PCD() for _ in range(2)] for _ in "ab")
    for step, J in enumerate(jacobians(2)):
        there = None if step % 2 else torch.tensor([[True, False, True], [True, True, False]])
        here = J if there is None else J * there.unsqueeze(2)
        weights, _ = weighting.aggregate(known(here), torch.ones(2, N_TASKS).double(), there)
        for k in range(2):
            if there is None:
                expected = everybody[k].gramian_weighting(J[k] @ J[k].T)
            else:
                rows = J[k][there[k]]
                expected = torch.zeros(N_TASKS).double()
                expected[there[k]] = few[k].gramian_weighting(rows @ rows.T)
            assert_allclose(weights[k], expected)


@pytest.mark.parametrize("name", ["mgda", "upgrad", "imtl_g", "pcgrad", "dualproj"])
def test_a_task_at_its_optimum_stands_in_nobodys_way(name):
    """A gradient of zero is the shortest of all convex combinations."""
    [J] = jacobians(1, 1)
    J[0, 1] = 0
    weighting = started(Aggregation(name), N_TASKS)
    weights, direction = weighting.aggregate(known(J), torch.ones(1, N_TASKS).double(), None)
    assert weights[0, 1] == 0
    two = started(Aggregation(name), 2)
    expected, _ = two.aggregate(known(J[:, [0, 2]]), torch.ones(1, 2).double(), None)
    assert_allclose(weights[:, [0, 2]], expected, rtol=1e-6)
    assert direction.norm() > 0


@pytest.mark.parametrize("kind", [aggregation.UPGrad, aggregation.DualProj])
def test_preferences_are_those_of_the_tasks_that_are_there(kind):
    preferences = torch.tensor([0.7, 0.1, 0.2]).double()
    projector = NNLSProjector()
    weighting = started(Aggregation(kind(preferences, projector=projector)), N_TASKS)
    [J] = jacobians(1, 1)
    J[0, 2] = -J[0, 0] + 0.1 * J[0, 1]
    there = torch.tensor([[True, False, True]])
    weights, _ = weighting.aggregate(
        known(J * there.unsqueeze(2)), torch.ones(1, N_TASKS).double(), there
    )
    two = kind(preferences[[0, 2]], projector=projector)
    rows = J[0, [0, 2]]
    assert_allclose(weights[0, [0, 2]], two.gramian_weighting(rows @ rows.T))
    assert weights[0, 1] == 0


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_the_unit_of_the_gradients_is_nothing_to_mgda(scale):
    J = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 6)))
    assert_allclose(MinNorm()(scale * J @ J.T), MinNorm()(J @ J.T), rtol=1e-6)


@pytest.mark.parametrize(
    ("positions", "tau"), [([0, 1], [0.1]), ([0, 2], [0.2]), ([0, 1, 2], [0.1, 0.2])]
)
def test_the_bounds_of_pcd_are_those_of_the_tasks_that_are_there(positions, tau):
    method = aggregation.PCD(tau=torch.tensor([0.1, 0.2]))
    own = make(method, AGGREGATORS, N_TASKS, positions, torch.empty(0))
    assert_allclose(own.tau, tau, rtol=1e-6)
    assert_allclose(method.tau, [0.1, 0.2], rtol=1e-6)


ALIKE = [
    FixedWeights(np.array([1.0, 2.0])),
    FixedWeights([1.0, 2.0]),
    FixedWeights([1.0, 2.0, 1.0]),
    FixedWeights(np.array([1.0, 2.5])),
    FixedWeights(torch.tensor([1.0, 2.0])),
    FAMO([0.0, 0.1]),
    FAMO((0.0, 0.1)),
    FAMO(),
    FAMO(learning_rate=0.1),
    MinimaxDeviation({"a": 0.1}),
    MinimaxDeviation({"b": 0.1}),
    Scalarization("uw"),
    Scalarization("stch"),
]


@pytest.mark.parametrize("one", range(len(ALIKE)))
def test_weightings_are_the_same_if_all_their_parameters_are(one):
    found = [same(copy.deepcopy(ALIKE[one]), other) for other in ALIKE]
    assert found == [other == one for other in range(len(ALIKE))]
    if isinstance(ALIKE[one], Scalarization):
        assert [ALIKE[one].joins(o) for o in ALIKE[-2:]] == [o is ALIKE[one] for o in ALIKE[-2:]]


PARTS = {
    "fixed": [FixedWeights([2.0, 1.0, 0.5]), FixedWeights([1.0, 0.0, 3.0])],
    "alike": [Scalarization("dwa"), Scalarization("dwa")],
    "mixed": [
        FixedWeights([2.0, 1.0, 0.5]),
        Scalarization("dwa"),
        Scalarization("uw"),
        MinimaxDeviation([0.1, 0.2, 0.3]),
    ],
    "famo": [FAMO(), FAMO([0.0, 0.0, 0.05]), FAMO(learning_rate=0.1)],
}


@pytest.mark.parametrize("name", PARTS)
def test_a_stack_of_several_is_each_for_itself(name):
    """Step by step and epoch by epoch, with gaps, and after members have left."""
    sizes = [1 + at % 2 for at in range(len(PARTS[name]))]
    alone = [started(clone(part), N_TASKS, k) for part, k in zip(PARTS[name], sizes, strict=True)]
    joint = stack_weightings([copy.deepcopy(part) for part in alone], sizes)
    members = list(range(sum(sizes)))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    all_there = torch.ones(len(members), N_TASKS, dtype=bool)
    for step, (losses, after, there) in enumerate(steps(len(members))):
        if step == 5:  # the only member of the first part leaves
            members = members[1:]
            joint.keep(list(range(1, len(members) + 1)))
        now, then, labels = (part[members] for part in (losses, after, all_there))
        moving = None if there is None else there[members]
        own = [np.flatnonzero(owner[members] == part) for part in range(len(alone))]
        found = joint(now, moving).expand_as(now)
        if joint.looks_again:
            joint.after_step(then, moving)
        judged = joint.objective(now.nan_to_num(1.0), labels)
        if step % 4 == 3:
            joint.after_epoch(now)
        assert len(joint.parameters()) in (0, len(members))
        for part, at in zip(alone, own, strict=True):
            if not len(at):
                continue
            gaps = None if moving is None else moving[at]
            assert_allclose(found[at], part(now[at], gaps).expand_as(now[at]), rtol=1e-9)
            assert_allclose(judged[at], part.objective(now[at].nan_to_num(1.0), labels[at]))
            if part.looks_again:
                part.after_step(then[at], gaps)
            if step % 4 == 3:
                part.after_epoch(now[at])
