"""Splits that keep every task everywhere, and predictions that keep columns and labels."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from counting import calls_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris, make_regression
from sklearn.dummy import DummyRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    check_cv,
    cross_validate,
    learning_curve,
)
from sklearn.model_selection import cross_val_predict as sklearns_cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.model_selection import (
    LeaveOneTaskOut,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    cross_val_predict,
)
from skmtl.model_selection.labels import read_labels
from skmtl.model_selection.stratification import count_labels, cover, share_out
from skmtl.tasks import ClassificationTask, RegressionTask

QUICK = {"n_members": 1, "max_iter": 3, "hidden_layer_sizes": (4,), "random_state": 0}
SPLITTERS = {
    "folds": MultiTaskStratifiedKFold(4),
    "shuffled folds": MultiTaskStratifiedKFold(4, shuffle=True, random_state=0),
    "shuffle split": MultiTaskStratifiedShuffleSplit(3, test_size=0.25, random_state=0),
}
each_splitter = pytest.mark.parametrize("cv", SPLITTERS.values(), ids=SPLITTERS)


def planted(n, n_tasks=6, seed=0):
    """Tasks that depend on each other, every other one of classes (the last two rare), with gaps."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 2))
    Y = pd.DataFrame()
    for t in range(n_tasks):
        column = pd.Series(common @ rng.normal(size=2) + rng.normal(size=n))
        if t % 2:
            edges = column.quantile([0, 0.6, 0.9, 0.98, 0.992, 1])
            column = pd.cut(column, edges, labels=list("abcde"), include_lowest=True)
            column = column.astype("str" if t % 4 == 1 else "category")
        gaps = rng.random(n) < [0.0, 0.3, 0.8][t % 3] * (common[:, 0] > 0)
        Y[f"task {t}"] = column.mask(gaps)
    return Y


def frame(codes):
    """Table of classes from integers (n, T), negative ones missing."""
    Y = pd.DataFrame(np.array(list("abcdefgh"), dtype=object)[codes])
    return Y.mask(codes < 0).set_axis([f"t{t}" for t in range(codes.shape[1])], axis=1)


def counts(Y, sides):
    """Rows of every class and gap, or gap alone in numbers, on each side: one row a label."""
    found = {}
    for name, column in Y.items():
        labels = column.isna().map({True: "gap", False: "there"})
        if column.dtype != float:
            labels = column.astype(object).fillna("gap")
        for label in labels.unique():
            found[name, label] = [int((labels.iloc[side] == label).sum()) for side in sides]
    return pd.DataFrame(found).T


def folds_of(cv, Y):
    """Number of the test fold of each row, without the warnings."""
    fold = np.full(len(Y), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for j, (train, test) in enumerate(cv.split(Y, Y)):
            assert (fold[test] == -1).all()
            assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(Y)))
            fold[test] = j
    return fold


@st.composite
def tables(draw, max_rows=40):
    n, n_tasks = draw(st.integers(4, max_rows)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    codes = rng.integers(0, draw(st.integers(1, 6)), size=(n, n_tasks))
    codes[rng.random((n, n_tasks)) < rng.choice([0, 0.3, 0.9], n_tasks)] = -1
    return frame(codes)


# Folds


@pytest.mark.parametrize("shuffle", [False, True])
def test_rare_classes_and_gaps_are_in_each_fold_by_their_share(shuffle):
    Y = planted(2000)
    ours = MultiTaskStratifiedKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    plain = KFold(5, shuffle=True, random_state=0)
    table = {
        cv: counts(Y, [test for _, test in cv.split(Y, Y)]).assign(n=lambda c: c.sum(axis=1))
        for cv in (ours, plain)
    }
    off = {
        cv: t.drop(columns="n").sub(t["n"] / 5, axis=0).abs().max(axis=1) for cv, t in table.items()
    }
    assert off[ours].max() <= 4
    assert off[plain].max() >= 15
    rare = table[ours]["n"] < 30
    assert off[ours][rare].max() < 2
    assert off[ours].mean() < 0.8 < 4 < off[plain].mean()


def test_numbers_are_alike_in_each_fold():
    Y = planted(2000)
    means = [Y.iloc[test]["task 0"].mean() for _, test in MultiTaskStratifiedKFold(5).split(Y, Y)]
    plain = [Y.iloc[test]["task 0"].mean() for _, test in KFold(5).split(Y, Y)]
    assert np.ptp(means) < np.ptp(plain) / 2


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(2, 4), st.booleans())
def test_each_row_is_tested_once_and_sizes_differ_by_one_at_most(Y, k, shuffle):
    fold = folds_of(MultiTaskStratifiedKFold(k, shuffle=shuffle), Y)
    assert np.ptp(np.bincount(fold, minlength=k)) <= 1


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(2, 4))
def test_the_warning_names_just_the_tasks_and_classes_that_a_fold_lacks(Y, k):
    cv = MultiTaskStratifiedKFold(k)
    fold = folds_of(cv, Y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(cv.split(Y, Y))
    message = "".join(str(w.message) for w in caught)
    lacking = []
    for name, column in Y.items():
        reached = {c: fold[column == c] for c in column.dropna().unique()}
        if len(set(fold[column.notna()])) < k:
            lacking.append(f"task {name!r} (")
        else:
            lacking += [
                f"class {c!r} of task {name!r} (labels: {len(f)}) is in {len(set(f))} of {k}"
                for c, f in reached.items()
                if len(set(f)) < k
            ]
    assert len(caught) == bool(lacking)
    hidden = len(lacking) - sum(text in message for text in lacking)
    assert hidden == max(0, len(lacking) - 5)
    assert message.count("(labels:") == min(5, len(lacking))


@settings(max_examples=60, deadline=None)
@given(tables(max_rows=80), st.integers(2, 4))
def test_a_label_with_enough_rows_is_in_every_fold(Y, k):
    """Proved in `cover`: among more rows than labels, one can be swapped without a loss."""
    fold = folds_of(MultiTaskStratifiedKFold(k), Y)
    there = [Y[name].notna() for name in Y if Y[name].isna().any()]
    there += [Y[name] == c for name in Y for c in Y[name].dropna().unique()]
    for rows in there:
        if rows.sum() > (k - 1) * len(there) and len(Y) // k > len(there):
            assert len(set(fold[rows])) == k


def test_labels_as_many_as_folds_are_found_a_place_where_there_is_one():
    """Exact search over all splits of tiny tables: what could be had is had in 99 of 100."""
    rng = np.random.default_rng(0)
    possible, found = 0, 0
    for _ in range(300):
        n, k = rng.integers(4, 8), 2
        codes = rng.integers(0, rng.integers(1, 4), size=(n, rng.integers(1, 5)))
        codes[rng.random(codes.shape) < rng.choice([0, 0.3, 0.6])] = -1
        labels = read_labels(frame(codes), "infer")
        enough = (labels.worth > 0) & (labels.number >= k)
        every = np.array([s for s in itertools.product(range(k), repeat=n) if s.count(0) == n // 2])
        reached = np.array([count_labels(s, labels.codes, (len(enough), k)) for s in every])
        if (reached[:, enough] > 0).all(axis=(1, 2)).any():
            possible += 1
            fold = folds_of(MultiTaskStratifiedKFold(k), frame(codes))
            ours = count_labels(fold, labels.codes, (len(enough), k))
            found += (ours[enough] > 0).all()
    assert possible > 150
    assert found >= 0.99 * possible


def test_a_swap_brings_a_task_where_the_rarest_labels_left_it_out():
    codes = np.array([[1, 4], [1, 4], [2, 5], [2, 5], [3, 4], [3, 5]])
    part = np.array([0, 0, 1, 1, 0, 1])  # labels 1, 2 in one part each
    worth = np.repeat([[0.0], [1.0], [1.0], [0.0], [1.0], [1.0]], 2, axis=1)
    better = cover(part, codes, worth)
    assert (count_labels(better, codes, worth.shape)[worth[:, 0] > 0] > 0).all()
    assert_array_equal(np.bincount(better), [3, 3])
    assert_array_equal(part, [0, 0, 1, 1, 0, 1])


def test_a_task_with_as_many_labels_as_folds_has_one_in_each():
    Y = planted(500)
    for shuffle in (False, True):
        for t in range(3):
            Y[f"rare {t}"] = np.nan
            Y.loc[np.arange(5) * 7 + t, f"rare {t}"] = [0.5, 1.5, 2.5, 3.5, 4.5]
        fold = folds_of(MultiTaskStratifiedKFold(5, shuffle=shuffle), Y)
        for t in range(3):
            assert set(fold[Y[f"rare {t}"].notna()]) == set(range(5))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=5),
    st.integers(2, 5),
    st.booleans(),
    st.integers(0, 99),
)
def test_one_column_of_classes_is_split_as_by_stratified_k_fold(sizes, k, shuffle, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    if len(y) < k or max(sizes) < k:  # which StratifiedKFold refuses
        return
    ours = folds_of(MultiTaskStratifiedKFold(k, shuffle=shuffle, tasks="classification"), y)
    theirs = folds_of(StratifiedKFold(k, shuffle=shuffle), y)
    for c in np.unique(y):
        per_fold = [np.sort(np.bincount(f[y == c], minlength=k)) for f in (ours, theirs)]
        assert_array_equal(*per_fold)


@settings(max_examples=30, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_order_of_columns_and_names_of_classes_have_no_effect(Y, random):
    shuffled = random.sample(list(Y), Y.shape[1])
    names = dict(zip("abcdef", random.sample("uvwxyz", 6), strict=True))
    renamed = Y[shuffled].map(lambda label: names.get(label, label))
    for cv in (MultiTaskStratifiedKFold(3), SPLITTERS["shuffled folds"]):
        assert_array_equal(
            folds_of(cv, Y), folds_of(cv, renamed.set_axis(range(Y.shape[1]), axis=1))
        )


def test_containers_of_the_same_labels_are_split_alike():
    codes = np.random.default_rng(0).integers(-1, 3, size=(40, 2))
    words = frame(codes)
    numbers = np.where(codes < 0, np.nan, codes)
    expected = folds_of(MultiTaskStratifiedKFold(4), words)
    for Y in (
        words.astype("category"),
        words.to_numpy(),
        words.where(words.notna(), None).to_numpy().tolist(),
        numbers,
        pd.DataFrame(numbers).astype("Int64"),
    ):
        assert_array_equal(folds_of(MultiTaskStratifiedKFold(4), Y), expected)
    alone = folds_of(MultiTaskStratifiedKFold(4), words["t0"])
    assert_array_equal(folds_of(MultiTaskStratifiedKFold(4), numbers[:, 0]), alone)
    assert_array_equal(folds_of(MultiTaskStratifiedKFold(4), words[["t0"]]), alone)


def test_work_grows_with_the_rows_and_not_faster():
    tables = [planted(n, n_tasks=10) for n in (10_000, 100_000)]
    folds = {}

    def split(Y):
        folds[len(Y)] = [test for _, test in MultiTaskStratifiedKFold(5).split(Y, Y)]

    some, many = (calls_of(lambda Y=Y: split(Y)) for Y in tables)
    assert many < 10.5 * some
    table = counts(tables[1], folds[100_000])
    assert table.sub(table.mean(axis=1), axis=0).abs().max(axis=None) <= 5


def test_work_grows_with_the_classes_and_not_faster():
    calls = []
    for n in (5_000, 10_000):
        rng = np.random.default_rng(0)
        ids = rng.integers(0, 2 * n // 5, n).astype(str)  # a column of thousands of classes
        Y = pd.DataFrame({"id": ids, "b": rng.normal(size=n)})
        calls.append(calls_of(lambda Y=Y: folds_of(MultiTaskStratifiedKFold(5), Y)))
        reached = pd.Series(folds_of(MultiTaskStratifiedKFold(5), Y)).groupby(Y["id"]).nunique()
        assert_array_equal(reached, Y["id"].value_counts().clip(upper=5)[reached.index])
    assert calls[1] < 2.1 * calls[0]


def test_tasks_say_what_a_column_is():
    counted = np.random.default_rng(0).poisson(3, size=60)
    Y = pd.DataFrame({"n": counted, "b": counted > 3})
    with pytest.warns(UserWarning, match="of task 'n'"):
        list(MultiTaskStratifiedKFold(5).split(Y, Y))
    numbers = [
        {"n": "regression"},
        {"n": RegressionTask(loss="huber"), "b": ClassificationTask()},
        ["regression", "infer"],
    ]
    folds = [folds_of(MultiTaskStratifiedKFold(5, tasks=tasks), Y) for tasks in numbers]
    for tasks, fold in zip(numbers, folds, strict=True):
        list(MultiTaskStratifiedKFold(5, tasks=tasks).split(Y, Y))  # no warning
        assert_array_equal(fold, folds[0])
    with pytest.raises(ValueError, match=r"Parameter tasks names \['m'\], which y has not"):
        list(MultiTaskStratifiedKFold(5, tasks={"m": "regression"}).split(Y, Y))
    words = pd.DataFrame({"k": list("ab") * 5})
    with pytest.raises(ValueError, match="'k': a regression column holds numbers"):
        list(MultiTaskStratifiedKFold(5, tasks="regression").split(words, words))


def test_close_calls_and_lone_classes_are_for_fit_to_warn_of():
    Y = pd.DataFrame({"n": np.arange(150) % 15, "one": ["a"] * 150})
    list(MultiTaskStratifiedKFold(5).split(Y, Y))


def test_a_task_without_labels_is_named():
    Y = planted(50, n_tasks=1).assign(empty=np.nan)
    with pytest.warns(UserWarning, match=r"task 'empty' \(labels: 0\) is in 0 of 5 test folds"):
        list(MultiTaskStratifiedKFold(5).split(Y, Y))


# Random splits


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"test_size": 0.3},
        {"test_size": 7},
        {"train_size": 0.5},
        {"test_size": 9, "train_size": 20},
    ],
)
def test_sizes_of_random_splits_are_those_of_shuffle_split(sizes):
    Y = planted(83)
    ours, plain = MultiTaskStratifiedShuffleSplit(2, **sizes), ShuffleSplit(2, **sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for mine, theirs in zip(ours.split(Y, Y), plain.split(Y), strict=True):
            assert [len(side) for side in mine] == [len(side) for side in theirs]
            assert len(set(np.concatenate(mine))) == sum(map(len, mine))


@pytest.mark.parametrize("sizes", [{"test_size": 0.1}, {"test_size": 0.25, "train_size": 0.25}])
def test_random_splits_have_classes_and_gaps_by_their_share(sizes):
    Y = planted(2000)
    for train, test in MultiTaskStratifiedShuffleSplit(3, **sizes, random_state=0).split(Y, Y):
        table = counts(Y, [train, test, np.arange(2000)])
        for side, rows in enumerate((train, test)):
            share = table[2] * len(rows) / 2000
            assert (table[side] - share).abs().max() <= 5
            assert (table[side] - share).abs().mean() < 0.8


def test_random_splits_train_on_rare_classes_first_and_test_every_task():
    Y = planted(300, n_tasks=2)
    Y["rare"] = pd.Series(["x", "x", "y"] + [None] * 297)
    Y["once"] = pd.Series(["x"] + ["z"] * 299)
    for train, test in MultiTaskStratifiedShuffleSplit(5, random_state=0).split(Y, Y):
        assert "x" in set(Y["once"].iloc[train])
        assert Y["rare"].iloc[train].notna().any()
        assert Y["rare"].iloc[test].notna().any()
    Y.loc[1:, "rare"] = None
    with pytest.warns(UserWarning, match=r"task 'rare' \(labels: 1\) is in the t.* set only"):
        list(MultiTaskStratifiedShuffleSplit(1).split(Y, Y))


# Both, as splitters of scikit-learn


@each_splitter
def test_splits_are_reproducible_and_leave_the_global_generator_alone(cv):
    Y = frame(np.random.default_rng(0).integers(-1, 3, size=(200, 3)))
    before = np.random.get_state()[1].copy()
    first, second = (list(copy.split(Y, Y)) for copy in (cv, pickle.loads(pickle.dumps(cv))))
    for one, other in zip(first, second, strict=True):
        assert_array_equal(one[0], other[0])
        assert_array_equal(one[1], other[1])
    assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    "seed", [None, np.random.RandomState(0), np.random.default_rng(0)], ids=["None", "old", "new"]
)
def test_repeated_calls_differ_without_an_int(seed):
    Y = frame(np.random.default_rng(0).integers(-1, 3, size=(200, 3)))
    for cv in (
        MultiTaskStratifiedKFold(4, shuffle=True, random_state=seed),
        MultiTaskStratifiedShuffleSplit(1, random_state=seed),
    ):
        (one, *_), (other, *_) = ([test for _, test in cv.split(Y, Y)] for _ in range(2))
        assert set(one) != set(other)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(MultiTaskStratifiedKFold, KFold), (MultiTaskStratifiedShuffleSplit, ShuffleSplit)],
)
def test_a_splitter_is_one_of_scikit_learns(ours, theirs):
    assert issubclass(ours, theirs)
    assert repr(ours()).replace("\n", "").split("(")[0] == ours.__name__
    assert "tasks='infer'" in repr(ours())
    assert ours(7).get_n_splits() == theirs(7).get_n_splits() == 7
    assert str(ours().get_metadata_routing()) == str(theirs().get_metadata_routing())
    cv = ours()
    assert check_cv(cv, classifier=True) is cv
    with pytest.warns(UserWarning, match="groups parameter is ignored by " + ours.__name__):
        ours().split(np.zeros((9, 1)), np.zeros(9), groups=np.zeros(9))


@pytest.mark.parametrize(
    "wrong",
    [{"n_splits": 1}, {"n_splits": 2.5}, {"random_state": 0}, {"shuffle": 1}, {"n_splits": 50}],
    ids=str,
)
def test_errors_are_those_of_k_fold(wrong):
    X = y = np.arange(20.0) / 3
    messages = []
    for cv in (KFold, MultiTaskStratifiedKFold):
        with pytest.raises((ValueError, TypeError)) as caught:
            list(cv(**wrong).split(X, y))
        messages.append((caught.type, str(caught.value)))
    assert messages[0] == messages[1]


def test_errors_say_what_is_wrong():
    X, y = np.zeros((20, 1)), np.arange(20.0) / 3
    cv = MultiTaskStratifiedKFold(3)
    for args, match in [
        ((X, None), "y must be a table of targets.* Found None"),
        ((X[:9], y), r"inconsistent numbers of samples: \[9, 20\]"),
        ((X, np.zeros((20, 1, 1))), "one or two dimensions"),
    ]:
        with pytest.raises(ValueError, match=match):
            list(cv.split(*args))
    with pytest.raises(ValueError, match="random_state must be None, an int"):
        list(MultiTaskStratifiedShuffleSplit(random_state="x").split(X, y))
    with pytest.raises(ValueError, match=r"test_size=2\.0 should be either positive"):
        list(MultiTaskStratifiedShuffleSplit(test_size=2.0).split(X, y))


@each_splitter
def test_tools_of_scikit_learn_take_the_splitter(mixed, cv):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    scores = cross_validate(est, X, Y, cv=cv, error_score="raise")["test_score"]
    assert len(scores) == cv.get_n_splits()
    search = GridSearchCV(est, {"alpha": [0, 1]}, cv=cv, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert repr(clone(search).cv) == repr(cv)
    _, _, test = learning_curve(est, X, Y, cv=cv, train_sizes=[0.6, 1.0], error_score="raise")
    assert np.isfinite(test).all()


@pytest.mark.filterwarnings("ignore:Some labels are not on all sides")  # in the first, small rounds
def test_halving_search_takes_the_folds(mixed):
    X, Y = mixed
    cv = MultiTaskStratifiedKFold(2, shuffle=True, random_state=0)
    est = MultiTaskClassifierRegressor(**QUICK)
    search = HalvingGridSearchCV(est, {"alpha": [0, 1, 2]}, cv=cv, min_resources=20, random_state=0)
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()


def test_a_classifier_with_gaps_can_be_searched(mixed):
    X, Y = mixed
    Y = Y[["colour", "sick"]]
    est = MultiTaskClassifier(**QUICK)
    with pytest.raises((ValueError, TypeError)):
        cross_validate(est, X, Y, cv=3, error_score="raise")  # asks type_of_target of NaN
    cross_validate(est, X, Y, cv=MultiTaskStratifiedKFold(3), error_score="raise")


# Tasks


def test_leave_one_task_out_has_each_task_as_target_once(mixed):
    _, Y = mixed
    cv = LeaveOneTaskOut()
    assert repr(cv) == "LeaveOneTaskOut()"
    for y in (Y, Y.to_numpy()):
        assert cv.get_n_splits(y, y) == 3
        pairs = [(source.tolist(), target) for source, target in cv.split(y, y)]
        assert pairs == [([1, 2], 0), ([0, 2], 1), ([0, 1], 2)]
    with pytest.raises(ValueError, match=r"two tasks or more.*Found 1"):
        list(cv.split(Y, Y["cost"]))


@pytest.mark.filterwarnings("ignore:Scoring failed")
@pytest.mark.parametrize("routing", [False, True])
def test_leave_one_task_out_is_not_mistaken_for_a_splitter_of_rows(routing):
    X, y = make_regression(20, 3, n_targets=4, random_state=0)
    with (
        sklearn.config_context(enable_metadata_routing=routing),
        pytest.raises((TypeError, ValueError)),
    ):
        cross_validate(LinearRegression(), X, y, cv=LeaveOneTaskOut(), error_score="raise")


# Predictions


def looped(est, X, Y, cv, method="predict"):
    """Each test set's answer, rows as in the test set."""
    return [
        (test, getattr(clone(est).fit(X.iloc[train], Y.iloc[train]), method)(X.iloc[test]))
        for train, test in cv.split(X, Y)
    ]


def test_predictions_of_a_mixed_table_are_those_of_a_loop_by_hand(mixed):
    X, Y = mixed
    Y = Y.astype({"colour": "category"}).set_axis(np.random.default_rng(0).permutation(60))
    X = X.set_axis(Y.index)
    est, cv = MultiTaskClassifierRegressor(**QUICK), MultiTaskStratifiedKFold(4)
    predicted = cross_val_predict(est, X, Y, cv=cv)
    assert predicted.index.equals(Y.index)
    assert_array_equal(predicted.dtypes, Y.dtypes)
    for test, expected in looped(est, X, Y, cv):
        assert_frame_equal(predicted.iloc[test], expected)


def test_probabilities_of_a_mixed_table_are_those_of_a_loop_by_hand(mixed):
    X, Y = mixed
    Y = Y.set_axis(np.arange(60) * 2)
    est, cv = MultiTaskClassifierRegressor(**QUICK), MultiTaskStratifiedKFold(4)
    proba = cross_val_predict(est, X, Y, cv=cv, method="predict_proba")
    assert {task: list(table) for task, table in proba.items()} == {
        "colour": ["blue", "green", "red"],
        "sick": [False, True],
    }
    for test, expected in looped(est, X, Y, cv, "predict_proba"):
        for task in expected:
            assert proba[task].index.equals(Y.index)
            assert_array_equal(proba[task].iloc[test], expected[task])


def test_scikit_learn_takes_gaps_for_classes_where_ours_does_not():
    X, y = load_iris(return_X_y=True)
    X = X - X.mean(0)
    Y = np.column_stack([y, X[:, 0] > 0]).astype(float)
    Y[::7, 0], Y[3::9, 1] = np.nan, np.nan
    est, cv = MultiTaskClassifier(**QUICK), MultiTaskStratifiedKFold(3)
    theirs = sklearns_cross_val_predict(est, X, Y, cv=cv, method="predict_proba")
    assert [p.shape[1] for p in theirs] == [4, 3]  # three species and two sizes, and NaN
    ours = cross_val_predict(est, X, Y, cv=cv, method="predict_proba")
    assert [p.shape[1] for p in ours] == [3, 2]
    for train, test in cv.split(X, Y):
        expected = est.fit(X[train], Y[train]).predict_proba(X[test])
        for mine, of_task in zip(ours, expected, strict=True):
            assert_array_equal(mine[test], of_task)


@pytest.mark.parametrize(
    ("est", "method"),
    [
        (LinearRegression(), "predict"),
        (KNeighborsRegressor(), "predict"),
        (MultiTaskRegressor(**QUICK), "predict"),
        (GaussianNB(), "predict"),
        (GaussianNB(), "predict_proba"),
        (GaussianNB(), "predict_log_proba"),
        (RidgeClassifier(), "decision_function"),
        (MultiTaskClassifier(**QUICK), "predict"),
        (MultiTaskClassifier(**QUICK), "predict_proba"),
        (make_pipeline(StandardScaler(), GaussianNB()), "predict_proba"),
        (GridSearchCV(GaussianNB(), {"var_smoothing": [0, 1]}), "predict_proba"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
@pytest.mark.parametrize("two_classes", [False, True])
def test_one_column_without_gaps_is_predicted_as_by_scikit_learn(est, method, two_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X - X.mean(0), y > 0 if two_classes else y
    cv = MultiTaskStratifiedKFold(3)
    theirs = sklearns_cross_val_predict(est, X, y, cv=cv, method=method)
    assert_allclose(cross_val_predict(est, X, y, cv=cv, method=method), theirs)


@pytest.mark.parametrize("est", [KNeighborsClassifier(3), DecisionTreeClassifier(random_state=0)])
def test_several_columns_of_classes_are_predicted_as_by_scikit_learn(est):
    X, y = load_iris(return_X_y=True)
    Y, cv = np.column_stack([y, X[:, 0] > 5.8]), MultiTaskStratifiedKFold(3)
    assert_array_equal(
        cross_val_predict(est, X, Y, cv=cv), sklearns_cross_val_predict(est, X, Y, cv=cv)
    )
    ours, theirs = (
        predict(est, X, Y, cv=cv, method="predict_proba")
        for predict in (cross_val_predict, sklearns_cross_val_predict)
    )
    assert isinstance(ours, list)
    for mine, their in zip(ours, theirs, strict=True):
        assert_allclose(mine, their)
    named = pd.DataFrame({"species": y.astype("int8"), "large": X[:, 0] > 5.8})
    assert_array_equal(cross_val_predict(est, X, named, cv=cv).dtypes, named.dtypes)
    tables = cross_val_predict(est, X, named, cv=cv, method="predict_proba")
    assert [list(t) for t in tables] == [[0, 1, 2], [False, True]]
    assert_allclose(tables[0], theirs[0])


def test_indicators_and_numbers_keep_their_columns():
    X, y = make_regression(40, 3, n_targets=2, random_state=0)
    Y = pd.DataFrame(y, columns=["a", "b"], index=np.arange(40) + 5)
    predicted = cross_val_predict(LinearRegression(), X, Y)
    assert list(predicted) == ["a", "b"]
    assert predicted.index.equals(Y.index)
    assert_allclose(predicted, Y)
    counted = Y.round().astype(int)
    assert set(cross_val_predict(DecisionTreeRegressor(), X, counted).dtypes) == {np.dtype(float)}
    assert cross_val_predict(LinearRegression(), X, Y[["a"]]).shape == (40, 1)
    positive = (Y > 0).astype(int)
    est = OneVsRestClassifier(LogisticRegression())
    table = cross_val_predict(est, X, positive, method="predict_proba")
    assert list(table) == ["a", "b"]
    plain = cross_val_predict(est, X, positive.to_numpy(), method="predict_proba")
    assert_allclose(plain, table)
    with pytest.raises(ValueError, match=r"a column for each of the tasks \['a', 'b'\]. Found 1"):
        cross_val_predict(_FirstColumn(), X, Y)


class _FirstColumn(BaseEstimator):
    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return X[:, 0]


@pytest.mark.parametrize("kind", ["frame", "array", "vector"])
def test_probabilities_come_in_the_form_of_the_estimator_s_own(mixed, kind):
    X, Y = mixed
    Y = Y[["colour", "sick"]]
    y = {
        "frame": Y,
        "array": Y.astype(object).where(Y.notna(), None).to_numpy(),
        "vector": Y["sick"],
    }
    y, cv = y[kind], MultiTaskStratifiedKFold(3)
    for est in (MultiTaskClassifier(**QUICK), MultiTaskClassifierRegressor(**QUICK)):
        own = clone(est).fit(X, y).predict_proba(X)
        ours = cross_val_predict(est, X, y, cv=cv, method="predict_proba")
        assert type(ours) is type(own)
        for name, table in ours.items() if isinstance(ours, dict) else enumerate(ours):
            assert table.shape == own[name].shape
            assert isinstance(table, pd.DataFrame) == (kind == "frame")


def test_a_class_not_trained_on_has_probability_zero_and_a_warning(mixed):
    X, Y = mixed
    Y = Y[["sick", "colour"]].copy()
    Y.loc[0, "colour"] = "violet"
    est, cv = MultiTaskClassifier(**QUICK), KFold(3)
    with pytest.warns(
        UserWarning, match=r"missing in a training set: 'violet' of 'colour'.* is 0 "
    ):
        proba = cross_val_predict(est, X, Y, cv=cv, method="predict_proba")[1]
    assert list(proba) == ["blue", "green", "red", "violet"]
    assert (proba["violet"].iloc[:20] == 0).all()
    assert (proba["violet"].iloc[20:] > 0).all()
    assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "decision_function"])
@pytest.mark.filterwarnings("ignore:Number of classes in training fold")
def test_a_class_not_trained_on_is_as_in_scikit_learn(method):
    X, y = load_iris(return_X_y=True)
    y = np.where(np.arange(150) == 149, 7, y)
    est = RidgeClassifier() if method == "decision_function" else GaussianNB()
    with pytest.warns(UserWarning, match="7 of 'y'"):
        ours = cross_val_predict(est, X, y, cv=KFold(10), method=method)
    theirs = sklearns_cross_val_predict(est, X, y, cv=KFold(10), method=method)
    assert_allclose(ours, theirs)


def test_a_decision_between_two_of_three_classes_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="a column for each of 2 classes trained on"):
        cross_val_predict(RidgeClassifier(), X, y, cv=KFold(3), method="decision_function")


def test_a_task_that_is_numbers_in_some_folds_only_is_named():
    X = np.random.default_rng(0).normal(size=(60, 2))
    Y = pd.DataFrame({"n": np.r_[np.arange(21), np.zeros(39)], "b": np.arange(60) % 2})
    est = MultiTaskClassifierRegressor(**QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the guess is close
        with pytest.raises(ValueError, match=r"Task 'n' is a classification in some training sets"):
            cross_val_predict(est, X, Y, cv=KFold(3), method="predict_proba")


def test_weights_groups_and_pipelines_go_through(mixed):
    X, Y = mixed
    weight = np.random.default_rng(0).random((60, 3))
    weight[::4, 2] = 0
    est, cv = MultiTaskClassifierRegressor(**QUICK), GroupKFold(3)
    groups = np.arange(60) // 5
    plain = cross_val_predict(est, X, Y, cv=cv, groups=groups)
    weighted = cross_val_predict(est, X, Y, cv=cv, groups=groups, params={"sample_weight": weight})
    piped = cross_val_predict(
        make_pipeline("passthrough", est),
        X,
        Y,
        cv=cv,
        groups=groups,
        params={"multitaskclassifierregressor__sample_weight": weight},
    )
    assert_frame_equal(piped, weighted)
    assert not weighted["cost"].equals(plain["cost"])
    for train, test in cv.split(X, Y, groups):
        fitted = clone(est).fit(X.iloc[train], Y.iloc[train], sample_weight=weight[train])
        assert_frame_equal(weighted.iloc[test], fitted.predict(X.iloc[test]))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_predict(
            clone(est).set_fit_request(sample_weight=True),
            X,
            Y,
            cv=cv,
            params={"sample_weight": weight, "groups": groups},
        )
    assert_frame_equal(routed, weighted)


def test_two_jobs_predict_the_same(mixed):
    X, Y = mixed
    est, cv = MultiTaskClassifierRegressor(**QUICK), MultiTaskStratifiedKFold(3)
    one, two = (
        cross_val_predict(est, X, Y, cv=cv, n_jobs=n_jobs, method="predict_proba")
        for n_jobs in (1, 2)
    )
    for task in one:
        assert_frame_equal(one[task], two[task])


@pytest.mark.parametrize("cv", [None, 3])
def test_default_folds_are_stratified_and_know_the_tasks_of_the_estimator(mixed, cv):
    X, Y = mixed
    n_folds = cv or 5
    Y = Y.assign(n=np.random.default_rng(0).poisson(3, size=60))  # rare counts are no classes
    tasks = {"n": "regression"}
    est = make_pipeline(StandardScaler(), MultiTaskClassifierRegressor(tasks, **QUICK))
    expected = cross_val_predict(est, X, Y, cv=MultiTaskStratifiedKFold(n_folds, tasks=tasks))
    assert_frame_equal(cross_val_predict(est, X, Y, cv=cv), expected)
    numbers = Y[["cost", "n"]]
    assert cross_val_predict(MultiTaskRegressor(**QUICK), X, numbers, cv=cv).shape == (60, 2)
    assert len(cross_val_predict(MultiTaskClassifier(**QUICK), X, Y["sick"], cv=cv)) == 60


def test_every_row_must_be_predicted_once(mixed):
    X, Y = mixed
    never = _FirstColumn()  # fits nothing like this, so the error comes before
    for cv, found in [
        (
            ShuffleSplit(3, test_size=0.5, random_state=0),
            r"Found \d+ rows in none and \d+ in several",
        ),
        ([(np.arange(30), np.arange(30, 60))], "Found 30 rows in none and 0 in several"),
        ([(np.arange(30), np.r_[0:60, 5])], "Found 0 rows in none and 1 in several"),
    ]:
        with pytest.raises(ValueError, match="only works for partitions. " + found):
            cross_val_predict(never, X, Y, cv=cv)
    rows = np.arange(60)
    est = MultiTaskClassifierRegressor(**QUICK)
    expected = cross_val_predict(est, X, Y, cv=KFold(2))
    halves = iter([(rows[30:], rows < 30), (rows[:30], np.r_[-30:0])])
    assert_frame_equal(cross_val_predict(est, X, Y, cv=halves), expected)


def test_what_cannot_be_asked_is_said(mixed):
    X, Y = mixed
    with pytest.raises(ValueError, match=r"Parameter method must be one of \['predict', 'pred"):
        cross_val_predict(LinearRegression(), X, Y, method="transform")
    with pytest.raises(AttributeError, match="predict_proba"):
        cross_val_predict(DummyRegressor(), X, Y[["cost"]].fillna(0), method="predict_proba")
    with pytest.raises(TypeError, match="y must be a DataFrame, an array or a list"):
        cross_val_predict(LinearRegression(), X, {"a": [1]})


def test_series_and_lists_are_predicted_as_arrays(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    for y in (Y["cost"], Y["cost"].tolist()):
        predicted = cross_val_predict(est, X, y, cv=KFold(3))
        assert isinstance(predicted, np.ndarray)
        assert predicted.shape == (60,)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=4), st.integers(0, 99))
def test_every_part_is_within_a_row_of_its_share_of_the_rarest_label(sizes, seed):
    rng = np.random.default_rng(seed)
    common = rng.integers(2, 5, size=(sum(sizes), 3)) + 3 * np.arange(3)
    rare = rng.random(sum(sizes)) < 0.1
    codes = np.column_stack([rare, common])
    got = np.bincount(share_out(codes, sizes)[rare], minlength=len(sizes))
    if rare.sum() <= np.bincount(codes.ravel())[2:].min():
        assert np.abs(got - rare.sum() * np.array(sizes) / sum(sizes)).max() <= 1


def test_sizes_of_parts_are_kept_to():
    codes = np.random.default_rng(0).integers(1, 6, size=(50, 1))
    assert_array_equal(np.bincount(share_out(codes, [5, 30, 15])), [5, 30, 15])
    assert sorted(np.bincount(share_out(codes, [16, 16, 16], spare=2))) == [16, 17, 17]
