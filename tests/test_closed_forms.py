"""What an estimator must equal: linear models, dropped rows, repeated rows, reordered tasks."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.linear_model import HuberRegressor, LogisticRegression, QuantileRegressor, Ridge

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.tasks import ClassificationTask, RegressionTask

LINEAR = {
    "hidden_layer_sizes": (),
    "sharing": "none",
    "early_stopping": False,
    "n_members": 1,
    "batch_size": 200,
    "learning_rate_init": 0.02,
    "max_iter": 600,  # enough; long after, Adam is further off again
    "tol": 0,
    "n_iter_no_change": 600,
    "random_state": 0,
}
QUICK = {"n_members": 2, "max_iter": 8, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.5, 1.5, size=(200, 4))
    signal = X @ np.array([[2.0, 0.0], [-1.0, 1.0], [0.5, 1.0], [0.0, -2.0]])
    return X, signal + rng.normal(size=(200, 2)) * [1.0, 2.0] + [10.0, -3.0]


def weights(est, task=0):
    return est.module_.network.heads.last.weight[0, :, task].detach().numpy()


@pytest.mark.parametrize("alpha", [1e-4, 10.0, 300.0])
def test_a_linear_regression_is_ridge_at_the_same_alpha(problem, alpha):
    X, Y = problem
    est = MultiTaskRegressor(**LINEAR, alpha=alpha).fit(X, Y)
    for t in range(2):
        ridge = Ridge(alpha=alpha).fit(X, Y[:, t])
        assert_allclose(weights(est, t) * est.tasks_[f"y{t}"].scale_, ridge.coef_, atol=2e-4)
        assert_allclose(est.predict(X)[:, t], ridge.predict(X), atol=2e-4)


def test_ridge_also_where_labels_are_missing_and_weighted(problem):
    X, Y = problem
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 4, size=Y.shape)
    gaps = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
    est = MultiTaskRegressor(**LINEAR, alpha=10.0).fit(X, gaps, sample_weight=weight)
    for t in range(2):
        there = ~np.isnan(gaps[:, t])
        ridge = Ridge(alpha=10.0).fit(X[there], Y[there, t], sample_weight=weight[there, t])
        assert_allclose(est.predict(X)[:, t], ridge.predict(X), atol=2e-4)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_linear_classification_is_logistic_regression_at_alpha_one_over_c(
    problem, n_classes, class_weight
):
    X, Y = problem
    y = np.searchsorted([9.0, 11.5][: n_classes - 1], Y[:, 0])
    task = ClassificationTask(class_weight=class_weight)
    est = MultiTaskClassifier(task, **LINEAR, alpha=5.0).fit(X, y)
    reference = LogisticRegression(C=1 / 5.0, class_weight=class_weight, tol=1e-8).fit(X, y)
    assert_allclose(est.predict_proba(X), reference.predict_proba(X), atol=2e-4)
    if n_classes == 2:
        assert_allclose(weights(est), reference.coef_[0], atol=2e-4)


def test_absolute_error_is_the_regression_of_the_median(problem):
    X, Y = problem
    est = MultiTaskRegressor(
        RegressionTask("absolute_error"),
        **LINEAR | {"learning_rate_init": 2e-3, "max_iter": 3000},
        alpha=0.0,
    ).fit(X, Y[:, 0])
    reference = QuantileRegressor(alpha=0).fit(X, Y[:, 0])
    assert np.abs(est.predict(X) - Y[:, 0]).mean() == pytest.approx(
        np.abs(reference.predict(X) - Y[:, 0]).mean(), rel=1e-3
    )


def test_huber_is_untouched_by_outliers_that_drag_the_mean(problem):
    X, Y = problem
    y = Y[:, 0].copy()
    y[:10] += 200
    plain = Ridge(1e-4).fit(X[10:], y[10:]).predict(X)
    errors = {
        loss: np.abs(
            MultiTaskRegressor(RegressionTask(loss), **LINEAR).fit(X, y).predict(X) - plain
        )
        for loss in ("squared_error", "huber", "absolute_error")
    }
    assert errors["absolute_error"].mean() < errors["huber"].mean() < errors["squared_error"].mean()


def test_huber_is_at_the_minimum_of_its_own_loss(problem):
    X, Y = problem
    y = Y[:, 0]
    est = MultiTaskRegressor(RegressionTask("huber"), **LINEAR, alpha=0.0).fit(X, y)
    residual = (est.predict(X) - y) / est.tasks_["y"].scale_
    pull = np.clip(residual, -1.35, 1.35)  # derivative of the loss: orthogonal to the inputs
    assert_allclose(pull @ np.column_stack([X, np.ones(200)]) / 200, 0, atol=1e-3)
    assert HuberRegressor().epsilon == 1.35


KINDS = {
    "regression": lambda Y: Y[:, 0],
    "binary": lambda Y: np.where(Y[:, 0] > 10, 1.0, 0.0),
    "three classes": lambda Y: np.digitize(Y[:, 0], [9.0, 11.0]).astype(float),
}
SIZES = [60, 200, 1200]  # 1200: float32, no merging of rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_masking_a_label_equals_dropping_the_row(problem, kind, early_stopping):
    X, Y = problem
    y = KINDS[kind](Y)
    masked = y.copy()
    masked[::3] = np.nan
    kept = ~np.isnan(masked)
    est = MultiTaskClassifierRegressor(
        kind.split()[0] if kind == "regression" else "classification"
    )
    est.set_params(**QUICK, early_stopping=early_stopping)
    a = est.fit(X, masked).predict(X)
    b = est.fit(X[kept], y[kept]).predict(X)
    assert_array_equal(a, b)


def test_masking_equals_dropping_above_the_size_where_rows_are_merged():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2400, 3)).astype(np.float32)
    y = X[:, 0] + rng.normal(size=2400)
    masked = np.where(np.arange(2400) % 2, y, np.nan)
    est = MultiTaskRegressor(**QUICK)
    a = est.fit(X, masked).predict(X)
    b = est.fit(X[1::2], y[1::2]).predict(X)
    assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_weight_of_two_equals_a_repeated_row(problem, kind, early_stopping):
    X, Y = problem
    y = KINDS[kind](Y)
    counts = np.arange(200) % 3
    est = MultiTaskClassifierRegressor("regression" if kind == "regression" else "classification")
    est.set_params(**QUICK, early_stopping=early_stopping)
    weighted = est.fit(X, y, sample_weight=counts).predict(X)
    repeated = est.fit(X.repeat(counts, axis=0), y.repeat(counts)).predict(X)
    assert_allclose(weighted, repeated, rtol=1e-9)


def test_weights_per_task_of_zero_equal_missing_labels(mixed):
    X, Y = mixed
    weight = np.ones(Y.shape)
    weight[:20, 0] = weight[10:30, 2] = 0
    hidden = Y.mask(weight == 0)
    est = MultiTaskClassifierRegressor(**QUICK)
    assert_frame_equal(
        est.fit(X, Y, sample_weight=weight).predict(X), est.fit(X, hidden).predict(X)
    )


def test_a_common_factor_on_all_weights_changes_only_the_penalty(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK, alpha=0)
    once = est.fit(X, Y).predict(X)
    assert_allclose(est.fit(X, Y, np.full(60, 7.0)).predict(X)["cost"], once["cost"], rtol=1e-9)


def test_rows_without_any_label_change_nothing(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    extra = pd.concat([X, X + 1], ignore_index=True)
    padded = Y.reindex(range(120))
    assert_frame_equal(est.fit(extra, padded).predict(X), est.fit(X, Y).predict(X))


@pytest.mark.parametrize("sharing", ["hard", "none"])
@pytest.mark.parametrize("head_layer_sizes", [(), (4,)])
def test_the_order_of_the_tasks_does_not_matter(mixed, sharing, head_layer_sizes):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(
        sharing=sharing, head_layer_sizes=head_layer_sizes, **{**QUICK, "max_iter": 30}
    )
    a = est.fit(X, Y)
    probability, cost = a.predict_proba(X), a.predict(X)["cost"]
    b = est.fit(X, Y[["cost", "sick", "colour"]])
    assert_allclose(b.predict(X)["cost"], cost, rtol=1e-6)
    for task, proba in b.predict_proba(X).items():
        assert_allclose(proba, probability[task], atol=1e-6)


def test_the_order_of_the_rows_does_not_matter_on_a_small_table(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    straight = est.fit(X, Y).predict(X)
    order = np.random.default_rng(0).permutation(60)
    assert_frame_equal(est.fit(X.iloc[order], Y.iloc[order]).predict(X), straight)


def test_a_loss_weight_of_zero_leaves_the_task_at_its_mean(problem):
    X, Y = problem
    est = MultiTaskRegressor(**QUICK, loss_weights=[1.0, 0.0]).fit(X, Y)
    assert_allclose(est.predict(X)[:, 1], Y[:, 1].mean())
    assert est.predict(X)[:, 0].std() > 0


def test_loss_weights_as_dict_array_and_list_are_the_same(mixed):
    X, Y = mixed
    predictions = [
        MultiTaskClassifierRegressor(**QUICK, loss_weights=w).fit(X, Y).predict(X)
        for w in ({"cost": 3.0}, [1, 1, 3], np.array([1.0, 1.0, 3.0]))
    ]
    assert_frame_equal(predictions[0], predictions[1])
    assert_frame_equal(predictions[0], predictions[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_target_in_another_unit_gives_the_same_in_that_unit(problem, dtype):
    X, Y = problem
    est = MultiTaskRegressor(**QUICK)
    base = est.fit(X.astype(dtype), Y).predict(X.astype(dtype))
    scaled = est.fit(X.astype(dtype), Y * [1e6, 1e-6] + [5.0, 0]).predict(X.astype(dtype))
    assert_allclose(scaled, base * [1e6, 1e-6] + [5.0, 0], rtol=1e-5)


def test_no_sharing_is_one_model_per_task(problem):
    X, Y = problem
    together = MultiTaskRegressor(sharing="none", **QUICK, early_stopping=False).fit(X, Y)
    for t in range(2):
        alone = MultiTaskRegressor(sharing="none", **QUICK, early_stopping=False).fit(X, Y[:, t])
        assert_allclose(together.predict(X)[:, t], alone.predict(X), rtol=1e-6)
