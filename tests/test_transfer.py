"""Transfer: what is taken over, what rests, what is added, and estimators that start from others."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import (
    MultiTaskClassifier,
    MultiTaskClassifierRegressor,
    MultiTaskRegressor,
    SoftSharingEnsemble,
    sharing,
)
from skmtl._resolve import known_names
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import (
    LTB,
    MTAN,
    PLE,
    SHARED,
    HardSharing,
    RelatedSharing,
    Sharing,
    SoftSharing,
)
from skmtl.tasks import RegressionTask
from skmtl.transfer import TransferClassifier, TransferRegressor

QUICK = {"hidden_layer_sizes": (6, 5), "n_members": 2, "max_iter": 4, "random_state": 0}
SCHEMES = {name: scheme() for name, scheme in known_names(sharing, Sharing).items()} | {
    "soft, all layers": SoftSharing(layers="all"),
    "soft l1, all layers": SoftSharing(penalty="l1", layers="all"),
    "related, hidden layers": RelatedSharing(layers="hidden"),
    "ple without task experts": PLE(n_task_experts=0),
}
SCHEMES = {name: s for name, s in SCHEMES.items() if name != "none"}
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(80, 4)), columns=list("abcd"))
OLD = pd.DataFrame({"bend": np.tanh(X["a"] * X["b"]), "up": X["a"] > 0, "sum": X.sum(axis=1)})
NEW = pd.DataFrame(
    {
        "size": np.where(np.arange(80) % 4 == 0, np.nan, X.abs().sum(axis=1)),
        "third": np.array(["low", "mid", "high"])[pd.qcut(X["c"], 3, labels=False)],
        "other": X["d"] ** 2,
        "down": (X["a"] < 0).astype("boolean").mask(np.arange(80) % 5 == 0),
    }
)


def fitted(scheme="hard", **changes):
    return MultiTaskClassifierRegressor(sharing=scheme, **{**QUICK, **changes}).fit(X, OLD)


@pytest.fixture(params=SCHEMES)
def source(request):
    return fitted(SCHEMES[request.param])


def state(estimator):
    return {n: p.detach().clone() for n, p in estimator.module_.network.named_parameters()}


# What is taken over


def test_adapting_leaves_the_source_alone_and_takes_mixed_tasks_with_gaps(source):
    before, predicted = state(source), source.predict(X)
    for freeze in ("trunk", "gradual", "none"):
        new = source.adapt(X, NEW, freeze=freeze)
        assert type(new) is type(source)
        out = new.predict(X)
        assert list(out) == list(NEW)
        assert set(out["third"]) <= {"low", "mid", "high"}
        assert trained_names(new) == trained_names(source)
    for name, p in state(source).items():
        assert_array_equal(p, before[name])
    assert_frame_equal(source.predict(X), predicted)


def inputs(estimator):
    return estimator.module_.clip(torch.from_numpy(X.to_numpy())).expand(2, -1, -1)


def trained_names(estimator):
    return {n for n, p in estimator.module_.network.named_parameters() if p.requires_grad}


def test_new_tasks_that_have_not_trained_predict_alike_in_any_order(source):
    """What is taken over depends on no task's place, though source and target may count as many."""
    new = source.set_params(learning_rate_init=1e-12).adapt(
        X, NEW[["size", "other", "size"]].set_axis(["p", "q", "r"], axis=1), freeze="none"
    )
    features = new.module_.network.body(inputs(new))
    if features.dim() == 4 and not isinstance(
        new.sharing, LTB
    ):  # a choice is made by the smallest step
        for t in range(3):
            assert_allclose(features[:, t].detach(), features[:, 0].detach(), atol=1e-9)
    assert_allclose(source.transform(X), new.transform(X), atol=1e-8)


@pytest.mark.parametrize("scheme", ["hard", "low_rank", "mtan", "mmoe", "cgc", "dselectk", "soft"])
def test_a_frozen_trunk_is_the_sources_to_the_bit_and_task_parts_move(scheme):
    est = fitted(SCHEMES[scheme])
    new = est.adapt(X, NEW)
    owners, was, moved = new.module_.network.owners(), state(est), 0
    for name, p in state(new).items():
        if (owners[name] == SHARED).all():
            if name in trained_names(est):
                assert_array_equal(p, was[name])
        else:
            moved += int((p != 0).any())
    assert moved


def test_a_linear_head_on_a_frozen_trunk_is_ridge_on_the_representation():
    est = fitted(HardSharing(linear_skip=False), n_members=1)
    est.set_params(
        alpha=0.5, early_stopping=False, tol=0, max_iter=4000, n_iter_no_change=4000
    ).set_params(learning_rate_init=0.005, batch_size=80)
    y = OLD["bend"] + 2 * X["d"]
    new = est.adapt(X, y)
    ours = new.predict(X)
    features, scale = est.transform(X), y.std(ddof=0)
    theirs = Ridge(alpha=0.5).fit(features, (y - y.mean()) / scale).predict(features)
    assert_allclose(ours, theirs * scale + y.mean(), atol=2e-3 * scale)


def test_under_a_strong_tie_new_tasks_are_the_sources_centre():
    tie = SoftSharing(strength=1e8, layers="all")
    task = RegressionTask(standardize=False)
    est = MultiTaskRegressor(task, sharing=tie, **{**QUICK, "max_iter": 40, "alpha": 0.0})
    est.fit(X, np.column_stack([X["a"], X["a"]]))
    new = est.adapt(X, -np.column_stack([X["a"]] * 3), tasks=task)
    for t in range(3):
        assert_allclose(new.predict(X)[:, t], est.predict(X)[:, 0], atol=1e-3)


def test_last_layers_of_another_kind_start_anew():
    est = SoftSharingEnsemble("regression", relation="uniform", **QUICK).fit(
        X, OLD[["bend", "sum"]]
    )
    est.set_params(learning_rate_init=1e-12)
    new = est.adapt(X, NEW[["third", "other"]], tasks=["classification", "regression"])
    chances = new.predict_proba(X)["third"]
    assert_allclose(chances, np.broadcast_to(chances[0], chances.shape), atol=1e-9)
    assert np.ptp(new.predict(X)["other"]) > 1e-3


def test_no_layer_kept_is_a_fit_from_scratch():
    est = fitted()
    scratch = clone(est).fit(X, NEW)
    assert_frame_equal(est.adapt(X, NEW, n_layers=0, freeze="none").predict(X), scratch.predict(X))


def test_the_first_layers_are_kept_and_those_above_start_anew():
    est, names = fitted(), ("body.0.weight", "body.1.weight")
    new = state(est.adapt(X, NEW, n_layers=1))
    assert_array_equal(new[names[0]], state(est)[names[0]])
    assert (new[names[1]] != state(est)[names[1]]).any()


@pytest.mark.parametrize("name", SCHEMES)
def test_heads_may_have_other_layers_than_the_sources(name):
    """What is a task's is made anew; what is shared is taken over as ever."""
    for was, sizes in (((), [(3,)]), ((3,), [(), (4, 3), (4,)])):
        est = fitted(SCHEMES[name], head_layer_sizes=was)
        expected = est.transform(X)
        est.set_params(learning_rate_init=1e-12)
        for now in sizes:
            new = est.set_params(head_layer_sizes=now).adapt(X, NEW[["size", "third", "other"]])
            assert new.module_.built_for[0].head_layer_sizes == now
            assert_allclose(new.transform(X), expected, atol=1e-8)


def test_gradual_thawing_goes_from_the_last_layer_to_the_first():
    est = fitted(early_stopping=False, tol=0.0)
    was, names = state(est), ["body.0.weight", "body.1.weight"]
    for n_epochs, moves in {3: [False, False], 4: [False, True], 7: [True, True]}.items():
        est.set_params(max_iter=n_epochs)
        new = state(est.adapt(X, NEW, freeze="gradual", epochs_per_stage=3))
        assert [not torch.equal(new[n], was[n]) for n in names] == moves


def test_early_stopping_waits_for_the_last_layer_to_thaw():
    est = fitted().set_params(tol=1e9, n_iter_no_change=2, max_iter=100)
    assert est.adapt(X, NEW, freeze="gradual", epochs_per_stage=5).n_iter_ == 12
    assert est.adapt(X, NEW).n_iter_ < 5


def test_the_shared_step_size_is_its_own():
    """Adam's first step is as long as the step size, whatever the gradient."""
    est = fitted(alpha=1.0, early_stopping=False, batch_size=80, max_iter=1)
    new = est.adapt(X, NEW, freeze="none", shared_learning_rate_init=1e-5)
    moved = {n: (p - state(est)[n]).abs().max() for n, p in state(new).items() if "body" in n}
    assert_allclose(float(moved["body.0.weight"]), 1e-5, rtol=1e-3)
    assert_allclose(float(state(new)["skip.last.weight"].abs().max()), 1e-3, rtol=1e-3)


def test_members_of_a_smaller_source_are_taken_over_and_over():
    est = fitted(n_members=1)
    new = est.set_params(n_members=3).adapt(X, NEW)
    for member in state(new)["body.0.weight"]:
        assert_array_equal(member, state(est)["body.0.weight"][0])


def test_a_missing_label_or_one_without_weight_is_as_a_row_left_out():
    est = fitted(early_stopping=False, batch_size=80)
    y = OLD["bend"].rename("new")
    masked = est.adapt(X, y.where(np.arange(80) < 50))
    left_out = est.adapt(X[:50], y[:50])
    weighed = est.adapt(X, y, sample_weight=(np.arange(80) < 50).astype(float))
    assert_allclose(masked.predict(X), left_out.predict(X), atol=1e-8)
    assert_allclose(weighed.predict(X), left_out.predict(X), atol=1e-8)


def test_inputs_are_clipped_where_the_source_clips_them():
    est = fitted()
    new = est.adapt(X[:6], NEW[["other"]][:6])
    assert_allclose(new.module_.low, est.module_.low)
    assert_allclose(new.module_.high, est.module_.high)


def test_transfer_helps_where_tasks_have_hidden_features_in_common():
    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(1500, 10))
    hidden = np.abs(inputs @ draw.normal(size=(10, 3)) / 3)
    many = hidden @ draw.normal(size=(3, 8))
    new = hidden @ draw.normal(size=3)
    few, rest = slice(0, 50), slice(100, None)
    est = MultiTaskRegressor(hidden_layer_sizes=(32,), n_members=2, max_iter=60, random_state=0)
    est.set_params(learning_rate_init=0.01).fit(inputs[100:], many[100:])
    scratch = clone(est).set_params(max_iter=200).fit(inputs[few], new[few])
    for freeze in ("trunk", "gradual", "none"):
        adapted = est.set_params(max_iter=200).adapt(inputs[few], new[few], freeze=freeze)
        assert (
            adapted.score(inputs[rest], new[rest]) > scratch.score(inputs[rest], new[rest]) + 0.05
        )


@pytest.mark.parametrize("loss_weights", ["upgrad", "uw", "mgda"])
def test_weightings_work_on_a_frozen_trunk(loss_weights):
    new = fitted().adapt(X, NEW, loss_weights=loss_weights)
    assert_array_equal(state(new)["body.0.weight"], state(fitted())["body.0.weight"])


# Adding tasks


def test_added_tasks_leave_the_others_and_are_what_adapting_makes_of_them(source):
    if type(source.sharing) is PLE and source.sharing.n_task_experts:
        with pytest.raises(ValueError, match=r"PLE\(\) cannot add a task"):
            source.add_task(X, NEW)
        return
    both = source.add_task(X, NEW)
    exact = source.sharing.get_params() == HardSharing().get_params()
    out, old = both.predict(X), source.predict(X)
    assert list(out) == [*OLD, *NEW]
    assert_frame_equal(out[list(OLD)], old, rtol=1e-7, check_exact=exact)
    adapted = source.adapt(X, NEW)
    assert_frame_equal(out[list(NEW)], adapted.predict(X), rtol=1e-6)
    assert_frame_equal(pickle.loads(pickle.dumps(both)).predict(X), out)
    table = pd.concat([OLD, NEW], axis=1)
    assert np.isfinite(both.score(X, table))
    both.partial_fit(X, table)
    clone(both).fit(X, table)


def test_tasks_of_an_array_get_the_next_names():
    est = MultiTaskRegressor(**QUICK, loss_weights=[1.0, 2.0]).fit(
        X, OLD[["bend", "sum"]].to_numpy()
    )
    both = est.add_task(X, X["a"].to_numpy() ** 2)
    assert list(both.tasks_) == ["y0", "y1", "y2"]
    assert both.predict(X).shape == (80, 3)
    assert_array_equal(both.predict(X)[:, :2], est.predict(X))
    assert both.loss_weights == {"y0": 1.0, "y1": 2.0}


def test_a_name_that_is_taken_and_one_that_lacks():
    est = fitted()
    with pytest.raises(ValueError, match=r"y must hold new tasks. Found \['sum'\]"):
        est.add_task(X, OLD[["sum"]])
    with pytest.raises(ValueError, match="y must name the new tasks"):
        est.add_task(X, NEW[["other"]].to_numpy())
    named = est.add_task(X, NEW["other"])
    assert list(named.tasks_) == [*OLD, "other"]


def test_tasks_are_added_to_a_network_of_the_sources_form_only():
    for changes, message in [
        ({"head_layer_sizes": (3,)}, r"head_layer_sizes \(was \(\), now \(3,\)\)"),
        ({"sharing": HardSharing(linear_skip=False)}, r"sharing \(was HardSharing\(\), now Hard"),
    ]:
        with pytest.raises(ValueError, match=message):
            fitted().set_params(**changes).add_task(X, NEW)


# The representation


def test_the_representation_is_the_trunks_output_member_by_member():
    est = fitted()
    trunk = est.module_.network.body(inputs(est)).detach()
    assert_allclose(est.transform(X), np.hstack(list(trunk.numpy())))
    names = est.get_feature_names_out()
    assert names[0] == "multitaskclassifierregressor0"
    assert len(names) == est.transform(X).shape[1] == 10
    frame = est.set_output(transform="pandas").transform(X)
    assert list(frame) == list(names)


def test_without_adapters_masks_and_deviations_it_is_what_is_shared():
    mtan = fitted(MTAN())
    trunk = inputs(mtan)
    for layer in mtan.module_.network.body.trunk:
        trunk = layer(trunk)
    assert_allclose(mtan.transform(X), np.hstack(list(trunk.detach().numpy() / 2)))
    soft = fitted(SoftSharing(strength=1e8))
    towers = soft.module_.network.body(inputs(soft)).detach()
    assert_allclose(soft.transform(X), np.hstack(list(towers[:, 0].numpy())), atol=1e-5)


def test_ridge_on_top_in_a_pipeline():
    y = OLD[["bend", "sum"]].to_numpy()
    pipe = make_pipeline(StandardScaler(), MultiTaskRegressor(**{**QUICK, "max_iter": 60}), Ridge())
    assert pipe.fit(X, y).score(X, y) > 0.4
    on_source = make_pipeline(FrozenEstimator(fitted()), Ridge(alpha=0.1)).fit(X, X["a"])
    assert on_source.score(X, X["a"]) > 0.3


# Errors


@pytest.mark.parametrize("scheme", ["none", SoftSharing(penalty="trace_norm")])
def test_a_source_that_shares_nothing_is_refused(scheme):
    est = fitted(scheme)
    with pytest.raises(ValueError, match="The source shares nothing that a new task could start"):
        est.adapt(X, NEW)
    with pytest.raises(ValueError, match="no representation that tasks share"):
        est.transform(X)
    linear = MultiTaskRegressor(**{**QUICK, "hidden_layer_sizes": ()}).fit(X, OLD[["sum"]])
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(\)"):
        linear.adapt(X, NEW[["other"]])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (X.rename(columns={"a": "z"}), r"missing \['a'\], unknown \['z'\]"),
        (X[list("bacd")], "another order"),
        (X[["a", "b"]], r"missing \['c', 'd'\], unknown \[\]"),
        (X.to_numpy()[:, :3], "must have the 4 features that the source was fitted on. Found 3"),
        (X[:0], "0 sample"),
    ],
)
def test_other_features_are_refused(other, message):
    y = NEW[["other"]][: len(other)]
    with pytest.raises(ValueError, match=message):
        fitted().adapt(other, y)
    with pytest.raises(ValueError, match=message):
        TransferRegressor(fitted()).fit(other, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"freeze": "all"}, r"Parameter freeze must be one of \['trunk', 'none', 'gradual'\]"),
        ({"n_layers": 3}, "Parameter n_layers must be at most 2"),
        ({"n_layers": -1}, "Parameter n_layers must be an int"),
        ({"epochs_per_stage": 0}, "Parameter epochs_per_stage"),
        ({"shared_learning_rate_init": 0}, "Parameter shared_learning_rate_init"),
        ({"tasks": {"sum": "regression"}}, "names .*'sum'.*, which y has not"),
    ],
)
def test_parameters_are_checked_and_nothing_is_lost(parameters, message):
    est = fitted()
    before = state(est)
    with pytest.raises(ValueError, match=message):
        est.adapt(X, NEW, **parameters)
    few = TransferRegressor(est, max_iter=4, random_state=0).fit(X, NEW["other"])
    predicted = few.predict(X)
    with pytest.raises(ValueError, match=message):
        few.set_params(**parameters).fit(X, NEW["other"])
    assert_array_equal(few.predict(X), predicted)
    assert all(torch.equal(p, before[n]) for n, p in state(est).items())


def test_no_label_or_another_network():
    with pytest.raises(ValueError, match="Task 'other' has no label"):
        fitted().adapt(X, NEW.assign(other=np.nan))
    with pytest.raises(ValueError, match=r"hidden_layer_sizes \(was \(6, 5\), now \(6,\)\)"):
        fitted().set_params(hidden_layer_sizes=(6,)).adapt(X, NEW)
    with pytest.raises(ValueError, match=r"sharing \(was HardSharing\(\), now MMoE\(\)\)"):
        fitted().set_params(sharing="mmoe").adapt(X, NEW)
    est = fitted(MTAN())
    with pytest.raises(ValueError, match="freeze='trunk' holds still"):
        est.adapt(X, NEW, loss_weights="upgrad")
    assert list(est.adapt(X, NEW, loss_weights="upgrad", freeze="none").tasks_) == list(NEW)


def test_a_source_must_be_a_fitted_estimator_of_ours():
    pipe = make_pipeline(StandardScaler(), MultiTaskRegressor(**QUICK)).fit(X, OLD[["sum"]])
    for wrong, error, message in [
        (pipe, TypeError, r"Found a Pipeline: pass its last step"),
        (Ridge().fit(X, OLD["sum"]), TypeError, r"Found Ridge\(\)"),
        (MultiTaskRegressor(), NotFittedError, "wrap each in a FrozenEstimator"),
        (MultiTaskRegressor, TypeError, r"Found <class .*MultiTaskRegressor'>"),
    ]:
        with pytest.raises(error, match=message):
            TransferRegressor(wrong).fit(X, NEW["other"])
    with pytest.raises(NotFittedError):
        MultiTaskRegressor().adapt(X, NEW)
    assert np.isfinite(
        TransferRegressor(pipe[-1], max_iter=2).fit(X, NEW["other"]).predict(X)
    ).all()


@pytest.mark.parametrize("scheme", ["hard", "soft"])  # the heads gathered, and side by side
def test_a_source_whose_rows_have_a_task_each_is_refused_by_name(scheme):
    school = np.array(["north", "south"])[np.arange(80) % 2]
    by_column = MultiTaskRegressor(task_column="school", sharing=scheme, **QUICK)
    by_column.fit(X.assign(school=school), OLD["sum"])
    by_metadata = MultiTaskRegressor(sharing=scheme, **QUICK).fit(X, OLD["sum"], sample_task=school)
    for est in (by_column, by_metadata):
        for call in (
            lambda est=est: est.adapt(X, NEW["other"]),
            lambda est=est: est.add_task(X, NEW["other"]),
            lambda est=est: est.transform(X),
            lambda est=est: TransferRegressor(est).fit(X, NEW["other"]),
        ):
            with pytest.raises(ValueError, match="a task each, by task_column or sample_task"):
                call()


# Estimators


def test_the_estimator_does_what_adapt_does():
    est = fitted()
    other = TransferRegressor(est, max_iter=4, n_members=2, random_state=0)
    assert_array_equal(
        other.fit(X, NEW[["other"]].to_numpy()).predict(X)[:, 0],
        est.adapt(X, NEW["other"]).predict(X),
    )


def test_a_clone_has_the_same_source_and_parameters_of_the_source_cannot_be_set():
    est = fitted()
    few = TransferClassifier(est)
    assert clone(few).source is est
    assert not any(name.startswith("source__") for name in few.get_params())
    with pytest.raises(ValueError, match=r"found \['source__alpha'\]"):
        few.set_params(source__alpha=1.0)


def test_searches_over_how_to_transfer_and_over_sources():
    est, small = fitted(), fitted(hidden_layer_sizes=(3,))
    few = TransferRegressor(est, n_members=1, max_iter=9, early_stopping=False, random_state=0)
    grid = [
        {"freeze": ["trunk", "none", "gradual"], "shared_learning_rate_init": [None, 1e-4]},
        {"n_layers": [0, 1, 2], "learning_rate_init": [1e-3, 1e-2]},
        {"source": [None, FrozenEstimator(small)]},
    ]
    y = NEW[["other"]].to_numpy()
    theirs = GridSearchCV(few, grid, cv=KFold(2), error_score="raise").fit(X, y)
    ours = BatchedGridSearchCV(few, grid, cv=KFold(2), error_score="raise").fit(X, y)
    scores = theirs.cv_results_["mean_test_score"]
    assert len(set(scores.round(6))) >= 8
    assert_allclose(ours.cv_results_["mean_test_score"], scores, atol=1e-8)
    assert theirs.best_estimator_.predict(X).shape == (80, 1)


def test_part_by_part_it_starts_from_the_source_too():
    est = fitted()
    few = TransferRegressor(est, n_members=2, random_state=0)
    few.partial_fit(X, NEW["other"]).partial_fit(X, NEW["other"])
    assert_array_equal(state(few)["body.0.weight"], state(est)["body.0.weight"])
    again = pickle.loads(pickle.dumps(few))
    assert_array_equal(
        few.partial_fit(X, NEW["other"]).predict(X), again.partial_fit(X, NEW["other"]).predict(X)
    )


SMALL = {"hidden_layer_sizes": (16,), "n_members": 1, "max_iter": 50, "random_state": 0}


class SourcedClassifier(TransferClassifier):
    """Its source is fitted on whatever table a check brings."""

    def fit(self, X, y, sample_weight=None):
        self._own = MultiTaskClassifier(**SMALL).fit(X, y, sample_weight)
        return super().fit(X, y, sample_weight)

    @property
    def _source(self):
        return getattr(self, "_own", None)


class SourcedRegressor(TransferRegressor):
    """Its source is fitted on whatever table a check brings."""

    def fit(self, X, y, sample_weight=None):
        self._own = MultiTaskRegressor(**SMALL).fit(X, y, sample_weight)
        return super().fit(X, y, sample_weight)

    @property
    def _source(self):
        return getattr(self, "_own", None)


@pytest.mark.filterwarnings("ignore")  # as in test_contract.py
@parametrize_with_checks([SourcedClassifier(n_members=1), SourcedRegressor(n_members=1)])
def test_every_check_of_sklearn_passes(estimator, check):
    check(estimator)
