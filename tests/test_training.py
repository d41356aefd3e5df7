"""Training control: early stopping, members, reproducibility, continuation, what is shown."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from networks import Seed
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochTimer,
    GradientNormClipping,
    LRScheduler,
)
from torch import Generator

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor, sharing
from skmtl._resolve import known_names
from skmtl.tasks import RegressionTask
from skmtl.training.drawing import layer_generators, states

QUICK = {"n_members": 2, "max_iter": 5, "hidden_layer_sizes": (8,), "random_state": 0}


def noisy(n=300, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(np.float32)
    return X, np.column_stack([X[:, 0] + rng.normal(size=n), X[:, 1] + rng.normal(size=n)])


# Early stopping


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    X, Y = noisy()
    est = MultiTaskRegressor(**{**QUICK, "n_members": 1}, learning_rate_init=0.05)
    est.set_params(max_iter=300).fit(X, Y)
    best = int(est.history_["valid_loss"].argmin())
    assert est.n_iter_ - (best + 1) >= est.n_iter_no_change - 1
    assert est.n_iter_ == len(est.history_) == len(est.loss_curve_) == len(est.validation_scores_)
    [kept] = est.net_.stopping.best_epochs_
    assert kept == best + 1
    again = MultiTaskRegressor(**{**QUICK, "n_members": 1}, learning_rate_init=0.05)
    again.set_params(max_iter=best + 1).fit(X, Y)
    assert_array_equal(again.predict(X), est.predict(X))


def test_every_member_stops_on_its_own():
    X, Y = noisy()
    est = MultiTaskRegressor(
        n_members=4, hidden_layer_sizes=(8,), learning_rate_init=0.05, random_state=0
    ).fit(X, Y)
    epochs = est.net_.stopping.best_epochs_
    assert len(set(epochs)) > 1
    assert max(epochs) < est.n_iter_


STACKS = [(n, dropout, s) for n in (300, 1500) for dropout in (0.0, 0.3) for s in ("hard", "none")]
STACKS += [(300, 0.3, scheme) for scheme in known_names(sharing, sharing.Sharing)]


@pytest.mark.parametrize(("n", "dropout", "scheme"), STACKS)  # float64 at 300 rows, float32 at 1500
def test_a_member_in_a_stack_gives_what_it_gives_alone(n, dropout, scheme):
    X, Y = noisy(n)
    params = {
        "hidden_layer_sizes": (8,),
        "head_layer_sizes": (4,),
        "sharing": scheme,
        "dropout": dropout,
        "learning_rate_init": 0.02,
        "max_iter": 40,
        "n_iter_no_change": 3,
    }
    stack = MultiTaskRegressor(n_members=3, random_state=5, **params).fit(X, Y)
    seeds = np.random.RandomState(5).randint(2**31 - 1, size=3)
    outputs = stack.module_(torch.from_numpy(X.astype(stack.module_.dtype)).expand(3, -1, -1))
    for k, seed in enumerate(seeds):
        alone = MultiTaskRegressor(n_members=1, random_state=Seed(seed), **params).fit(X, Y)
        one = alone.module_(torch.from_numpy(X.astype(alone.module_.dtype)).unsqueeze(0))
        assert_allclose(one[0].detach(), outputs[k].detach(), rtol=1e-3, atol=1e-4)


def test_early_stopping_auto_starts_at_ten_labelled_rows():
    X, Y = noisy(10)
    assert MultiTaskRegressor(**QUICK).fit(X, Y).validation_scores_ is not None
    assert MultiTaskRegressor(**QUICK).fit(X[:9], Y[:9]).validation_scores_ is None
    Y[0] = np.nan
    assert MultiTaskRegressor(**QUICK).fit(X, Y).validation_scores_ is None


def test_auto_members_and_batches_follow_the_size():
    X, Y = noisy(10_001)
    params = {"max_iter": 1, "hidden_layer_sizes": (2,)}
    assert MultiTaskRegressor(**params).fit(X, Y).module_.n_members == 1
    est = MultiTaskRegressor(**params).fit(X[:10_000], Y[:10_000])
    assert est.module_.n_members == 8
    assert est.net_.batch_size == 256
    assert MultiTaskRegressor(**params).fit(X[:2000], Y[:2000]).net_.batch_size == 100


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_cut_short_warns():
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        MultiTaskRegressor(**{**QUICK, "max_iter": 2}).fit(*noisy())


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_settled_does_not_warn():
    MultiTaskRegressor(**{**QUICK, "max_iter": 500}, learning_rate_init=0.05).fit(*noisy())


def test_the_order_of_columns_does_not_matter_where_rows_have_equal_inputs():
    rng = np.random.default_rng(0)
    X = rng.integers(2, size=(40, 2)).astype(float)  # rows differ in their labels only
    Y = pd.DataFrame({"a": rng.normal(size=40), "b": rng.normal(size=40), "c": rng.normal(size=40)})
    params = {**QUICK, "batch_size": 7}
    expected = MultiTaskRegressor(**params).fit(X, Y).predict(X)
    for columns in (["c", "a", "b"], ["b", "a", "c"]):
        got = MultiTaskRegressor(**params).fit(X, Y[columns]).predict(X)
        assert_allclose(got[list("abc")], expected, rtol=1e-9)


# Randomness


def global_states():
    return np.random.get_state()[1].copy(), torch.get_rng_state().numpy(), random.getstate()


@pytest.mark.parametrize("random_state", [0, None])
def test_global_generators_are_left_untouched(mixed, random_state):
    X, Y = mixed
    before = global_states()
    est = MultiTaskClassifierRegressor(**{**QUICK, "random_state": random_state}, dropout=0.2)
    est.fit(X, Y).predict(X)
    est.partial_fit(X, Y).score(X, Y)
    after = global_states()
    assert_array_equal(before[0], after[0])
    assert_array_equal(before[1], after[1])
    assert before[2] == after[2]


@pytest.mark.parametrize("n", [300, 3000])
def test_one_seed_gives_one_result_to_the_bit(n):
    X, Y = noisy(n)
    params = {**QUICK, "dropout": 0.2}
    first = MultiTaskRegressor(**params).fit(X, Y).predict(X)
    torch.rand(3), np.random.rand(3)
    assert_array_equal(MultiTaskRegressor(**params).fit(X, Y).predict(X), first)
    params["random_state"] = 1
    assert (MultiTaskRegressor(**params).fit(X, Y).predict(X) != first).any()


def test_layers_draw_from_their_members_generators_or_those_that_a_device_was_given():
    """What a device does without any is told in test_cuda.py."""
    ours, theirs = ([Generator().manual_seed(k) for k in (1, 2)] for _ in range(2))
    assert layer_generators(tuple(ours), "cpu", None) == ours
    assert layer_generators(ours, "cpu", theirs) == ours
    assert layer_generators(ours, torch.device("cuda", 1), theirs) == theirs
    assert states(ours) == ours  # they pickle as they are


def test_random_state_takes_what_sklearn_takes():
    X, Y = noisy(50)
    same = [
        MultiTaskRegressor(**{**QUICK, "random_state": state}).fit(X, Y).predict(X)
        for state in (7, np.int64(7), np.random.RandomState(7))
    ]
    assert_array_equal(same[0], same[1])
    assert_array_equal(same[0], same[2])
    MultiTaskRegressor(**{**QUICK, "random_state": np.random.default_rng(0)}).fit(X, Y)


def test_a_start_that_is_never_bettered_is_kept():
    X, Y = noisy()
    est = MultiTaskRegressor(**{**QUICK, "max_iter": 50}, learning_rate_init=1e6).fit(X, Y)
    assert est.net_.stopping.best_epochs_ == [0, 0]
    assert np.abs(est.predict(X) - Y.mean(0)).max() < 1e-9


# Going on


def test_partial_fit_goes_on_where_it_was_and_keeps_the_optimizer():
    X, Y = noisy(64)
    steps = MultiTaskRegressor(**QUICK, batch_size=64)
    losses = [steps.partial_fit(X, Y).loss_curve_[-1] for _ in range(5)]
    whole = MultiTaskRegressor(**QUICK, batch_size=64, early_stopping=False).fit(X, Y)
    assert_allclose(losses, whole.loss_curve_, rtol=1e-9)
    assert_allclose(steps.predict(X), whole.predict(X), rtol=1e-9)
    assert steps.n_iter_ == 5


def test_partial_fit_knows_classes_that_come_later(mixed):
    X, Y = mixed
    early = Y[Y["colour"] != "red"].index
    classes = {"colour": ["red", "green", "blue"]}
    est = MultiTaskClassifierRegressor(**QUICK)
    est.partial_fit(X.loc[early], Y.loc[early], classes=classes).partial_fit(X, Y)
    assert est.classes_["colour"].tolist() == ["blue", "green", "red"]
    assert est.predict_proba(X)["colour"].shape == (60, 3)
    single = MultiTaskClassifier(**QUICK).partial_fit(X[:5], [0, 1, 0, 1, 0], classes=[0, 1, 2])
    assert single.predict_proba(X).shape == (60, 3)


def test_partial_fit_takes_chunks_without_labels_of_a_task(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).partial_fit(X, Y)
    est.partial_fit(X, Y.assign(colour=None, sick=pd.NA))
    assert est.history_[["train_loss_colour", "train_loss_sick"]].isna().all(axis=1).tolist() == [
        False,
        True,
    ]
    assert np.isfinite(est.history_[["train_loss", "train_loss_cost"]]).all(axis=None)
    with pytest.raises(ValueError, match="no label with a weight above zero"):
        est.partial_fit(X, Y.assign(colour=None, sick=pd.NA, cost=np.nan))


def test_partial_fit_takes_a_new_learning_rate_penalty_and_weights():
    X, Y = noisy()
    est = MultiTaskRegressor(**QUICK).partial_fit(X, Y)
    before = est.predict(X)
    est.set_params(learning_rate_init=1e-12, loss_weights=[1.0, 0.5]).partial_fit(X, Y)
    assert_allclose(est.predict(X), before, atol=1e-6)
    assert est.history_["weight_y1"].tolist() == [1.0, 0.5]


def test_partial_fit_after_fit_starts_from_the_fitted_weights():
    X, Y = noisy()
    est = MultiTaskRegressor(**{**QUICK, "max_iter": 100}).fit(X, Y)
    before = est.predict(X)
    moved = np.abs(est.set_params(learning_rate_init=1e-9).partial_fit(X, Y).predict(X) - before)
    assert moved.max() < 1e-5


def test_warm_start_goes_on_with_fit():
    X, Y = noisy()
    est = MultiTaskRegressor(**{**QUICK, "max_iter": 100}, warm_start=True).fit(X, Y)
    fitted = est.history_["train_loss"].iloc[-1]
    assert est.fit(X, Y).history_["train_loss"].iloc[0] < 1.2 * fitted
    cold = MultiTaskRegressor(**QUICK).fit(X, Y)
    assert cold.history_["train_loss"].iloc[0] > 1.2 * fitted


# What is kept and shown


def test_history_has_every_task(mixed):
    est = MultiTaskClassifierRegressor(**QUICK, loss_weights={"sick": 0.5}).fit(*mixed)
    for task in ("colour", "sick", "cost"):
        for key in ("train_loss", "valid_loss", "valid_score", "weight"):
            assert np.isfinite(est.history_[f"{key}_{task}"]).all()
    weights = [est.history_[f"weight_{t}"].iloc[0] for t in ("colour", "sick", "cost")]
    assert weights == [1.0, 0.5, 1.0]
    total = sum(
        w * est.history_[f"train_loss_{t}"] for w, t in zip(weights, est.tasks_, strict=True)
    )
    assert_allclose(est.history_["train_loss"], total)


def test_verbose_prints_a_line_an_epoch_or_a_bar(mixed, capsys):
    MultiTaskClassifierRegressor(**QUICK, verbose=2).fit(*mixed)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(task in lines[0] for task in ("colour", "sick", "cost"))
    MultiTaskClassifierRegressor(**QUICK, verbose=1).fit(*mixed)
    shown = capsys.readouterr()
    assert "5/5" in shown.err
    assert shown.out == ""
    MultiTaskClassifierRegressor(**QUICK).fit(*mixed)
    assert capsys.readouterr() == ("", "")


# Callbacks


class Recorder(Callback):
    def __init__(self):
        self.events = []

    def on_train_begin(self, net, **kwargs):
        self.events.append("train_begin")

    def on_epoch_end(self, net, **kwargs):
        self.events.append(round(net.history[-1, "valid_loss_cost"], 6))

    def on_train_end(self, net, **kwargs):
        self.events.append("train_end")


def test_custom_callbacks_hear_of_every_epoch(mixed):
    recorder = Recorder()
    est = MultiTaskClassifierRegressor(**QUICK, callbacks=[("mine", recorder)]).fit(*mixed)
    events = dict(est.net_.callbacks_)["mine"].events
    assert events == ["train_begin", *est.history_["valid_loss_cost"].round(6), "train_end"]
    assert recorder.events == []


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_stock_callbacks_work(mixed, tmp_path):
    X, Y = mixed
    params = {**QUICK, "max_iter": 60, "callbacks": [EarlyStopping("valid_loss_cost", patience=2)]}
    params["learning_rate_init"] = 0.1
    assert MultiTaskClassifierRegressor(**params).fit(X, Y).n_iter_ < 60
    params = {**QUICK, "max_iter": 4, "n_iter_no_change": 1, "tol": 100.0}
    callbacks = [
        Checkpoint(monitor="valid_loss_best", dirname=tmp_path, load_best=False),
        LRScheduler("StepLR", step_size=1, gamma=0.5),
        GradientNormClipping(1.0),
        EpochTimer(),
    ]
    est = MultiTaskClassifierRegressor(**params, callbacks=callbacks)
    est.fit(X, Y)
    assert list(tmp_path.iterdir())


def test_gradient_clipping_and_batch_events_reach_the_step(mixed):
    class Batches(Callback):
        def __init__(self):
            self.n = 0

        def on_batch_end(self, net, training, **kwargs):
            self.n += 1

    X, Y = mixed
    params = {**QUICK, "batch_size": 10, "callbacks": [Batches]}
    est = MultiTaskClassifierRegressor(**params).fit(X, Y)
    assert est.net_.callbacks_[0][1].n == 5 * 6  # 54 rows to train on
    still = GradientNormClipping(1e-12)
    est = MultiTaskClassifierRegressor(**{**QUICK, "alpha": 0}, callbacks=[still]).fit(X, Y)
    free = MultiTaskClassifierRegressor(**{**QUICK, "alpha": 0}).fit(X, Y)
    assert (est.predict(X)["cost"] != free.predict(X)["cost"]).any()


class CtrlC(Callback):
    """Interrupts as a user would: in the middle of a step, not from a callback of ours."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:

            def interrupt(*args):
                raise KeyboardInterrupt

            net.module_.network.register_forward_pre_hook(interrupt)


def test_ctrl_c_keeps_the_best_weights_so_far():
    X, Y = noisy()
    est = MultiTaskRegressor(**QUICK, callbacks=[CtrlC(4)])
    with pytest.warns(UserWarning, match="interrupted"):
        est.fit(X, Y)
    assert est.n_iter_ == len(est.history_) == 3
    est.module_.network._forward_pre_hooks.clear()
    whole = MultiTaskRegressor(**{**QUICK, "max_iter": 3}).fit(X, Y)
    assert_array_equal(est.predict(X), whole.predict(X))


# Robustness


def outliers(n=400):
    X, Y = noisy(n)
    wild = X.copy()
    wild[[3, 50, 200], [0, 1, 2]] = 200.0
    return X, wild, Y


@pytest.mark.parametrize("column", ["noise", "signal"])
def test_values_at_200_sigma_neither_derail_training_nor_worsen_other_rows(column):
    X, Y = noisy(400, seed=1)
    wild = X.copy()
    rows = [3, 50, 200]
    wild[rows, 3 if column == "noise" else 0] = 200.0
    est = MultiTaskRegressor(random_state=0, max_iter=1000, hidden_layer_sizes=(32,))
    test, truth = noisy(1000, seed=2)
    clean = est.fit(X, Y).score(test, truth)
    assert est.fit(wild, Y).score(test, truth) > clean - 0.01
    assert np.abs(est.predict(wild)[rows]).max() < 10 * np.abs(Y).max()


def test_a_thousand_epochs_do_not_derail_training():
    X, Y = noisy(400)
    est = MultiTaskRegressor(random_state=0, hidden_layer_sizes=(16,), early_stopping=False)
    est.set_params(n_members=1, max_iter=1000, tol=0, n_iter_no_change=1000).fit(X, Y)
    assert est.n_iter_ == 1000
    losses = np.array(est.loss_curve_)
    assert losses[-100:].max() < losses[100]


def test_a_loss_that_is_no_number_stops_with_the_tasks_name_and_leaves_no_model():
    X, Y = noisy()
    est = MultiTaskRegressor(**{**QUICK, "max_iter": 50}, learning_rate_init=1e200)
    with pytest.raises(ValueError, match=r"Task 'y[01]'.*nan|inf.*Standardise.*learning_rate_init"):
        est.fit(X, Y)
    assert not hasattr(est, "net_")


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_failed_refit_leaves_the_fit_before_it(warm_start):
    X, Y = noisy()
    est = MultiTaskRegressor(**QUICK, warm_start=warm_start).fit(X, Y)
    before = est.predict(X)
    with pytest.raises(ValueError, match="learning_rate_init"):
        est.set_params(learning_rate_init=1e200, max_iter=50).fit(X, Y)
    assert_array_equal(est.predict(X), before)
    with pytest.raises(ValueError, match="as many rows"):
        est.fit(X[:, :2] if not warm_start else X, Y[:7])
    assert_array_equal(est.predict(X), before)


def test_warm_start_matches_columns_by_name_and_refuses_other_tasks(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK, warm_start=True).fit(X, Y)
    predicted = est.fit(X, Y[["cost", "sick", "colour"]]).predict(X)
    assert list(predicted.columns) == list(Y.columns)
    assert predicted["cost"].between(50, 150).all()
    for change, message in [
        ({"tasks": {"cost": RegressionTask("huber")}}, "'cost' was learned as RegressionTask()"),
        ({"hidden_layer_sizes": (9,)}, r"hidden_layer_sizes \(was \(8,\), now \(9,\)\)"),
        ({"n_members": 3}, r"n_members \(was 2, now 3\)"),
        ({"sharing": "none"}, "sharing"),
    ]:
        with pytest.raises(ValueError, match=message):
            est.set_params(**change).fit(X, Y)
        est.set_params(tasks="infer", hidden_layer_sizes=(8,), n_members=2, sharing="hard")
    with pytest.raises(ValueError, match="columns seen in fit"):
        est.fit(X, Y.rename(columns={"cost": "price"}))


def test_a_frame_of_one_task_is_scored_and_predicted_as_a_frame():
    X, Y = noisy(40)
    est = MultiTaskRegressor(**QUICK).fit(X, pd.DataFrame({"only": Y[:, 0]}))
    assert list(est.predict(X)) == ["only"]
