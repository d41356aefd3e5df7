"""scikit-learn's contract: its own checks, then its tools."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import (
    MultiTaskClassifier,
    MultiTaskClassifierRegressor,
    MultiTaskRegressor,
    SoftSharingEnsemble,
)
from skmtl.inspection import TaskGrouping
from skmtl.sharing import HardSharing

BRIEF = {"n_members": 1, "max_iter": 30}
QUICK = {"n_members": 2, "max_iter": 3, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.mark.filterwarnings("ignore")  # the checks' data are not standardised, nor meant to be
@parametrize_with_checks(
    [
        MultiTaskClassifierRegressor(),
        MultiTaskClassifierRegressor(tasks="regression"),
        MultiTaskClassifierRegressor(tasks="classification"),
        MultiTaskClassifier(),
        MultiTaskRegressor(),
    ]
)
def test_every_check_of_sklearn_passes_with_default_parameters(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        SoftSharingEnsemble(**BRIEF),
        SoftSharingEnsemble(tasks="regression", **BRIEF),
        SoftSharingEnsemble(tasks="classification", **BRIEF),
        TaskGrouping(MultiTaskClassifierRegressor(**BRIEF, random_state=0)),
    ]
)
def test_every_check_of_sklearn_passes(estimator, check):
    check(estimator)


def test_tags_follow_the_tasks_that_are_declared():
    assert is_regressor(MultiTaskRegressor())
    assert is_classifier(MultiTaskClassifier())
    mixed = MultiTaskClassifierRegressor
    assert is_regressor(mixed("regression"))
    assert is_regressor(mixed("Regression"))  # as the name is read in fit
    assert is_classifier(mixed(["classification", "classification"]))
    # other columns than a dict names are inferred, and may be of another kind
    for neither in (mixed(), mixed(["classification", "regression"]), mixed({"a": "regression"})):
        assert not is_regressor(neither)
        assert not is_classifier(neither)


def test_predict_proba_is_there_only_with_classes(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    assert hasattr(est.fit(X, Y), "predict_proba")
    assert not hasattr(clone(est).fit(X, Y[["cost"]]), "predict_proba")
    assert not hasattr(est.set_params(tasks="regression").fit(X, Y[["cost"]]), "classes_")
    assert not hasattr(MultiTaskRegressor(), "predict_proba")


def test_a_pipeline_with_a_column_transformer_keeps_the_names_of_tasks(mixed):
    X, Y = mixed
    pipe = make_pipeline(
        make_column_transformer((StandardScaler(), ["a", "b"]), remainder="passthrough"),
        MultiTaskClassifierRegressor(**QUICK),
    ).set_output(transform="pandas")
    assert list(pipe.fit(X, Y).predict(X).columns) == list(Y.columns)
    assert 0 < pipe.score(X, Y) <= 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_over_strings_objects_and_nested_parameters(mixed, n_jobs):
    X, Y = mixed
    grid = [
        {"sharing": ["hard", "none"], "loss_weights": [None, {"sick": 0.5}]},
        {"sharing": [HardSharing()], "sharing__linear_skip": [True, False]},
        {"hidden_layer_sizes": [(), (4, 4)]},
    ]
    search = GridSearchCV(
        MultiTaskClassifierRegressor(**QUICK), grid, cv=KFold(2), n_jobs=n_jobs, error_score="raise"
    )
    search.fit(X, Y)
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert list(search.predict(X).columns) == list(Y.columns)


def test_grid_search_scores_are_equal_in_one_process_and_two(mixed):
    X, Y = mixed
    scores = [
        GridSearchCV(
            MultiTaskClassifierRegressor(**QUICK), {"alpha": [0, 1]}, cv=KFold(2), n_jobs=n_jobs
        )
        .fit(X, Y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    assert_array_equal(*scores)


def _threads_of_a_worker(X, Y):
    import threadpoolctl
    import torch

    MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    return max([torch.get_num_threads(), *pools])


def test_two_jobs_never_run_more_threads_than_cores(mixed, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # which joblib would take for a wish
    jobs = [joblib.delayed(_threads_of_a_worker)(*mixed) for _ in range(2)]
    threads = joblib.Parallel(n_jobs=2)(jobs)
    assert max(threads) <= max(1, joblib.cpu_count() // 2)


def test_fit_gives_torch_its_threads_back(mixed):
    import torch

    before = torch.get_num_threads()
    MultiTaskClassifierRegressor(**{**QUICK, "n_members": 1}).fit(*mixed)
    assert torch.get_num_threads() == before


def test_cross_validation_gives_what_fits_on_the_folds_give(mixed):
    X, Y = mixed
    est, cv = MultiTaskClassifierRegressor(**QUICK), KFold(3)
    predicted = cross_val_predict(est, X, Y, cv=cv)
    scores = cross_validate(est, X, Y, cv=cv, return_train_score=True, error_score="raise")
    sizes, curve, _ = learning_curve(est, X, Y, cv=cv, train_sizes=[1.0], error_score="raise")
    assert sizes.tolist() == [40]
    for f, (train, test) in enumerate(cv.split(X)):
        fold = clone(est).fit(X.iloc[train], Y.iloc[train])
        assert_array_equal(predicted[test], fold.predict(X.iloc[test]).to_numpy())
        assert scores["test_score"][f] == fold.score(X.iloc[test], Y.iloc[test])
        assert scores["train_score"][f] == curve[0, f] == fold.score(X.iloc[train], Y.iloc[train])


def test_permutation_importance_finds_the_features_that_matter(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**{**QUICK, "max_iter": 100}).fit(X, Y)
    importance = permutation_importance(est, X, Y, random_state=0).importances_mean
    assert min(importance[:3]) > max(importance[3:])


@pytest.mark.parametrize(
    "copied",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_a_copy_predicts_the_same_and_trains_on_the_same(mixed, copied):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK, dropout=0.3).partial_fit(X, Y)
    twin = copied(est)
    assert_frame_equal(est.predict(X), twin.predict(X))
    assert_frame_equal(est.partial_fit(X, Y).predict(X), twin.partial_fit(X, Y).predict(X))


def test_joblib_gives_back_what_it_was_given(mixed, tmp_path):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    joblib.dump(est, tmp_path / "est.joblib")
    assert_frame_equal(est.predict(X), joblib.load(tmp_path / "est.joblib").predict(X))


def test_a_pickle_holds_no_training_data():
    X, y = make_regression(2000, 50, random_state=0)
    est = MultiTaskRegressor(**QUICK).fit(X, y)
    assert len(pickle.dumps(est)) < X.nbytes / 4


def test_sample_weight_is_routed_through_a_pipeline(mixed):
    X, Y = mixed
    weight = np.arange(60) % 3
    est = MultiTaskClassifierRegressor(**QUICK)
    direct = clone(est).fit(X, Y, sample_weight=weight).predict(X)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = make_pipeline(
            "passthrough",
            clone(est).set_fit_request(sample_weight=True).set_score_request(sample_weight=False),
        )
        assert_frame_equal(routed.fit(X, Y, sample_weight=weight).predict(X), direct)
        search = GridSearchCV(routed[-1], {"alpha": [1e-4]}, cv=KFold(2), error_score="raise")
        search.fit(X, Y, sample_weight=weight)
        assert_frame_equal(search.predict(X), direct.set_axis(X.index))


def test_clone_keeps_parameters_and_forgets_the_fit(mixed):
    est = MultiTaskClassifierRegressor(**QUICK, sharing=HardSharing(linear_skip=False)).fit(*mixed)
    copied = clone(est)
    assert repr(copied) == repr(est)
    with pytest.raises(NotFittedError):
        copied.predict(mixed[0])


def test_fit_changes_no_parameter(mixed):
    from skorch.callbacks import EpochTimer

    timer, sharing = EpochTimer(), HardSharing()
    params = {"callbacks": [timer], "sharing": sharing, "loss_weights": {"sick": 2.0}}
    est = MultiTaskClassifierRegressor(**QUICK, **params)
    before = pickle.dumps(est.get_params())
    est.fit(*mixed)
    assert pickle.dumps(est.get_params()) == before
    assert est.callbacks[0] is timer
    assert est.sharing is sharing


def test_feature_names_are_kept_and_checked(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    assert list(est.feature_names_in_) == list(X.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        est.predict(X.rename(columns={"a": "z"}))


def test_pure_estimators_follow_sklearns_output_conventions():
    X, y = load_iris(return_X_y=True)
    X = X - X.mean(0)
    Y = np.column_stack([y, y > 0])
    est = MultiTaskClassifier(**QUICK).fit(X, Y)
    assert [p.shape for p in est.predict_proba(X)] == [(150, 3), (150, 2)]
    assert [c.tolist() for c in est.classes_] == [[0, 1, 2], [0, 1]]
    assert est.predict(X).shape == (150, 2)
    one = MultiTaskClassifier(**QUICK).fit(X, y)
    assert one.predict_proba(X).shape == (150, 3)
    assert one.predict(X).shape == (150,)
    frame = pd.DataFrame(Y, columns=["species", "large"])
    named = MultiTaskClassifierRegressor(**QUICK).fit(X, frame).predict_proba(X)
    assert {name: p.shape for name, p in named.items()} == {"species": (150, 3), "large": (150, 2)}


def test_probabilities_agree_with_predictions_and_sum_to_one(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**{**QUICK, "max_iter": 30}).fit(X, Y)
    predicted = est.predict(X)
    for task, proba in est.predict_proba(X).items():
        np.testing.assert_allclose(proba.sum(1), 1)
        assert_array_equal(est.classes_[task][proba.argmax(1)], predicted[task].to_numpy())


def test_score_is_the_mean_of_the_tasks_scores_by_sklearns_metrics(mixed):
    from sklearn.metrics import accuracy_score, r2_score

    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    predicted, table = est.predict(X), est.score_tasks(X, Y)
    for task, metric in {
        "colour": accuracy_score,
        "sick": accuracy_score,
        "cost": r2_score,
    }.items():
        there = Y[task].notna()
        truth = Y.loc[there, task].to_numpy(dtype=object if task != "cost" else float)
        expected = metric(truth.tolist(), predicted.loc[there, task].tolist())
        assert table.loc[task, "r2" if task == "cost" else "accuracy"] == pytest.approx(expected)
        assert table.loc[task, "n_labels"] == there.sum()
    assert est.score(X, Y) == pytest.approx(table["accuracy"].fillna(table["r2"]).mean())


@pytest.mark.parametrize(
    ("estimator", "X", "y", "message"),
    [
        (MultiTaskRegressor(**QUICK), 1e5 * np.eye(30), np.arange(30.0), "far from standardised"),
        (MultiTaskClassifierRegressor(**QUICK), np.eye(30), np.arange(30) % 15, "taken for"),
        (MultiTaskClassifier(**QUICK), np.eye(30), np.zeros(30), "one class only"),
    ],
    ids=["face", "base", "target"],
)
def test_a_warning_points_at_the_line_that_called(estimator, X, y, message):
    with pytest.warns(UserWarning, match=message) as warned:
        estimator.fit(X, y)
    assert {w.filename for w in warned} == {__file__}
