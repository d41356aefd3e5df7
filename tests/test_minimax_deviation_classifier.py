"""`MinimaxDeviationClassifier`: the game's exact value, the paper's example, the contract."""

import itertools
import pathlib
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import linprog
from scipy.special import logsumexp, softmax
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import _minimax_deviation_classifier as module
from skmtl._minimax_deviation_classifier import MinimaxDeviationClassifier, solve_game
from skmtl._minimax_models import RATIOS, GaussianModel, SpreadModels

ERRORS = 1 - np.eye(2)


class Table:
    """A row is one of a few numbers; ``probabilities`` (n_numbers, n_classes)."""

    def __init__(self, probabilities):
        self.probabilities = np.asarray(probabilities)

    def sample(self, n, rng):
        drawn = rng.choice(self.probabilities.size, size=n, p=self.probabilities.ravel())
        x, codes = np.divmod(drawn, self.probabilities.shape[1])
        return x[:, None].astype(float), codes

    def log_joint(self, X):
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities)[X[:, 0].astype(int)]


def tables(n_models, shape, seed):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(np.prod(shape), 0.5), size=n_models).reshape(n_models, *shape)


def enumerate_game(probabilities, n_rows):
    """Probability of every sample of ``n_rows`` rows and object, with every class of the object."""
    n_models, _, n_classes = probabilities.shape
    rows = probabilities.reshape(n_models, -1)
    samples = np.ones((n_models, 1))
    for _ in range(n_rows):
        samples = (samples[:, :, None] * rows[:, None]).reshape(n_models, -1)
    joint = samples[:, :, None] * rows[:, None]
    return joint.reshape(n_models, -1, n_classes)


def value_by_full_programme(joint, loss):
    """Minimax deviation over all q(y' | z, x) at once."""
    costs = joint @ loss
    n_models, n, n_classes = costs.shape
    solution = linprog(
        np.append(np.zeros(n * n_classes), 1),
        A_ub=np.column_stack([costs.reshape(n_models, -1), -np.ones(n_models)]),
        b_ub=costs.min(axis=2).sum(axis=1),
        A_eq=sparse.hstack([sparse.kron(sparse.eye(n), np.ones((1, n_classes))), np.zeros((n, 1))]),
        b_eq=np.ones(n),
        bounds=[(0, None)] * (n * n_classes) + [(None, None)],
    )
    return solution.fun


def value_by_all_strategies(joint, loss):
    """Minimax deviation over mixtures of all the deterministic strategies."""
    costs = joint @ loss
    n_models, n, n_classes = costs.shape
    every = itertools.product(range(n_classes), repeat=n)
    risks = np.array([costs[:, range(n), list(decisions)].sum(axis=1) for decisions in every])
    solution = linprog(
        np.append(np.zeros(len(risks)), 1),
        A_ub=np.column_stack([(risks - risks.min(axis=0)).T, -np.ones(n_models)]),
        b_ub=np.zeros(n_models),
        A_eq=np.append(np.ones(len(risks)), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * len(risks) + [(None, None)],
    )
    return solution.fun


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [ERRORS, np.array([[0, 1], [3, 0.5]])])
@pytest.mark.parametrize(("n_rows", "n_models"), [(0, 4), (1, 3), (2, 5)])
def test_the_value_is_that_of_the_full_linear_programme(n_rows, n_models, loss, seed):
    joint = enumerate_game(tables(n_models, (4, 2), seed), n_rows)
    game = solve_game(joint, loss)
    assert_allclose(game.value, value_by_full_programme(joint, loss), atol=4e-6)
    if n_rows == 0:
        assert_allclose(game.value, value_by_all_strategies(joint, loss), atol=4e-6)
    # a duality: the weights' own value is a bound from below, the rule's deviations from above
    assert_allclose(game.weights.sum(), 1)
    assert (game.weights > 0).all()
    assert game.weights @ game.deviations <= game.value + 1e-9
    assert game.value <= game.deviations.max() + 1e-9
    costs = joint @ loss
    assert_allclose(game.best_risks, costs.min(axis=2).sum(axis=1))
    chosen = np.einsum("m,mnk->nk", game.weights, costs).argmin(axis=1)
    risks = np.take_along_axis(costs, chosen[None, :, None], axis=2).sum(axis=(1, 2))
    assert_allclose(game.deviations, risks - game.best_risks)


def test_the_simulated_game_comes_close_to_the_exact_one():
    probabilities = tables(3, (4, 2), 2)
    joint = enumerate_game(probabilities, 2)
    exact = solve_game(joint, ERRORS)
    est = MinimaxDeviationClassifier(
        [Table(p) for p in probabilities], n_simulations=5000, random_state=0
    ).fit([[0], [3]], [0, 1])
    assert exact.value > 0.02
    assert_allclose(est.minimax_deviation_, exact.value, atol=0.005)
    assert_allclose(est.best_risks_, exact.best_risks, atol=0.005)
    posterior = np.log(est.model_weights_) + np.log(probabilities[:, [0, 3], [0, 1]]).sum(axis=1)
    assert_allclose(est.model_posterior_, softmax(posterior))
    mixture = np.tensordot(est.model_posterior_, probabilities, 1)
    expected = mixture / mixture.sum(axis=1, keepdims=True)
    assert_allclose(est.predict_proba(np.arange(4)[:, None]), expected)


# The paper's Example 1: state 1 has mean (2, 0), state 2 mean (0, t), variances 1, equal priors;
# the sample are rows of state 2 of variance 16.
GRID = np.linspace(-2, 2, 9)
VARIANCE = 16
LENGTHS = (0, 1, 2, 3, 5, 10, 20)
IGNORING = norm.cdf(-1)  # risk of deciding by the first signal alone, whatever t
MONTE_CARLO = 0.003  # four standard errors of the risks below, and the fits'


def example(**params):
    means = [[[2, 0], [0, t]] for t in GRID]
    return MinimaxDeviationClassifier(
        [GaussianModel(m) for m in means],
        learning_models=[GaussianModel(m, VARIANCE, priors=[0, 1]) for m in means],
        classes=[1, 2],
        **{"random_state": 0, **params},
    )


def plug_in_risk(t, estimate):
    """Probability of an error of one who takes ``estimate`` for t, in closed form."""
    norm_of = np.sqrt(4 + estimate**2)
    in_second = norm.cdf(-(2 + t * estimate - estimate**2 / 2) / norm_of)
    return 0.5 * norm.cdf(-norm_of / 2) + 0.5 * in_second


def maximum_likelihood_risk(n_rows):
    nodes, weights = hermegauss(150)
    estimates = GRID[:, None] + np.sqrt(VARIANCE / n_rows) * nodes
    return plug_in_risk(GRID[:, None], estimates) @ weights / weights.sum()


def decide(model_weights, means_of_sample, n_rows, X):
    """Whether the Bayesian rule, written anew, decides for state 2; a sample's mean for each row."""
    log_sample = -0.5 * n_rows / VARIANCE * (means_of_sample[:, None] - GRID) ** 2
    weights = softmax(np.log(model_weights) + log_sample, axis=1)
    second = np.exp(-0.5 * (X[:, :1] ** 2 + (X[:, 1:] - GRID) ** 2))
    first = np.exp(-0.5 * ((X[:, 0] - 2) ** 2 + X[:, 1] ** 2))
    return (weights * second).sum(axis=1) > first


def bayesian_risk(model_weights, n_rows, n=40_000):
    """Risks under each t by draws that no fit has seen."""
    rng = np.random.default_rng(17)
    state, noise = rng.random(n) < 0.5, rng.standard_normal((n, 2))
    noise_of_mean = rng.standard_normal(n) * np.sqrt(VARIANCE / max(n_rows, 1))
    risks = []
    for t in GRID:
        X = noise + np.where(state[:, None], [0, t], [2, 0])
        decision = decide(model_weights, t + noise_of_mean, n_rows, X)
        log_odds = 2 - 2 * X[:, 0] + t * X[:, 1] - t**2 / 2  # of state 2
        risks.append(np.where(decision, 1, np.exp(log_odds)) / (1 + np.exp(log_odds)))
    return np.mean(risks, axis=1)


@pytest.fixture(scope="module")
def fits():
    return {n: example().fit(np.zeros((n, 2)), np.full(n, 2)) for n in LENGTHS}


@pytest.fixture(scope="module")
def risks(fits):
    return {n: bayesian_risk(est.model_weights_, n) for n, est in fits.items()}


BEST = plug_in_risk(GRID, GRID)


def test_maximum_likelihood_is_worse_than_ignoring_a_short_sample():
    for n in (1, 2, 3):
        risk = maximum_likelihood_risk(n)
        assert (risk > IGNORING).all()  # under every t of the grid
        assert (risk - BEST).max() > (IGNORING - BEST).max()
    long = maximum_likelihood_risk(20)
    assert long.mean() < IGNORING
    assert (long - BEST).max() < (IGNORING - BEST).max()


def test_the_minimax_rule_ignores_samples_of_any_length():
    assert_allclose(BEST.max(), IGNORING)  # at t = 0 nobody does better, and so nobody's worst case


@pytest.mark.parametrize("n", LENGTHS)
def test_minimax_deviation_is_never_worse(fits, risks, n):
    deviation, mean = (risks[n] - BEST).max(), risks[n].mean()
    assert deviation < (IGNORING - BEST).max() - MONTE_CARLO
    assert mean < IGNORING - MONTE_CARLO
    assert (risks[n] - IGNORING).max() < fits[n].minimax_deviation_ + MONTE_CARLO
    if n:
        likeliest = maximum_likelihood_risk(n)
        assert deviation < (likeliest - BEST).max() - MONTE_CARLO
        assert mean < likeliest.mean() - MONTE_CARLO
        assert risks[n].max() < likeliest.max() - MONTE_CARLO


def test_the_figures_of_the_page_are_these(risks):
    page = pathlib.Path(__file__).parents[1] / "docs" / "weighting.md"
    cells = [line.split("|")[1:-1] for line in page.read_text("utf-8").splitlines()]
    start = next(i for i, row in enumerate(cells) if row and row[0] == " rows in the sample ")
    lengths, _, ours, likeliest, ignoring = (
        [float(c) for c in row[1:] if c.strip(" -")] for row in cells[start : start + 5]
    )
    assert_allclose(ours, [(risks[n] - BEST).max() for n in lengths], atol=MONTE_CARLO)
    expected = [(maximum_likelihood_risk(n) - BEST).max() for n in lengths if n]
    assert_allclose(likeliest, expected, atol=5e-4)
    assert_allclose(ignoring, (IGNORING - BEST).max(), atol=5e-4)


def test_longer_samples_bring_it_nearer_to_the_best(fits):
    values = [fits[n].minimax_deviation_ for n in LENGTHS]
    assert (np.diff(values) < MONTE_CARLO).all()
    assert values[-1] < values[0] / 2
    far = example(n_simulations=200).fit(np.zeros((1000, 2)), np.full(1000, 2))
    assert far.minimax_deviation_ < 1e-3
    assert (bayesian_risk(far.model_weights_, 1000) - BEST).max() < MONTE_CARLO


def test_what_the_fit_says_of_its_risks_is_so(fits, risks):
    for n, est in fits.items():
        assert_allclose(est.best_risks_, BEST, atol=0.015)  # 0.5 / sqrt(1000)
        assert_allclose(est.deviations_, risks[n] - BEST, atol=MONTE_CARLO)
        assert est.minimax_deviation_ <= est.deviations_.max() < est.minimax_deviation_ + 5e-4
        ends = est.model_weights_[[0, -1]]
        assert_allclose(*ends, atol=0.1)  # the example is symmetric
        assert (est.model_weights_ > 0).all()


def test_predictions_are_the_bayesian_rule_for_the_sample(fits):
    rng = np.random.default_rng(3)
    X = rng.normal(1, 2, size=(200, 2))
    for n in (0, 3):
        sample = rng.normal(size=(n, 2)) * 4 + [0, 1.5]
        est = example().fit(sample, np.full(n, 2))
        assert_allclose(est.model_weights_, fits[n].model_weights_)  # the sample's length decides
        mean = sample[:, 1].mean() if n else 0.0
        second = decide(est.model_weights_, np.full(200, mean), n, X)
        assert_array_equal(est.predict(X), np.where(second, 2, 1))
        assert_array_equal(est.predict(X) == 2, est.predict_proba(X)[:, 1] > 0.5)


def test_a_sample_that_says_which_model_is_true_leaves_its_bayes_rule():
    est = example(n_simulations=20).fit(np.tile([0.0, 2.0], (2000, 1)), np.full(2000, 2))
    assert est.model_posterior_[-1] > 0.99
    X = np.random.default_rng(0).normal(1, 2, size=(500, 2))
    proba = np.exp(GaussianModel([[2, 0], [0, 2]]).log_joint(X))
    expected = proba / proba.sum(axis=1, keepdims=True)
    assert_allclose(est.predict_proba(X), expected, atol=0.02)


def test_the_loss_moves_the_decision():
    X = np.column_stack([np.linspace(-1, 3, 101), np.zeros(101)])
    n_second = [
        (example(loss=loss).fit(np.zeros((2, 2)), [2, 2]).predict(X) == 2).sum()
        for loss in ([[0, 5], [1, 0]], None, [[0, 1], [1, 0]], [[0, 1], [5, 0]])
    ]
    assert n_second[0] < n_second[1] == n_second[2] < n_second[3]


def free_of_scale(covariance, features):
    """Log-density of features (d, n), less a constant, centre and log-scale integrated out flatly.

    Only contrasts of the rows tell of neither; their scale is integrated out by hand.
    """
    n = len(covariance)
    contrasts = np.linalg.svd(np.ones((1, n)))[2][1:]
    of_contrasts = contrasts @ covariance @ contrasts.T
    Z = features @ contrasts.T
    squares = (Z * np.linalg.solve(of_contrasts, Z.T).T).sum(axis=1)
    return -0.5 * (np.linalg.slogdet(of_contrasts)[1] + (n - 1) * np.log(squares)).sum()


def test_default_models_are_gaussian_with_random_means_and_unknown_centre_and_scale():
    rng = np.random.default_rng(0)
    X, codes, new = rng.normal(size=(6, 3)), np.array([0, 0, 0, 0, 1, 1]), rng.normal(size=(4, 3))
    family = SpreadModels(X, codes, 3)  # the third class is unseen
    logs, expected = family.log_joint(new), []
    for ratio, row, k in itertools.product(RATIOS, new, range(3)):
        same = np.equal.outer([*codes, k], [*codes, k])
        density = free_of_scale(np.eye(7) + ratio * same, np.vstack([X, row]).T)
        expected.append(density + np.log([5 / 9, 3 / 9, 1 / 9][k]))
    shifts = logs.ravel() - expected
    assert_allclose(shifts, shifts[0])
    same = np.equal.outer(codes, codes)
    evidence = [free_of_scale(np.eye(6) + ratio * same, X.T) for ratio in RATIOS]
    assert_allclose(softmax(family.evidence), softmax(evidence))


@pytest.mark.parametrize("codes", [[0, 2], [0, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1]])
@pytest.mark.parametrize("n_features", [1, 4])
def test_default_models_are_simulated_as_they_are(codes, n_features):
    X = np.random.default_rng(1).normal(size=(len(codes), n_features))
    family = SpreadModels(X, np.array(codes), 3)
    by_model = logsumexp(family.simulate(5000, np.random.default_rng(0)), axis=2)
    # each density has integral one, estimated by draws from the mean of all
    shares = softmax(by_model, axis=0) * len(RATIOS)
    assert_allclose(shares.mean(axis=1), 1, atol=0.02)
    # and one model's draws are as probable under another as the other way round
    mutual = shares.reshape(len(RATIOS), len(RATIOS), 5000).mean(axis=2)
    assert_allclose(mutual, mutual.T, atol=0.1)


def test_default_models_promise_what_samples_of_any_centre_and_scale_keep():
    rng = np.random.default_rng(0)
    codes = np.array([0, 0, 0, 1])
    X = rng.normal(size=(4, 5))
    est = MinimaxDeviationClassifier(random_state=0, n_simulations=4000).fit(X, codes)
    assert est.minimax_deviation_ > 0.01
    for m in (0, 4, 7):
        errors = []
        for _ in range(600):
            centre, scale = rng.normal(size=5) * 10, rng.uniform(0.1, 9, size=5)
            means = centre + np.sqrt(RATIOS[m]) * scale * rng.normal(size=(2, 5))
            X = means[codes] + scale * rng.normal(size=(4, 5))
            state = (rng.random(40) > 4 / 6).astype(int)
            objects = means[state] + scale * rng.normal(size=(40, 5))
            logs = SpreadModels(X, codes, 2).log_joint(objects)
            decisions = np.tensordot(est.model_weights_, np.exp(logs - logs.max()), 1).argmax(
                axis=1
            )
            errors.append((decisions != state).mean())
        promised = est.best_risks_[m] + est.deviations_[m]
        assert_allclose(np.mean(errors), promised, atol=4 * np.std(errors) / np.sqrt(600))


def test_default_models_make_more_of_a_row_of_each_class_than_nearness_does():
    X, y = load_wine(return_X_y=True)
    gains = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        rows = np.concatenate([rng.choice(np.flatnonzero(y == k), 1) for k in range(3)])
        rest = np.setdiff1d(np.arange(len(y)), rows)
        est = MinimaxDeviationClassifier(random_state=0, n_simulations=300).fit(X[rows], y[rows])
        nearest = make_pipeline(StandardScaler(), KNeighborsClassifier(1)).fit(X[rows], y[rows])
        gains.append(est.score(X[rest], y[rest]) - nearest.score(X[rest], y[rest]))
    assert np.mean(gains) > 0.05


def test_default_models_approach_the_bayes_risk():
    model = GaussianModel([[0, 0, 0], [1, 1, 0], [0, 1, 1]])
    X, y = model.sample(6000, np.random.default_rng(0))
    best = (model.log_joint(X[3000:]).argmax(axis=1) == y[3000:]).mean()
    est = MinimaxDeviationClassifier(random_state=0).fit(X[:3000], y[:3000])
    assert est.score(X[3000:], y[3000:]) > best - 0.01
    assert cross_val_score(est, *load_iris(return_X_y=True)).mean() > 0.93


def test_features_that_never_vary_say_nothing():
    X, y = np.array([[0.1, 0.0], [0.1, 0.5], [0.1, 3.0]]), [0, 0, 1]
    est = MinimaxDeviationClassifier(random_state=0).fit(X, y)
    alone = MinimaxDeviationClassifier(random_state=0).fit(X[:, 1:], y)
    assert_allclose(est.predict_proba(X + [5, 0]), alone.predict_proba(X[:, 1:]))
    none = MinimaxDeviationClassifier(classes=[0, 1], random_state=0).fit(X[:1], [1])
    assert_allclose(none.predict_proba(X), [[1 / 3, 2 / 3]] * 3)


@parametrize_with_checks([MinimaxDeviationClassifier()])
def test_every_check_of_sklearn_passes_with_default_parameters(estimator, check):
    check(estimator)


def test_labels_names_clones_and_copies():
    X = pd.DataFrame({"a": [0.0, 0.2, 3.0], "b": [1.0, 1.1, -2.0]})
    est = MinimaxDeviationClassifier(classes=["new", "yes", "no"], random_state=0)
    est.fit(X, ["yes", "yes", "no"])
    assert est.classes_.tolist() == ["new", "no", "yes"]
    assert est.feature_names_in_.tolist() == ["a", "b"]
    assert est.n_features_in_ == 2
    assert est.predict(X).tolist() == ["yes", "yes", "no"]
    assert est.predict_proba(X).shape == (3, 3)
    again = clone(est).fit(X, ["yes", "yes", "no"])
    for other in (again, pickle.loads(pickle.dumps(est))):
        assert_array_equal(other.predict_proba(X), est.predict_proba(X))
    params = example().get_params()
    assert params["models"] is not None
    assert set(params) == set(MinimaxDeviationClassifier().get_params())
    clone(example()).fit(np.zeros((1, 2)), [2])


def test_fits_are_reproducible_to_the_bit_and_leave_global_generators_alone():
    state = np.random.get_state()[1].copy()
    sample = (np.ones((2, 2)), [2, 2])
    for make in (lambda: 3, lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)):
        one, two = (example(random_state=make()).fit(*sample) for _ in range(2))
        assert_array_equal(one.model_weights_, two.model_weights_)
        assert_array_equal(one.deviations_, two.deviations_)
    other = example(random_state=4).fit(*sample)
    assert not np.array_equal(other.deviations_, one.deviations_)
    example(random_state=None).fit(*sample)
    assert_array_equal(np.random.get_state()[1], state)


def test_long_samples_are_simulated_in_parts(monkeypatch):
    X = np.zeros((20, 2)), np.full(20, 2)
    whole = example(n_simulations=300).fit(*X)
    monkeypatch.setattr("skmtl._minimax_models.NUMBERS_AT_ONCE", 2000)
    parts = example(n_simulations=300).fit(*X)
    assert_allclose(parts.minimax_deviation_, whole.minimax_deviation_, atol=3 * MONTE_CARLO)


def test_a_row_no_model_could_draw_has_equal_probabilities():
    probabilities = [[[0.5, 0], [0.3, 0.2], [0, 0]], [[0, 0.1], [0.4, 0.5], [0, 0]]]
    est = MinimaxDeviationClassifier([Table(p) for p in probabilities], random_state=0)
    est.set_params(classes=[0, 1]).fit([[1]], [0])
    assert_allclose(est.predict_proba([[2]]), [[0.5, 0.5]])
    with pytest.raises(ValueError, match="None of the models could have drawn"):
        est.fit([[2]], [0])


def test_an_unfinished_game_warns(monkeypatch):
    monkeypatch.setattr(module, "MAX_CUTS", 3)
    with pytest.warns(ConvergenceWarning, match="known only to lie between"):
        example().fit(np.zeros((2, 2)), [2, 2])


TWO = [GaussianModel([[0.0], [1.0]]), GaussianModel([[0.0], [2.0]])]


class Disagreeing(Table):
    def log_joint(self, X):
        return np.where(X < 2, super().log_joint(X), -np.inf)


class Foreign(Table):
    def sample(self, n, rng):
        return np.zeros((n, 1)), np.full(n, 7)


BAD = [
    ({"models": TWO[0]}, TypeError, "models must be None or a list of models"),
    ({"models": []}, TypeError, "models must be None or a list of models"),
    ({"models": [TWO[0], "normal"]}, TypeError, "models[1] must have the methods", "'normal'"),
    (
        {"models": [GaussianModel([[0, 0], [1, 1]])]},
        ValueError,
        "models[0]",
        "features as X has, 1",
    ),
    ({"models": TWO, "classes": [0, 1, 2]}, ValueError, "models[0]", "log_joint", "(2, 2)"),
    ({"models": [GaussianModel([[0], [1], [2]])]}, ValueError, "models[0]", "(2, 3)"),
    ({"models": [Foreign([[0.5, 0.5]])]}, ValueError, "models[0]", "below 2", "array([7, 7])"),
    ({"models": TWO, "learning_models": TWO[:1]}, ValueError, "each of the 2", "Found 1"),
    ({"models": TWO, "learning_models": [1, 2]}, TypeError, "learning_models[0]", "Found 1"),
    ({"learning_models": TWO}, ValueError, "learning_models must be None where models is None"),
    ({"classes": [0]}, ValueError, "classes must have all labels of y", "[1]"),
    ({"classes": [0, 0, 1]}, ValueError, "distinct labels", "[0, 0, 1]"),
    ({"classes": "ab"}, ValueError, "distinct labels", "'ab'"),
    ({"loss": [[0, 1]]}, ValueError, "loss must be None or have a row", "2 classes"),
    ({"loss": [[0, np.inf], [1, 0]]}, ValueError, "loss must be finite"),
    ({"loss": "zero_one"}, TypeError, "loss must be numbers", "'zero_one'"),
    ({"n_simulations": 0}, ValueError, "n_simulations must be an int in the range [1, inf)"),
    ({"n_simulations": 1e3}, TypeError, "n_simulations", "Found 1000.0"),
    ({"random_state": "x"}, ValueError, "random_state", "'x'"),
]


@pytest.mark.parametrize(("params", "error", "parts"), [(p, e, parts) for p, e, *parts in BAD])
def test_bad_parameters_are_refused_before_any_work(params, error, parts, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the game began")

    monkeypatch.setattr(module, "solve_game", refuse)
    with pytest.raises(error, match=".*".join(re.escape(part) for part in parts)):
        MinimaxDeviationClassifier(**params).fit([[0.0], [1.0]], [0, 1])


def test_bad_models_are_refused():
    for params, error, text in [
        ({"means": [0, 1]}, ValueError, "means of GaussianModel must have a row"),
        ({"means": [["a"]]}, TypeError, "means of GaussianModel must be numbers"),
        ({"means": [[np.nan]]}, ValueError, "means of GaussianModel must be finite"),
        ({"means": [[0], [1]], "variance": 0}, ValueError, "variance of GaussianModel"),
        ({"means": [[0], [1]], "priors": [0.5, 0.6]}, ValueError, "priors of GaussianModel"),
        ({"means": [[0], [1]], "priors": [1]}, ValueError, "priors of GaussianModel"),
    ]:
        with pytest.raises(error, match=text):
            GaussianModel(**params)
    model = Disagreeing(np.full((4, 2), 1 / 8))
    with pytest.raises(ValueError, match="a row that a model's own sample drew"):
        MinimaxDeviationClassifier([model], random_state=0).fit([[0], [1]], [0, 1])


def test_an_empty_sample_needs_models_and_classes():
    nothing = (np.empty((0, 1)), [])
    est = MinimaxDeviationClassifier(TWO, classes=["a", "b"], random_state=0).fit(*nothing)
    assert est.predict([[-3], [4]]).tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="classes must name the classes where y has no rows"):
        est.set_params(classes=None).fit(*nothing)
    with pytest.raises(ValueError, match="0 sample"):
        MinimaxDeviationClassifier(classes=["a", "b"]).fit(*nothing)
