"""What came in goes out: containers, names, labels, dtypes; and which task a column is taken for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.targets import read_columns, rebuild
from skmtl.tasks import ClassificationTask, OrdinalTask, RegressionTask
from skmtl.training import validation_split

QUICK = {"n_members": 1, "max_iter": 2, "hidden_layer_sizes": (4,), "random_state": 0}
X = np.random.default_rng(0).normal(size=(30, 3))

COLUMNS = {
    "str": pd.Series(["a", "b", None] * 10, dtype="string"),
    "object": pd.Series(["a", "b", None] * 10, dtype=object),
    "object with NaN": pd.Series(["a", "b", np.nan] * 10, dtype=object),
    "category": pd.Series(["a", "b", None] * 10, dtype="category"),
    "ordered category": pd.Series(
        pd.Categorical(["low", "high", None] * 10, ["low", "mid", "high"], ordered=True)
    ),
    "category of ints": pd.Series([1, 2, None] * 10, dtype="Int64").astype("category"),
    "bool": pd.Series([True, False, True] * 10),
    "boolean": pd.Series([True, False, None] * 10, dtype="boolean"),
    "object bool": pd.Series([True, False, None] * 10, dtype=object),
    "int64": pd.Series([1, 2, 3] * 10),
    "int8": pd.Series([1, 2, 3] * 10, dtype="int8"),
    "Int64": pd.Series([1, 2, None] * 10, dtype="Int64"),
    "float of whole numbers": pd.Series([1.0, 2.0, np.nan] * 10),
    "float64": pd.Series([1.5, 2.25, np.nan] * 10),
    "float32": pd.Series([1.5, 2.25, np.nan] * 10, dtype="float32"),
    "Float64": pd.Series([1.5, 2.25, None] * 10, dtype="Float64"),
}
NUMBERS = {"float64", "float32", "Float64"}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_dtype_comes_back_with_dtype_and_labels(name):
    column = COLUMNS[name]
    Y = pd.DataFrame({"y": column, "other": np.linspace(0, 1, 30)})
    index = pd.Index(range(100, 130), name="row")
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    predicted = est.predict(pd.DataFrame(X, index=index))
    assert list(predicted.columns) == ["y", "other"]
    assert predicted.index.equals(index)
    assert predicted["y"].dtype == column.dtype
    if est.tasks_["y"].kind == "classification":
        assert set(predicted["y"].unique()) <= set(est.classes_["y"])
        unseen = {"mid"} if name == "ordered category" else set()  # lies between what was seen
        assert set(est.classes_["y"]) == set(column.dropna().unique()) | unseen


@pytest.mark.parametrize("name", COLUMNS)
def test_the_kind_of_a_column_is_inferred(name):
    task = MultiTaskClassifierRegressor(**QUICK).fit(X, COLUMNS[name]).tasks_["y"]
    kinds = {"ordered category": OrdinalTask, **dict.fromkeys(NUMBERS, RegressionTask)}
    assert type(task) is kinds.get(name, ClassificationTask)


def test_a_label_of_weight_zero_has_no_say_in_what_a_column_is():
    column = pd.Series([1.5, 2.5, "unknown"] * 10, dtype=object)
    weight = np.array([1.0, 1.0, 0.0] * 10)
    task = MultiTaskClassifierRegressor(**QUICK).fit(X, column, weight).tasks_["y"]
    assert type(task) is RegressionTask
    assert task.center_ == 2.0


def test_infer_says_so_when_whole_numbers_are_a_close_call():
    sure = np.arange(200) % 10
    close = np.arange(200) % 15
    numbers = np.arange(200) % 30
    sure_numbers = np.arange(200)
    inputs = np.random.default_rng(0).normal(size=(200, 2))
    est = MultiTaskClassifierRegressor(**QUICK)
    assert est.fit(inputs, sure).tasks_["y"].kind == "classification"
    with pytest.warns(UserWarning, match=r"15 distinct whole numbers.*tasks=\{'y': 'class"):
        assert est.fit(inputs, close).tasks_["y"].kind == "classification"
    with pytest.warns(UserWarning, match=r"30 distinct whole numbers.*tasks=\{'y': 'regr"):
        assert est.fit(inputs, numbers).tasks_["y"].kind == "regression"
    assert est.fit(inputs, sure_numbers).tasks_["y"].kind == "regression"


def test_tasks_by_name_object_dict_and_list():
    Y = pd.DataFrame({"a": np.arange(30) % 2, "b": np.arange(30) % 3})
    for tasks in (
        {"a": "regression"},
        {"a": RegressionTask(), "b": "infer"},
        ["regression", "classification"],
        [RegressionTask(), ClassificationTask()],
    ):
        est = MultiTaskClassifierRegressor(tasks, **QUICK).fit(X, Y)
        assert [t.kind for t in est.tasks_.values()] == ["regression", "classification"]
    est = MultiTaskClassifierRegressor("regression", **QUICK).fit(X, Y)
    assert [t.kind for t in est.tasks_.values()] == ["regression", "regression"]


@pytest.mark.parametrize(
    ("y", "kind", "shape"),
    [
        (np.linspace(0, 1, 30), "f", (30,)),
        (np.linspace(0, 1, 30)[:, None], "f", (30, 1)),
        (np.column_stack([np.linspace(0, 1, 30)] * 2), "f", (30, 2)),
        (np.array(["a", "b", "c"] * 10), "U", (30,)),
        (np.array([["a", "x"], ["b", "y"], ["c", "x"]] * 10), "U", (30, 2)),
        (np.array([["a", 1.5], ["b", None], [np.nan, 2.5]] * 10, dtype=object), "O", (30, 2)),
        (np.array([1, 2, 3] * 10), "i", (30,)),
        ([["a", 1.5], ["b", None], [None, 2.5]] * 10, "O", (30, 2)),
        (pd.Series([1.5, 2.5, None] * 10, name="cost"), "f", (30,)),
    ],
)
def test_arrays_and_lists_come_back_as_arrays(y, kind, shape):
    predicted = MultiTaskClassifierRegressor(**QUICK).fit(X, y).predict(X)
    assert isinstance(predicted, np.ndarray)
    assert (predicted.dtype.kind, predicted.shape) == (kind, shape)


def test_a_frame_whose_columns_are_not_strings():
    Y = pd.DataFrame({0: np.linspace(0, 1, 30), ("b", 1): ["u", "v", "w"] * 10})
    Y.columns = pd.Index([0, ("b", 1)], tupleize_cols=False)
    est = MultiTaskClassifierRegressor(**QUICK, loss_weights={0: 2.0}).fit(X, Y)
    assert list(est.predict(X).columns) == [0, ("b", 1)]
    assert list(est.score_tasks(X, Y).index) == [0, ("b", 1)]


def test_a_scored_frame_is_matched_by_name_whatever_its_order(mixed):
    inputs, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(inputs, Y)
    assert est.score(inputs, Y[["cost", "colour", "sick"]]) == est.score(inputs, Y)


def test_an_array_of_weights_has_the_order_of_the_table_it_comes_with(mixed):
    inputs, Y = mixed
    weight = np.random.default_rng(0).choice([0.0, 1.0, 2.0], size=Y.shape)
    est = MultiTaskClassifierRegressor(**QUICK).fit(inputs, Y, weight)
    turned = ["cost", "colour", "sick"]
    moved = pd.DataFrame(weight, columns=Y.columns)[turned].to_numpy()
    assert est.score(inputs, Y[turned], moved) == est.score(inputs, Y, weight)
    table = est.score_tasks(inputs, Y[turned], moved)
    pd.testing.assert_frame_equal(table, est.score_tasks(inputs, Y, weight))
    other = clone(est).fit(inputs, Y, weight)
    one, two = est.partial_fit(inputs, Y, weight), other.partial_fit(inputs, Y[turned], moved)
    pd.testing.assert_frame_equal(one.predict(inputs), two.predict(inputs))


def test_score_skips_tasks_without_labels_and_says_so(mixed):
    inputs, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(inputs, Y)
    blank = Y.assign(cost=np.nan)
    with pytest.warns(UserWarning, match=r"No score for \['cost'\].* over 2 of 3 tasks"):
        score = est.score(inputs, blank)
    assert score == pytest.approx(est.score_tasks(inputs, Y)["accuracy"].mean())


@given(st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_encode_then_decode_is_the_identity_on_labels(labels):
    [column], container = read_columns(pd.DataFrame({"y": pd.Series(labels, dtype=object)}))
    assert_array_equal(column.mask, [v is not None for v in labels])
    if len(set(column.labels)) < 2:
        return
    task = ClassificationTask().prepare(column.labels, np.ones(len(column.labels)), name="y")
    codes = task.encode(column.labels, name="y")[:, 0].astype(int)
    back = task.decode(np.eye(len(task.classes_))[codes])
    rebuilt = rebuild(container, [back], numbers=[False], index=None)
    assert rebuilt["y"].tolist() == [v for v in labels if v is not None]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20))
@settings(max_examples=50, deadline=None)
def test_regression_targets_survive_standardising(labels):
    labels = np.array(labels)
    task = RegressionTask().prepare(labels, np.ones(len(labels)), name="y")
    encoded = task.encode(labels, name="y")
    np.testing.assert_allclose(task.decode(encoded), labels, atol=1e-6 * (1 + np.abs(labels).max()))
    assert abs(encoded.mean()) < 1e-3


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_equal_labels_are_predicted_to_the_bit(loss):
    Y = pd.DataFrame({"same": np.full(30, 0.1), "other": X[:, 0]})  # whose mean is not quite 0.1
    tasks = {"same": RegressionTask(loss=loss), "other": "regression"}
    est = MultiTaskClassifierRegressor(tasks, **QUICK).fit(X, Y)
    assert (est.predict(X)["same"] == 0.1).all()


@st.composite
def tables_of_strata(draw):
    n, n_tasks = draw(st.integers(4, 60)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.integers(-draw(st.integers(1, 5)), draw(st.integers(1, 4)), (n, n_tasks)).clip(-1)


@given(tables_of_strata(), st.floats(0.05, 0.6), st.integers(0, 2**31 - 1))
@settings(max_examples=150, deadline=None)
def test_validation_splits_share_out_rows_tasks_and_classes(codes, fraction, seed):
    n = len(codes)
    train, valid = validation_split(codes, fraction=fraction, seeds=[seed, seed + 1])
    for rows, held in zip(train, valid, strict=True):
        assert sorted([*rows, *held]) == list(range(n))
        for column in codes.T:
            if (column >= 0).sum() >= 2 and len(held) <= n - codes.shape[1] * 5:
                assert (column[rows] >= 0).any()
                assert (column[held] >= 0).any()
    permuted = validation_split(codes[:, ::-1], fraction=fraction, seeds=[seed, seed + 1])
    assert_array_equal(permuted[1], valid)


def test_a_validation_split_is_stratified():
    rng = np.random.default_rng(0)
    codes = rng.choice(3, size=(1000, 1), p=[0.9, 0.08, 0.02])
    _, valid = validation_split(codes, fraction=0.1, seeds=range(20))
    counts = np.array([np.bincount(codes[rows, 0], minlength=3) for rows in valid])
    assert (np.abs(counts / 100 - np.bincount(codes[:, 0]) / 1000) < 0.02).all()


@pytest.mark.parametrize("estimator", [MultiTaskClassifier, MultiTaskRegressor])
def test_pure_estimators_take_every_column_for_their_kind(estimator):
    y = pd.DataFrame({"few": np.arange(30) % 3, "many": np.arange(30)})
    est = estimator(**QUICK).fit(X, y)
    kind = "classification" if estimator is MultiTaskClassifier else "regression"
    assert {t.kind for t in est.tasks_.values()} == {kind}
    assert list(est.predict(X).columns) == ["few", "many"]
