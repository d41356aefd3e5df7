"""A classifier for learning samples of a few rows: never far from the best, whatever is true."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl._checks import check_number
from skmtl._minimax_models import IndependentModels, SpreadModels, as_numbers
from skmtl._parameters import draw_seeds
from skmtl._versioned import Versioned
from skmtl._warn import warn

TOLERANCE = 1e-6  # of the game's value, relative to the spread of the loss
MAX_CUTS = 500  # some twenty are needed


class MinimaxDeviationClassifier(ClassifierMixin, Versioned, BaseEstimator):
    """Classifies by a short learning sample, never far from what the true model's knower would do.

    One of finitely many models is true: it drew the learning sample z and draws the objects (x, y)
    to classify. A strategy decides by x and z. Its risk under a model is its expected loss over
    objects *and samples*; its deviation there is how far that is above the least risk, that of one
    who knows the model. The strategy whose largest deviation is smallest is Bayesian: it weighs the
    models, before any sample is seen, by the weights that make the mean deviation of the best
    answer to them largest (Schlesinger & Vodolazskiy 2017). `fit` finds the weights by linear
    programming; the sample then turns them into posterior ones. Ignoring the sample is a strategy
    too, so no sample is too short to be worth using; picking the most likely model has no such
    guarantee, and minimising the largest risk itself may ignore even long samples.

    Parameters
    ----------
    models : list of models or None, default=None
        What may be true, a grid of parameters, say: objects with ``sample(n, rng)``, which draws n
        independent rows and the indices of their classes with a numpy Generator, and
        ``log_joint(X)``, (n, n_classes), the logarithms of p(x, y). `GaussianModel` is one. None:
        ten models made for the sample's shape, see Notes.
    learning_models : list of models or None, default=None
        Laws of the learning sample's rows under each of ``models``, where they are not those of
        the objects: other classes' shares, more noise.
    classes : array-like of shape (n_classes,) or None, default=None
        All labels, in any order; None: those of y. A short sample may miss some. With
        ``models`` it may even be empty.
    loss : array-like of shape (n_classes, n_classes) or None, default=None
        Loss of deciding for the class of the column in place of that of the row, in the order of
        ``classes_``. None: 1 for every error.
    n_simulations : int, default=1000
        Samples, each with an object, drawn from each model. All are used for the risks under each,
        in memory and time that grow with ``n_simulations * n_models ** 2``.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in sorted order, that of the models' columns.
    model_weights_ : ndarray of shape (n_models,)
        Weights of the models before the sample is seen, all positive, so that no other strategy
        is better under one model and as good under all others.
    model_posterior_ : ndarray of shape (n_models,)
        Weights of the models after the sample.
    best_risks_ : ndarray of shape (n_models,)
        Least risk under each model.
    deviations_ : ndarray of shape (n_models,)
        How far the fitted strategy's risk is above that.
    minimax_deviation_ : float
        The game's value: the largest deviation of the best strategy, which may draw lots where
        `predict` must not. ``deviations_`` come close to it where rows are continuous.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only where X has names.

    Notes
    -----
    Risks are estimated, with standard errors of about ``0.5 / sqrt(n_simulations)`` times the
    largest loss at most; deviations, from the same draws, with smaller ones.

    With ``models=None``, classes are Gaussian with random means: normal around each feature's
    centre, with a variance of 0, 1/16, 1/8, ..., 16 times that within classes. These ratios are the
    ten models; each says how far means of so few rows can be trusted, and how likely other classes'
    are elsewhere. Centres and scales of the features are unknown under all models and integrated
    out, so that standardising features changes nothing. Their correlations are not modelled. A
    class has probability ``(rows of the class + 1) / (rows + n_classes)``.

    References
    ----------
    M. I. Schlesinger, E. V. Vodolazskiy (2017). Minimax deviation strategies for machine learning
    and recognition with short learning samples. arXiv:1707.04849.

    Examples
    --------
    The paper's example: two signals, of mean (2, 0) in state 1, of mean (0, t) with t unknown in
    state 2; two noisy rows of state 2 are all there is to learn from.

    >>> from skmtl import GaussianModel, MinimaxDeviationClassifier
    >>> means = [[[2, 0], [0, t]] for t in (-2, -1, 0, 1, 2)]
    >>> est = MinimaxDeviationClassifier(
    ...     [GaussianModel(m) for m in means],
    ...     learning_models=[GaussianModel(m, variance=16, priors=[0, 1]) for m in means],
    ...     classes=[1, 2],
    ...     random_state=0,
    ... ).fit([[1.0, 7.0], [-3.0, 4.0]], [2, 2])
    >>> est.predict([[2, 0], [1.2, 0], [1.2, 2]])
    array([1, 1, 2])
    >>> bool(est.deviations_.max() < 0.03)
    True
    """

    def __init__(
        self,
        models=None,
        *,
        learning_models=None,
        classes=None,
        loss=None,
        n_simulations=1000,
        random_state=None,
    ):
        self.models = models
        self.learning_models = learning_models
        self.classes = classes
        self.loss = loss
        self.n_simulations = n_simulations
        self.random_state = random_state

    def fit(self, X, y):
        """Weigh the models, first by the game, then by the sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Learning sample; with ``models`` it may have no rows.
        y : array-like of shape (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For a parameter that is not as described, or data that do not fit the models.
        """
        check_number(self.n_simulations, "n_simulations", Integral, low=1)
        X, y = validate_data(
            self, X, y, dtype=np.float64, ensure_min_samples=int(self.models is None)
        )
        check_classification_targets(y)
        self.classes_ = _check_classes(self.classes, y)
        codes = np.searchsorted(self.classes_, y)
        loss = _check_loss(self.loss, len(self.classes_))
        family = self._build_family(X, codes)
        rng = np.random.default_rng(draw_seeds(self.random_state, 1)[0])
        game = solve_game(_probabilities(family.simulate(self.n_simulations, rng)), loss)
        self.model_weights_ = game.weights
        self.model_posterior_ = softmax(np.log(game.weights) + family.evidence)
        self.best_risks_ = game.best_risks
        self.deviations_ = game.deviations
        self.minimax_deviation_ = game.value
        self._family, self._loss = family, loss
        return self

    def _build_family(self, X: np.ndarray, codes: np.ndarray) -> IndependentModels | SpreadModels:
        if self.models is not None:
            return IndependentModels(self.models, self.learning_models, X, codes, self.classes_)
        if self.learning_models is not None:
            raise ValueError(
                "Parameter learning_models must be None where models is None. Found "
                f"{self.learning_models!r}."
            )
        return SpreadModels(X, codes, len(self.classes_))

    def predict_proba(self, X):
        """Posterior probability of each class, (n_samples, n_classes), in the order of `classes_`.

        Equal for all classes where no model could have drawn the row.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        logs = np.log(self.model_weights_)[:, None, None] + self._family.log_joint(X)
        logs = logsumexp(logs, axis=0)
        logs[np.isneginf(logs).all(axis=1)] = 0
        return softmax(logs, axis=1)

    def predict(self, X):
        """Class of least expected loss for each row, (n_samples,)."""
        # less the largest loss: of 0 and 1, the expected loss is then the probability, unrounded
        losses = self.predict_proba(X) @ (self._loss - self._loss.max())
        return self.classes_[losses.argmin(axis=1)]


class Game(NamedTuple):
    """What `solve_game` finds; see the attributes of `MinimaxDeviationClassifier`."""

    weights: np.ndarray
    best_risks: np.ndarray
    deviations: np.ndarray
    value: float


def solve_game(joint: np.ndarray, loss: np.ndarray) -> Game:
    """Weights of the models whose Bayesian strategy has the smallest largest deviation.

    Strategies are too many for one programme; it suffices to add the Bayesian answer to the latest
    weights, as each is a plane above the concave function that the weights maximise.

    Parameters
    ----------
    joint : ndarray of shape (n_models, N, n_classes)
        Probabilities of N observations (sample and object) with each class; one in sum over both.
    loss : ndarray of shape (n_classes, n_classes)
    """
    n_models, n_observations, _ = joint.shape
    costs = joint @ loss
    best_risks = costs.min(axis=2).sum(axis=1)
    rows = np.arange(n_observations)
    weights = centre = np.full(n_models, 1 / n_models)
    rule, rule_deviations, lower = weights, np.full(n_models, np.inf), -np.inf
    answers: list[np.ndarray] = []
    for _ in range(MAX_CUTS):
        decisions = np.tensordot(weights, costs, 1).argmin(axis=1)
        deviations = costs[:, rows, decisions].sum(axis=1) - best_risks
        answers.append(deviations)
        if weights @ deviations > lower:
            centre, lower = weights, weights @ deviations
        if deviations.max() < rule_deviations.max():
            rule, rule_deviations = weights, deviations
        vertex, value = _worst_weights(np.array(answers))
        if value - lower <= TOLERANCE * (np.ptp(loss) or 1):
            break
        # halfway: a vertex leaves models without weight, and what only they draw without an answer
        weights = (vertex + centre) / 2
    else:
        warn(
            f"The game's value is known only to lie between {lower:.2g} and {value:.2g} after "
            f"{MAX_CUTS} linear programmes.",
            ConvergenceWarning,
        )
    return Game(rule, best_risks, rule_deviations, value)


def _worst_weights(answers: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights under which the best of the answers (n, n_models) is worst, and its deviation."""
    n_answers, n_models = answers.shape
    solution = linprog(
        np.append(np.zeros(n_models), -1),
        A_ub=np.column_stack([-answers, np.ones(n_answers)]),
        b_ub=np.zeros(n_answers),
        A_eq=np.append(np.ones(n_models), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * n_models + [(None, None)],
        method="highs",
    )
    if solution.x is None:
        raise RuntimeError(f"The linear programme was not solved: {solution.message}")
    weights = np.maximum(solution.x[:-1], 0)
    return weights / weights.sum(), float(solution.x[-1])


def _probabilities(logs: np.ndarray) -> np.ndarray:
    """Draws of all models as one game: each weighs with a model as that model would draw it."""
    totals = logsumexp(logs, axis=(0, 2), keepdims=True)
    if not np.isfinite(totals).all():
        raise ValueError(
            "Some log_joint of parameter models or learning_models is not a finite number for any "
            "class of a row that a model's own sample drew."
        )
    weights = np.exp(logs - totals)
    return weights / weights.sum(axis=(1, 2), keepdims=True)


def _check_classes(classes: Any, y: np.ndarray) -> np.ndarray:
    """Sorted labels, among which those of y are."""
    if classes is None:
        if not len(y):
            raise ValueError("Parameter classes must name the classes where y has no rows.")
        return np.unique(y)
    labels = np.asarray(classes)
    if labels.ndim != 1 or not len(labels) or len(np.unique(labels)) != len(labels):
        raise ValueError(
            f"Parameter classes must be None or a list of distinct labels. Found {classes!r}."
        )
    unknown = sorted(set(y.tolist()) - set(labels.tolist()))
    if unknown:
        raise ValueError(
            f"Parameter classes must have all labels of y. Found {classes!r}; y has {unknown} too."
        )
    return np.unique(labels)


def _check_loss(loss: Any, n_classes: int) -> np.ndarray:
    """Losses (n_classes, n_classes)."""
    if loss is None:
        return 1 - np.eye(n_classes)
    matrix = as_numbers(loss, "loss")
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(
            "Parameter loss must be None or have a row and a column for each of the "
            f"{n_classes} classes. Found {loss!r}."
        )
    return matrix
