"""What every task kind must do, generated over the `__all__` of tasks; names; the step."""

import numpy as np
import pytest
import torch
from kinds import NUMBERS, PREPARED, WORDS
from networks import architecture, optimizer, spread, started
from numpy.testing import assert_allclose
from sklearn.base import clone
from torch import Generator

from skmtl import MultiTaskClassifierRegressor, schedules, sharing, tasks
from skmtl._resolve import known_names, resolve
from skmtl.sharing import HardSharing
from skmtl.tasks import ClassificationTask, RegressionTask, Task, TaskLosses
from skmtl.training import MultiTaskModule, TrainingData, open_bounds
from skmtl.training.step import Phase, train_step
from skmtl.weighting import FixedWeights

rng = np.random.default_rng(1)


def test_every_kind_of_task_is_tested_here():
    assert set(known_names(tasks, Task).values()) <= {type(task) for task, _ in PREPARED.values()}


@pytest.fixture(params=PREPARED)
def prepared(request):
    task, labels = PREPARED[request.param]
    return clone(task).prepare(labels, np.ones(40), name="y"), labels


# Tasks


def test_a_loss_is_finite_not_negative_and_differentiable(prepared):
    task, labels = prepared
    values = torch.from_numpy(task.encode(labels, name="y"))
    values = values[:, 0] if task.n_values == 1 else values
    shape = (40, task.n_outputs) if task.n_outputs > 1 else (40,)
    for scale in (0.1, 1.0, 50.0):
        outputs = scale * torch.randn(shape, dtype=torch.float64, generator=Generator())
        outputs.requires_grad_()
        loss = task.sample_loss(outputs, values)
        assert loss.shape == (40,)
        assert torch.isfinite(loss).all()
        assert (loss >= 0).all()
        rounding = 1e-9 * float(loss.detach().max())  # of a difference of two losses, over its step
        assert torch.autograd.gradcheck(
            lambda o: task.sample_loss(o, values), outputs, atol=1e-5 + rounding
        )


def test_the_score_of_training_is_the_metric_of_sklearn(prepared):
    task, labels = prepared
    losses = TaskLosses([task])
    outputs = torch.randn(1, 40, task.n_outputs, dtype=torch.float64, generator=Generator())
    values = torch.from_numpy(task.encode(labels, name="y")).unsqueeze(0)
    weight = torch.from_numpy(rng.integers(0, 3, size=(1, 40, 1)).astype(float))
    [activated] = losses.by_task([a.numpy() for a in losses.activate(outputs)])
    truth, factor = task.compared(labels)
    counts = weight[0, :, 0].numpy() * (1 if factor is None else factor)
    expected = task.evaluate(truth, task.decode(activated), counts)
    weight = torch.from_numpy(counts).view(1, 40, 1)
    assert float(losses.score(outputs, values, weight)) == pytest.approx(expected)


def test_a_label_without_weight_has_no_gradient(prepared):
    task, labels = prepared
    outputs = torch.randn(2, 40, task.n_outputs, generator=Generator(), requires_grad=True)
    values = torch.from_numpy(task.encode(labels, name="y")).float().expand(2, -1, -1)
    weight = torch.ones(2, 40, 1)
    weight[:, ::2] = 0
    loss, total = TaskLosses([task])(outputs, values, weight)
    loss.sum().backward()
    assert (outputs.grad[:, ::2] == 0).all()
    assert (total == 20).all()
    dropped, _ = TaskLosses([task])(outputs[:, 1::2], values[:, 1::2], None)
    assert_allclose(loss.detach(), dropped.detach(), rtol=1e-6)


def test_tasks_side_by_side_have_the_losses_they_have_alone():
    prepared = [clone(t).prepare(y, np.ones(40), name="y") for t, y in PREPARED.values()] * 2
    together = TaskLosses(prepared)
    values = [
        torch.from_numpy(t.encode(PREPARED[name][1], name="y"))
        for t, name in zip(prepared, [*PREPARED, *PREPARED], strict=True)
    ]
    outputs = [torch.randn(1, 40, t.n_outputs, dtype=torch.float64) for t in prepared]
    weight = torch.from_numpy(rng.random((1, 40, len(prepared))))
    losses, _ = together(
        torch.cat([outputs[t] for t in together.order], -1),
        torch.cat([values[t] for t in together.order], -1).unsqueeze(0),
        weight[..., together.order],
    )
    for at, t in enumerate(together.order):
        alone, _ = TaskLosses([prepared[t]])(
            outputs[t], values[t].unsqueeze(0), weight[..., t : t + 1]
        )
        assert_allclose(losses[0, at], alone[0, 0])


def test_names_of_the_families():
    schemes = "cgc cross_stitch dselectk hard low_rank ltb mmoe mtan none ple related soft"
    assert sorted(known_names(sharing, sharing.Sharing)) == schemes.split()
    kinds = "binary classification count heteroscedastic_regression multilabel ordinal quantile"
    assert list(known_names(tasks, Task)) == [*kinds.split(), "ranking", "regression"]
    assert list(known_names(schedules, schedules.Schedule)) == [
        "alternating",
        "joint",
        "progressive",
    ]
    given = HardSharing(linear_skip=False)
    taken = resolve(given, sharing, sharing.Sharing, parameter="sharing")
    assert taken is not given
    assert repr(taken) == repr(given)


def test_a_scheme_of_the_users_own_and_a_task_of_the_users_own(mixed):
    class Straight(HardSharing):
        def __init__(self, linear_skip=False):
            super().__init__(linear_skip)

    class LogCosh(RegressionTask):
        def sample_loss(self, outputs, values):
            return torch.log(torch.cosh(outputs - values))

    X, Y = mixed
    est = MultiTaskClassifierRegressor(
        {"cost": LogCosh()}, sharing=Straight(), n_members=1, max_iter=2, random_state=0
    ).fit(X, Y)
    assert est.module_.network.skip is None
    assert isinstance(est.tasks_["cost"], LogCosh)


# The step


def test_the_step_is_torchs_adam_on_the_weighted_sum_of_mean_losses():
    """By hand on the same network: losses, their weights, L2 on what is not a bias, Adam."""
    labels = NUMBERS, WORDS
    kinds = RegressionTask(), ClassificationTask()
    prepared = [t.prepare(y, np.ones(40), name="y") for t, y in zip(kinds, labels, strict=True)]
    values = torch.from_numpy(
        np.hstack([t.encode(y, name="y") for t, y in zip(prepared, labels, strict=True)])
    ).float()
    weight = torch.from_numpy(rng.integers(0, 3, size=(40, 2))).float()
    x = torch.randn(40, 4, generator=Generator())
    ours = spread(HardSharing().build(architecture((1, 3)), [Generator()]))
    theirs = spread(HardSharing().build(architecture((1, 3)), [Generator()]))
    decay = {n: 0.0 if n.endswith("bias") else 0.01 for n, _ in ours.named_parameters()}
    adam = optimizer(ours, decay=decay)
    weighting = started(FixedWeights([2.0, 0.5]), 2, dtype=torch.float32)
    reference = torch.optim.Adam(
        [{"params": [p], "weight_decay": decay[n]} for n, p in theirs.named_parameters()], lr=0.01
    )
    data = TrainingData(x, values, weight)
    batch = data.take(torch.arange(40).unsqueeze(0))
    module = MultiTaskModule(ours, open_bounds(data))
    for _ in range(5):
        train_step(module, TaskLosses(prepared), batch, weighting, adam)
        out = theirs(x.unsqueeze(0))[0]
        squared = 0.5 * (out[:, 0] - values[:, 0]) ** 2
        entropy = torch.nn.functional.cross_entropy(
            out[:, 1:], values[:, 1].long(), reduction="none"
        )
        w = weight / weight.sum(0)
        reference.zero_grad()
        (2.0 * (w[:, 0] * squared).sum() + 0.5 * (w[:, 1] * entropy).sum()).backward()
        reference.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_allclose(p.detach(), q.detach(), rtol=1e-4, atol=1e-6)


def test_tasks_that_rest_do_not_move_their_heads():
    prepared = [RegressionTask().prepare(NUMBERS, np.ones(40), name="y") for _ in range(2)]
    network = HardSharing().build(architecture((1, 1)), [Generator()])
    values = torch.from_numpy(rng.normal(size=(40, 2))).float()
    data = TrainingData(torch.randn(40, 4), values, None)
    batch = data.take(torch.arange(40).unsqueeze(0))
    module = MultiTaskModule(network, open_bounds(data))
    weighting = started(FixedWeights([1.0, 1.0]), 2, dtype=torch.float32)
    phase = Phase(active=torch.tensor([[True, False]]))
    train_step(module, TaskLosses(prepared), batch, weighting, optimizer(network, 0.1), phase=phase)
    moved = network.skip.last.weight[0].detach().abs().sum(0)
    assert moved[0] > 0
    assert moved[1] == 0
