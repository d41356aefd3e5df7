"""The members of an ensemble are what it is made of, and estimators of their own."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import MultiTaskClassifier, MultiTaskClassifierRegressor, MultiTaskRegressor, sharing
from skmtl._resolve import known_names
from skmtl.sharing import Sharing

SCHEMES = known_names(sharing, Sharing)
QUICK = {"hidden_layer_sizes": (6, 5), "max_iter": 8, "random_state": 0, "n_members": 3}


def table(n=90):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"), index=np.arange(n) + 100)
    Y = pd.DataFrame({"price": 10 * X["a"], "kind": np.where(X["b"] > 0, "yes", "no")})
    return X, Y.mask(rng.random(Y.shape) < 0.2)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_ensemble_is_the_mean_of_its_members(scheme):
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK, sharing=SCHEMES[scheme](), dropout=0.1).fit(X, Y)
    members = est.members_
    assert len(members) == 3
    prices = np.array([member.predict(X)["price"] for member in members])
    mean, std = est.predict(X, return_std=True)
    assert_allclose(mean["price"], prices.mean(0), rtol=1e-9)
    assert_allclose(std["price"], prices.std(0), rtol=1e-9)
    assert std["price"].min() > 0
    assert std["kind"].isna().all()
    assert list(std) == list(Y)
    assert_array_equal(std.index, X.index)
    proba = [member.predict_proba(X)["kind"] for member in members]
    assert_allclose(est.predict_proba(X)["kind"], np.mean(proba, 0), rtol=1e-9)


def test_a_member_is_the_network_that_its_seed_gives():
    X, Y = table()
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    first = MultiTaskClassifierRegressor(**{**QUICK, "n_members": 1}).fit(X, Y)
    assert_allclose(est.members_[0].predict(X)["price"], first.predict(X)["price"], rtol=1e-9)


def test_a_member_pickles_and_learns_on_without_the_ensemble():
    X, Y = table()
    est = MultiTaskRegressor(**QUICK).fit(X, Y[["price"]].fillna(0))
    before = est.predict(X)
    member = pickle.loads(pickle.dumps(est.members_[1]))
    assert member.get_params()["n_members"] == 1
    assert_array_equal(member.predict(X), est.members_[1].predict(X))
    own = member.predict(X)
    member.set_params(warm_start=True).fit(X, Y[["price"]].fillna(0))
    assert np.abs(member.predict(X) - own).max().item() > 1e-6
    assert member.module_.n_members == 1
    again = est.members_[1]
    for _ in range(2):
        again.partial_fit(X, Y[["price"]].fillna(0))
    assert np.abs(again.predict(X) - own).max().item() > 1e-6
    assert_array_equal(est.predict(X), before)


@pytest.mark.parametrize("loss_weights", ["dwa", "famo", "uw", "upgrad", "gradnorm"])
def test_members_take_their_part_of_what_weights_the_losses(loss_weights):
    X, Y = table()
    classes = {"kind": ["no", "yes"]}
    est = MultiTaskClassifierRegressor(**QUICK, loss_weights=loss_weights)
    est.partial_fit(X, Y, classes=classes)
    member = est.members_[2]
    for _ in range(2):
        member.partial_fit(X, Y)
        est.partial_fit(X, Y)
    assert member.module_.n_members == 1
    assert est.module_.n_members == 3


def test_the_spread_comes_in_the_form_of_the_targets():
    X, Y = table()
    y = Y["price"].fillna(0).to_numpy()
    est = MultiTaskRegressor(**QUICK).fit(X, y)
    mean, std = est.predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    whole = MultiTaskRegressor(**QUICK).fit(X, np.column_stack([y, y]).astype(int))
    assert whole.predict(X, return_std=True)[1].dtype == float


def test_what_has_no_spread_says_so():
    X, Y = table()
    alone = MultiTaskRegressor(**{**QUICK, "n_members": 1}).fit(X, Y["price"])
    with pytest.raises(ValueError, match="n_members=8"):
        alone.predict(X, return_std=True)
    classes = MultiTaskClassifier(**QUICK).fit(X, Y["kind"].fillna("no"))
    with pytest.raises(ValueError, match="predict_proba"):
        classes.predict(X, return_std=True)
