"""A step: who moves, by the gradient of what, where tasks meet and what is shown on the way; epochs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kinds import NUMBERS, WORDS
from networks import architecture, optimizer, spread, started
from numpy.testing import assert_allclose
from torch import Generator
from torchjd.aggregation import Sum

from skmtl.sharing import CGC, HardSharing
from skmtl.tasks import ClassificationTask, RegressionTask, TaskLosses
from skmtl.training import MultiTaskModule, TrainingData, clip_bounds
from skmtl.training.batches import ValidRows
from skmtl.training.jacobian import LinearHeadRows, Rows, moving_tasks
from skmtl.training.step import EpochMean, Phase, evaluate, train_step
from skmtl.weighting import Aggregation, FixedWeights

N, HARD = 40, HardSharing()


class Problem:
    """A network for two regressions and a classification, a batch, and its labels with gaps."""

    def __init__(self, scheme=HARD, heads=(), drop=None):
        rng = np.random.default_rng(0)
        tasks = [RegressionTask(), RegressionTask(), ClassificationTask()]
        labels = [NUMBERS, NUMBERS**2, WORDS]
        prepared = [t.prepare(y, np.ones(N), name="y") for t, y in zip(tasks, labels, strict=True)]
        self.loss = TaskLosses(prepared)
        values = np.hstack([t.encode(y, name="y") for t, y in zip(tasks, labels, strict=True)])
        weight = rng.integers(0, 3, size=(N, 3)).astype(float)
        if drop is not None:
            weight[:, drop] = 0
        x = torch.from_numpy(rng.normal(size=(N, 4)))
        self.data = TrainingData(x, torch.from_numpy(values), torch.from_numpy(weight))
        self.batch = self.data.take(torch.arange(N).expand(2, -1))
        generators = [Generator().manual_seed(k) for k in range(2)]
        network = scheme.build(architecture((1, 1, 3), heads=heads), generators)
        self.network = spread(network).double()
        bounds = clip_bounds(self.data, torch.arange(N))
        self.module = MultiTaskModule(self.network, bounds).double()

    def start(self, weighting):
        shared, _ = self.network.parameters_by_sharing()
        with torch.no_grad():
            features = self.network.features(self.batch.x)
        told = {"has_features": features is not None, "has_shared": bool(shared)}
        return started(weighting, 3, 2, **told)

    def step(self, weighting, lr=0.01, **settings):
        adam = optimizer(self.network, lr)
        return train_step(
            self.module, self.loss, self.batch, self.start(weighting), adam, **settings
        )

    def parameters(self):
        return {n: p.detach().clone() for n, p in self.network.named_parameters()}

    def gradients(self):
        return {n: p.grad for n, p in self.network.named_parameters()}


# Gradients


@pytest.mark.parametrize("owner", [[0, 1, 2], [0, 0, 1, 2, 2, 2]], ids=["numbers", "classes"])
def test_gradients_under_linear_heads_are_those_written_out(owner):
    """A task's gradient at the features is the sum over its columns of g times the head."""
    rng, owner = np.random.default_rng(0), torch.tensor(owner)
    g, head = rng.normal(size=(3, 4, len(owner))), rng.normal(size=(3, 5, len(owner)))
    products = np.einsum("kbc,khc->kcbh", g, head)
    written = np.stack([products[:, owner.numpy() == t].sum(1) for t in range(3)], 1)
    flat = torch.from_numpy(written).flatten(2)
    weights, direction = torch.from_numpy(rng.random((3, 3))), torch.from_numpy(rng.random((3, 20)))
    linear = LinearHeadRows(torch.from_numpy(g), torch.from_numpy(head), owner, 2.0)
    for found in (linear, Rows(flat, (4, 5), 2.0)):
        assert_allclose(found.rows(), 2 * flat)
        assert_allclose(found.gramian(), 4 * flat @ flat.mT)
        combined = np.einsum("kt,ktbh->kbh", weights, written)
        assert_allclose(found.combine(weights), combined)
        assert_allclose(found.shaped(direction), direction.view(3, 4, 5) / 2)
        for members in ([1, 2], [0], [2], [0, 1, 2]):
            some = found.of(members)
            assert_allclose(some.rows(), 2 * flat[members])
            assert_allclose(some.gramian(), 4 * flat[members] @ flat[members].mT)
            assert_allclose(some.combine(weights[members]), combined[members])
            assert_allclose(some.shaped(direction[members]), direction[members].view(-1, 4, 5) / 2)
    assert_allclose(Rows(flat, (-1,)).rows(), flat)


def test_the_step_is_torchs_adam_on_the_weighed_sum_of_the_losses():
    """The gradient of the L2 penalty is added before Adam's moments; biases are free of it."""
    ours, theirs = Problem(), Problem()
    decay = {n: 0.0 if n.endswith("bias") else 0.01 for n in ours.parameters()}
    adam, weighting = optimizer(ours.network, decay=decay), FixedWeights([2.0, 0.5, 1.0])
    named = theirs.network.named_parameters()
    groups = [{"params": [p], "weight_decay": decay[name]} for name, p in named]
    reference, weighting = torch.optim.Adam(groups, lr=0.01), ours.start(weighting)
    for _ in range(5):
        train_step(ours.module, ours.loss, ours.batch, weighting, adam)
        reference.zero_grad()
        batch = theirs.batch
        losses, _ = theirs.loss(theirs.module(batch.x), batch.values, batch.weight)
        (losses * torch.tensor([2.0, 0.5, 1.0])).sum().backward()
        reference.step()
    for name, p in theirs.parameters().items():
        assert_allclose(ours.parameters()[name], p, rtol=1e-9, err_msg=name)


WEIGHTINGS = {
    "losses": lambda: FixedWeights([1.0, 2.0, 0.5]),
    "features": lambda: Aggregation(Sum(), at="features"),
    "parameters": lambda: Aggregation(Sum(), at="parameters"),
}


@pytest.mark.parametrize("penalised", [True, False])
@pytest.mark.parametrize("drop", [None, 1])
@pytest.mark.parametrize("heads", [(), (4,)])
@pytest.mark.parametrize(
    ("level", "scheme"),
    [
        ("losses", HardSharing()),
        ("losses", CGC()),
        ("features", HardSharing()),
        ("parameters", HardSharing()),
        ("parameters", CGC()),
    ],
    ids=str,
)
def test_the_step_goes_down_the_weighed_sum_of_the_losses_of_the_labels(
    level, scheme, heads, drop, penalised
):
    """Against autograd on the sum written out, also where a task has no label."""
    problem, other = (Problem(scheme, heads, drop) for _ in range(2))
    if penalised:
        for p in (problem, other):
            p.module.penalty = lambda n=p.network: sum(q.square().sum() for q in n.parameters())
            p.module.penalise = lambda m=p.module: m.penalty().backward()
    done = problem.step(WEIGHTINGS[level]())
    losses, total = other.loss(other.module(other.batch.x), other.batch.values, other.batch.weight)
    factor = torch.tensor([1.0, 2.0, 0.5] if level == "losses" else [1.0] * 3)
    ((losses * factor).sum() + (other.module.penalty() if penalised else 0)).backward()
    assert_allclose(done.losses, losses.detach())
    assert torch.equal(done.total, total)
    assert done.moving is None if drop is None else torch.equal(done.moving, total > 0)
    assert_allclose(done.weights, factor.expand(2, 3) * (total > 0))
    for name, gradient in other.gradients().items():
        found = problem.gradients()[name]
        if gradient is not None and found is not None:
            assert_allclose(found, gradient, atol=1e-12, err_msg=name)
        else:
            assert all(g is None or not g.any() for g in (found, gradient))


# What is shown on the way


class Shown:
    """A weighting that notes what it is shown, and sums."""

    looks_again = True

    def __init__(self, level):
        self.level = level
        self.weight = torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 0.5]]).double()

    def __call__(self, losses, moving):
        self.losses, self.moving = losses, moving
        return self.weight

    def aggregate(self, gradients, losses, moving):
        self.gramian, self.again = gradients.gramian(), (losses, moving)
        return self.weight, gradients.combine(self.weight) if self.level == "features" else (
            self.weight.unsqueeze(1) @ gradients.rows()
        ).squeeze(1)

    def after_step(self, losses, moving):
        self.after = losses, moving


@pytest.mark.parametrize("drop", [None, 1])
@pytest.mark.parametrize("heads", [(), (4,)])
@pytest.mark.parametrize("level", WEIGHTINGS)
def test_a_weighting_is_shown_losses_gradients_where_tasks_meet_and_who_moves(level, heads, drop):
    problem, other = (Problem(heads=heads, drop=drop) for _ in range(2))
    shown, adam = Shown(level), optimizer(problem.network)
    done = train_step(problem.module, problem.loss, problem.batch, shown, adam)
    x = other.module.clip(other.batch.x)
    features = other.network.features(x)
    losses, total = other.loss(
        other.network.outputs(features, x), other.batch.values, other.batch.weight
    )
    moving = [drop is None, total > 0]
    for seen in (shown.losses, done.losses, *([] if level == "losses" else [shown.again[0]])):
        assert_allclose(seen, losses.detach())
        assert not seen.requires_grad
    for seen in (shown.moving, shown.after[1], *([] if level == "losses" else [shown.again[1]])):
        assert seen is None if moving[0] else torch.equal(seen, moving[1])
    with torch.no_grad():
        after, _ = problem.loss(
            problem.module(problem.batch.x), problem.batch.values, problem.batch.weight
        )
    assert_allclose(shown.after[0], after)
    ends = [features] if level == "features" else other.network.parameters_by_sharing()[0]
    rows = []
    for t in range(3):
        of_task = torch.autograd.grad(
            losses[:, t].sum(), ends, retain_graph=True, allow_unused=True
        )
        there = [
            torch.zeros_like(e) if g is None else g for g, e in zip(of_task, ends, strict=True)
        ]
        own = shown.weight[:, t] * (total[:, t] > 0)
        rows.append(torch.cat([own.unsqueeze(1) * g.flatten(1) for g in there], 1))
    rows = torch.stack(rows, 1)
    if level != "losses":
        scale = N if level == "features" else 1  # a mean over rows, not a sum
        assert_allclose(shown.gramian, scale * rows @ rows.mT, atol=1e-12)
    if level == "parameters":
        direction = (shown.weight.unsqueeze(1) @ rows).squeeze(1)
        shared, _ = problem.network.parameters_by_sharing()
        found = torch.cat([p.grad.flatten(1) for p in shared], 1)
        assert_allclose(found, direction, atol=1e-12)


def test_a_shared_parameter_that_no_task_uses_has_a_gradient_of_zero():
    problem, idle = Problem(), torch.nn.Parameter(torch.ones(2, 3).double())
    shared, own = problem.network.parameters_by_sharing()
    problem.network.parameters_by_sharing = lambda: ([*shared, idle], own)
    adam, shown = optimizer(problem.network), Shown("parameters")
    train_step(problem.module, problem.loss, problem.batch, shown, adam)
    assert torch.equal(idle.grad, torch.zeros(2, 3).double())
    assert all((p.grad != 0).any() for p in shared)


# Who moves


@pytest.mark.parametrize(
    ("total", "active", "expected"),
    [
        (None, None, None),
        (None, [[True, False]], [[True, False]]),
        ([[2.0, 1.0]], None, None),
        ([[2.0, 0.0]], None, [[True, False]]),
        ([[2.0, 0.0]], [[False, True]], [[False, False]]),
        ([[2.0, 1.0]], [[True, True]], None),
        ([[2.0, 1.0]], [[False, True]], [[False, True]]),
    ],
)
def test_tasks_move_that_have_labels_and_are_active(total, active, expected):
    total, active = (None if v is None else torch.tensor(v) for v in (total, active))
    found = moving_tasks(total, active)
    assert (found if found is None else found.tolist()) == expected


@pytest.mark.parametrize("level", WEIGHTINGS)
def test_a_task_that_rests_has_no_gradient_though_it_has_labels(level):
    problem = Problem()
    phase = Phase(active=torch.tensor([[True, False, True]] * 2))
    adam = optimizer(problem.network)
    train_step(problem.module, problem.loss, problem.batch, Shown(level), adam, phase=phase)
    gradient = problem.network.heads.last.weight.grad.flatten(0, 1)
    assert (gradient != 0).any(0).tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("clipped", [True, False])
@pytest.mark.parametrize("level", WEIGHTINGS)
def test_a_batch_that_was_clipped_is_not_clipped_again(level, clipped):
    problem = Problem()
    wild, shown = 40 * problem.batch.x, Shown(level)
    batch = problem.batch._replace(x=wild, clipped=clipped)
    adam = optimizer(problem.network, lr=0.0)
    done = train_step(problem.module, problem.loss, batch, shown, adam)
    seen = wild if clipped else problem.module.clip(wild)
    expected, _ = problem.loss(problem.network(seen), batch.values, batch.weight)
    assert_allclose(done.losses, expected.detach())
    assert_allclose(shown.after[0], expected.detach())


@pytest.mark.parametrize("level", WEIGHTINGS)
def test_a_head_moves_only_with_labels_and_in_its_turn(level):
    def moved(phase, drop=1):
        problem = Problem(drop=drop)
        before, owners = problem.parameters(), problem.network.owners()
        problem.step(WEIGHTINGS[level](), phase=phase)
        found = [False] * 3
        for name, p in problem.parameters().items():
            change = p != before[name]
            for t in range(3):
                own = ((owners[name] == t) & torch.ones_like(change)).bool()
                found[t] |= bool(change[own].any())
        shared, _ = problem.network.parameters_by_sharing()
        names = [n for n, p in problem.network.named_parameters() if any(p is s for s in shared)]
        return found, any((problem.parameters()[n] != before[n]).any() for n in names)

    assert moved(Phase()) == ([True, False, True], True)
    first = torch.tensor([[True, False, False]] * 2)
    assert moved(Phase(active=first)) == ([True, False, False], True)
    assert moved(Phase(active=first, shared=False)) == ([True, False, False], False)


@pytest.mark.parametrize("freezes", [True, False])
def test_tasks_that_rest_move_by_their_momentum_unless_they_are_frozen_or_unlabelled(freezes):
    problem = Problem()
    adam, weighting = optimizer(problem.network), problem.start(WEIGHTINGS["losses"]())
    train_step(problem.module, problem.loss, problem.batch, weighting, adam)  # momentum for all
    before = problem.parameters()["heads.last.weight"]
    there = torch.tensor([1.0, 0.0, 1.0])
    batch = problem.batch._replace(weight=problem.batch.weight * there)
    phase = Phase(active=torch.tensor([[True, False, False]] * 2), freezes=freezes)
    train_step(problem.module, problem.loss, batch, weighting, adam, phase=phase)
    change = problem.parameters()["heads.last.weight"] != before
    assert change.flatten(0, 1).any(0).tolist() == [True, False, *[not freezes] * 3]


def test_hooks_are_called_between_the_pass_and_the_step():
    problem, calls = Problem(drop=1), []

    class Recorder:
        def extend(self, batch):
            calls.append("extend")
            return batch._replace(weight=torch.ones_like(batch.weight))

        def correct(self, learner, batch, moving, active):
            assert learner.module is problem.module
            assert learner.loss is problem.loss
            assert isinstance(learner.weighting, FixedWeights)
            assert moving is None  # every label is there now
            calls.append(("correct", active))
            return torch.tensor([[True, False, True]] * 2)

    before = problem.parameters()["heads.last.weight"]

    def see(batch):
        calls.append(batch.weight.min().item())
        assert torch.equal(problem.network.heads.last.weight, before)
        assert problem.network.heads.last.weight.grad is not None

    everyone = torch.ones(2, 3, dtype=torch.bool)
    hooks = {"consolidation": Recorder(), "on_gradients": see}
    problem.step(FixedWeights([1.0] * 3), phase=Phase(active=everyone), **hooks)
    assert calls == ["extend", ("correct", everyone), 1.0]
    change = problem.parameters()["heads.last.weight"] != before
    assert change.flatten(0, 1).any(0).tolist() == [True, False, True, True, True]


# Epochs


def test_the_loss_of_an_epoch_is_the_mean_over_its_labels():
    rng = np.random.default_rng(0)
    mean = EpochMean()
    losses, totals, weights = (torch.from_numpy(rng.random((3, 2, 2))) for _ in range(3))
    totals[:, 1, 0] = 0
    for step in range(3):
        mean.add(SimpleNamespace(losses=losses[step], total=totals[step], weights=weights[step]), 9)
    (found, labelled), of_weights = mean.result()
    expected = (losses * totals).sum(0) / totals.sum(0)
    assert_allclose(found, expected)
    assert found[1, 0].isnan()
    assert labelled.tolist() == [[True, True], [False, True]]
    assert_allclose(of_weights, weights.mean(0))
    plain = EpochMean()
    for step, n_rows in enumerate((5, 5, 2)):
        done = SimpleNamespace(losses=losses[step], total=None, weights=weights[step])
        plain.add(done, n_rows)
    (found, labelled), _ = plain.result()
    assert_allclose(found, (losses[0] * 5 + losses[1] * 5 + losses[2] * 2) / 12)
    assert labelled.all()


@pytest.mark.parametrize("weighted", [True, False])
def test_validation_is_by_task_and_none_without_labels(weighted, monkeypatch):
    monkeypatch.setattr("skmtl.training.batches.FORWARD_ROWS", 14)
    monkeypatch.setattr("skmtl.training.batches.LEAST_ROWS", 7)
    problem = Problem(drop=2)
    table = problem.data if weighted else problem.data._replace(weight=None)
    rows = torch.stack([torch.arange(20), torch.arange(10, 30)])
    (found, labelled), scores = evaluate(problem.module, problem.loss, ValidRows(table, rows))
    batch = table.take(rows)
    outputs = problem.module(batch.x)
    expected, total = problem.loss(outputs, batch.values, batch.weight)
    there = torch.ones(2, 3, dtype=torch.bool) if total is None else total > 0
    assert torch.equal(labelled, there)
    assert_allclose(found[there], expected[there].detach())
    assert found[~there].isnan().all()
    assert_allclose(scores, problem.loss.score(outputs, batch.values, batch.weight).detach())
    assert not found.requires_grad
