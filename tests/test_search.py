"""Batched searches give what scikit-learn's give, candidate by candidate."""

import pickle
import warnings
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from routing import scores_pipelines
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.model_selection import cross_validate as one_by_one
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, SoftSharingEnsemble, sharing
from skmtl._resolve import known_names
from skmtl._stack import Job, plan_stacks, train_stack
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import (
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    cross_val_predict,
    cross_validate,
)
from skmtl.model_selection.evaluation import Trial, deal
from skmtl.sharing import LTB, DSelectK, Sharing, SoftSharing
from skmtl.training.adam import StackAdam

SCHEMES = known_names(sharing, Sharing)
QUICK = {"hidden_layer_sizes": (6, 5), "max_iter": 8, "n_members": 1, "random_state": 0}
SCORES = {"scoring": multitask_scorer(), "refit": "mean"}


def table(n=101, seed=0, gaps=0.2):
    """Two numbers and a class, some of them missing; 101 rows make uneven folds."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    Y = pd.DataFrame({"price": X["a"] + X["b"] ** 2, "size": X["a"] - X["c"]})
    Y["kind"] = np.where(X["a"] + X["d"] > 0, "yes", "no")
    return X, Y.mask(rng.random(Y.shape) < gaps)


def both(est, grid, X, y, *, kind=(GridSearchCV, BatchedGridSearchCV), **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [search(est, grid, **{"cv": KFold(3), **kwargs}).fit(X, y) for search in kind]


def assert_same(theirs, ours, atol=1e-3):
    assert theirs.cv_results_.keys() == ours.cv_results_.keys()
    for key in theirs.cv_results_:
        if "_test_" in key or "_train_" in key:
            assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], atol=atol, err_msg=key)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert repr(ours.best_params_) == repr(theirs.best_params_)
    assert ours.best_index_ == theirs.best_index_
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_


GRIDS = {
    "rates": {"learning_rate_init": [1e-3, 1e-2], "alpha": [0.0, 1.0]},
    "weights": {"loss_weights": [None, {"kind": 3.0}, "uw", "dwa", "imtl_l"]},
    "aggregators": {"loss_weights": ["upgrad", "pcgrad"], "learning_rate_init": [1e-3, 1e-2]},
    "seeds": {"random_state": [0, 1], "tol": [1e-4, 1e-1], "n_iter_no_change": [1, 10]},
    "structures": {
        "hidden_layer_sizes": [(4,), (6, 5)],
        "batch_size": [16, 64],
        "max_iter": [3, 8],
    },
    "dropout": {"dropout": [0.1, 0.5], "learning_rate_init": [1e-3, 1e-2]},
    "schedules": {"schedule": ["joint", "alternating", "progressive"], "alpha": [0.0, 1.0]},
    "no validation": {"early_stopping": [False], "alpha": [0.0, 1.0], "tol": [1e-4, 1e-1]},
    "members": {"n_members": [1, 3], "learning_rate_init": [1e-3, 1e-2]},
    "famo": {"loss_weights": ["famo", "gradnorm", "minimax_deviation"], "max_iter": [4]},
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_grid_gives_what_scikit_learns_gives(grid):
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK)
    assert_same(*both(est, grid, X, Y, **SCORES, return_train_score=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_of_sharing_gives_what_it_gives_alone(scheme):
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK, sharing=SCHEMES[scheme]())
    assert_same(*both(est, {"learning_rate_init": [1e-3, 1e-2], "dropout": [0.2]}, X, Y, **SCORES))


@pytest.mark.parametrize(
    ("scheme", "grid"),
    [
        (SoftSharing(), {"strength": [1e-3, 0.1, 10.0], "penalty": ["l2", "l1", "trace_norm"]}),
        (DSelectK(), {"entropy": [0.0, 0.1], "anneal_epochs": [3, 20]}),
        (LTB(), {"temperature": [1.0, 5.0], "anneal_epochs": [3, 20]}),
        (sharing.CrossStitch(), {"same_task": [0.5, 0.9]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_settings_of_a_scheme_vary_inside_a_stack(scheme, grid):
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK, sharing=scheme)
    grid = {f"sharing__{name}": values for name, values in grid.items()}
    assert_same(*both(est, grid, X, Y, **SCORES))


def test_large_tables_and_relations_agree_too():
    X, Y = table(1600, gaps=0.0)
    numbers = Y[["price", "size"]].to_numpy()
    grid = {"strength": [0.01, 1.0], "learning_rate_init": [1e-3, 1e-2]}
    params = {**QUICK, "max_iter": 4}
    est = SoftSharingEnsemble("regression", **params)
    assert_same(*both(est, grid, X, numbers))


def test_a_random_search_draws_and_scores_alike():
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK)
    grid = {"learning_rate_init": loguniform(1e-4, 1e-1), "alpha": loguniform(1e-6, 1.0)}
    kinds = RandomizedSearchCV, BatchedRandomizedSearchCV
    assert_same(*both(est, grid, X, Y, kind=kinds, n_iter=6, random_state=1, **SCORES))


class Counting(TransformerMixin, BaseEstimator):
    """Says how often it was fitted, and how often it transformed."""

    fits, transforms = 0, 0

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y=None):
        type(self).fits += 1
        self.fitted_ = True
        return self

    def transform(self, X):
        type(self).transforms += 1
        return X * self.scale


def test_transformers_are_fitted_once_per_fold_and_setting():
    X, Y = table()
    name = "multitaskclassifierregressor"
    pipe = make_pipeline(StandardScaler(), Counting(), MultiTaskClassifierRegressor(**QUICK))
    grid = {"counting__scale": [0.5, 1.0], f"{name}__alpha": [0.0, 0.1, 1.0]}
    Counting.fits = Counting.transforms = 0
    ours = BatchedGridSearchCV(pipe, grid, cv=KFold(3), **SCORES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.fit(X, Y)
    assert Counting.fits == 2 * 3 + 1  # and the last fit
    assert Counting.transforms == 2 * 2 * 3 + 1
    theirs = both(pipe, grid, X, Y, kind=[GridSearchCV], **SCORES)[0]
    assert_same(theirs, ours)
    again = pickle.loads(pickle.dumps(ours.best_estimator_))
    assert again.predict(X).equals(ours.predict(X))


def test_a_candidate_that_diverges_leaves_the_others_alone_to_the_bit():
    X, Y = table(300, gaps=0.0)
    Y = Y[["price", "size"]].to_numpy()
    est = MultiTaskRegressor(**QUICK, early_stopping=False)
    rates = [1e-3, 1e300, 1e-2]
    search = BatchedGridSearchCV(est, {"learning_rate_init": rates}, cv=KFold(3), error_score=-7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, Y)
    told = [str(w.message) for w in caught if w.category is FitFailedWarning]
    assert any("'learning_rate_init': 1e+300}: ValueError: Task" in text for text in told)
    sound = BatchedGridSearchCV(est, {"learning_rate_init": [1e-3, 1e-2]}, cv=KFold(3)).fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] == -7
    assert_array_equal(scores[[0, 2]], sound.cv_results_["mean_test_score"])
    with pytest.raises(ValueError, match="training loss became"):
        search.set_params(error_score="raise").fit(X, Y)


class Picky(Ridge):
    """Refuses one of the folds."""

    def fit(self, X, y):
        if len(X) == 68:
            raise ValueError("68 rows are too many")
        return super().fit(X, y)


def test_parameters_are_named_where_every_candidate_fails_on_some_fold():
    X, Y = table(gaps=0.0)
    search = BatchedGridSearchCV(Picky(), {"alpha": [0.1, 1.0]}, cv=KFold(3), error_score=0.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, Y[["price", "size"]])
    told = [str(w.message) for w in caught if w.category is FitFailedWarning]
    for alpha in (0.1, 1.0):
        line = f"{{'alpha': {alpha}}}: ValueError: 68 rows are too many"
        assert any(line in text for text in told)


def test_a_scale_without_a_gradient_rests_where_rates_differ():
    p = torch.nn.Parameter(torch.zeros(2, 1))
    scales = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    rates = torch.tensor([0.1, 0.2])
    adam = StackAdam({"p": p}, {"p": 0.0}, {"p": torch.tensor(-1)}, lr=rates)
    adam.adopt([[scale] for scale in scales])
    p.grad, scales[1].grad = torch.ones(2, 1), torch.ones(1)
    adam.step()
    assert_allclose(p.detach().flatten(), -rates, rtol=1e-5)
    assert_allclose([float(scale.detach()) for scale in scales], [0.0, -0.2], rtol=1e-5)


def test_what_cannot_be_stacked_is_fitted_by_itself(capsys):
    X, Y = table(gaps=0.0)
    Y = Y[["price", "size"]]
    theirs, ours = both(Ridge(), {"alpha": [0.1, 1.0]}, X, Y, verbose=1)
    assert_same(theirs, ours, atol=1e-12)
    assert "6 fits in 0 stacks, 6 by themselves" in capsys.readouterr().out


def test_verbose_tells_the_number_of_stacks(capsys):
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK)
    grid = {"hidden_layer_sizes": [(4,), (5,)], "alpha": [0.0, 1.0]}
    both(est, grid, X, Y, kind=[BatchedGridSearchCV], verbose=1, **SCORES)
    out = capsys.readouterr()
    assert "12 fits in 2 stacks\n" in out.out
    assert "best score=" in out.err


@pytest.mark.parametrize("max_stack", [1, 2, 5])
def test_stacks_may_be_cut(max_stack):
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK)
    grid = {"alpha": [0.0, 1.0, 2.0]}
    [whole] = both(est, grid, X, Y, kind=[BatchedGridSearchCV], **SCORES)
    cut = both(est, grid, X, Y, kind=[BatchedGridSearchCV], max_stack=max_stack, **SCORES)[0]
    assert_same(whole, cut, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "grid", "told"),
    [
        (
            MultiTaskRegressor(**QUICK),
            {"alpha": [0.0, 1.0], "hidden_layer_sizes": [(4,), (5,)]},
            "12 fits in 4 stacks\n",
        ),
        (
            make_pipeline(StandardScaler(), MultiTaskRegressor(**QUICK)),
            {"multitaskregressor__learning_rate_init": [1e-3, 1e-2]},
            "6 fits in 2 stacks\n",
        ),
        (
            MultiTaskRegressor(**QUICK),
            {"alpha": [0.0, -1.0]},
            "6 fits in 1 stacks, 4 by themselves",
        ),
        (Ridge(), {"alpha": [0.1, 1.0]}, "6 fits in 0 stacks, 6 by themselves"),
    ],
    ids=["structures", "pipeline", "failing", "ridge"],
)
def test_processes_give_the_same_and_the_number_of_stacks_is_told(model, grid, told, capsys):
    X, Y = table(gaps=0.0)
    Y = Y[["price", "size"]]
    kwargs = {"kind": [BatchedGridSearchCV], "error_score": -7.0, "verbose": 1}
    [here] = both(model, grid, X, Y, **kwargs)
    capsys.readouterr()
    [there] = both(model, grid, X, Y, n_jobs=2, **kwargs)
    assert told in capsys.readouterr().out
    assert_same(here, there, atol=1e-9)


@pytest.mark.parametrize("n_workers", [1, 2, 3, 4, 10, 100])
@pytest.mark.parametrize("n_folds", [1, 2, 5])
def test_fits_of_a_structure_are_dealt_evenly(n_workers, n_folds):
    """Also where candidates, or candidates and folds, come round in step with the workers."""
    X, Y = table(20, gaps=0.0)
    kinds = {"size": Y[["size"]], "both": Y[["price", "size"]]}
    trials = [
        Trial(None, {}, None, Job(MultiTaskRegressor(hidden_layer_sizes=h, alpha=alpha), X, y))
        for alpha in (0.0, 0.1, 1.0)
        for h in ((8,), (96, 96))
        for y in kinds.values()
        for _ in range(n_folds)
    ]
    alone = [Trial(None, {}, None) for _ in range(3)]
    parts = deal([*alone[:1], *trials, *alone[1:]], n_workers)
    assert sorted(map(id, chain(*parts))) == sorted(map(id, [*trials, *alone]))
    if n_workers == 1:
        assert len(parts) == 1
        return
    assert [[trial] for trial in alone] == [part for part in parts if part[0].job is None]
    hands = [[trial.job.likeness() for trial in part] for part in parts if part[0].job is not None]
    assert len(hands) == min(n_workers, len(trials))
    structures = set(chain(*hands))
    assert len(structures) == 4
    for structure in structures:
        counts = [hand.count(structure) for hand in hands]
        assert max(counts) - min(counts) <= 1


def test_stacks_beside_one_another_share_the_memory(monkeypatch):
    X, Y = table(gaps=0.0)
    jobs = [Job(MultiTaskRegressor(**QUICK), X, Y[["size"]]) for _ in range(12)]
    monkeypatch.setattr("skmtl._stack._most_members", lambda ready: 8)
    for n_workers, sizes in ((1, [6, 6]), (2, [4, 4, 4]), (9, [1] * 12)):
        assert [len(stack) for stack in plan_stacks(jobs, "auto", n_workers)] == sizes
        assert [len(stack) for stack in plan_stacks(jobs, 12, n_workers)] == [12]


def test_sample_weights_reach_the_fits():
    X, Y = table(gaps=0.0)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    est = MultiTaskClassifierRegressor(**QUICK)
    searches = [
        kind(est, {"alpha": [0.0, 1.0]}, cv=KFold(3))
        for kind in (GridSearchCV, BatchedGridSearchCV)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(*[search.fit(X, Y, sample_weight=weight) for search in searches])


def test_bad_parameters_are_refused_before_training():
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK)
    with pytest.raises(ValueError, match="max_stack must be"):
        BatchedGridSearchCV(est, {"alpha": [1.0]}, max_stack=0).fit(X, Y)
    search = BatchedGridSearchCV(est, {"alpha": [-1.0]}, cv=KFold(3))
    with pytest.raises(ValueError, match=r"All the 3 fits failed(.|\n)*Parameter alpha"):
        search.fit(X, Y)


def test_a_search_is_cloned_and_has_its_parameters():
    search = BatchedGridSearchCV(MultiTaskRegressor(), {"alpha": [1.0]}, max_stack=4)
    assert clone(search).get_params()["max_stack"] == 4


def test_jobs_of_a_stack_are_fitted_as_if_alone():
    """Histories, epochs and predictions, where one stops early and the folds differ in length."""
    X, Y = table(140)
    alone, jobs = [], []
    for rows in (np.arange(130), np.arange(5, 140), np.arange(140)):
        for patience in (1, 10):
            est = MultiTaskClassifierRegressor(**QUICK, tol=0.05).set_params(
                n_iter_no_change=patience, max_iter=5 + patience
            )
            jobs.append(Job(clone(est), X, Y.iloc[rows], rows))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                alone.append(est.fit(X.iloc[rows], Y.iloc[rows]))
    [stack] = plan_stacks(jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train_stack(stack)
    for est, job in zip(alone, jobs, strict=True):
        ours = job.estimator
        assert job.error is None
        assert ours.n_iter_ == est.n_iter_
        assert ours.history_.columns.tolist() == est.history_.columns.tolist()
        assert_allclose(ours.history_, est.history_, atol=1e-9)
        for name, proba in est.predict_proba(X).items():
            assert_allclose(ours.predict_proba(X)[name], proba, atol=1e-9)
        assert ours.net_.stopping.best_epochs_ == est.net_.stopping.best_epochs_
        assert ours.get_params().keys() == est.get_params().keys()
        ours.partial_fit(X, Y)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"scoring": multitask_scorer(), "return_train_score": True},
        {"scoring": None, "cv": GroupKFold(3), "groups": np.arange(101) % 7},
        {"scoring": {"all": multitask_scorer(single=True)}, "return_indices": True, "n_jobs": 2},
        {"scoring": None, "params": {"sample_weight": np.arange(101) % 3}},
    ],
    ids=["train scores", "groups", "processes", "weights"],
)
def test_cross_validation_gives_what_scikit_learns_gives(kwargs):
    X, Y = table()
    kwargs = {"cv": KFold(3), "return_estimator": True, **kwargs}
    est = MultiTaskClassifierRegressor(**QUICK)
    theirs, ours = (f(est, X, Y, **kwargs) for f in (one_by_one, cross_validate))
    assert theirs.keys() == ours.keys()
    for key in theirs:
        if key.startswith(("test_", "train_")):
            assert_allclose(ours[key], theirs[key], atol=1e-9, err_msg=key)
    for a, b in zip(theirs["estimator"], ours["estimator"], strict=True):
        assert_allclose(b.predict(X)["price"], a.predict(X)["price"], atol=1e-9)
    for side in theirs.get("indices", {}):
        for a, b in zip(theirs["indices"][side], ours["indices"][side], strict=True):
            assert_array_equal(a, b)


def test_cross_validation_trains_its_folds_together(capsys):
    X, Y = table()
    cross_validate(MultiTaskClassifierRegressor(**QUICK), X, Y, cv=KFold(4), verbose=1)
    cross_val_predict(MultiTaskClassifierRegressor(**QUICK), X, Y, cv=4)
    assert "4 fits in 1 stacks" in capsys.readouterr().out
    theirs, ours = (f(Ridge(), X, Y[["size"]].fillna(0)) for f in (one_by_one, cross_validate))
    assert_allclose(ours["test_score"], theirs["test_score"])


def test_metadata_of_cross_validation_is_routed():
    X, Y = table()
    groups, weight = np.arange(101) % 7, np.arange(101) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        est = MultiTaskClassifierRegressor(**QUICK).set_fit_request(sample_weight=True)
        est.set_score_request(sample_weight=False)
        kwargs = {"cv": GroupKFold(3), "params": {"groups": groups, "sample_weight": weight}}
        theirs, ours = (f(est, X, Y, **kwargs) for f in (one_by_one, cross_validate))
        assert_allclose(ours["test_score"], theirs["test_score"], atol=1e-9)
        with pytest.raises(ValueError, match="groups are passed in params"):
            cross_validate(est, X, Y, groups=groups)


@scores_pipelines
def test_weights_routed_through_a_pipeline_train_together(capsys):
    X, Y = table()
    weight = np.arange(101) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        est = MultiTaskClassifierRegressor(**QUICK)
        est.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), est)
        kwargs = {"cv": KFold(3), "params": {"sample_weight": weight}, "verbose": 0}
        theirs = one_by_one(model, X, Y, **kwargs)
        ours = cross_validate(model, X, Y, **{**kwargs, "verbose": 1})
        assert_allclose(ours["test_score"], theirs["test_score"], atol=1e-9)
    assert "3 fits in 1 stacks\n" in capsys.readouterr().out


def test_members_of_unequal_length_share_a_table_of_their_own():
    """One fold after transformers: rows of inputs and of labels are the same, none is looked up."""
    X, Y = table(90)
    est = make_pipeline(StandardScaler(), MultiTaskClassifierRegressor(**QUICK, batch_size=16))
    grid = {"multitaskclassifierregressor__validation_fraction": [0.1, 0.15]}
    assert_same(*both(est, grid, X, Y, **SCORES, cv=ShuffleSplit(1, random_state=0)))


def test_tasks_of_other_names_train_together_and_keep_their_names():
    X, Y = table(gaps=0.0)
    names = ["price", "size"]
    jobs = [
        Job(MultiTaskRegressor(**{**QUICK, "random_state": i}), X.to_numpy(), Y[[name]])
        for i, name in enumerate(names)
    ]
    [stack] = plan_stacks(jobs)
    train_stack(stack)
    for job, name in zip(jobs, names, strict=True):
        alone = clone(job.estimator).fit(X.to_numpy(), Y[[name]])
        assert_allclose(job.estimator.predict(X.to_numpy()), alone.predict(X.to_numpy()), atol=1e-9)
        assert list(job.estimator.history_) == list(alone.history_)
        assert f"train_loss_{name}" in job.estimator.history_
    bad = [clone(job.estimator).set_params(learning_rate_init=1e300) for job in jobs]
    jobs = [Job(est, X.to_numpy(), Y[[name]]) for est, name in zip(bad, names, strict=True)]
    for stack in plan_stacks(jobs):
        train_stack(stack)
    for job, name in zip(jobs, names, strict=True):
        assert f"Task '{name}'" in str(job.error)
