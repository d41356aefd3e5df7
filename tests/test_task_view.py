"""One task of a fitted estimator in the tools of scikit-learn that know one target."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    RocCurveDisplay,
    get_scorer,
)
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor

QUICK = {"n_members": 1, "max_iter": 30, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.fixture
def fitted(mixed):
    X, Y = mixed
    model = make_pipeline(StandardScaler().set_output(transform="pandas"))
    model = make_pipeline(*[s for _, s in model.steps], MultiTaskClassifierRegressor(**QUICK))
    return model.fit(X, Y), X, Y


def test_it_says_what_the_estimator_says(fitted):
    model, X, Y = fitted
    est, inputs = model[-1], model[:-1].transform(X)
    together, table = est.predict(inputs), est.score_tasks(inputs, Y)
    scores = table["accuracy"].fillna(table["r2"])
    for task in Y:
        view = est.for_task(task)
        assert_array_equal(view.predict(inputs), together[task])
        assert view.score(inputs, Y[task]) == pytest.approx(scores[task])
        assert is_classifier(view) == (task != "cost")
        assert is_regressor(view) == (task == "cost")
        assert view.n_features_in_ == 5
        assert list(view.feature_names_in_) == list("abcde")
    proba = est.for_task("colour").predict_proba(inputs)
    assert_allclose(proba, est.predict_proba(inputs)["colour"])
    assert list(est.for_task("colour").classes_) == ["blue", "green", "red"]
    assert not hasattr(est.for_task("cost"), "predict_proba")


def test_fitting_cloning_and_pickling_leave_it_as_it_is(fitted):
    model, X, Y = fitted
    view = model[-1].for_task("cost")
    inputs = model[:-1].transform(X)
    before = view.predict(inputs)
    assert clone(view) is view.fit(inputs[:3], Y["cost"][:3])
    assert_array_equal(view.predict(inputs), before)
    assert_array_equal(pickle.loads(pickle.dumps(view)).predict(inputs), before)


def test_scorers_and_importances_take_it(fitted):
    model, X, Y = fitted
    there = Y["sick"].notna().to_numpy()
    y = Y["sick"][there].astype(bool)
    one = make_pipeline(*model[:-1], model[-1].for_task("sick"))
    for name in ("roc_auc", "neg_log_loss", "f1", "balanced_accuracy"):
        assert np.isfinite(get_scorer(name)(one, X[there], y))
    assert len(set(cross_val_score(one, X[there], y, cv=3))) > 1
    result = permutation_importance(one, X[there], y, n_repeats=3, random_state=0)
    assert result.importances_mean.argmax() == 1  # sick is b > 0


def test_calibration_and_displays_take_it(plt, fitted):
    model, X, Y = fitted
    there = Y["sick"].notna().to_numpy()
    y, inputs = Y["sick"][there].astype(bool), model[:-1].transform(X)[there]
    view = model[-1].for_task("sick")
    calibrated = CalibratedClassifierCV(view, method="sigmoid", cv=2).fit(inputs, y)
    assert calibrated.score(inputs, y) > 0.7
    RocCurveDisplay.from_estimator(view, inputs, y)
    CalibrationDisplay.from_estimator(view, inputs, y)
    ConfusionMatrixDisplay.from_estimator(view, inputs, y)
    display = PartialDependenceDisplay.from_estimator(model[-1].for_task("cost"), inputs, ["c"])
    [curve] = display.pd_results[0]["average"]
    assert curve[-1] > curve[0]  # cost rises with c


def test_pure_estimators_have_views_too():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    numbers = MultiTaskRegressor(**QUICK).fit(X, X[:, :2])
    assert_allclose(numbers.for_task("y1").predict(X), numbers.predict(X)[:, 1])
    classes = MultiTaskClassifier(**QUICK).fit(X, X[:, :2] > 0)
    assert_allclose(classes.for_task("y0").predict_proba(X), classes.predict_proba(X)[0])


def test_an_unknown_task_is_named(fitted):
    with pytest.raises(ValueError, match="Found 'price'"):
        fitted[0][-1].for_task("price")
