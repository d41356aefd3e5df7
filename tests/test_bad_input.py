"""Bad input: an error before any training that says what was found and what is accepted."""

import re

import numpy as np
import pandas as pd
import pytest
from skorch.callbacks import EpochTimer

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.sharing import HardSharing
from skmtl.tasks import ClassificationTask, RegressionTask

QUICK = {"n_members": 1, "max_iter": 2, "hidden_layer_sizes": (4,), "random_state": 0}
X = np.random.default_rng(0).normal(size=(30, 3))
Y = pd.DataFrame({"kind": ["a", "b", None] * 10, "cost": np.linspace(0, 1, 30)})


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr("skmtl.training.net.train_step", refuse)


def raises(error, *parts):
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


PARAMETERS = [
    ("batch_size", 0, ValueError, "'auto' or an int in the range [1, inf)"),
    ("batch_size", 2.0, TypeError, "Found 2.0 of type float"),
    ("batch_size", "big", TypeError, "'auto' or an int"),
    ("batch_size", np.array([1, 2]), TypeError, "'auto' or an int"),
    ("max_iter", 0, ValueError, "an int in the range [1, inf)"),
    ("max_iter", "many", TypeError, "Found 'many'"),
    ("max_iter", True, TypeError, "Found True of type bool"),
    ("learning_rate_init", 0, ValueError, "a float in the range (0, inf)"),
    ("learning_rate_init", -1e-3, ValueError, "Found -0.001"),
    ("learning_rate_init", float("nan"), ValueError, "Found nan"),
    ("learning_rate_init", float("inf"), ValueError, "Found inf"),
    ("learning_rate_init", 10**400, ValueError, "a float in the range"),
    ("learning_rate_init", "fast", TypeError, "Found 'fast'"),
    ("alpha", -1, ValueError, "[0, inf)"),
    ("tol", -1, ValueError, "[0, inf)"),
    ("dropout", 1.0, ValueError, "[0, 1)"),
    ("dropout", None, TypeError, "Found None"),
    ("validation_fraction", 1.0, ValueError, "(0, 1)"),
    ("n_iter_no_change", 0, ValueError, "[1, inf)"),
    ("n_members", 0, ValueError, "'auto' or an int"),
    ("verbose", -1, ValueError, "[0, inf)"),
    ("early_stopping", "yes", ValueError, "['auto', True, False]"),
    ("warm_start", 1, ValueError, "[True, False]"),
    ("activation", "swish", ValueError, "'relu', 'gelu'"),
    ("hidden_layer_sizes", (8, 0), ValueError, "hidden_layer_sizes[1] must be an int"),
    ("hidden_layer_sizes", "8", TypeError, "must be a tuple of ints. Found '8'"),
    ("hidden_layer_sizes", {8}, TypeError, "must be a tuple of ints"),
    ("head_layer_sizes", (2.5,), TypeError, "head_layer_sizes[0]"),
    ("device", "cuda:99", ValueError, "['auto', 'cpu'"),
    ("device", "meta", ValueError, "Found 'meta'"),
    ("device", None, ValueError, "Found None"),
    ("random_state", -1, ValueError, "[0, 4.29"),
    ("random_state", "seed", ValueError, "numpy RandomState or Generator. Found 'seed'"),
    ("callbacks", EpochTimer(), TypeError, "must be a list of skorch callbacks"),
    ("callbacks", ["timer"], TypeError, "Found 'timer'"),
    ("sharing", "mmoe2", ValueError, "'soft'] or a Sharing object. Found 'mmoe2'"),
    ("sharing", HardSharing, TypeError, "a Sharing object. Found the class"),
    ("schedule", "later", ValueError, "'progressive'] or a Schedule object. Found 'later'"),
    ("tasks", "survival", ValueError, "'quantile', 'ranking', 'regression'] or a Task object"),
    ("tasks", {"price": "regression"}, ValueError, "names ['price'], which y has not"),
    ("tasks", ["regression"], ValueError, "2 for ['kind', 'cost']. Found 1"),
    ("tasks", 3, TypeError, "a dict from column to kind"),
    ("tasks", {"cost": 3}, TypeError, "tasks['cost'] must be one of"),
    ("tasks", {"kind": "regression"}, ValueError, "'kind': a regression column holds numbers"),
    (
        "tasks",
        {"cost": "classification"},
        ValueError,
        "Unknown label type: continuous. Task 'cost'",
    ),
    ("tasks", {"cost": RegressionTask("hinge")}, ValueError, "'huber']. Found 'hinge'"),
    (
        "tasks",
        {"kind": ClassificationTask({"z": 1})},
        ValueError,
        "class_weight names classes ['z']",
    ),
    ("tasks", {"kind": ClassificationTask({"a": -1})}, ValueError, "finite weights >= 0"),
    ("tasks", {"kind": ClassificationTask("even")}, ValueError, "'balanced' or None. Found 'even'"),
    ("loss_weights", {"price": 1}, ValueError, "names ['price'], which y has not"),
    ("loss_weights", [1, 2, 3], ValueError, "one weight a task: 2 for ['kind', 'cost']"),
    ("loss_weights", [1, -2], ValueError, "task 'cost' must be a float in the range [0, inf)"),
    ("loss_weights", {"cost": float("nan")}, ValueError, "task 'cost'"),
    ("loss_weights", [1, "2"], TypeError, "task 'cost'"),
    ("loss_weights", [1, True], TypeError, "Found True"),
    ("loss_weights", [0, 0], ValueError, "Found all 0"),
    ("loss_weights", "balance", ValueError, "Found 'balance'"),
    ("loss_weights", 2.0, TypeError, "a dict from task to weight"),
    ("loss_weights", pd.Series({"price": 1.0}), ValueError, "names ['price']"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    PARAMETERS,
    ids=[f"{p[0]}={p[1]!r}"[:50] for p in PARAMETERS],
)
def test_a_parameter_that_cannot_be_is_refused(name, value, error, text):
    est = MultiTaskClassifierRegressor(**{**QUICK, name: value})
    with raises(error, text) as caught:
        est.fit(X, Y)
    assert re.search(rf"{name}|Task '(kind|cost)'", str(caught.value))
    assert not hasattr(est, "net_")


TARGETS = {
    "dict": ({"a": [1, 2]}, TypeError, "wrap it as pandas.DataFrame(y)"),
    "None": (None, ValueError, "requires y to be passed"),
    "short": (Y[:7], ValueError, "[30, 7]"),
    "no column": (Y[[]], ValueError, "at least one column"),
    "twice a name": (Y.set_axis(["a", "a"], axis=1), ValueError, "['a'] more than once"),
    "MultiIndex": (
        Y.set_axis(pd.MultiIndex.from_tuples([("a", "b"), ("c", "d")]), axis=1),
        ValueError,
        "Found a MultiIndex",
    ),
    "names alike in print": (Y.set_axis([1, "1"], axis=1), ValueError, "differ in print"),
    "inf": (
        Y.assign(cost=np.inf),
        ValueError,
        "Task 'cost' must hold finite labels. Found inf in row 0",
    ),
    "no label": (Y.assign(kind=None), ValueError, "Task 'kind' has no label"),
    "dates": (
        Y.assign(kind=pd.Timestamp("2020")),
        ValueError,
        "Task 'kind' must hold numbers, strings",
    ),
    "lists": (Y.assign(kind=[[1]] * 30), ValueError, "Found [1] of type list"),
    "mixed labels": (
        Y.assign(kind=["a", 1, 2] * 10),
        ValueError,
        "Task 'kind' must hold class labels",
        "one type",
    ),
    "complex": (X[:, :1] + 1j, ValueError, "Complex data not supported"),
    "three dimensions": (np.zeros((30, 2, 2)), ValueError, "Found shape (30, 2, 2)"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_a_target_that_cannot_be_learned_is_refused(case):
    y, error, *parts = TARGETS[case]
    with raises(error, *parts):
        MultiTaskClassifierRegressor(**QUICK).fit(X, y)


def test_strings_in_a_regression_column_are_refused():
    for labels in (["1.5", "2.5", None] * 10, np.array(["1", "2", "3"] * 10)):
        with raises(ValueError, "Task 'y': a regression column holds numbers. Found"):
            MultiTaskRegressor(**QUICK).fit(X, labels)


def test_pure_estimators_refuse_the_other_kind():
    with raises(ValueError, "MultiTaskRegressor takes regression tasks"):
        MultiTaskRegressor("classification", **QUICK).fit(X, Y["cost"])
    with raises(ValueError, "MultiTaskClassifier takes classification tasks"):
        MultiTaskClassifier("regression", **QUICK).fit(X, Y["cost"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused(value):
    broken = X.copy()
    broken[4, 1] = value
    with raises(ValueError, "Input X contains"):
        MultiTaskClassifierRegressor(**QUICK).fit(broken, Y)


WEIGHTS = {
    "negative": (np.full(30, -1.0), "finite and not negative. Found -1.0 at (0,)"),
    "NaN": (np.full((30, 2), np.nan), "finite and not negative"),
    "shape": (np.ones(29), "(30,) or (30, 2)", "Found (29,)"),
    "words": (["heavy"] * 30, "must hold numbers"),
    "all zero": (np.zeros(30), "no label with a weight above zero"),
    "other columns": (pd.DataFrame({"a": np.ones(30)}), "a column for each of the tasks"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_sample_weight_that_is_none_is_refused(case):
    weight, *parts = WEIGHTS[case]
    with raises(ValueError, *parts):
        MultiTaskClassifierRegressor(**QUICK).fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize(
    ("classes", "error", "text"),
    [
        ({"price": [1]}, ValueError, "classes names ['price']"),
        ({"cost": [0, 1]}, ValueError, "'cost' is a regression and has no classes"),
        ({"kind": ["a"]}, ValueError, "labels ['b'] were not among the classes"),
        ({"kind": []}, ValueError, "must be a list of class labels"),
        ({"kind": ["a", "b", None]}, ValueError, "none missing"),
        (["a", "b", "c"], TypeError, "a dict from task to its class labels"),
    ],
)
def test_classes_that_do_not_fit_the_targets_are_refused(classes, error, text):
    with raises(error, text):
        MultiTaskClassifierRegressor(**QUICK).partial_fit(X, Y, classes=classes)


def test_early_stopping_needs_two_rows():
    with raises(ValueError, "two labelled rows that differ", "Found 1"):
        MultiTaskRegressor(**QUICK, early_stopping=True).fit(X[:1], [1.5])


class TestAfterAFit:
    """These train, two epochs, before the error."""

    @pytest.fixture(autouse=True)
    def fitted(self, monkeypatch):
        monkeypatch.undo()
        self.est = MultiTaskClassifierRegressor(**QUICK).fit(
            pd.DataFrame(X, columns=list("abc")), Y
        )

    def test_a_class_that_was_not_seen_is_not_scored(self):
        with raises(ValueError, "Task 'kind': labels ['z'] were not among the classes seen in fit"):
            self.est.score(pd.DataFrame(X, columns=list("abc")), Y.assign(kind="z"))

    def test_features_with_other_names_are_refused(self):
        with raises(ValueError, "feature names should match"):
            self.est.predict(pd.DataFrame(X, columns=list("abz")))

    def test_other_tasks_are_not_scored(self):
        with raises(ValueError, "columns seen in fit, ['kind', 'cost']. Found ['cost', 'x']"):
            self.est.score(pd.DataFrame(X, columns=list("abc")), Y[["cost"]].assign(x=1))

    def test_classes_other_than_at_first_are_refused(self):
        with raises(
            ValueError, "classes of task 'kind' must be those of the first call, ['a', 'b']"
        ):
            self.est.partial_fit(
                pd.DataFrame(X, columns=list("abc")), Y, classes={"kind": ["a", "z"]}
            )


def test_nothing_is_predicted_before_fit():
    from sklearn.exceptions import NotFittedError

    est = MultiTaskClassifierRegressor()
    for call in (est.predict, est.predict_proba):
        with pytest.raises(NotFittedError):
            call(X)
    with pytest.raises(NotFittedError):
        est.score(X, Y)


class TestWarnings:
    """What is accepted, with a word that the result may be poor."""

    @pytest.fixture(autouse=True)
    def training(self, monkeypatch):
        monkeypatch.undo()

    @pytest.mark.parametrize("n_classes_known", [1, 2])
    def test_one_class_only_is_predicted(self, n_classes_known):
        est = MultiTaskClassifierRegressor(**QUICK)
        y = pd.DataFrame({"same": ["x"] * 30, "cost": Y["cost"]})
        if n_classes_known == 1:
            with pytest.warns(UserWarning, match="Task 'same' has one class only, 'x'"):
                est.fit(X, y)
            assert set(est.predict(X)["same"]) == {"x"}
            assert est.predict_proba(X)["same"].tolist() == [[1.0]] * 30
        else:
            est.partial_fit(X, y, classes={"same": ["x", "z"]})

    @pytest.mark.parametrize("scale", [1e-4, 1e4])
    def test_inputs_far_from_standardised_are_warned_of(self, scale):
        with pytest.warns(UserWarning, match="far from standardised: column 'b' of X"):
            MultiTaskClassifierRegressor(**QUICK).fit(
                pd.DataFrame(X * scale * [1, 10, 1], columns=list("abc")), Y
            )

    def test_a_column_far_from_the_others_is_warned_of(self):
        with pytest.warns(UserWarning, match="column 2 of X"):
            MultiTaskClassifierRegressor(**QUICK).fit(X * [0.1, 0.1, 50], Y)
