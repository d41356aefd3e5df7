"""Schedules: who trains when, what rests meanwhile, and what early stopping makes of it."""

import numpy as np
import pandas as pd
import pytest
import torch
from networks import Seed, optimizer
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback
from test_weighting import Problem

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, schedules
from skmtl._resolve import known_names
from skmtl.schedules import Alternating, Joint, Progressive, Schedule, Tasks
from skmtl.training.adam import StackAdam
from skmtl.training.step import Phase, train_step
from skmtl.weighting import FixedWeights

QUICK = {"n_members": 2, "hidden_layer_sizes": (8,), "random_state": 0, "early_stopping": False}
THREE = Tasks(["a", "b", "c"], [100, 20, 5])
EVERY = [
    Joint(),
    Alternating(),
    Alternating(phase_epochs=2, order="random"),
    Alternating(order="proportional"),
    Alternating(freeze="none"),
    Alternating(freeze="others_and_trunk"),
    Progressive(epochs_per_stage=2),
    Progressive("easy_first", 2),
    Progressive(["y2", "y0", "y1"], 1),
]


def table(n=120):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    Y = np.column_stack([X[:, 0] ** 2, X[:, 1], np.sin(X[:, 2])]) + 0.3 * rng.normal(size=(n, 3))
    Y[::2, 1] = np.nan
    return X, Y


class Watch(Callback):
    """Parameters and moments before every epoch, and after the last."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_epoch_begin(self, net, **kwargs):
        named = dict(net.module_.network.named_parameters())
        states = net.optimizer_.state
        self.seen.append(
            {
                name: [
                    part.detach().clone()
                    for part in (p, states[p].get("exp_avg"), states[p].get("exp_avg_sq"))
                    if part is not None
                ]
                for name, p in named.items()
            }
        )

    on_train_end = on_epoch_begin


def test_every_schedule_is_tested_here():
    assert set(known_names(schedules, Schedule).values()) == {type(s) for s in EVERY}


# Who trains


def test_round_robin_takes_turns():
    turns = [Alternating(phase_epochs=2).active(e, THREE, seed=0).index(True) for e in range(8)]
    assert turns == [0, 0, 1, 1, 2, 2, 0, 0]


def test_random_order_takes_every_task_once_a_round_in_an_order_of_the_seed():
    schedule = Alternating(order="random")
    turns = [[schedule.active(e, THREE, seed).index(True) for e in range(30)] for seed in (0, 0, 1)]
    assert turns[0] == turns[1] != turns[2]
    assert all(sorted(turns[0][i : i + 3]) == [0, 1, 2] for i in range(0, 30, 3))
    assert len({tuple(turns[0][i : i + 3]) for i in range(0, 30, 3)}) > 1


def test_proportional_order_gives_turns_by_labels_after_one_each():
    turns = [Alternating(order="proportional").active(e, THREE, 0).index(True) for e in range(128)]
    assert turns[:3] == [0, 1, 2]
    assert np.bincount(turns[3:]).tolist() == [100, 20, 5]
    gaps = np.diff([i for i, t in enumerate(turns[3:]) if t == 1])
    assert gaps.min() >= 5  # spread, not bunched
    assert gaps.max() <= 8


def test_tasks_join_stage_by_stage():
    active = [Progressive(epochs_per_stage=2).active(e, THREE, 0) for e in (0, 1, 2, 4, 9)]
    assert active == [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert Progressive(["c", "a", "b"], 1).active(1, THREE, 0) == [True, False, True]
    easy = Tasks(["a", "b", "c"], [9, 9, 9], [0.1, 0.9, 0.5])
    assert Progressive("easy_first", 1).active(1, easy, 0) == [False, True, True]


def test_easy_first_asks_what_a_linear_model_explains():
    X, Y = table(400)
    Y = pd.DataFrame({"square": Y[:, 0], "word": np.where(X[:, 3] > 0, "u", "v"), "line": Y[:, 1]})
    est = MultiTaskClassifierRegressor(**QUICK, schedule=Progressive("easy_first", 1), max_iter=3)
    est.fit(X, Y)
    joined = est.history_[["weight_square", "weight_word", "weight_line"]] > 0
    assert joined.to_numpy().tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_the_union_of_tasks_trained_is_complete(schedule):
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, schedule=schedule, max_iter=8).fit(X, Y)
    trained = est.history_[["weight_y0", "weight_y1", "weight_y2"]] > 0
    assert trained.any().all()
    assert len(est.history_) == est.n_iter_ == 8


# What rests


@pytest.mark.parametrize("sharing", ["hard", "none", "cgc", "low_rank"])
@pytest.mark.parametrize("schedule", [s for s in EVERY if s.freezes], ids=repr)
def test_frozen_parameters_their_moments_and_decay_rest_to_the_bit(schedule, sharing):
    X, Y = table()
    watch = Watch()
    est = MultiTaskRegressor(
        **QUICK, schedule=schedule, sharing=sharing, head_layer_sizes=(4,), alpha=0.1, max_iter=6
    ).set_params(callbacks=[("watch", watch)])
    est.fit(X, Y)
    seen = dict(est.net_.callbacks_)["watch"].seen
    owners = est.module_.network.owners()
    moved = dict.fromkeys([*range(3), -1], False)
    for epoch in range(6):
        for member in range(2):
            active = [*est.net_.schedule.active(epoch, member), schedule.shared]
            for name, before in seen[epoch].items():
                for then, now in zip(before, seen[epoch + 1][name], strict=False):
                    for owner in (*range(3), -1):
                        mine = (owners[name] == owner).broadcast_to(then[member].shape)
                        same = torch.equal(then[member][mine], now[member][mine])
                        if not active[owner]:
                            assert same, (epoch, name, owner)
                        moved[owner] |= not same
    assert all(moved[task] for task in range(3))
    assert moved[-1] == (schedule.shared and any((o == -1).any() for o in owners.values()))


def test_without_freezing_the_others_go_on_by_momentum_and_decay():
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, schedule=Alternating(freeze="none"), max_iter=3, alpha=1.0)
    est.set_params(callbacks=[("watch", Watch())]).fit(X, Y)
    seen = dict(est.net_.callbacks_)["watch"].seen
    first_head = [epoch["heads.last.weight"][0][..., 0] for epoch in seen]
    assert not torch.equal(first_head[1], first_head[2])


def test_a_task_that_trains_later_starts_as_it_would_alone():
    """Bias correction counts a task's own steps: its first step is one of the learning rate."""
    problem = Problem(missing=0.0)
    weighting, adam = problem.start(FixedWeights([1.0] * 3)), optimizer(problem.network, 0.01)
    only = [Phase(torch.tensor([[t == turn for t in range(3)]])) for turn in range(3)]
    for _ in range(20):
        train_step(problem.module, problem.loss, problem.batch, weighting, adam, phase=only[0])
    before = problem.network.heads.last.weight.detach().clone()
    train_step(problem.module, problem.loss, problem.batch, weighting, adam, phase=only[1])
    moved = (problem.network.heads.last.weight - before)[0].abs()
    owner = problem.network.heads.last.owner
    first = moved[:, owner == 1].detach()
    assert_allclose(first[first > 0], 0.01, rtol=1e-4)  # a dead unit has no gradient
    assert (first > 0).any()
    assert (moved[:, owner != 1] == 0).all()


def test_steps_counted_apart_are_those_of_torch():
    """A task that moves at every other step moves as torch's Adam moves it on those steps alone."""
    rng = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.randn(2, 3, 4, generator=rng, dtype=torch.float64))
    q = [torch.nn.Parameter(p.detach()[:, :, t].clone()) for t in range(4)]
    ours = StackAdam({"p": p}, {"p": 0.1}, {"p": torch.arange(4)}, lr=0.01)
    theirs = [torch.optim.Adam([part], lr=0.01, weight_decay=0.1) for part in q]
    for step in range(9):
        gradient = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64)
        moving = torch.tensor([[True, step % 2 == 0, step > 4, False]]).expand(2, -1)
        p.grad = gradient.clone()
        ours.step(moving=moving)
        for t in range(4):
            if moving[0, t]:
                q[t].grad = gradient[:, :, t].clone()
                theirs[t].step()
    assert_allclose(p.detach(), torch.stack(q, -1).detach(), rtol=1e-10)


# Early stopping


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_early_stopping_waits_until_every_task_had_its_turns(schedule):
    X, Y = table()
    est = MultiTaskRegressor(**{**QUICK, "early_stopping": True}, schedule=schedule)
    est.set_params(n_iter_no_change=2, tol=10.0, max_iter=100).fit(X, Y)
    program, ends, waiting = est.net_.schedule, [], {0, 1, 2}
    for epoch in range(100):
        waiting -= {t for t, trains in enumerate(program.active(epoch, 0)) if trains}
        last = (epoch + 1) % getattr(schedule, "phase_epochs", 1) == 0
        if isinstance(schedule, Progressive):
            waiting = set() if epoch >= 2 * schedule.epochs_per_stage else {0}
        if not waiting and last:
            ends.append(epoch + 1)
            waiting = {0, 1, 2}
    if isinstance(schedule, Joint):
        expected = ends[1]  # nothing is better than the start by so much
    elif isinstance(schedule, Alternating):
        expected = ends[2]  # nor than the end of the first round
    else:
        expected = ends[0] + 2
    assert est.n_iter_ == expected


def test_what_is_kept_has_trained_every_task():
    """The last task to join is noise, on which every loss rises: its head was trained all the same."""
    X, Y = table(300)
    Y[:, 2] = np.random.default_rng(5).normal(size=300)
    schedule = Progressive(epochs_per_stage=15)
    est = MultiTaskRegressor(
        n_members=2, hidden_layer_sizes=(8,), random_state=0, schedule=schedule
    )
    est.set_params(learning_rate_init=0.02).fit(X, Y)
    assert min(est.net_.stopping.best_epochs_) > 30
    short = MultiTaskRegressor(**{**QUICK, "early_stopping": True}, schedule=schedule, max_iter=5)
    assert short.fit(X, Y).net_.stopping.best_epochs_ == [5, 5]


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_a_member_in_a_stack_has_the_schedule_it_has_alone(schedule):
    X, Y = table()
    params = {**QUICK, "schedule": schedule, "max_iter": 7}
    stack = MultiTaskRegressor(**{**params, "n_members": 3, "random_state": 5}).fit(X, Y)
    seeds = np.random.RandomState(5).randint(2**31 - 1, size=3)
    outputs = stack.module_(torch.from_numpy(X).expand(3, -1, -1)).detach()
    for k, seed in enumerate(seeds):
        alone = MultiTaskRegressor(**{**params, "n_members": 1, "random_state": Seed(seed)}).fit(
            X, Y
        )
        one = alone.module_(torch.from_numpy(X).unsqueeze(0)).detach()
        assert_allclose(one[0], outputs[k], rtol=1e-6, atol=1e-8)


def test_going_on_goes_on_with_the_schedule():
    X, Y = table()
    est = MultiTaskRegressor(**QUICK, schedule="alternating")
    weights = [est.partial_fit(X, Y).history_.filter(like="weight").iloc[-1] for _ in range(3)]
    assert_array_equal(weights, np.eye(3))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Alternating(phase_epochs=0), "phase_epochs of Alternating must be an int in the range [1"),
        (Alternating(order="given"), "order of Alternating must be one of ['round_robin'"),
        (Alternating(freeze=True), "freeze of Alternating must be one of ['others', 'none'"),
        (Progressive(order="hard_first"), "order of Progressive must be one of ['given'"),
        (Progressive(order=["y0", "y1"]), "every task's name once. Found ['y0', 'y1']"),
        (Progressive(order=["y0", "y1", "y1"]), "for the tasks ['y0', 'y1', 'y2']"),
        (Progressive(order=[["y0"], "y1"]), "every task's name once"),
        (Progressive(epochs_per_stage=1.5), "epochs_per_stage of Progressive must be an int"),
    ],
)
def test_bad_schedules_are_refused_before_training(schedule, message, monkeypatch):
    monkeypatch.setattr("skmtl.training.net.train_step", None)
    X, Y = table()
    with pytest.raises((ValueError, TypeError)) as error:
        MultiTaskRegressor(**QUICK, schedule=schedule).fit(X, Y)
    assert message in str(error.value)
