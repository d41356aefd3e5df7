"""Tables as they come: categories, gaps, embeddings of numbers."""

import numpy as np
import pandas as pd
import pytest
import tabm
import torch
from torch import nn

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.trunks import TabularTrunk

EVERY = ["none", "linear", "periodic", "piecewise_linear"]
ASKED = {"n_members": 1, "random_state": 0, "learning_rate_init": 0.02, "max_iter": 60}


@pytest.fixture
def table():
    """Two kinds of categories and two numbers, with gaps, of very different units."""
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame(
        {
            "colour": pd.Categorical(rng.choice(["red", "green", "blue"], n)),
            "wet": rng.random(n) < 0.5,
            "price": 1e6 + 1e5 * rng.normal(size=n),
            "age": rng.normal(size=n),
        }
    )
    X.loc[rng.random(n) < 0.2, "age"] = np.nan
    X.loc[rng.random(n) < 0.2, "colour"] = None
    effect = X["colour"].astype(object).map({"red": 1.0, "green": -1.0, "blue": 0.5}).fillna(3.0)
    missing = X["age"].isna()
    y = pd.DataFrame({"number": effect + (X["price"] - 1e6) / 1e5 + 2.0 * missing})
    y["sign"] = np.where(y["number"] > 0.8, "up", "down")
    return X, y


@pytest.mark.parametrize("numerical", EVERY)
def test_categories_and_gaps_are_learned_from(table, numerical):
    X, y = table
    trunk = TabularTrunk(numerical=numerical)
    est = MultiTaskClassifierRegressor(trunk=trunk, **ASKED).fit(X[:300], y[:300])
    scores = est.score_tasks(X[300:], y[300:])
    assert scores.loc["number", "r2"] > 0.9
    assert scores.loc["sign", "accuracy"] > 0.85


def test_what_is_encoded_is_what_is_there(table):
    X, _ = table
    trunk = TabularTrunk().prepare(X)
    rows = trunk.encode(X)
    assert rows.shape == (400, 2 + 1 + 2)  # numbers, one column with gaps, categories
    price = X["price"].to_numpy()
    np.testing.assert_allclose(rows[:, 0], (price - price.mean()) / price.std(), atol=1e-5)
    np.testing.assert_array_equal(rows[:, 2], X["age"].isna())
    assert (rows[:, 1][X["age"].isna()] == 0).all()
    known = trunk.categories_["colour"]
    for row, colour in zip(rows[:, 3].astype(int), X["colour"].astype(object), strict=True):
        assert row == 0 if pd.isna(colour) else known[row - 1] == colour


def test_a_category_never_seen_is_a_missing_one(table):
    X, y = table
    X["colour"] = X["colour"].astype(object)
    est = MultiTaskRegressor(trunk=TabularTrunk(), **ASKED).fit(X, y[["number"]])
    strange, missing = X[:5].assign(colour="mauve"), X[:5].assign(colour=None)
    np.testing.assert_array_equal(est.predict(strange), est.predict(missing))


def test_linear_heads_on_embeddings_predict_the_mean_of_each_category():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"kind": rng.choice(list("abcde"), 1500)})
    y = X["kind"].map(dict(zip("abcde", rng.normal(size=5), strict=True))) + rng.normal(size=1500)
    asked = {**ASKED, "hidden_layer_sizes": (), "alpha": 0.0, "early_stopping": False}
    asked |= {"batch_size": 1500, "max_iter": 400, "n_iter_no_change": 400}
    est = MultiTaskRegressor(trunk=TabularTrunk(embedding_dim=5), **asked).fit(X, y)
    means = y.groupby(X["kind"]).transform("mean")
    np.testing.assert_allclose(est.predict(X), means, atol=1e-3)


def test_units_and_names_of_columns_do_not_matter(table):
    X, y = table
    est = MultiTaskRegressor(trunk=TabularTrunk(), **{**ASKED, "max_iter": 3})
    other = X.assign(price=3 * X["price"] + 7)
    one, two = (est.fit(t, y[["number"]]).predict(t) for t in (X, other))
    np.testing.assert_allclose(one, two, atol=1e-3)


def test_piecewise_linear_bins_are_quantiles_of_the_rows_to_train_on(table):
    X, _ = table
    trunk = TabularTrunk(numerical="piecewise_linear", n_bins=4).prepare(X.assign(same=1.0))
    assert len(trunk.bins_) == 2  # a constant has none
    price = trunk._scaled(X[["price", "age"]].assign(same=1.0).to_numpy(float))[:, 0]
    expected = np.quantile(price, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(trunk.bins_[0], expected, atol=1e-5)


def test_an_array_with_gaps_is_a_table_too():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=200), rng.integers(0, 3, 200)])
    X[::4, 0] = np.nan
    y = np.where(np.isnan(X[:, 0]), 2.0, X[:, 0]) + np.array([0.0, 5.0, 1.0])[X[:, 1].astype(int)]
    est = MultiTaskRegressor(trunk=TabularTrunk(categorical=[1]), **ASKED).fit(X, y)
    assert est.score(X, y) > 0.97
    weights = {n: p for n, p in est.module_.network.trunk.named_parameters() if "categories" in n}
    assert [tuple(p.shape) for p in weights.values()] == [(1, 4, 3)]


@pytest.mark.parametrize(
    ("change", "trunk", "words"),
    [
        ({"price": np.inf}, TabularTrunk(), "Column 'price' of X contains infinity"),
        ({}, TabularTrunk(categorical=["size"]), r"names \['size'\], which X has not"),
        ({}, TabularTrunk(numerical="sine"), "numerical of TabularTrunk must be one of"),
        ({}, TabularTrunk(embedding_dim="big"), "embedding_dim of TabularTrunk must be one of"),
        ({"price": "dear"}, TabularTrunk(categorical=["colour"]), "Column '(price|wet)' of X must"),
    ],
    ids=str,
)
def test_what_is_no_such_table_is_refused_before_training(table, change, trunk, words):
    X, y = table
    with pytest.raises((ValueError, TypeError), match=words):
        MultiTaskClassifierRegressor(trunk=trunk, **ASKED).fit(X.assign(**change), y)


class Submodels(TabularTrunk):
    """The table through the backbone of TabM, as docs/trunks.md has it."""

    def build(self, input_shape):
        reader = super().build(input_shape)
        width = reader(torch.zeros(1, *input_shape)).shape[1]
        return nn.Sequential(reader, submodels((width,)))


def submodels(input_shape):
    backbone = tabm.TabM.make(n_num_features=input_shape[0], d_out=None, k=4, d_block=32)
    return nn.Sequential(backbone, nn.Flatten())


def test_tabm_is_a_trunk_of_numbers_and_of_tables(table):
    X, y = table
    asked = {**ASKED, "hidden_layer_sizes": (), "learning_rate_init": 3e-3}
    est = MultiTaskClassifierRegressor(trunk=Submodels(), **asked).fit(X[:300], y[:300])
    scores = est.score_tasks(X[300:], y[300:])
    assert scores.loc["number", "r2"] > 0.9
    assert scores.loc["sign", "accuracy"] > 0.85
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    one = MultiTaskRegressor(trunk=submodels, **{**asked, "n_members": 2, "max_iter": 2})
    one.fit(rows, rows[:, :2])
    x = torch.from_numpy(rows)
    features = one.module_.network.eval().trunk(x.expand(2, -1, -1))
    assert features.shape == (2, 50, 4 * 32)
    for k in range(2):  # what the package computes with a member's weights
        module = submodels((3,)).eval()
        stacks = dict(one.module_.network.trunk.named_parameters())
        module.load_state_dict({n: stacks[n.replace(".", "-")][k] for n in module.state_dict()})
        torch.testing.assert_close(features[k], module(x))


def test_missing_columns_are_refused_in_predict(table):
    X, y = table
    est = MultiTaskRegressor(trunk=TabularTrunk(), **{**ASKED, "max_iter": 1})
    est.fit(X, y[["number"]])
    with pytest.raises(ValueError, match="feature names"):
        est.predict(X.drop(columns="wet"))
    assert torch.is_grad_enabled()
