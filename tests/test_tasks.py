"""Each kind of task without a fit: labels, losses, scores and decisions against closed forms."""

import warnings

import numpy as np
import pytest
import torch
from kinds import COUNTS, GRADES, LABELS, NUMBERS, PREPARED, WORDS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, huber, log_expit, log_softmax, xlogy
from scipy.stats import norm
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    d2_absolute_error_score,
    d2_tweedie_score,
    f1_score,
    get_scorer_names,
    mean_pinball_loss,
    ndcg_score,
    r2_score,
    recall_score,
)
from sklearn.utils.class_weight import compute_class_weight

from skmtl import tasks
from skmtl._resolve import known_names
from skmtl.tasks import (
    BinaryTask,
    ClassificationTask,
    CountTask,
    HeteroscedasticRegressionTask,
    MultilabelTask,
    OrdinalTask,
    QuantileTask,
    RankingTask,
    RegressionTask,
    Task,
    TaskLosses,
)
from skmtl.tasks.binary import best_threshold

N = 40
RANKINGS = ("ranknet", "listnet", "lambdarank")
each = pytest.mark.parametrize("name", PREPARED)


def prepared(name, weight=None):
    task, labels = PREPARED[name]
    weight = np.ones(N) if weight is None else weight
    return clone(task).prepare(labels, weight, name="y"), labels


def draw(task, *shape, seed=0, scale=1.0):
    """Outputs of a network (*shape, m), without the last dimension where m is one."""
    m = task.n_outputs
    outputs = scale * np.random.default_rng(seed).normal(size=(*shape, m))
    return torch.from_numpy(outputs if m > 1 else outputs[..., 0])


def encoded(task, labels):
    values = torch.from_numpy(task.encode(labels, name="y"))
    return task.read(values if task.n_values > 1 else values[:, 0])


def activated(task, n=N, scale=2.0):
    """What a task decodes, (n, m): activated outputs of three members, averaged."""
    outputs = draw(task, 3, n, 1, scale=scale)
    outputs[:, :4] = 0  # as they are at the start: on the edge of decisions
    return task.activate(outputs).mean(0)[:, 0]


# Losses, by the formula of each kind. In: task, outputs (n, m), labels. Out: (n,).


def unit_of(y):
    return (y - y.mean()) / y.std()


def of_classes(task, outputs, y):
    if outputs.shape[1] == 1:
        return -log_expit(np.where(y == task.classes_[1], 1, -1) * outputs[:, 0])
    codes = np.searchsorted(np.unique(y), y)
    return -log_softmax(outputs, axis=1)[np.arange(len(y)), codes]


def quantiles_of(levels, outputs):
    """The median is an output; the others stand off by softplus steps, normal at the start."""
    normal = norm.ppf(levels)
    middle = levels.index(0.5)
    found = [outputs[:, middle]]
    for i in range(middle + 1, len(levels)):
        start = np.log(np.expm1(normal[i] - normal[i - 1]))
        found.append(found[-1] + np.logaddexp(0, outputs[:, i] + start))
    for i in range(middle - 1, -1, -1):
        start = np.log(np.expm1(normal[i + 1] - normal[i]))
        found.insert(0, found[0] - np.logaddexp(0, outputs[:, i] + start))
    return np.column_stack(found)


def of_quantiles(task, outputs, y):
    levels = sorted({0.5, *task.quantiles})
    said, z = quantiles_of(levels, outputs), unit_of(y)
    columns = zip(levels, said.T, strict=True)
    of_level = [
        [mean_pinball_loss([a], [b], alpha=q) for a, b in zip(z, said_q, strict=True)]
        for q, said_q in columns
    ]
    return np.mean(of_level, axis=0)


def below(n_classes, outputs):
    """P(y <= k), (n, C - 1): thresholds start where all classes are alike, and never cross."""
    if n_classes == 2:
        return expit(-outputs)
    even = np.arange(1, n_classes) / n_classes
    start = np.log(even / (1 - even))
    steps = np.logaddexp(0, 10 * outputs[:, 1:] + np.log(np.expm1(np.diff(start)))) + 1e-6
    thresholds = np.column_stack([np.full(len(outputs), start[0]), start[0] + steps.cumsum(1)])
    return expit(thresholds - outputs[:, :1])


def of_ranks(task, outputs, y):
    order = list(np.unique(y) if task.order is None else task.order)
    ranks = np.array([order.index(label) for label in y.tolist()])
    cumulative = below(len(order), outputs)
    if task.loss == "coral":
        no_more = ranks[:, None] <= np.arange(len(order) - 1)
        return -np.log(np.where(no_more, cumulative, 1 - cumulative)).mean(1)
    p = np.diff(np.pad(cumulative, ((0, 0), (1, 1)), constant_values=(0, 1)))
    return -np.log(p[np.arange(len(y)), ranks])


def of_counts(task, outputs, y):
    rate = y if y.ndim == 1 else y[:, 0] / y[:, 1]
    days = np.ones(len(y)) if y.ndim == 1 else y[:, 1]
    y = rate / np.average(rate, weights=days)
    mu = np.exp(outputs[:, 0])
    return xlogy(y, y / mu) - y + mu


def of_labels(task, outputs, y):
    signs = np.where(y == 1, 1, -1)
    return -np.nanmean(np.where(np.isnan(y), np.nan, log_expit(signs * outputs)), axis=1)


def of_normal(task, outputs, y):
    std = 1e-3 + np.exp(outputs[:, 1])
    return norm.logpdf(0, 0, 1e-3) - norm.logpdf(unit_of(y), outputs[:, 0], std)


FORMULAS = {
    "squared_error": lambda task, o, y: 0.5 * (o[:, 0] - unit_of(y)) ** 2,
    "absolute_error": lambda task, o, y: np.abs(o[:, 0] - unit_of(y)),
    "huber": lambda task, o, y: huber(1.35, o[:, 0] - unit_of(y)),
    **dict.fromkeys(("three classes", "two classes", "balanced"), of_classes),
    **dict.fromkeys(("balanced accuracy", "f1", "tuned"), of_classes),
    **dict.fromkeys(("quantiles", "median"), of_quantiles),
    **dict.fromkeys(("ordinal", "coral", "two in order"), of_ranks),
    **dict.fromkeys(("counts", "counts and exposure"), of_counts),
    "labels": of_labels,
    "heteroscedastic": of_normal,
}


def test_every_kind_is_here_and_has_its_formula_or_one_in_test_ranking():
    assert set(known_names(tasks, Task).values()) <= {type(task) for task, _ in PREPARED.values()}
    assert set(FORMULAS) == set(PREPARED) - set(RANKINGS)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_loss_is_that_of_the_formula(name):
    task, labels = prepared(name)
    outputs, values = draw(task, N, scale=0.3), encoded(task, labels)
    expected = FORMULAS[name](task, outputs.numpy().reshape(N, -1), labels)
    assert_allclose(task.sample_loss(outputs, values), expected, rtol=1e-6)
    by_member = task.sample_loss(outputs.expand(2, *outputs.shape), values.expand(2, *values.shape))
    assert_allclose(by_member, [expected, expected], rtol=1e-6)


@each
@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
def test_a_loss_is_not_negative_and_has_the_slope_of_its_values(name, scale):
    task, labels = prepared(name)
    outputs, values = draw(task, N, scale=scale).requires_grad_(), encoded(task, labels)
    loss = task.sample_loss(outputs, values)
    assert loss.shape == (N,)
    assert torch.isfinite(loss).all()
    assert (loss >= 0).all()
    rounding = 1e-9 * float(loss.detach().max())  # of a difference of two losses, over its step
    assert torch.autograd.gradcheck(
        lambda o: task.sample_loss(o, values), outputs, atol=1e-5 + rounding
    )


def test_a_loss_that_looks_at_rows_alone_is_that_of_the_query():
    task, labels = prepared("huber")
    outputs, values = draw(task, N), encoded(task, labels)
    found = task.query_loss(outputs, values, torch.zeros(N))
    assert torch.equal(found, task.sample_loss(outputs, values))


@each
def test_the_loss_of_a_missing_label_is_finite_and_so_is_its_gradient(name):
    task, _ = prepared(name)
    outputs = draw(task, N, scale=30).requires_grad_()
    values = torch.zeros((N, task.n_values) if task.n_values > 1 else N, dtype=torch.float64)
    loss = task.sample_loss(outputs, task.read(values))
    assert torch.isfinite(loss).all()
    assert name not in RANKINGS or (loss == 0).all()  # query zero is none
    loss.sum().backward()
    assert torch.isfinite(outputs.grad).all()


def one_class(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = {"ordinal": OrdinalTask, "binary": BinaryTask, "plain": ClassificationTask}[kind]()
        return task.prepare(np.array([7, 7, 7]), np.ones(3), name="y")


@pytest.mark.parametrize("kind", ["plain", "binary", "ordinal"])
def test_of_one_class_nothing_is_learned_and_it_is_always_said(kind):
    task = one_class(kind)
    assert task.n_outputs == 1
    outputs = draw(task, 1, 3, 2, scale=9).requires_grad_()
    values = torch.zeros(1, 3, 2, dtype=torch.float64)
    loss = task.sample_loss(outputs, values)
    loss.sum().backward()
    assert (loss == 0).all()
    assert (outputs.grad == 0).all()
    p = task.activate(outputs)
    assert_array_equal(p.detach(), np.ones((1, 3, 2, 1)))
    assert task.decode(p[0, :, 0].detach().numpy()).tolist() == [7, 7, 7]
    found = task.decode_tensor(p[0, :, 0].detach())
    assert found[""].tolist() == [0, 0, 0]
    assert found["proba"].tolist() == [[1]] * 3
    if kind != "ordinal":
        assert task.score(outputs, values, torch.ones(1, 3, 2)).tolist() == [[1, 1]]
    else:  # no agreement by chance to compare with
        assert task.score(outputs, values, torch.ones(1, 3, 2)).isnan().all()


def test_one_class_is_warned_of_by_name():
    with pytest.warns(UserWarning, match="Task 'sick' has one class only, 'no':"):
        ClassificationTask().prepare(np.array(["no", "no"]), np.ones(2), name="sick")


# What is learned of the labels


@each
def test_a_weight_of_two_is_a_repeated_label_when_a_task_is_prepared(name):
    weight = np.random.default_rng(3).integers(1, 4, size=N)
    task, labels = prepared(name, weight.astype(float))
    again = np.repeat(np.arange(N), weight)
    twin = clone(task).prepare(labels[again], np.ones(len(again)), name="y")
    learned = {k: v for k, v in vars(task).items() if k not in task.get_params()}
    assert learned.keys() == {k for k in vars(twin) if k not in task.get_params()}
    for key, value in learned.items():
        other = getattr(twin, key)
        if isinstance(value, float) or np.asarray(value).dtype.kind == "f":
            assert other == pytest.approx(value)
        else:
            assert_array_equal(other, value)


@each
def test_a_prepared_task_encodes_floats_a_row_a_label(name):
    task, labels = prepared(name)
    values = task.encode(labels, name="y")
    assert values.shape == (N, task.n_values)
    assert values.dtype == float
    assert np.isfinite(values).all()
    strata = task.strata(values)
    assert strata.shape == (N,)
    assert strata.dtype.kind == "i"
    assert strata.min() >= 0


def test_the_unit_of_a_regression_is_the_weighted_deviation():
    y, w = np.array([1.0, 2.0, 6.0]), np.array([2.0, 1.0, 1.0])
    for task in (RegressionTask(), HeteroscedasticRegressionTask(), QuantileTask()):
        task.prepare(y, w, name="y")
        assert task.center_ == 2.5
        assert task.scale_ == pytest.approx(np.sqrt((2 * 1.5**2 + 0.5**2 + 3.5**2) / 4))
        assert_allclose(task.encode(y, name="y")[:, 0], (y - task.center_) / task.scale_)
    plain = RegressionTask(standardize=False).prepare(y, w, name="y")
    assert (plain.center_, plain.scale_) == (0.0, 1.0)
    assert plain.encode(y, name="y")[:, 0].tolist() == y.tolist()


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e300, -1e-300])
def test_a_constant_has_no_unit_and_is_predicted(value):
    for n in (1, 2, 7):
        labels = np.full(n, value)
        for task in (RegressionTask(), HeteroscedasticRegressionTask(), QuantileTask()):
            task.prepare(labels, np.full(n, 0.3), name="y")
            assert task.scale_ == 1
            assert task.center_ == pytest.approx(value)


def test_units_of_huge_labels_do_not_overflow_and_close_ones_have_theirs():
    task = RegressionTask().prepare(np.array([-1e300, 1e300]), np.ones(2), name="y")
    assert (task.center_, task.scale_) == (0, 1e300)
    near = RegressionTask().prepare(np.array([1.0, 1 + 1e-13]), np.ones(2), name="y")
    assert near.scale_ == pytest.approx(0.5e-13, rel=0.01)


def test_columns_of_booleans_integers_and_objects_are_numbers():
    for labels in (np.array([True, False]), np.array([1, 0]), np.array([1, 0.0], dtype=object)):
        task = RegressionTask().prepare(labels, np.ones(2), name="y")
        assert (task.center_, task.scale_) == (0.5, 0.5)


def test_a_counts_unit_is_its_mean_and_zeros_have_none():
    task = CountTask().prepare(np.array([1, 2, 6]), np.array([2.0, 1.0, 1.0]), name="y")
    assert (task.mean_, task.unit_, task.n_values) == (2.5, 1.0, 1)
    assert task.encode(np.array([5]), name="y").tolist() == [[2.0]]
    assert task.label_weight(np.ones((1, 1))) is None
    assert task.reads("y") == (["y"], [])
    none = CountTask().prepare(np.zeros(3), np.ones(3), name="y")
    assert none.mean_ == 1


def test_counts_over_an_exposure_are_rates_that_weigh_it():
    labels = np.array([[2.0, 1.0], [3.0, 3.0], [0.0, 4.0]])
    weight = np.array([1.0, 2.0, 1.0])
    task = CountTask("days").prepare(labels, weight, name="y")
    assert task.reads("y") == (["y"], ["days"])
    assert task.n_values == 2
    assert task.unit_ == pytest.approx((1 + 2 * 3 + 4) / 4)
    assert task.mean_ == pytest.approx((2 + 2 * 3 + 0) / (1 + 2 * 3 + 4))
    values = task.encode(labels, name="y")
    assert_allclose(values[:, 0] * task.mean_, [2, 1, 0])
    assert_allclose(values[:, 1] * task.unit_, [1, 3, 4])
    assert_array_equal(task.label_weight(values), values[:, 1])
    rates, days = task.compared(labels)
    assert_array_equal(rates, [2, 1, 0])
    assert_array_equal(days, [1, 3, 4])
    assert task.compared(labels[:, 0])[1] is None
    assert task.key != CountTask().prepare(labels[:, 0], weight, name="y").key


def test_class_weights_are_sklearns_and_multiply_the_labels():
    y, w = np.array(["a", "b", "b", "c"]), np.array([1.0, 1.0, 3.0, 2.0])
    task = ClassificationTask("balanced").prepare(y, w, name="y")
    expected = compute_class_weight("balanced", classes=np.unique(y), y=y, sample_weight=w)
    assert_allclose(task.class_weight_, expected)
    assert_allclose(task.label_weight(task.encode(y, name="y")), expected[[0, 1, 1, 2]])
    two = BinaryTask(class_weight="balanced").prepare(y == "b", w, name="y")
    expected = compute_class_weight(
        "balanced", classes=np.array([False, True]), y=y == "b", sample_weight=w
    )
    assert_allclose(two.class_weight_, expected)
    told = ClassificationTask("balanced").prepare(y[:3], w[:3], name="y", classes=["c", "b", "a"])
    assert told.classes_.tolist() == ["a", "b", "c"]
    assert told.class_weight_[2] == 1  # of a class that is still to come
    given = ClassificationTask({"b": 3, "c": 0.0}).prepare(y, w, name="y")
    assert given.class_weight_.tolist() == [1.0, 3.0, 0.0]
    assert ClassificationTask().prepare(y, w, name="y").label_weight(np.zeros((1, 1))) is None


def test_an_order_is_given_or_that_of_numbers():
    task = OrdinalTask(["low", "mid", "high"]).prepare(np.array(["mid"] * 2), np.ones(2), name="y")
    assert task.order_.tolist() == ["low", "mid", "high"]
    assert task.classes_.tolist() == ["high", "low", "mid"]
    assert (task.n_outputs, task.n_constants) == (2, 1)
    assert task.encode(task.order_, name="y")[:, 0].tolist() == [0, 1, 2]
    plain = OrdinalTask().prepare(np.array([9, 3, 5, 3]), np.ones(4), name="y")
    assert plain.order_.tolist() == [3, 5, 9]
    told = OrdinalTask().prepare(np.array([3, 3]), np.ones(2), name="y", classes=[5, 3])
    assert told.order_.tolist() == [5, 3]
    assert (told.n_outputs, told.n_constants) == (1, 0)
    as_array = OrdinalTask(np.array([5, 3])).prepare(np.array([3]), np.ones(1), name="y")
    assert as_array.order_.tolist() == [5, 3]
    assert (
        plain.key
        != OrdinalTask(loss="coral").prepare(np.array([9, 3, 5]), np.ones(3), name="y").key
    )


def test_a_groups_columns_are_its_classes_and_gaps_have_a_code():
    task = MultilabelTask(["a", "b"])
    assert task.reads("t") == (["a", "b"], [])
    assert MultilabelTask(np.array([3, 4])).reads("t") == ([3, 4], [])
    labels = np.array([[1.0, np.nan], [0.0, 1.0], [1.0, 1.0]])
    assert task.prepare(labels, np.ones(3), name="t").classes_.tolist() == [0, 1]
    named = task.prepare(labels, np.ones(3), name="t", classes=["a", "b"])
    assert named.classes_.tolist() == ["a", "b"]
    values = task.encode(labels, name="t")
    assert values.tolist() == [[1, -1], [0, 1], [1, 1]]
    assert task.strata(values).tolist() == [1, 1, 2]
    assert (task.n_outputs, task.n_values) == (2, 2)


def test_levels_are_learned_with_the_median_among_them():
    task = QuantileTask([0.9, 0.2]).prepare(np.arange(3.0), np.ones(3), name="y")
    assert task.quantiles_.tolist() == [0.9, 0.2]
    assert task.n_outputs == 3
    assert (
        task.key == QuantileTask((0.2, 0.5, 0.9)).prepare(np.arange(3.0), np.ones(3), name="y").key
    )
    assert task.key != QuantileTask([0.9, 0.3]).prepare(np.arange(3.0), np.ones(3), name="y").key
    single = QuantileTask(np.array([0.5])).prepare(np.arange(3.0), np.ones(3), name="y")
    assert single.n_outputs == 1


def test_grades_without_queries_are_one_querys():
    task = RankingTask().prepare(np.array([1, 0, 2]), np.ones(3), name="y")
    assert task.encode(np.array([1, 0, 2]), name="y").tolist() == [[1, 1], [0, 1], [2, 1]]
    pairs = np.array([[1.0, 7.0], [0.0, 8.0]])
    assert task.encode(pairs, name="y").tolist() == pairs.tolist()
    assert task.strata(np.array([[5.0, 1], [0.5, 1], [5.0, 2]])).tolist() == [1, 0, 1]
    many = np.column_stack([np.arange(2.0**15 + 9), np.ones(2**15 + 9)])
    assert task.strata(many).max() == 2**15 - 1  # they fit into 16 bits


def test_strata_are_classes_or_five_even_bins():
    values = np.random.default_rng(0).permutation(100)[:, None] / 10
    bins = RegressionTask().strata(values)
    assert np.bincount(bins).tolist() == [20] * 5
    assert (np.diff(bins[np.argsort(values[:, 0])]) >= 0).all()
    assert ClassificationTask().strata(np.array([[2.0], [0.0]])).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RegressionTask(), RegressionTask("huber")),
        (RegressionTask(), HeteroscedasticRegressionTask()),
        (RankingTask(), RankingTask("listnet")),
        (OrdinalTask(), ClassificationTask()),
    ],
)
def test_kinds_that_compute_otherwise_have_another_key(one, other):
    labels = np.array([0, 1, 2])
    one, other = (t.prepare(labels, np.ones(3), name="y") for t in (one, other))
    assert one.key != other.key
    assert one.key == clone(one).prepare(labels[::-1], np.ones(3), name="y").key
    hash(one.key)


@pytest.mark.parametrize("changed", [{"threshold": 0.4}, {"metric": "f1"}])
def test_keys_of_binary_tasks_hold_what_their_score_rests_on(changed):
    one, other = (
        BinaryTask(**p).prepare(WORDS == "b", np.ones(N), name="y") for p in ({}, changed)
    )
    assert one.key != other.key


# Scores while training, and what judges predictions


@each
def test_members_and_tasks_side_by_side_are_scored_as_evaluate_does(name):
    task, labels = prepared(name)
    rng = np.random.default_rng(5)
    order = np.stack([[rng.permutation(N) for _ in range(3)] for _ in range(2)])  # (K, G, n)
    outputs, weight = draw(task, 2, N, 3), rng.integers(0, 3, size=(2, N, 3)).astype(float)
    outputs[:, :8] = 0  # as they are at the start: on the edge of decisions
    values = task.encode(labels, name="y")[order].swapaxes(1, 2)  # (K, n, G, v)
    values = torch.from_numpy(values if task.n_values > 1 else values[..., 0])
    truth, factor = task.compared(labels)
    factor = np.ones(N) if factor is None else factor
    weight = weight * factor[order].swapaxes(1, 2)
    found = task.score(outputs, values, torch.from_numpy(weight))
    assert found.shape == (2, 3)
    for k in range(2):
        for g in range(3):
            said = task.decode(task.activate(outputs[k : k + 1])[0, :, g].numpy())
            expected = task.evaluate(truth[order[k, g]], said, weight[k, :, g])
            assert float(found[k, g]) == pytest.approx(expected)


def test_what_is_evaluated_is_sklearns_metric():
    rng = np.random.default_rng(7)
    w, said = rng.integers(0, 4, size=N).astype(float), rng.permutation(NUMBERS)
    for task in (RegressionTask(), HeteroscedasticRegressionTask()):
        assert task.evaluate(NUMBERS, said, w) == r2_score(NUMBERS, said, sample_weight=w)
        assert np.isnan(task.evaluate(NUMBERS[:1], said[:1], None))
        assert np.isfinite(task.evaluate(NUMBERS[:2], said[:2], None))
    found = QuantileTask().evaluate(NUMBERS, said, w)
    assert found == d2_absolute_error_score(NUMBERS, said, sample_weight=w)
    assert np.isnan(QuantileTask().evaluate(NUMBERS[:1], said[:1], None))
    assert np.isfinite(QuantileTask().evaluate(NUMBERS[:2], said[:2], None))
    words = rng.permutation(WORDS)
    task, _ = prepared("three classes")
    assert task.evaluate(WORDS, words, w) == accuracy_score(WORDS, words, sample_weight=w)
    task, _ = prepared("ordinal")
    expected = cohen_kappa_score(
        WORDS, words, labels=["c", "a", "b"], weights="quadratic", sample_weight=w
    )
    assert task.evaluate(WORDS, words, w) == pytest.approx(expected)
    assert np.isnan(task.evaluate(WORDS[:1], WORDS[:1], None))
    assert np.isfinite(task.evaluate(WORDS[:1], np.array(["c"]), None))
    counts = rng.permutation(COUNTS) + 0.5
    expected = d2_tweedie_score(COUNTS, counts, sample_weight=w, power=1)
    assert CountTask().evaluate(COUNTS, counts, w) == expected
    assert np.isnan(CountTask().evaluate(np.ones(3), counts[:3], None))
    assert np.isfinite(CountTask().evaluate(COUNTS[:5], np.zeros(5), None))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1"])
def test_a_binary_task_is_judged_by_its_metric(metric):
    y, rng = WORDS == "b", np.random.default_rng(2)
    task = BinaryTask(metric=metric).prepare(np.where(y, "yes", "no"), np.ones(N), name="y")
    said, w = rng.random(N) < 0.4, rng.integers(0, 3, size=N)
    names = [np.where(v, "yes", "no") for v in (y, said)]
    metrics = {"accuracy": accuracy_score, "f1": f1_score}
    expected = metrics.get(metric, balanced_accuracy_score)(y, said, sample_weight=w)
    assert task.evaluate(*names, w) == pytest.approx(expected)
    no, yes = np.array(["no", "no"]), np.array(["yes", "yes"])
    value = {"accuracy": 1.0, "balanced_accuracy": np.nan, "f1": np.nan}[metric]
    assert task.evaluate(no, no, None) == pytest.approx(value, nan_ok=True)
    wrong = {"accuracy": 0.0, "balanced_accuracy": np.nan, "f1": 0.0}[metric]
    assert task.evaluate(no, yes, None) == pytest.approx(wrong, nan_ok=True)
    assert task.evaluate(yes, no, None) == pytest.approx(wrong, nan_ok=True)
    if metric == "balanced_accuracy":
        assert task.evaluate(*names, None) == recall_score(y, said, average="macro")


def test_a_groups_f1_is_over_the_labels_that_are_there():
    rng = np.random.default_rng(4)
    said, w = rng.integers(0, 2, size=(N, 3)), rng.integers(0, 3, size=N).astype(float)
    task, there = MultilabelTask(), ~np.isnan(LABELS)
    weights = np.repeat(w[:, None], 3, axis=1)[there]
    expected = f1_score(LABELS[there].astype(int), said[there], sample_weight=weights)
    assert task.evaluate(LABELS, said, w) == pytest.approx(expected)
    plain = f1_score(LABELS[there].astype(int), said[there])
    assert task.evaluate(LABELS, said, None) == pytest.approx(plain)
    nothing = np.zeros((2, 3))
    assert np.isnan(task.evaluate(nothing, nothing, None))
    assert task.evaluate(nothing, nothing + 1, None) == 0
    assert task.evaluate(nothing + 1, nothing, None) == 0


def test_a_ranking_is_judged_by_ndcg_a_query_counting_what_its_rows_weigh():
    rng = np.random.default_rng(6)
    scores, w = rng.normal(size=N), rng.integers(0, 3, size=N).astype(float)
    expected, counts = [], []
    for q in np.unique(GRADES[:, 1]):
        rows = np.flatnonzero((GRADES[:, 1] == q) & (w > 0))
        if len(rows) > 1:
            expected.append(ndcg_score(GRADES[None, rows, 0], scores[None, rows]))
            counts.append(w[rows].mean())
    found = RankingTask().evaluate(GRADES, scores, w)
    assert found == pytest.approx(np.average(expected, weights=counts))
    one = RankingTask().evaluate(COUNTS, scores, None)  # of one query
    assert one == pytest.approx(ndcg_score(COUNTS[None], scores[None]))
    assert RankingTask().evaluate(COUNTS.tolist(), scores, None) == one
    assert np.isnan(RankingTask().evaluate(COUNTS, scores, np.arange(N) == 3))


class Says(BaseEstimator):
    """An estimator that predicts its inputs."""

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return X


@each
def test_a_tasks_scorer_is_sklearns_by_name_or_evaluate(name):
    task, labels = prepared(name)
    by_name = task.metric in get_scorer_names() and not isinstance(task, BinaryTask)
    if by_name and not isinstance(task, MultilabelTask):
        assert task.scorer == task.metric
    else:
        truth, _ = task.compared(labels)
        said = truth[::-1] if truth.ndim == 1 else truth[::-1, 0]
        said = np.nan_to_num(truth[::-1]) if isinstance(task, MultilabelTask) else said
        assert task.scorer(Says(), said, truth) == task.evaluate(truth, said, None)


# Decisions


@each
def test_what_is_decoded_in_torch_is_what_is_decoded_in_numpy(name):
    task, _ = prepared(name)
    outputs = activated(task)
    if isinstance(task, ClassificationTask) and not isinstance(task, BinaryTask):
        outputs = 3 * outputs  # probabilities are put in proportion
    found, decided = task.decode_tensor(outputs), task.decode(outputs.numpy())
    said = found.pop("").numpy()
    if isinstance(task, MultilabelTask) or not hasattr(task, "classes_"):
        assert_allclose(said, decided, rtol=1e-12)
    else:
        assert_array_equal(task.classes_[said], decided)
    others = {
        key: getattr(task, f"decode_{key}")(outputs.numpy())
        for key in ("proba", "quantiles", "std")
        if hasattr(task, f"decode_{key}")
    }
    assert found.keys() == others.keys()
    for key, value in others.items():
        assert_allclose(found[key], value, rtol=1e-12)


def test_numbers_a_task_has_learned_are_tensors_where_torch_decodes():
    """Exporters keep seven digits of a Python number, and all of a tensor."""

    class Noting(RegressionTask):
        def decode(self, activated):
            noted.update(vars(self))
            return super().decode(activated)

    noted = {}
    task = Noting().prepare(NUMBERS, np.ones(N), name="y")
    task.words_ = ["not", "a", "number"]
    task.half = 0.5  # not learned
    task.decode_tensor(torch.zeros(2, 1, dtype=torch.float64))
    assert noted["center_"].dtype == noted["scale_"].dtype == torch.float64
    assert (noted["center_"].item(), noted["scale_"].item()) == (task.center_, task.scale_)
    assert (noted["half"], noted["words_"]) == (0.5, task.words_)
    assert isinstance(task.scale_, float)


@pytest.mark.parametrize(
    "name", ["squared_error", "huber", "heteroscedastic", "median", "quantiles"]
)
def test_a_number_is_decoded_in_the_targets_unit(name):
    task, labels = prepared(name)
    outputs = activated(task)
    column = task._levels.index(0.5) if isinstance(task, QuantileTask) else 0
    expected = labels.mean() + labels.std() * outputs.numpy()[:, column]
    assert_allclose(task.decode(outputs.numpy()), expected)


def test_counts_are_decoded_as_rates():
    task, labels = prepared("counts")
    outputs = draw(task, 1, N, 1)
    found = task.decode(task.activate(outputs)[0, :, 0].numpy())
    assert_allclose(found, labels.mean() * np.exp(outputs[0, :, 0].numpy()))


@pytest.mark.parametrize("name", ["three classes", "two classes"])
def test_the_likeliest_class_is_said_with_its_probability(name):
    task, _ = prepared(name)
    outputs = draw(task, 1, N, 1)
    p = task.activate(outputs)[0, :, 0].numpy()
    logits = outputs.numpy().reshape(N, -1)
    logits = np.column_stack([0 * logits, logits]) if task.n_outputs == 1 else logits
    assert_allclose(p, np.exp(log_softmax(logits, axis=1)))
    assert_array_equal(task.decode(p), task.classes_[logits.argmax(1)])
    assert_allclose(task.decode_proba(3 * p), p)


@pytest.mark.parametrize("name", ["ordinal", "coral", "two in order"])
def test_the_median_class_is_said_with_probabilities_in_sorted_order(name):
    task, _ = prepared(name)
    outputs = draw(task, 1, N, 1)
    p = task.activate(outputs)[0, :, 0].numpy()
    cumulative = below(len(task.order_), outputs.numpy().reshape(N, -1))
    assert_allclose(p.cumsum(1)[:, :-1], cumulative)
    assert_allclose(p.sum(1), 1)
    assert (p >= 0).all()
    assert_array_equal(task.decode(3 * p), task.order_[(cumulative < 0.5).sum(1)])
    by_label = dict(zip(task.order_.tolist(), p.T, strict=True))
    for label, column in zip(task.classes_.tolist(), task.decode_proba(2 * p).T, strict=True):
        assert_allclose(column, by_label[label])


def test_labels_of_a_group_are_said_where_likelier_than_not():
    task, _ = prepared("labels")
    outputs = draw(task, 1, N, 1)
    p = task.activate(outputs)[0, :, 0].numpy()
    assert_allclose(p, expit(outputs[0, :, 0].numpy()))
    assert_array_equal(task.decode(p), (outputs[0, :, 0].numpy() > 0).astype(int))
    assert task.decode(np.array([[0.5, 0.6, 0.4]])).tolist() == [[0, 1, 0]]


def test_quantiles_are_decoded_in_the_order_asked_for():
    task, labels = prepared("quantiles")  # 0.9, 0.2, 0.3
    outputs = draw(task, 1, N, 1)
    found = task.decode_quantiles(task.activate(outputs)[0, :, 0].numpy())
    by_level = quantiles_of([0.2, 0.3, 0.5, 0.9], outputs[0, :, 0].numpy())
    assert_allclose(found, labels.mean() + labels.std() * by_level[:, [3, 0, 1]])


def test_the_deviation_of_a_mixture_never_falls_below_the_least():
    task, labels = prepared("heteroscedastic")
    outputs = np.array([[2.0, 4.0], [0.0, 9.0], [3.0, 8.0]])
    for found in (task.decode_std(outputs), task.decode_tensor(torch.from_numpy(outputs))["std"]):
        assert_allclose(found, labels.std() * np.array([1e-3, 3.0, 1e-3]))
    outputs = draw(task, 1, N, 1)
    mean, log_std = outputs[0, :, 0].numpy().T
    second = mean**2 + (1e-3 + np.exp(log_std)) ** 2
    assert_allclose(task.activate(outputs)[0, :, 0], np.column_stack([mean, second]))


def test_the_std_of_members_is_that_of_their_mixture():
    task = HeteroscedasticRegressionTask().prepare(np.arange(9.0), np.ones(9), name="y")
    mean, log_std = torch.randn(2, 3, 5, 1, generator=torch.Generator().manual_seed(0))
    activated = task.activate(torch.stack([mean, log_std], -1)).mean(0)[:, 0].numpy()
    mean, std = mean[..., 0].numpy(), log_std[..., 0].exp().numpy()
    total = mean.var(0) + (std**2).mean(0)
    assert_allclose(task.decode_std(activated), task.scale_ * np.sqrt(total), rtol=2e-3)


def test_quantiles_never_cross_and_come_in_the_order_asked_for():
    task = QuantileTask([0.99, 0.5, 0.4, 0.01]).prepare(np.arange(9.0), np.ones(9), name="y")
    outputs = 30 * torch.randn(1, 500, 1, task.n_outputs)
    found = task.decode_quantiles(task.activate(outputs)[0, :, 0].numpy())
    assert np.all(np.diff(found[:, ::-1], axis=1) >= 0)
    start = task.decode_quantiles(task.activate(torch.zeros(1, 1, 1, 4))[0, :, 0].numpy())[0]
    assert_allclose(start, 4 + task.scale_ * np.array([2.3263, 0, -0.2533, -2.3263]), atol=1e-3)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1"])
def test_of_equally_good_thresholds_the_nearest_to_one_half_is_tuned(metric):
    judge = {"accuracy": accuracy_score, "f1": f1_score}.get(metric, balanced_accuracy_score)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 9))
        p = rng.choice([0.1, 0.2, 0.45, 0.6, 0.7, 0.9], size=n)
        positive = rng.permutation(np.arange(n) < max(1, n // 3))
        w = rng.integers(1, 4, size=n).astype(float)
        ends = np.unique(p)
        middles = np.r_[ends[0] / 2, (ends[1:] + ends[:-1]) / 2, (1 + ends[-1]) / 2]
        values = np.array([judge(positive, p > t, sample_weight=w) for t in middles])
        best = middles[values >= values.max() - 1e-12]
        distance = np.abs(best_threshold(p, positive, w, metric) - 0.5)
        assert distance == pytest.approx(np.abs(best - 0.5).min())
        assert best_threshold(p, positive, w, metric) in best.tolist()


def test_the_least_probable_row_is_one_of_the_negatives():
    """At 0.2 all three positives are found and one of two negatives is told: 0.75 is the best."""
    p, positive = np.array([0.9, 0.7, 0.5, 0.3, 0.1]), np.array([1, 0, 1, 1, 0]) > 0
    assert best_threshold(p, positive, np.ones(5), "balanced_accuracy") == pytest.approx(0.2)


def test_tuning_undoes_class_weights_and_needs_both_classes():
    y = np.array([True, True, False, False, True])
    task = BinaryTask("tuned").prepare(y, np.ones(5), name="y")
    assert task.tunes
    assert not BinaryTask(0.3).tunes
    assert not RegressionTask().tunes
    values, w = task.encode(y, name="y"), np.array([1.0, 2.0, 1.0, 1.0, 3.0])
    p = np.column_stack([np.zeros(5), [0.3, 0.8, 0.4, 0.6, 0.7]])
    plain = BinaryTask("tuned", "accuracy", {True: 9.0, False: 2.0}).prepare(y, w, name="y")
    tuned = plain.tune(p, values, w * np.where(y, 9.0, 2.0))
    assert tuned.threshold_ == best_threshold(p[:, 1], y, w, "accuracy")
    assert tuned.threshold_ != best_threshold(p[:, 1], y, w * np.where(y, 9.0, 2.0), "accuracy")
    assert plain.threshold_ == 0.5  # a copy is tuned
    free = BinaryTask("tuned", "accuracy").prepare(y, w, name="y").tune(p, values, w)
    assert free.threshold_ == best_threshold(p[:, 1], y, w, "accuracy")
    for codes in (np.ones((2, 1)), np.zeros((2, 1))):
        assert plain.tune(p[:2], codes, np.ones(2)) is plain
    regression = RegressionTask()
    assert regression.tune(p, values, w) is regression


def test_the_second_class_is_said_above_the_threshold():
    task = BinaryTask(0.3).prepare(np.array(["a", "b"]), np.ones(2), name="y")
    p = np.array([[0.7, 0.3], [0.69, 0.31], [0.2, 0.8]])
    assert task.decode(p).tolist() == ["a", "b", "b"]
    assert task.decode_tensor(torch.from_numpy(p))[""].tolist() == [0, 1, 1]
    assert BinaryTask("tuned").prepare(np.array([0, 1]), np.ones(2), name="y").threshold_ == 0.5


# What is refused, and how


A, B = np.array([1.0, 2.0]), np.array(["a", "b"])
REFUSED = {
    "no classes": (RegressionTask(), A, "has no classes. Found ['a']", {"classes": ["a"]}),
    "no classes, std": (
        HeteroscedasticRegressionTask(),
        A,
        "has no classes. Found [1]",
        {"classes": [1]},
    ),
    "no classes, counts": (CountTask(), A, "has no classes. Found [1]", {"classes": [1]}),
    "no classes, quantiles": (QuantileTask(), A, "has no classes. Found [1]", {"classes": [1]}),
    "no classes, grades": (RankingTask(), A, "has no classes. Found [1]", {"classes": [1]}),
    "loss": (
        RegressionTask("square"),
        A,
        "one of ['squared_error', 'absolute_error', 'huber']. Found 'square'",
        {},
    ),
    "loss, number": (RegressionTask(2), A, "Found 2", {}),
    "standardize": (
        RegressionTask(standardize=1),
        A,
        "standardize must be True or False. Found 1",
        {},
    ),
    "numbers": (RegressionTask(), np.array([1.0, "x"], object), "holds numbers. Found 'x'", {}),
    "numbers, bytes": (RegressionTask(), np.array([1.0, b"x"], object), "Found b'x'", {}),
    "numbers, none": (RegressionTask(), np.array([1.0, 2j], object), "Found 2j", {}),
    "continuous": (
        ClassificationTask(),
        np.array([1.0, 2.5]),
        "continuous. Task 'y' must hold classes. Found 2.5",
        {},
    ),
    "types": (ClassificationTask(), np.array([1, "x"], object), "Found ['int', 'str']", {}),
    "types of classes": (ClassificationTask(), B, "Found ['int', 'str']", {"classes": [1, "a"]}),
    "unseen": (
        ClassificationTask(),
        B,
        "labels ['b'] were not among the classes seen in fit, ['a', 'c']",
        {"classes": ["a", "c"]},
    ),
    "unseen type": (
        ClassificationTask(),
        B,
        "labels ['a', 'b'] were not among",
        {"classes": [1, 2]},
    ),
    "weights of others": (
        ClassificationTask({"c": 1, "d": 2}),
        B,
        "names classes ['c', 'd'] that are not among the labels ['a', 'b']",
        {},
    ),
    "negative weight": (
        ClassificationTask({"a": -1}),
        B,
        "weights >= 0, one of them above 0. Found {'a': -1}",
        {},
    ),
    "infinite weight": (ClassificationTask({"a": np.inf}), B, "Found {'a': inf}", {}),
    "no weight": (ClassificationTask({"a": 0, "b": 0}), B, "Found {'a': 0, 'b': 0}", {}),
    "strange weight": (ClassificationTask({"a": "1"}), B, "Found {'a': '1'}", {}),
    "strange weights": (
        ClassificationTask("even"),
        B,
        "must be a dict, 'balanced' or None. Found 'even'",
        {},
    ),
    "nothing to count": (
        ClassificationTask("balanced"),
        B[:0],
        "needs labels to count. Found none",
        {"classes": ["a", "b"]},
    ),
    "threshold": (
        BinaryTask(1.0),
        B,
        "threshold must be a number in (0, 1) or 'tuned'. Found 1.0",
        {},
    ),
    "threshold zero": (BinaryTask(0), B, "Found 0", {}),
    "threshold, name": (BinaryTask("best"), B, "Found 'best'", {}),
    "threshold, none": (BinaryTask(None), B, "Found None", {}),
    "metric": (
        BinaryTask(metric="auc"),
        B,
        "one of ['accuracy', 'balanced_accuracy', 'f1']. Found 'auc'",
        {},
    ),
    "metric, number": (BinaryTask(metric=1), B, "Found 1", {}),
    "three classes": (
        BinaryTask(),
        np.array(["a", "b", "c"]),
        "takes two classes. Found 3: ['a', 'b', 'c']",
        {},
    ),
    "exposure alone": (
        CountTask("days"),
        A,
        "CountTask(exposure='days') needs that column beside",
        {},
    ),
    "negative counts": (
        CountTask(),
        np.array([0, -1, 2, -3]),
        ">= 0. Found 2 others, such as -1. Drop",
        {},
    ),
    "broken counts": (CountTask(), np.array([0.5, 2]), "Found 1 others, such as 0.5", {}),
    "no exposure": (
        CountTask("days"),
        np.array([[1.0, 1.0], [1, 0]]),
        "column 'days', must be > 0 wherever there is a count. Found 1 others, such as 0",
        {},
    ),
    "one column": (MultilabelTask(), A, "takes two or more columns. Found one", {}),
    "one column of a table": (
        MultilabelTask(),
        A[:, None],
        "takes two or more columns. Found one",
        {},
    ),
    "no label": (
        MultilabelTask(),
        np.array([[0, 1.0], [1.0, 3.0]]),
        "takes 0 and 1, or booleans. Found 3 in column 'q'",
        {"classes": ["p", "q"]},
    ),
    "ordinal loss": (
        OrdinalTask(loss="corn"),
        A,
        "one of ['cumulative', 'coral']. Found 'corn'",
        {},
    ),
    "ordinal loss, number": (OrdinalTask(loss=1), A, "one of ['cumulative', 'coral']. Found 1", {}),
    "repeated order": (
        OrdinalTask(["a", "a"]),
        B,
        "distinct classes, from low to high. Found ['a', 'a']",
        {},
    ),
    "empty order": (OrdinalTask([]), B, "Found []", {}),
    "order, string": (OrdinalTask("ab"), B, "Found 'ab'", {}),
    "order, types": (
        OrdinalTask([1, "a"]),
        B,
        "order must hold labels of one type. Found [1, 'a']",
        {},
    ),
    "order, short": (
        OrdinalTask(["a", "b"]),
        B,
        "must hold all classes, ['a', 'c']. Found ['a', 'b']",
        {"classes": ["a", "c"]},
    ),
    "no order": (OrdinalTask(), B, "must know the order of its classes. Found ['a', 'b']", {}),
    "quantiles, repeated": (
        QuantileTask([0.5, 0.5]),
        A,
        "distinct numbers in (0, 1), in a list. Found [0.5, 0.5]",
        {},
    ),
    "quantiles, number": (QuantileTask(0.5), A, "Found 0.5", {}),
    "quantiles, ends": (QuantileTask([0.1, 1.0]), A, "Found [0.1, 1.0]", {}),
    "quantiles, zero": (QuantileTask([0.0, 0.1]), A, "Found [0.0, 0.1]", {}),
    "quantiles, none": (QuantileTask([]), A, "Found []", {}),
    "quantiles, strings": (QuantileTask(["0.5"]), A, "Found ['0.5']", {}),
    "ranking loss": (
        RankingTask("ndcg"),
        A,
        "one of ['ranknet', 'listnet', 'lambdarank']. Found 'ndcg'",
        {},
    ),
    "ranking loss, number": (RankingTask(1), A, "Found 1", {}),
    "grades": (
        RankingTask(),
        np.array([0, 0.5, -1.0, 2, -3]),
        "grades >= 0, higher is better. Found 2 others, such as -1",
        {},
    ),
    "order, table": (OrdinalTask(np.array([["a"], ["b"]])), B, "Found array([['a'],", {}),
    "seven classes": (BinaryTask(), np.arange(7), "Found 7: [0, 1, 2, 3, 4]. Use", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_task_cannot_take_is_refused_by_name_with_what_was_found(case):
    task, labels, message, told = REFUSED[case]
    error = TypeError if case == "standardize" else ValueError
    with pytest.raises(error) as caught:
        task.prepare(labels, np.ones(len(labels)), name="y", **told)
    assert message in str(caught.value)
    assert "ask 'y'" in str(caught.value)


@pytest.mark.parametrize(
    "columns",
    [["a"], ["a", "a"], "ab", None, 3, np.ones((2, 2))],
    ids=["one", "one twice", "string", "none", "number", "table"],
)
def test_a_group_must_say_its_columns(columns):
    with pytest.raises(ValueError, match=r"Task 't': MultilabelTask's columns must be a list") as e:
        MultilabelTask(columns).reads("t")
    assert f"Found {columns!r}" in str(e.value)


@each
def test_labels_that_cannot_be_encoded_are_refused_by_the_tasks_name(name):
    task, labels = prepared(name)
    strange = np.full(labels.shape, "?", dtype=object)
    if isinstance(task, MultilabelTask):
        strange = np.full(labels.shape, 7.0)
    with pytest.raises(ValueError, match=r"Task 'price'.*(7 in column 0|'\?')"):
        task.encode(strange, name="price")
    if hasattr(task, "classes_") and not isinstance(task, MultilabelTask):
        told = {"classes": task.classes_}
        with pytest.raises(ValueError, match=r"Task 'price'.*'\?'"):
            clone(task).prepare(strange, np.ones(N), name="price", **told)
    elif not isinstance(task, MultilabelTask):
        with pytest.raises(ValueError, match=r"Task 'price'.*'\?'"):
            clone(task).prepare(strange, np.ones(N), name="price")


def test_at_most_five_unknown_labels_are_shown_once_each():
    task, _ = prepared("three classes")
    with pytest.raises(ValueError, match=r"labels \['z', 'q', 'r', 's', 't'\] were not"):
        task.encode(np.array(["a", *"zqzrstuv"]), name="y")
    order = OrdinalTask()
    with pytest.raises(ValueError, match=r"Found \['z', 'q', 'r', 's', 't'\]. Say"):
        order.prepare(np.array(list("zqzrstuv")), np.ones(8), name="y")


# All columns at once


def test_rankings_in_front_of_others_are_weighed_like_them():
    """A query's loss needs its rows' weights; the tasks beside it do not."""
    kinds = ["ranknet", "squared_error", "three classes"]
    tasks = [prepared(name)[0] for name in kinds]
    losses = TaskLosses(tasks)
    values = np.column_stack(
        [t.encode(PREPARED[k][1], name="y") for t, k in zip(tasks, kinds, strict=True)]
    )
    outputs = draw_all(tasks, 2)
    weight = torch.from_numpy(np.random.default_rng(1).integers(0, 3, size=(2, N, 3)).astype(float))
    values = torch.from_numpy(values).expand(2, -1, -1)
    found, total = losses(outputs, values, weight)
    at_output = at_value = 0
    for t, task in enumerate(tasks):
        own = outputs[..., at_output : at_output + task.n_outputs]
        labels = values[..., at_value : at_value + task.n_values]
        alone, _ = TaskLosses([task])(own, labels, weight[..., t : t + 1])
        assert_allclose(found[:, t], alone[:, 0])
        at_output, at_value = at_output + task.n_outputs, at_value + task.n_values
    assert_allclose(total, weight.sum(1))


def draw_all(tasks, n_members):
    parts = [draw(t, n_members, N, seed=i).reshape(n_members, N, -1) for i, t in enumerate(tasks)]
    return torch.cat(parts, -1)
