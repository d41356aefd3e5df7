"""What holds of every fit, whatever the table: labels of all dtypes, gaps, weights, orders, containers.

`drawn.py` draws the tables. How many is a matter of the profile: see `conftest.py`. What the tests
found, and how many cases that was, is in docs/faults.md.
"""

import copy
import pickle
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import ANY, CLASSES, FULL, NUMBERS, said, settings_of_fits, tables, with_gaps
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.model_selection import KFold

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.model_selection import cross_val_predict

pytestmark = [
    pytest.mark.filterwarnings("ignore:Task .* has one class only"),
    pytest.mark.filterwarnings("ignore:The inputs are far from standardised"),
    pytest.mark.filterwarnings("ignore:No score for"),
]
FIT = settings_of_fits(batch_size="auto")  # small batches of a large table take their time


def assert_says_the_same(one, other, X, X_other=None, *, rows=slice(None), rtol=1e-6):
    """Two estimators say the same of X and of X_other, up to rounding; ``rtol=0``: to the bit."""
    theirs = said(other, X if X_other is None else X_other)
    for name, values in said(one, X).items():
        size = max(np.abs(values).max(), np.finfo(float).tiny)
        assert_allclose(theirs[name], values[rows], rtol=rtol, atol=rtol * size, err_msg=name)


# What comes out


@given(tables(ANY), FIT)
def test_predictions_have_the_form_of_the_targets(t, params):
    predicted = t.fit(params).predict(t.X)
    assert list(predicted.columns) == list(t.Y.columns)
    assert predicted.index.equals(t.X.index)
    for name, column in t.Y.items():
        if name in t.classes:
            assert predicted[name].dtype == column.dtype
            assert set(predicted[name]) <= set(possible_labels(column))
            continue
        assert np.isfinite(predicted[name].to_numpy(float)).all()
        if pd.api.types.is_float_dtype(column.dtype):
            assert predicted[name].dtype == column.dtype
        else:  # a mean of whole numbers is none; what is nullable stays so
            nullable = t.dtypes[name].startswith("Int")
            assert predicted[name].dtype == ("Float64" if nullable else "float64")


def possible_labels(column):
    """Those there are; all categories where they have an order, since one may lie between two."""
    ordered = isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered
    return column.dtype.categories if ordered else column.dropna().unique()


@given(tables(ANY, tuple(CLASSES)), FIT)
def test_probabilities_are_probabilities_and_agree_with_predictions(t, params):
    est = t.fit(params)
    predicted, every = est.predict(t.X), est.predict_proba(t.X)
    assert list(every) == list(t.Y.columns)
    for name, proba in every.items():
        assert proba.shape == (len(t.X), len(est.classes_[name]))
        assert (proba >= 0).all()
        assert_allclose(proba.sum(1), 1)
        if type(est.tasks_[name]).__name__ == "ClassificationTask":
            likeliest = est.classes_[name][proba.argmax(1)]
            assert predicted[name].tolist() == likeliest.tolist()


@given(tables(dtypes=tuple(NUMBERS)), settings_of_fits())
def test_quantiles_ascend_and_deviations_are_positive(t, params):
    est = t.fit(params)
    for name, quantiles in getattr(est, "predict_quantiles", lambda X: {})(t.X).items():
        assert quantiles.shape == (len(t.X), 2)
        assert (np.diff(quantiles) > 0).all()
        median = est.predict(t.X)[name].to_numpy(float)
        assert (quantiles[:, 0] < median + 1e-6 * est.tasks_[name].scale_).all()
    for std in getattr(est, "predict_std", lambda X: {})(t.X).values():
        assert (std > 0).all()
        assert np.isfinite(std).all()


@given(tables(), settings_of_fits())
def test_scores_are_in_range_and_perfect_predictions_score_one(t, params):
    est = t.fit(params)
    scores = est.score_tasks(t.X, t.Y, t.weight)
    assert list(scores.index) == list(t.Y.columns)
    assert scores["accuracy"].dropna().between(0, 1).all()
    assert (scores["r2"].dropna() <= 1).all()
    assert_array_equal(scores["n_labels"], (t.Y.notna().to_numpy() & (t.weights > 0)).sum(0))
    score, perfect = est.score(t.X, t.Y, t.weight), est.predict(t.X)
    assert np.isnan(score) or score <= 1
    # what is written in single precision is not quite what was predicted, and a rate is no count
    if not any("32" in d or "amounts" in d for d in t.dtypes.values()):
        best = est.score(t.X, perfect)
        assert np.isnan(best) or best == pytest.approx(1)


# What may be told in several ways


# masks of dropout, and turns, are dealt out in the order of columns
@given(tables(), settings_of_fits(dropout=0.0, schedule="joint"), st.randoms())
def test_the_order_of_columns_does_not_matter(t, params, shuffle):
    assume(t.tells(params))
    columns = list(t.Y.columns)
    shuffle.shuffle(columns)
    weight = t.weight
    if isinstance(weight, np.ndarray) and weight.ndim == 2:  # a frame has names
        weight = weight[:, [list(t.Y.columns).index(c) for c in columns]]
    one, other = t.fit(params), replace(t, Y=t.Y[columns], weight=weight).fit(params)
    assert list(other.predict(t.X).columns) == columns
    assert_says_the_same(one, other, t.X)
    score = one.score(t.X, t.Y[columns], weight)
    assert score == pytest.approx(one.score(t.X, t.Y, t.weight), nan_ok=True)


@given(tables(), settings_of_fits(), st.randoms())
def test_the_order_of_rows_does_not_matter(t, params, shuffle):
    assume(t.tells(params))
    order = list(range(len(t.X)))
    shuffle.shuffle(order)
    other = replace(t, X=t.X.iloc[order], Y=t.Y.iloc[order], weight=t.weights[order]).fit(params)
    assert_says_the_same(t.fit(params), other, t.X)


def layouts(X):
    """The same numbers, in memory in other ways."""
    values = X.to_numpy()
    strided = np.zeros((len(values), 2 * values.shape[1]))
    strided[:, ::2] = values
    frozen = values.copy()
    frozen.flags.writeable = False
    return {
        "C order": np.ascontiguousarray(values),
        "Fortran order": np.asfortranarray(values),
        "every second column": strided[:, ::2],
        "backwards": values[::-1].copy()[::-1],
        "read-only": frozen,
        "lists": values.tolist(),
        "torch": torch.tensor(values),
        "nullable": X.astype("Float64"),
        "columns of several dtypes": X.astype({X.columns[0]: "float32"}).astype(object),
    }


@given(tables(), settings_of_fits(), st.data())
def test_the_layout_of_inputs_does_not_matter(t, params, data):
    X = t.X.astype("float32").astype(float)  # float32 can tell them all
    other = data.draw(st.sampled_from(sorted(layouts(X))))
    one, two = replace(t, X=X.to_numpy()).fit(params), replace(t, X=layouts(X)[other]).fit(params)
    assert_says_the_same(one, two, X.to_numpy(), layouts(X)[other], rtol=0)
    single = X.astype("float32").to_numpy()
    assert_says_the_same(one, replace(t, X=single).fit(params), X.to_numpy(), single, rtol=0)


WHOLE = st.sampled_from(["int8", "int32", "int64", "uint8", "bool", "float16", "Int64"])


@given(tables(), settings_of_fits(), WHOLE)
def test_whole_inputs_of_any_dtype_are_alike(t, params, dtype):
    whole = t.X.round().abs().clip(upper=1).astype(dtype)
    one, other = replace(t, X=whole.astype(float)).fit(params), replace(t, X=whole).fit(params)
    assert_says_the_same(one, other, whole.astype(float), whole, rtol=0)


UNORDERED = tuple(set(CLASSES) - {"ordered category"}) + tuple(NUMBERS)


@given(tables(dtypes=sorted(UNORDERED)), settings_of_fits())
def test_frames_and_arrays_of_the_same_targets_agree(t, params):
    array, kinds = t.Y.astype(object).to_numpy(), list(t.tasks.values())
    expected = t.fit(params).predict(t.X)
    for Y in (array, array.tolist()):
        got = MultiTaskClassifierRegressor(kinds, **params).fit(t.X, Y, t.weights).predict(t.X)
        assert got.shape == t.Y.shape
        for j, name in enumerate(t.Y.columns):
            one, other = expected[name].tolist(), got[:, j].tolist()
            if name in t.numbers:  # a column may have had less than double precision
                assert_allclose(other, one, rtol=1e-5, atol=1e-5 * np.abs(one).max())
            else:
                assert one == other


@given(tables(dtypes=sorted(UNORDERED)), settings_of_fits())
def test_a_column_alone_is_a_table_of_one(t, params):
    name = t.Y.columns[0]
    column, task, weight = t.Y[name], t.tasks[name], t.weights[:, 0]
    frame = MultiTaskClassifierRegressor([task], **params).fit(t.X, column.to_frame(), weight)
    alone = MultiTaskClassifierRegressor([task], **params).fit(t.X, column, weight)
    assert alone.predict(t.X).shape == (len(t.X),)
    pure = MultiTaskRegressor if name in t.numbers else MultiTaskClassifier
    same = pure([task], **params).fit(t.X, column, weight)
    assert alone.predict(t.X).tolist() == same.predict(t.X).tolist()
    expected = frame.predict(t.X)[name].tolist()
    if name in t.numbers:  # the frame's are of the column's precision
        assert_allclose(alone.predict(t.X), expected, rtol=1e-6)
    else:
        assert alone.predict(t.X).tolist() == expected


# Labels that are missing, and weights

MISSING = sorted(set(UNORDERED) - FULL)


@given(tables(ANY, MISSING, weights=("none",)), FIT, st.data())
def test_a_missing_label_is_a_weight_of_zero(t, params, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    gone = rng.random(t.Y.shape) < 0.3
    assume(((t.Y.notna() & ~gone).sum() > 0).all())
    fewer = pd.concat([with_gaps(t.Y[c], gone[:, j]) for j, c in enumerate(t.Y)], axis=1)
    with_fewer = replace(t, Y=fewer)
    missing, zero = with_fewer.fit(params), replace(t, weight=1.0 - gone).fit(params)
    assert_says_the_same(missing, zero, t.X, rtol=0)
    labelled = fewer.notna().any(axis=1).to_numpy()
    # sums over fewer rows may be rounded otherwise
    if len(t.X) <= 1000 and with_fewer.tells(params):
        dropped = replace(t, X=t.X[labelled], Y=fewer[labelled]).fit(params)
        assert_says_the_same(missing, dropped, t.X)
    assert_frame_equal(missing.score_tasks(t.X, fewer), zero.score_tasks(t.X, t.Y, 1.0 - gone))


@given(tables(weights=("none",)), settings_of_fits(), st.data())
def test_a_weight_of_two_is_a_row_that_is_there_twice(t, params, data):
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(t.X), max_size=len(t.X)))
    kept = np.repeat(np.arange(len(t.X)), times)
    weighted = replace(t, weight=np.array(times))
    assume(weighted.tells(params))
    repeated = replace(t, X=t.X.iloc[kept], Y=t.Y.iloc[kept])
    assert_says_the_same(weighted.fit(params), repeated.fit(params), t.X)


@given(tables(weights=("rows", "labels", "frame")), settings_of_fits(alpha=0.0))
def test_without_a_penalty_only_ratios_of_weights_count(t, params):
    assume(t.tells(params))
    for factor in (1e-6, 1e9):
        assert_says_the_same(t.fit(params), replace(t, weight=t.weight * factor).fit(params), t.X)


# Labels that are told otherwise

FLOATS = ("float64", "Float64", "object of floats")


@given(
    tables(dtypes=FLOATS),
    settings_of_fits(),
    st.sampled_from([1e-3, 0.5, 7.0, 1e5]),
    st.sampled_from([0.0, -3.0, 11.0]),
)
def test_predictions_follow_the_unit_of_the_targets(t, params, a, b):
    assume(t.tells(params))
    Y = t.Y.astype("Float64").astype("float64")
    one = replace(t, Y=Y).fit(params)
    # equal labels have no unit
    assume(all(task.scale_ != 1 for task in one.tasks_.values()))
    scale = pd.Series({name: task.scale_ for name, task in one.tasks_.items()})
    before, after = one.predict(t.X), replace(t, Y=a * (Y + b * scale)).fit(params).predict(t.X)
    for name in Y:
        moved = a * (before[name] + b * scale[name])
        assert_allclose(after[name], moved, rtol=1e-6, atol=1e-6 * a * scale[name])


@given(tables(dtypes=("int64", "int8", "uint16", "whole float64")), settings_of_fits())
def test_names_of_classes_do_not_matter_if_their_order_stays(t, params):
    words = {v: f"class {int(v) + 20000}" for c in t.Y for v in t.Y[c].dropna().unique()}
    named = t.Y.apply(lambda c: c.map(words).astype(object))
    assert_says_the_same(t.fit(params), replace(t, Y=named).fit(params), t.X, rtol=0)


# The same again


def global_states():
    return np.random.get_state()[1].copy(), torch.get_rng_state().numpy(), random.getstate()[1]


@given(tables(ANY), FIT)
def test_a_fit_repeats_to_the_bit_and_leaves_everything_else_alone(t, params):
    kept, states = copy.deepcopy(t), global_states()
    est = t.fit(params)
    before = pickle.dumps(est.get_params())
    again = clone(est).fit(t.X, t.Y, t.weight)
    assert_says_the_same(est, again, t.X, rtol=0)
    assert_says_the_same(est.fit(t.X, t.Y, t.weight), again, t.X, rtol=0)
    assert pickle.dumps(est.get_params()) == before
    assert_frame_equal(kept.X, t.X)
    assert_frame_equal(kept.Y, t.Y)
    assert_array_equal(kept.weight, t.weight)
    for now, then in zip(global_states(), states, strict=True):
        assert_array_equal(now, then)


@given(tables(ANY), FIT)
def test_a_copy_predicts_and_learns_on_as_its_original(t, params):
    est = t.fit(params)
    for twin in (pickle.loads(pickle.dumps(est)), copy.deepcopy(est)):
        assert_frame_equal(twin.predict(t.X), est.predict(t.X))
        assert_says_the_same(est, twin, t.X, rtol=0)
        assert twin.history_.equals(est.history_)
    for _ in range(2):
        est.partial_fit(t.X, t.Y, t.weight)
        twin.partial_fit(t.X, t.Y, t.weight)
    assert_frame_equal(twin.predict(t.X), est.predict(t.X))


@given(tables(), settings_of_fits(), st.integers(1, 7))
def test_rows_are_predicted_alike_in_chunks(t, params, size):
    est = t.fit(params)
    whole = said(est, t.X)
    chunks = [said(est, t.X.iloc[at : at + size]) for at in range(0, len(t.X), size)]
    for name, values in whole.items():
        together = np.concatenate([chunk[name] for chunk in chunks])
        assert_allclose(together, values, rtol=1e-9, atol=1e-9 * np.abs(values).max())


@given(tables(), settings_of_fits())
def test_an_ensemble_is_the_mean_of_its_members(t, params):
    est = t.fit(params)
    members = [said(member, t.X) for member in est.members_]
    assert len(members) == params["n_members"]
    for name, values in said(est, t.X).items():
        mean = np.mean([member[name] for member in members], axis=0)
        assert_allclose(mean, values, rtol=1e-5, atol=1e-9 * np.abs(values).max())


@given(tables(), settings_of_fits())
def test_a_module_says_what_the_estimator_says(t, params):
    est = t.fit(params)
    module = est.to_torch()
    outputs = {k: v.numpy() for k, v in module(torch.tensor(t.X.to_numpy())).items()}
    for name, values in said(est, t.X).items():
        key = f"{name}_proba" if name in t.classes else name
        single = "32" in str(t.Y[name].dtype) or "16" in str(t.Y[name].dtype)
        rtol = 1e-5 if single and name in t.numbers else 1e-9
        assert_allclose(outputs[key], values, rtol=rtol, atol=rtol * np.abs(values).max())


@given(tables(weights=("none",)), settings_of_fits(), st.integers(2, 3))
def test_predictions_across_splits_are_those_of_a_fit_each(t, params, n_splits):
    assume(len(t.X) >= n_splits)
    est, cv = MultiTaskClassifierRegressor(t.tasks, **params), KFold(n_splits)
    for train, _ in cv.split(t.X):
        assume(replace(t, X=t.X.iloc[train], Y=t.Y.iloc[train]).tells(params))
    got = cross_val_predict(est, t.X, t.Y, cv=cv)
    for train, test in cv.split(t.X):
        fold = clone(est).fit(t.X.iloc[train], t.Y.iloc[train]).predict(t.X.iloc[test])
        for name in t.Y:
            one, other = got[name].iloc[test].tolist(), fold[name].tolist()
            if name in t.numbers:
                assert_allclose(one, other, rtol=1e-5, atol=1e-5 * max(np.abs(other)))
            else:
                assert one == other


# A stream


@given(
    tables(dtypes=MISSING, weights=("none",)),
    settings_of_fits(sharing="none", loss_weights=None),
    st.data(),
)
def test_a_task_without_labels_in_a_chunk_stays_as_it_was(t, params, data):
    name = data.draw(st.sampled_from(list(t.Y.columns)))
    est = t.fit(params)
    est.partial_fit(t.X, t.Y)
    before = said(est, t.X)[name]
    Y = t.Y.assign(**{name: with_gaps(t.Y[name], np.ones(len(t.X), bool))})
    assume(Y.notna().any(axis=None))
    assert_array_equal(said(est.partial_fit(t.X, Y), t.X)[name], before)


# What is refused

SPOILED = {
    "infinite input": lambda t: {"X": t.X.assign(a=np.inf)},
    "missing input": lambda t: {"X": t.X.assign(a=np.nan)},
    "text for input": lambda t: {"X": t.X.assign(a="red")},
    "a row too few": lambda t: {"Y": t.Y.iloc[1:]},
    "a row too many": lambda t: {"Y": pd.concat([t.Y, t.Y.iloc[:1]])},
    "no row": lambda t: {"X": t.X.iloc[:0], "Y": t.Y.iloc[:0], "weight": None},
    "no column": lambda t: {"Y": t.Y.iloc[:, :0], "weight": None},
    "no feature": lambda t: {"X": t.X.iloc[:, :0]},
    "a column without labels": lambda t: {"Y": t.Y.assign(t0=None)},
    "an infinite label": lambda t: {"Y": t.Y.assign(t0=np.inf)},
    "labels of two kinds": lambda t: {
        "Y": t.Y.assign(t0=[3.5, "x"] + [1] * (len(t.Y) - 2)),
        "weight": None,
    },
    "lists for labels": lambda t: {"Y": t.Y.assign(t0=[[1]] * len(t.Y))},
    "complex labels": lambda t: {"Y": t.Y.assign(t0=1j)},
    "dates for labels": lambda t: {"Y": t.Y.assign(t0=pd.Timestamp("2026-01-01"))},
    "a column twice": lambda t: {"Y": pd.concat([t.Y, t.Y], axis=1)},
    "a dict": lambda t: {"Y": t.Y.to_dict("list")},
    "a weight below zero": lambda t: {"weight": np.full(len(t.X), -1.0)},
    "a weight that is no number": lambda t: {"weight": np.full(len(t.X), np.nan)},
    "an infinite weight": lambda t: {"weight": np.full(len(t.X), np.inf)},
    "no weight above zero": lambda t: {"weight": np.zeros(len(t.X))},
    "weights of other rows": lambda t: {"weight": np.ones(len(t.X) + 1)},
    "weights of other tasks": lambda t: {"weight": pd.DataFrame({"other": np.ones(len(t.X))})},
    "another task": lambda t: {"tasks": {**t.tasks, "t9": "regression"}},
    "an unknown kind": lambda t: {"tasks": {**t.tasks, "t0": "guessing"}},
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@given(tables(st.integers(2, 20)), settings_of_fits(), st.sampled_from(sorted(SPOILED)))
def test_a_spoiled_table_is_refused_and_changes_nothing(t, params, how):
    changed = SPOILED[how](t)
    tasks = changed.pop("tasks", t.tasks)
    X, Y, weight = (changed.get(key, getattr(t, key)) for key in ("X", "Y", "weight"))
    est = t.fit(params)
    before, words = est.predict(t.X), repr(est)
    for fit in (est.set_params(tasks=tasks).fit, est.set_params(tasks=tasks).partial_fit):
        if fit.__name__ == "partial_fit" and how == "a column without labels":
            continue  # which a chunk may have
        with pytest.raises((ValueError, TypeError)) as refusal:
            fit(X, Y, weight)
        assert len(str(refusal.value)) > 20
    assert repr(est.set_params(tasks=t.tasks)) == words
    assert_frame_equal(est.predict(t.X), before)


def test_there_are_enough_properties_for_the_budget():
    # with 10 cases each in CI and 100 at night: 200, and 2000
    assert len([f for f in globals().values() if hasattr(f, "hypothesis")]) >= 20
