"""Fits of a kind of task against references: scikit-learn's linear models, scipy's optima."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
)
from sklearn.metrics import balanced_accuracy_score, d2_tweedie_score, f1_score, mean_pinball_loss
from sklearn.neural_network import MLPClassifier

from skmtl import MultiTaskClassifier, MultiTaskRegressor
from skmtl.tasks import (
    BinaryTask,
    CountTask,
    HeteroscedasticRegressionTask,
    OrdinalTask,
    QuantileTask,
)

N = 120
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(N, 3)).clip(-2, 2), columns=list("abc"))  # none is bent inside
NOISY = (X["a"] + 0.5 * rng.normal(size=N)).rename(None)
DAYS = rng.integers(1, 9, size=N)
QUICK = {"n_members": 2, "max_iter": 25, "hidden_layer_sizes": (8,), "random_state": 0}
QUICK |= {"learning_rate_init": 0.02}
LINEAR = {"hidden_layer_sizes": (), "n_members": 1, "early_stopping": False, "alpha": 0}
LINEAR |= {"max_iter": 1500, "tol": 1e-12, "n_iter_no_change": 50, "batch_size": 1000}
LINEAR |= {"learning_rate_init": 0.02, "random_state": 0}


@pytest.mark.parametrize("exposure", [None, "days"])
@pytest.mark.parametrize("alpha", [0, 3.0])
def test_a_linear_count_is_poisson_regression(exposure, alpha, rng):
    days = np.ones(N) if exposure is None else DAYS
    Y = pd.DataFrame({"visits": rng.poisson(days * np.exp(X["a"]))})
    Y = Y if exposure is None else Y.assign(days=days)
    task = {"visits": CountTask(exposure)}
    est = MultiTaskRegressor(task, **{**LINEAR, "alpha": alpha}).fit(X, Y)
    rate, mean = Y["visits"] / days, Y["visits"].sum() / days.sum()
    reference = PoissonRegressor(alpha=alpha * mean / N, tol=1e-9, max_iter=1000)
    reference.fit(X, rate, sample_weight=days)
    assert_allclose(est.predict(X)["visits"], reference.predict(X), rtol=5e-3)
    expected = d2_tweedie_score(rate, reference.predict(X), sample_weight=days, power=1)
    assert est.score(X, Y) == pytest.approx(expected, abs=1e-4)
    assert est.score(X, Y) == pytest.approx(reference.score(X, rate, sample_weight=days), abs=1e-4)


def test_quantiles_of_a_constant_are_those_of_the_sample_and_a_linear_median_is_sklearns(rng):
    y = rng.exponential(2.0, size=N)
    levels = [0.05, 0.25, 0.5, 0.9]
    est = MultiTaskRegressor(QuantileTask(levels), **LINEAR).fit(np.zeros((N, 1)), y)
    found = est.predict_quantiles(np.zeros((1, 1)))[0]
    low, high = (np.quantile(y, np.array(levels) + side) for side in (-0.03, 0.03))
    assert np.all((low < found) & (found < high))
    assert est.predict(np.zeros((1, 1)))[0] == found[2]
    median = MultiTaskRegressor(QuantileTask([0.5]), **LINEAR).fit(X, y)
    reference = QuantileRegressor(quantile=0.5, alpha=0).fit(X, y)
    losses = [mean_pinball_loss(y, e.predict(X)) for e in (median, reference)]
    assert losses[0] < losses[1] * 1.002


def test_a_heteroscedastic_line_has_the_maximum_of_the_likelihood(rng):
    x = rng.uniform(-1, 1, size=(400, 1))
    y = 50 + 10 * (x[:, 0] + np.exp(0.8 * x[:, 0]) * rng.normal(size=400))

    def negative_likelihood(p):
        log_std = p[2] + p[3] * x[:, 0]
        return np.mean(log_std + 0.5 * ((y - p[0] - p[1] * x[:, 0]) / np.exp(log_std)) ** 2)

    best = minimize(negative_likelihood, [50, 0, 2, 0], method="BFGS").x
    est = MultiTaskRegressor("heteroscedastic_regression", **LINEAR).fit(x, y)
    assert_allclose(est.predict(x), best[0] + best[1] * x[:, 0], rtol=1e-3)
    assert_allclose(est.predict_std(x), np.exp(best[2] + best[3] * x[:, 0]), rtol=0.01)
    flat = MultiTaskRegressor(HeteroscedasticRegressionTask(), **LINEAR).fit(0 * x, y)
    assert_allclose(flat.predict_std(x[:1]), y.std(), rtol=1e-3)
    assert_allclose(flat.predict(x[:1]), LinearRegression().fit(0 * x, y).predict(x[:1]), rtol=1e-4)


def test_a_linear_ordinal_is_proportional_odds(rng):
    y = np.digitize(X["a"] - 0.5 * X["b"] + rng.logistic(size=N), [-1.5, -0.5, 1.5])
    inputs = X.to_numpy()

    def negative_likelihood(p):
        thresholds = np.cumsum(np.r_[p[3], np.exp(p[4:])])
        margins = thresholds - (inputs @ p[:3])[:, None]
        p = np.diff(np.pad(expit(margins), ((0, 0), (1, 1)), constant_values=(0, 1)))
        return -np.log(p[np.arange(N), y]).mean()

    best = minimize(negative_likelihood, [0, 0, 0, -1, 0, 0.0]).x
    thresholds = np.cumsum(np.r_[best[3], np.exp(best[4:])])
    expected = expit(thresholds - (inputs @ best[:3])[:, None])
    est = MultiTaskClassifier(OrdinalTask(), **LINEAR).fit(X, y)
    assert_allclose(est.predict_proba(X).cumsum(1)[:, :3], expected, atol=2e-3)
    assert np.array_equal(est.predict(X), (est.predict_proba(X).cumsum(1)[:, :3] < 0.5).sum(1))


@pytest.mark.parametrize("loss", ["cumulative", "coral"])
def test_two_classes_in_order_are_logistic_regression(loss):
    est = MultiTaskClassifier(OrdinalTask(["no", "yes"], loss), **LINEAR)
    y = np.where(NOISY > 0.3, "yes", "no")
    reference = LogisticRegression(C=np.inf, tol=1e-8).fit(X, y)
    assert_allclose(est.fit(X, y).predict_proba(X), reference.predict_proba(X), atol=2e-3)


def test_order_comes_from_categories_from_numbers_or_from_the_user():
    y = pd.Series(pd.Categorical(["b", "c", "b", "c"] * 10, ["c", "a", "b"], ordered=True))
    est = MultiTaskClassifier(**{**QUICK, "max_iter": 1}).fit(X[:40], y)
    assert est.tasks_["y"].order_.tolist() == ["c", "a", "b"]
    assert est.classes_.tolist() == ["a", "b", "c"]  # as scikit-learn has them
    assert est.predict_proba(X).shape == (N, 3)
    for task in ("ordinal", OrdinalTask([1, 0])):
        fitted = MultiTaskClassifier(task, **{**QUICK, "max_iter": 1}).fit(X[:40], [0, 1] * 20)
        assert fitted.tasks_["y"].order_.tolist() == ([0, 1] if task == "ordinal" else [1, 0])
    with pytest.raises(ValueError, match="must know the order of its classes"):
        MultiTaskClassifier("ordinal").fit(X[:40], y.astype(str))


def test_linear_labels_are_a_logistic_regression_each_and_come_in_sklearns_form(rng):
    Y = (NOISY.to_numpy()[:, None] + rng.normal(size=(N, 3)) > [0.0, 0.3, 0.6]).astype(int)
    est = MultiTaskClassifier("multilabel", **LINEAR).fit(X, Y)
    for j in range(3):
        reference = LogisticRegression(C=np.inf, tol=1e-8).fit(X, Y[:, j])
        assert_allclose(est.predict_proba(X)[:, j], reference.predict_proba(X)[:, 1], atol=2e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = MLPClassifier(max_iter=1).fit(X, Y)
    assert est.predict_proba(X).shape == mlp.predict_proba(X).shape
    assert est.predict(X).dtype == mlp.predict(X).dtype
    assert est.score(X, Y) == pytest.approx(f1_score(Y, est.predict(X), average="micro"))


def test_thresholds_are_tuned_on_rows_that_did_not_train():
    y = NOISY > 1.2
    est = MultiTaskClassifier(BinaryTask("tuned"), **{**QUICK, "n_members": 1}).fit(X, y)
    given = MultiTaskClassifier(BinaryTask(), **{**QUICK, "n_members": 1}).fit(X, y)
    assert_allclose(est.predict_proba(X), given.predict_proba(X))  # training is the same
    [task] = est.tasks_.values()
    threshold = task.threshold_
    assert threshold != 0.5
    assert np.array_equal(est.predict(X), est.predict_proba(X)[:, 1] > threshold)
    assert balanced_accuracy_score(y, est.predict(X)) == pytest.approx(est.score(X, y))
    unheld = clone(est).set_params(early_stopping=False)
    for fit in (unheld.fit, clone(est).partial_fit):
        with pytest.raises(ValueError, match="is tuned on held-back rows, and there are none"):
            fit(X, y)
