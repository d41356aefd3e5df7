"""Meta-learning: its algorithms against closed forms, and the estimators around them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError, UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl.meta import AdaptedClassifier, AdaptedRegressor, MetaLearner
from skmtl.meta.algorithms import ALGORITHMS, ANIL, FOMAML, MAML, MetaSGD, Reptile, Rows
from skmtl.meta.episodes import draw_episodes, draw_rows, split_all
from skmtl.meta.network import Network, cross_entropy, squared_error
from skmtl.meta.table import group_rows
from skmtl.meta.training import traced

QUICK = {"max_iter": 5, "hidden_layer_sizes": (8,), "random_state": 0}


def lines(n_tasks=30, n_rows=12, seed=0):
    """Lines through the origin: X, y and tasks."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=len(task))
    return x[:, None], rng.normal(size=n_tasks)[task] * x, task


def waves(n_tasks=100, n_rows=20, seed=0):
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.uniform(-3, 3, size=len(task))
    return x[:, None], np.sin(x + rng.uniform(0, 3, size=n_tasks)[task]), task


def blobs(n_tasks=6, n_rows=8, seed=0):
    """Three classes a task, named by strings; the same ones in all tasks."""
    rng = np.random.default_rng(seed)
    task = np.repeat([f"t{i}" for i in range(n_tasks)], 3 * n_rows)
    code = np.tile(np.repeat([0, 1, 2], n_rows), n_tasks)
    X = rng.normal(size=(len(task), 2)) + 4 * np.eye(3)[code][:, :2]
    return X, np.array(["blue", "green", "red"])[code], task


# Algorithms


def batch(n_tasks=3, n_rows=6, n_features=2, n_outputs=1, seed=0, classes=False):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n_tasks, n_rows, n_features, generator=g, dtype=torch.float64)
    values = torch.randn(n_tasks, n_rows, n_outputs, generator=g, dtype=torch.float64)
    if classes:
        values = torch.nn.functional.one_hot(values.argmax(-1), n_outputs).double()
    weight = torch.rand(n_tasks, n_rows, generator=g, dtype=torch.float64) + 0.1
    return Rows(x, values, weight, torch.zeros(n_tasks, n_outputs, dtype=torch.float64))


def network(*sizes):
    return Network(sizes, "tanh", torch.Generator().manual_seed(0)).double()


def quadratic(rows, t):
    """Hessian and linear term of task t's loss under a linear model, theta = (weights, bias)."""
    A = torch.cat([rows.x[t], torch.ones_like(rows.x[t][:, :1])], 1)
    w = rows.weight[t] / rows.weight[t].sum()
    return 2 * A.T @ (w[:, None] * A), 2 * A.T @ (w * rows.values[t][:, 0])


@pytest.mark.parametrize("name", list(ALGORITHMS))
@pytest.mark.parametrize("n_steps", [1, 3])
def test_meta_gradients_of_a_linear_model_are_those_of_the_closed_form(name, n_steps):
    net, rate = network(2, 1), 0.1
    algorithm, theta = ALGORITHMS[name](net, squared_error, n_steps), net.flatten()
    support, query = batch(seed=1), batch(seed=2)
    rates = (
        torch.full_like(theta, rate)
        if algorithm.learns_rates
        else torch.tensor(rate, dtype=torch.float64)
    )
    expected = torch.zeros_like(theta)
    for t in range(3):
        (H, b), (Hq, bq) = quadratic(support, t), quadratic(query, t)
        if name == "reptile":
            both = Rows(*(torch.cat(pair, 1) for pair in zip(support, query, strict=True)))
            H, b = quadratic(both, t)
        fast = theta.clone()
        for _ in range(n_steps):
            fast = fast - rate * (H @ fast - b)
        through = torch.eye(3).double() - rate * H
        of_query = Hq @ fast - bq
        if name == "reptile":
            expected += (theta - fast) / rate / 3
        elif name == "fomaml":
            expected += of_query / 3
        else:
            expected += torch.linalg.matrix_power(through, n_steps) @ of_query / 3
    gradients, _ = algorithm.meta_gradient(theta, rates, support, query)
    assert_allclose(gradients[0], expected, rtol=1e-10)
    assert len(gradients) == 1 + (name == "meta_sgd")


def test_the_rates_gradient_of_meta_sgd_is_minus_the_product_of_two_gradients():
    net = network(2, 1)
    theta, support, query = net.flatten(), batch(seed=1), batch(seed=2)
    rates = torch.tensor([0.1, 0.2, -0.1]).double()
    expected = torch.zeros(3).double()
    for t in range(3):
        (H, b), (Hq, bq) = quadratic(support, t), quadratic(query, t)
        first = H @ theta - b
        expected -= first * (Hq @ (theta - rates * first) - bq) / 3
    gradients, _ = MetaSGD(net, squared_error, 1).meta_gradient(theta, rates, support, query)
    assert_allclose(gradients[1], expected, rtol=1e-10)


@pytest.mark.parametrize("algorithm", [MAML, FOMAML])
def test_a_meta_batch_is_a_loop_over_tasks_by_autograd(algorithm):
    net = network(2, 5, 3)
    support, query = (
        batch(n_outputs=3, seed=1, classes=True),
        batch(n_outputs=3, seed=2, classes=True),
    )
    theta = net.flatten().requires_grad_()

    def loss(theta, rows, t):
        out = torch.log_softmax(net.outputs(theta, rows.x[t]), 1)
        each = -out[torch.arange(6), rows.values[t].argmax(1)]
        return (rows.weight[t] * each).sum() / rows.weight[t].sum()

    total = 0.0
    for t in range(3):
        fast = theta
        for _ in range(2):
            [g] = torch.autograd.grad(loss(fast, support, t), fast, create_graph=True)
            fast = fast - 0.3 * (g.detach() if algorithm is FOMAML else g)
        total = total + loss(fast, query, t) / 3
    [expected] = torch.autograd.grad(total, theta)
    expected_loss = float(total.detach())
    args = theta.detach(), torch.tensor(0.3, dtype=torch.float64), support, query
    step = algorithm(net, cross_entropy, 2)
    [found], value = step.meta_gradient(*args)
    assert_allclose(found, expected, rtol=1e-9)
    assert float(value) == pytest.approx(expected_loss)
    [plain], value = traced(step, *args)(*args)
    assert_allclose(plain, expected, rtol=1e-9)
    assert float(value) == pytest.approx(expected_loss)


def test_reptile_with_one_step_is_joint_training():
    net = network(2, 4, 1)
    theta, support, query = net.flatten(), batch(seed=1), batch(seed=2)
    both = Rows(*(torch.cat(pair, 1) for pair in zip(support, query, strict=True)))
    both = both._replace(offset=support.offset)
    reptile = Reptile(net, squared_error, 1)
    [found], _ = reptile.meta_gradient(
        theta, torch.tensor(0.5, dtype=torch.float64), support, query
    )
    leaf = theta.clone().requires_grad_()
    one = [Rows(*(t[i] for t in both)) for i in range(3)]
    (sum(reptile.loss(leaf, rows) for rows in one) / 3).backward()
    assert_allclose(found, leaf.grad, rtol=1e-9)


def test_anil_moves_the_head_alone_but_learns_all():
    net = network(2, 4, 1)
    theta, rows = net.flatten(), batch()
    anil, rate = ANIL(net, squared_error, 2), torch.tensor(0.1, dtype=torch.float64)
    moved = (anil.adapt_all(theta, rate, rows) != theta).any(0)
    assert_array_equal(moved, np.arange(17) >= 12)
    [gradient], _ = anil.meta_gradient(theta, rate, rows, batch(seed=2))
    assert (gradient != 0).all()


def test_rows_without_weight_count_for_nothing():
    net, rows = network(2, 4, 1), batch()
    weight = rows.weight.clone()
    weight[:, 4:] = 0
    few = Rows(rows.x[:, :4], rows.values[:, :4], rows.weight[:, :4], rows.offset)
    maml, rate = MAML(net, squared_error, 2), torch.tensor(0.1, dtype=torch.float64)
    adapted = [maml.adapt_all(net.flatten(), rate, r) for r in (rows._replace(weight=weight), few)]
    assert_allclose(*adapted, rtol=1e-12)


# Episodes


def test_rows_are_drawn_without_replacement_and_all_subsets_alike():
    rng = np.random.default_rng(0)
    drawn = draw_rows(np.full(20_000, 4), 2, rng)
    pairs, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(pairs) == 12  # ordered pairs of distinct numbers
    assert (np.abs(counts / 20_000 - 1 / 12) < 0.01).all()
    few = draw_rows(np.array([0, 1, 3]), 5, rng)
    assert_array_equal((few >= 0).sum(1), [0, 1, 3])
    assert_array_equal(np.sort(few[2][few[2] >= 0]), [0, 1, 2])


@pytest.mark.parametrize("n_ways", [None, 2])
def test_episodes_have_rows_of_their_task_support_apart_from_query(n_ways):
    tasks = np.repeat([0, 1], [9, 20])
    codes = np.r_[np.repeat([0, 2], [3, 6]), np.repeat([0, 1, 2], [10, 2, 8])]
    table = group_rows([0, 1], tasks, codes)
    drawn = draw_episodes(
        table,
        np.array([0, 1, 1]),
        n_ways=n_ways,
        n_support=4,
        n_query=3,
        rng=np.random.default_rng(0),
    )
    for e, task in enumerate([0, 1, 1]):
        support = drawn.support[e][drawn.support_there[e]]
        query = drawn.query[e][drawn.query_there[e]]
        both = table.order[np.r_[support, query]]
        assert len(set(both.tolist())) == len(both)
        assert_array_equal(tasks[both], task)
        assert len(query) >= drawn.groups_there[e].sum()  # one of each class at least
    assert drawn.support_there[0].sum(1).max() == 4


def test_every_task_is_split_into_support_and_the_rest():
    table = group_rows([0, 1], np.repeat([0, 1], [3, 8]), np.zeros(11, int))
    support = split_all(table, 5, np.random.default_rng(0))
    assert_array_equal(np.add.reduceat(support.astype(int), [0, 3]), [2, 5])


# Estimators


@pytest.mark.filterwarnings("ignore")  # the checks' data have no tasks
@parametrize_with_checks([MetaLearner(max_iter=3)])
def test_every_check_of_sklearn_passes_without_tasks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_every_algorithm_makes_new_tasks_learnable(algorithm):
    learner = MetaLearner(
        algorithm,
        inner_steps=3,
        inner_lr=0.1,
        max_iter=300,
        learning_rate_init=3e-3,
        random_state=0,
    ).fit(*waves())
    new = waves(seed=1)
    adapted = learner.score(*new)
    assert adapted > 0.5
    assert adapted > clone(learner).set_params(adapt_steps=0, max_iter=1).fit(*waves()).score(*new)
    assert np.mean(learner.loss_curve_[-30:]) < 0.6 * np.mean(learner.loss_curve_[:30])


def test_new_classes_are_learned_from_two_images_each():
    X, y = load_digits(return_X_y=True)
    X, known = X / 16, y < 7
    learner = MetaLearner("fomaml", n_ways=3, n_support=2, inner_steps=5, inner_lr=0.2, max_iter=60)
    learner.set_params(adapt_steps=30, random_state=0)
    learner.fit(X[known], y[known], sample_task=np.zeros(known.sum()))
    assert not hasattr(learner, "classes_")
    assert learner.score(X[~known], y[~known], sample_task=np.zeros((~known).sum())) > 0.6
    few = [7, 8, 9, 17, 18, 19]
    adapted = learner.adapt(X[few], y[few])
    assert isinstance(adapted, AdaptedClassifier)
    assert_array_equal(adapted.classes_, [7, 8, 9])
    assert_array_equal(adapted.predict(X[few]), y[few])
    two = learner.adapt(X[few[:2]], y[few[:2]])  # fewer classes than n_ways
    assert two.predict_proba(X[~known]).shape == ((~known).sum(), 2)
    assert_allclose(two.predict_proba(X[~known]).sum(1), 1)


def test_without_tasks_all_rows_are_one_and_it_still_learns():
    X, y, _ = lines(1, 60)
    learner = MetaLearner("maml", max_iter=60, adapt_steps=20, inner_lr=0.1, random_state=0)
    with pytest.warns(UserWarning, match="all rows are one"):
        learner.fit(X, y)
    assert learner.adapt(X[:5], y[:5]).score(X, y) > 0.9


@pytest.mark.parametrize("data", [waves(5, 9), blobs()], ids=["numbers", "classes"])
def test_score_adapts_to_a_support_set_of_each_task_and_judges_the_rest(data):
    X, y, task = data
    learner = MetaLearner(n_support=3, inner_lr=0.1, **QUICK).fit(X, y, task)
    table = learner.score_tasks(X, y, task)
    classes = learner.kind_ == "classification"
    codes = np.unique(y, return_inverse=True)[1] if classes else np.zeros(len(y), int)
    ids, of_row = np.unique(task, return_inverse=True)
    rows = group_rows(list(ids), of_row, codes)
    [seed] = np.random.RandomState(0).randint(2**31 - 1, size=1)
    chosen = split_all(rows, 3, np.random.default_rng(seed))
    squares = spread = 0.0
    for name, found in table.iterrows():
        of_task = task[rows.order] == name
        support, query = rows.order[of_task & chosen], rows.order[of_task & ~chosen]
        adapted = learner.adapt(X[support], y[support])
        assert [found["n_support"], found["n_query"]] == [len(support), len(query)]
        predicted = adapted.predict(X[query])
        if classes:
            assert found["accuracy"] == pytest.approx(accuracy_score(y[query], predicted))
            proba = adapted.predict_proba(X[query])
            assert found["log_loss"] == pytest.approx(log_loss(y[query], proba))
            continue
        assert found["mse"] == pytest.approx(mean_squared_error(y[query], predicted))
        assert found["r2"] == pytest.approx(r2_score(y[query], predicted))
        squares += ((y[query] - predicted) ** 2).sum()
        spread += ((y[query] - y[query].mean()) ** 2).sum()
    overall = table["accuracy"].mean() if classes else 1 - squares / spread
    assert learner.score(X, y, task) == pytest.approx(overall)


def test_missing_labels_and_weights_of_zero_are_rows_left_out():
    X, y, task = lines()
    weight = np.arange(len(y)) % 3 / 2.0
    gaps = np.where(weight > 0, y, np.nan)
    here = weight > 0
    learner = MetaLearner(**QUICK)
    expected = clone(learner).fit(X[here], y[here], task[here])
    for fitted in (
        clone(learner).fit(X, gaps, task),
        clone(learner).fit(X, y, task, sample_weight=here.astype(float)),
        clone(learner).fit(pd.DataFrame(X), pd.Series(gaps), pd.Series(task)),
    ):
        assert_array_equal(fitted.module_.flatten(), expected.module_.flatten())
    few = slice(0, 12)
    one = expected.adapt(X[few], gaps[few], sample_weight=2 * weight[few])
    repeated = np.repeat(np.arange(12), (2 * weight[few]).astype(int))
    two = expected.adapt(X[repeated], y[repeated])
    assert_allclose(one.predict(X), two.predict(X), rtol=1e-9)


def test_targets_in_other_units_are_learned_alike():
    X, y, task = lines()
    learner = MetaLearner(**QUICK).fit(X, y, task)
    other = MetaLearner(**QUICK).fit(X, 1000 * y + 5, task)
    here, there = learner.adapt(X[:4], y[:4]), other.adapt(X[:4], 1000 * y[:4] + 5)
    assert_allclose(there.predict(X), 1000 * here.predict(X) + 5, rtol=1e-3, atol=1)


def test_training_that_diverges_is_taken_back():
    with pytest.warns(ConvergenceWarning, match="Lower inner_lr"):
        learner = MetaLearner(inner_lr=1e9, inner_steps=9, **QUICK).fit(*lines())
    assert learner.module_.flatten().isfinite().all()
    assert learner.n_iter_ == 0


def test_fits_repeat_and_leave_the_global_generators_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (MetaLearner("meta_sgd", **QUICK).fit(*waves(9)) for _ in range(2))
    assert_array_equal(first.module_.flatten(), second.module_.flatten())
    assert first.inner_lr_["0.weight"].shape == (1, 8)
    assert_array_equal(torch.get_rng_state(), before[0])
    assert_array_equal(np.random.get_state()[1], before[1])


def test_adapted_estimators_clone_pickle_and_cross_validate():
    X, y, task = lines()
    learner = MetaLearner(**QUICK).fit(X, y, task)
    adapted = learner.adapt(X[:5], y[:5])
    assert isinstance(adapted, AdaptedRegressor)
    assert_array_equal(pickle.loads(pickle.dumps(adapted)).predict(X), adapted.predict(X))
    assert_array_equal(clone(adapted).fit(X[:5], y[:5]).predict(X), adapted.predict(X))
    assert len(cross_val_score(adapted, X, y, error_score="raise")) == 5
    before = adapted.predict(X)
    learner.set_params(random_state=1).fit(X, y, task)
    assert_array_equal(clone(adapted).fit(X[:5], y[:5]).predict(X), before)
    with pytest.raises(NotFittedError):
        clone(adapted).predict(X)


def test_a_search_over_tasks_by_metadata_routing():
    X, y, task = lines()
    with sklearn.config_context(enable_metadata_routing=True):
        learner = MetaLearner(n_support=2, **QUICK)
        learner.set_fit_request(sample_task=True).set_score_request(sample_task=True)
        search = GridSearchCV(
            learner, {"inner_lr": [1e-3, 0.1]}, cv=GroupKFold(3), error_score="raise"
        )
        search.fit(X, y, sample_task=task, groups=task)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.best_estimator_.tasks_) == 30


def test_feature_names_are_kept_and_checked():
    X, y, task = blobs()
    frame = pd.DataFrame(X, columns=["a", "b"])
    learner = MetaLearner(**QUICK).fit(frame, y, task)
    adapted = learner.adapt(frame[:24], y[:24])
    assert list(adapted.feature_names_in_) == ["a", "b"]
    for call in (learner.adapt, learner.score):
        with pytest.raises(ValueError, match="feature names should match"):
            call(frame.rename(columns={"a": "z"})[:24], y[:24])
    with pytest.raises(ValueError, match="feature names should match"):
        adapted.predict(frame[["b", "a"]])
    with pytest.raises(ValueError, match=r"Feature names unseen at fit time:\n- c"):
        learner.adapt(frame.assign(c=0)[:4], ["blue", "red"] * 2)


BAD_FITS = {
    "algorithm": ({"algorithm": "mmaml"}, {}, "algorithm must be one of"),
    "inner_lr": ({"inner_lr": 0}, {}, "inner_lr must be a float"),
    "n_ways": ({"n_ways": 1}, {}, "n_ways must be an int"),
    "ways of numbers": (
        {"n_ways": 3, "kind": "regression"},
        {"y": np.arange(48.0)},
        "n_ways must be None",
    ),
    "words as numbers": ({"kind": "regression"}, {}, "must hold numbers"),
    "two columns": ({}, {"y": np.ones((48, 2))}, "one column"),
    "a task missing": ({}, {"sample_task": ["a"] * 47 + [None]}, r"1 missing \(first: row 47\)"),
    "too few tasks": ({}, {"sample_task": [0] * 47}, "each of the 48 rows. Found 47"),
    "tasks in columns": ({}, {"sample_task": np.ones((48, 2))}, "one-dimensional"),
    "one class": ({}, {"sample_task": ["a"] * 47 + ["b"]}, r"Tasks \['b'\].*one class only"),
    "one row": (
        {"kind": "regression"},
        {"y": np.arange(48.0), "sample_task": ["a"] * 47 + ["b"]},
        r"Tasks \['b'\] of y have fewer than two labelled rows",
    ),
    "a class of one row": (
        {"n_ways": 2},
        {"y": ["a", "b"] * 23 + ["a", "c"], "sample_task": ["t"] * 48},
        "fewer than two rows of each class",
    ),
    "no label": ({}, {"y": np.full(48, np.nan)}, "y has no label"),
    "labels of two types": (
        {"n_ways": 2},
        {"y": np.array([1, "a"] * 24, dtype=object)},
        r"y must hold class labels of one type that sorts. Found \['int', 'str'\]",
    ),
    "numbers as classes": (
        {"kind": "classification"},
        {"y": np.arange(48) + 0.5},
        "Unknown label type: continuous. y must hold classes",
    ),
    "negative weight": ({}, {"sample_weight": -np.ones(48)}, "not negative"),
}


@pytest.mark.parametrize("bad", list(BAD_FITS))
def test_a_bad_fit_is_refused_by_name_and_changes_nothing(bad):
    params, given, message = BAD_FITS[bad]
    X, y, task = blobs(2)
    learner = MetaLearner(**QUICK).fit(X, y, task)
    before = vars(learner).copy()
    learner.set_params(**params)
    with pytest.raises(ValueError, match=message):
        learner.fit(**{"X": X, "y": y, "sample_task": task, **given})
    assert {k: v for k, v in vars(learner).items() if k not in params} == {
        k: v for k, v in before.items() if k not in params
    }


BAD_SUPPORT = {
    "empty": (np.empty((0, 2)), [], "support set is empty"),
    "one class": (np.ones((2, 2)), ["red", "red"], "two classes or more. Found one class"),
    "unknown label": (np.ones((2, 2)), ["red", "pink"], r"\['pink'\].*not among the classes"),
    "another type": (np.ones((2, 2)), [0, 1], "not among the classes"),
    "no label": (np.ones((2, 2)), [None, None], "support set's y has no label"),
    "lengths": (np.ones((3, 2)), ["red", "blue"], "inconsistent numbers of samples"),
}


@pytest.mark.parametrize("bad", list(BAD_SUPPORT))
def test_a_bad_support_set_is_refused_by_name(bad):
    X, y, message = BAD_SUPPORT[bad]
    learner = MetaLearner(**QUICK).fit(*blobs())
    with pytest.raises(ValueError, match=message):
        learner.adapt(X, y)


def test_parameters_of_adapting_may_be_set_after_fit_and_are_checked_then():
    X, y, task = lines()
    learner = MetaLearner(**QUICK).fit(X, y, task)
    for steps, error in ((-1, ValueError), (1.5, TypeError), ("all", TypeError)):
        learner.set_params(adapt_steps=steps)
        for call in (lambda: learner.adapt(X[:3], y[:3]), lambda: learner.score(X, y, task)):
            with pytest.raises(error, match="Parameter adapt_steps must be an int"):
                call()
    with pytest.raises(ValueError, match="Parameter n_support must be an int"):
        learner.set_params(adapt_steps=None, n_support=0).score_tasks(X, y, task)


def test_what_a_learner_cannot_do_is_said():
    X, y, task = blobs()
    learner = MetaLearner(n_ways=2, **QUICK).fit(X, y, task)
    with pytest.raises(ValueError, match="more than n_ways=2 classes"):
        learner.adapt(X, y)
    with pytest.raises(ValueError, match="the support set's y must hold class labels of one type"):
        learner.adapt(X[:4], np.array([1, "a"] * 2, dtype=object))
    with pytest.raises(ValueError, match=r"Tasks \['t0'.*'t4'\] and 1 others.*more than n_ways"):
        learner.score(X, y, task)
    with pytest.raises(NotFittedError):
        MetaLearner().adapt(X, y)
    with pytest.raises(NotFittedError, match="must be a fitted MetaLearner"):
        AdaptedClassifier(MetaLearner()).fit(X, y)
    with pytest.raises(TypeError, match="must be a fitted MetaLearner"):
        AdaptedClassifier().fit(X, y)
    with pytest.raises(ValueError, match="kind 'regression'"):
        AdaptedRegressor(FrozenEstimator(learner)).fit(X, y)


def test_small_tasks_and_tasks_without_labels_are_warned_of():
    X, y, task = lines(4, 4)
    with pytest.warns(
        UserWarning, match=r"Tasks \[0, 1, 2, 3\] of y have no more than n_support=5"
    ):
        MetaLearner(**QUICK).fit(X, y, task)
    with pytest.warns(UserWarning, match=r"Tasks \[1\] without a label are left out"):
        learner = MetaLearner(n_support=2, **QUICK).fit(X, np.where(task == 1, np.nan, y), task)
    assert learner.tasks_ == [0, 2, 3]
    with pytest.warns(UndefinedMetricWarning, match="R² is not defined"):
        assert np.isnan(learner.score(X, np.ones(16), task))
