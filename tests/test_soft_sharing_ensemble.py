"""`SoftSharingEnsemble`: a planted relation is found, and a stranger among the tasks is not hurt."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import GridSearchCV, KFold
from torch import nn

from skmtl import MultiTaskClassifierRegressor, SoftSharingEnsemble
from skmtl.inspection import TaskRelationDisplay
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import RelatedSharing, SoftSharing

NAMES = [*(f"{group}{i}" for group in "abc" for i in range(3)), "outlier"]
SMALL = {"hidden_layer_sizes": (8,), "n_members": 4, "random_state": 0}


def planted(seed, n=80, d=12):
    """Three groups of three tasks, the third the opposite of the first, and one task unrelated."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(d, 3)))[0].T
    roots = np.repeat([basis[0], basis[1], -basis[0]], 3, axis=0) + 0.1 * rng.normal(size=(9, d))
    weights = np.vstack([roots, basis[2]]).T
    X = rng.normal(size=(2000 + n, d))
    Y = np.tanh(X @ weights)
    Y[:n] += 0.5 * rng.normal(size=(n, 10))
    Y[:n][rng.random((n, 10)) < 0.4] = np.nan
    Y = pd.DataFrame(Y, columns=NAMES)
    return X[:n], Y[:n], X[n:], Y[n:]


@pytest.fixture(scope="module")
def fits():
    made = []
    for seed in range(5):
        X, Y, X_test, Y_test = planted(seed)
        learned = SoftSharingEnsemble(**SMALL).fit(X, Y)
        single = MultiTaskClassifierRegressor(sharing="none", **SMALL).fit(X, Y)
        made.append(
            (
                learned.task_relation_,
                learned.score_tasks(X_test, Y_test)["r2"],
                single.score_tasks(X_test, Y_test)["r2"],
            )
        )
    return made


def test_the_planted_groups_are_recovered(fits):
    sign = np.kron([[1, 0, -1], [0, 1, 0], [-1, 0, 1]], np.ones((3, 3)))
    for relation, _, _ in fits:
        assert relation.index.tolist() == relation.columns.tolist() == NAMES
        assert_allclose(np.diag(relation), 1)
        assert_allclose(relation, relation.T)
        groups = relation.iloc[:9, :9].to_numpy()
        within = (groups * sign)[sign != 0].min()  # signs right, the opposite group's too
        strangers = abs(relation.loc["outlier", NAMES[:9]]).max()
        assert within > 0.65
        assert within > 0.1 + max(abs(groups[sign == 0]).max(), strangers)


def test_the_outlier_is_not_hurt_and_the_groups_gain(fits):
    gains = pd.DataFrame([learned - single for _, learned, single in fits])
    assert gains["outlier"].mean() > -0.01
    assert gains.iloc[:, :9].mean(axis=None) > 0.03


def test_relation_decides_the_scheme(mixed):
    X, Y = mixed
    est = SoftSharingEnsemble(strength=0.2, **{**SMALL, "max_iter": 3})
    for relation, scheme in (("uniform", SoftSharing), ("learned", RelatedSharing)):
        _, sharing = est.set_params(relation=relation).fit(X, Y).module_.built_for
        assert type(sharing) is scheme
        assert sharing.strength == 0.2
        assert est.task_relation_.shape == (3, 3)
        assert_allclose(np.diag(est.task_relation_), 1)


def test_a_relation_is_given_by_name_or_in_the_order_of_the_columns(mixed):
    X, Y = mixed
    est = SoftSharingEnsemble(**{**SMALL, "max_iter": 3})
    array = np.array([[1, 0.5, 0.2], [0.5, 1, 0.1], [0.2, 0.1, 2]])
    frame = pd.DataFrame(array, Y.columns, Y.columns)
    shuffled = frame.iloc[[2, 0, 1], [1, 0, 2]]
    by_order = est.set_params(relation=array).fit(X, Y).predict(X)["cost"]
    by_name = est.set_params(relation=shuffled).fit(X, Y).predict(X)["cost"]
    assert_allclose(by_name, by_order)
    with pytest.raises(ValueError, match="must have the tasks"):
        est.set_params(relation=frame.rename(columns={"cost": "price"})).fit(X, Y)
    with pytest.raises(ValueError, match="'uniform', 'learned' or an array"):
        est.set_params(relation="given").fit(X, Y)


def test_unrelated_tasks_are_trained_as_if_alone():
    X, Y, _, _ = planted(0)
    params = {**SMALL, "max_iter": 20, "alpha": 0.0}
    together = SoftSharingEnsemble(strength=0.0, relation=np.eye(10), **params).fit(X, Y)
    alone = MultiTaskClassifierRegressor(sharing="none", **params).fit(X, Y)
    assert_allclose(together.predict(X), alone.predict(X), rtol=1e-5, atol=1e-7)


def test_tasks_of_two_kinds_are_compared_by_their_hidden_layers():
    X, Y, _, _ = planted(1)
    Y = Y[["a0", "a1", "b0"]].assign(a1=np.where(Y["a1"].isna(), None, Y["a1"] > 0))
    relation = SoftSharingEnsemble(**SMALL).fit(X, Y).task_relation_
    assert abs(relation.loc["a0", "a1"]) > abs(relation.loc["b0", "a1"])
    assert abs(relation.loc["a0", "a1"]) < 0.999


def test_search_over_strength_and_relation(mixed):
    X, Y = mixed
    grid = {"strength": [0.01, 1.0], "relation": ["uniform", "learned", np.eye(3)]}
    est = SoftSharingEnsemble(**{**SMALL, "max_iter": 2})
    search = GridSearchCV(est, grid, cv=KFold(2)).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert "sharing" not in est.get_params()


@pytest.mark.parametrize(
    "relation", ["learned", "uniform", np.eye(4)], ids=["learned", "one", "no"]
)
def test_every_tower_has_a_trunk(relation):
    X, Y, X_test, Y_test = planted(2, n=200)
    Y = Y[["a0", "a1", "c0", "outlier"]]
    est = SoftSharingEnsemble(
        relation=relation, trunk=linear, **{**SMALL, "hidden_layer_sizes": ()}
    ).fit(X, Y)
    weight = est.module_.network.trunk.effective("0-weight")
    assert weight.shape == (4, 4, 8, 12)
    assert est.score(X_test, Y_test[Y.columns]) > 0.5
    if isinstance(relation, str) and relation == "learned":
        assert est.task_relation_.loc["a0", "a1"] > 0.65
        assert est.task_relation_.loc["a0", "c0"] < -0.65


def linear(shape):
    return nn.Sequential(nn.Linear(*shape, 8), nn.Tanh())


def test_trunks_of_tasks_of_two_kinds_are_compared():
    X, Y, _, _ = planted(1, n=200)
    Y = Y[["a0", "a1", "b0"]].assign(a1=np.where(Y["a1"].isna(), None, Y["a1"] > 0))
    params = {**SMALL, "hidden_layer_sizes": ()}
    relation = SoftSharingEnsemble(trunk=linear, **params).fit(X, Y).task_relation_
    assert abs(relation.loc["a0", "a1"]) > abs(relation.loc["b0", "a1"])


def test_a_trunk_is_searched_as_in_stacks(mixed):
    X, Y = mixed
    est = SoftSharingEnsemble(trunk=linear, **{**SMALL, "max_iter": 3})
    grid = {"strength": [0.01, 1.0]}
    each = GridSearchCV(est, grid, cv=KFold(2)).fit(X, Y).cv_results_["mean_test_score"]
    both = BatchedGridSearchCV(est, grid, cv=KFold(2)).fit(X, Y).cv_results_["mean_test_score"]
    assert_allclose(both, each, atol=1e-3)


def test_the_heat_map_shows_related_tasks_side_by_side(plt, fits):
    display = TaskRelationDisplay(fits[0][0]).plot()
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    at = [[labels.index(f"{group}{i}") for i in range(3)] for group in "abc"]
    assert all(max(group) - min(group) == 2 for group in at)
    shown = display.image_.get_array()
    assert_allclose(shown[at[0][0], at[2][0]], fits[0][0].loc["a0", "c0"])
    assert display.image_.get_clim() == (-1, 1)
    TaskRelationDisplay(fits[0][0].to_numpy()).plot(display.ax_)
    X, Y, _, _ = planted(0)
    other = MultiTaskClassifierRegressor(max_iter=1).fit(X, Y)
    with pytest.raises(TypeError, match=r"SoftSharingEnsemble\. Found a MultiTask"):
        TaskRelationDisplay.from_estimator(other)
