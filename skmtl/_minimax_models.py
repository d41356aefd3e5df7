"""Families of models for `MinimaxDeviationClassifier`: each says how sample and objects come."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from skmtl._checks import check_number

RATIOS = np.concatenate([[0.0], 2.0 ** np.arange(-4, 5)])  # of variances, see `SpreadModels`
NUMBERS_AT_ONCE = 2**20  # of simulated learning samples held in memory


class Model(Protocol):
    """What could be true: a law of rows and their classes."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n independent rows (n, d) and the indices of their classes (n,)."""

    def log_joint(self, X: np.ndarray) -> np.ndarray:
        """Log of p(x, y) for each row and each class, (n, n_classes)."""


class GaussianModel:
    """Classes of Gaussian rows, all of one variance in every direction.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features)
    variance : float, default=1.0
    priors : array-like of shape (n_classes,) or None, default=None
        Probabilities of the classes; None: all equal. A class of probability 0 is never drawn.

    Raises
    ------
    TypeError, ValueError
        Where a parameter is none of that.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import GaussianModel
    >>> model = GaussianModel([[0.0, 0.0], [3.0, 0.0]], priors=[0.25, 0.75])
    >>> X, classes = model.sample(5, np.random.default_rng(0))
    >>> X.shape, classes.shape
    ((5, 2), (5,))
    >>> model.log_joint(X).argmax(1).shape
    (5,)
    """

    def __init__(self, means, variance=1.0, priors=None):
        check_number(variance, "variance of GaussianModel", low=0, open_low=True)
        self.means = as_numbers(means, "means of GaussianModel")
        if self.means.ndim != 2 or not self.means.size:
            raise ValueError(
                f"Parameter means of GaussianModel must have a row for each class. Found {means!r}."
            )
        n_classes = len(self.means)
        self.variance = variance
        self.priors = np.full(n_classes, 1 / n_classes)
        if priors is not None:
            self.priors = as_numbers(priors, "priors of GaussianModel")
        positive = self.priors.shape == (n_classes,) and (self.priors >= 0).all()
        if not positive or not np.isclose(self.priors.sum(), 1):
            raise ValueError(
                "Parameter priors of GaussianModel must be None or a probability for each of the "
                f"{n_classes} classes, with sum 1. Found {priors!r}."
            )

    def sample(self, n, rng):
        """Draw n rows and the indices of their classes."""
        codes = rng.choice(len(self.means), size=n, p=self.priors)
        noise = rng.standard_normal((n, self.means.shape[1]))
        return self.means[codes] + np.sqrt(self.variance) * noise, codes

    def log_joint(self, X):
        """Log of p(x, y) for each row and each class, (n, n_classes)."""
        squares = np.stack([((X - mean) ** 2).sum(axis=1) for mean in self.means], axis=1)
        with np.errstate(divide="ignore"):
            log_priors = np.log(self.priors)
        constant = self.means.shape[1] * np.log(2 * np.pi * self.variance)
        return log_priors - 0.5 * (squares / self.variance + constant)


class IndependentModels:
    """Models that draw the learning sample's rows and the objects independently.

    Parameters
    ----------
    models : list of Model
    learning_models : list of Model or None
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,)
    classes : ndarray of shape (n_classes,)

    Attributes
    ----------
    evidence : ndarray of shape (n_models,)
        Log-likelihood of the learning sample.
    """

    def __init__(self, models, learning_models, X, codes, classes):
        check_models(models, "models", X.shape[1], classes)
        self.models = list(models)
        self.learning_models = self.models
        if learning_models is not None:
            check_models(learning_models, "learning_models", X.shape[1], classes)
            self.learning_models = list(learning_models)
        if len(self.learning_models) != len(self.models):
            raise ValueError(
                f"Parameter learning_models must have a model for each of the {len(self.models)} "
                f"in models. Found {len(self.learning_models)}."
            )
        self.n_rows, self.n_features = X.shape
        self.evidence = self._log_likelihood(X, codes).sum(axis=1)
        if not np.isfinite(self.evidence).any():
            raise ValueError("None of the models could have drawn the learning sample X, y.")

    def _log_likelihood(self, X, codes):
        rows = np.arange(len(X))
        return np.stack([model.log_joint(X)[rows, codes] for model in self.learning_models])

    def log_joint(self, X):
        """Log of p(z, x, y) for the sample and every row and class, (n_models, n, n_classes)."""
        logs = np.stack([model.log_joint(X) for model in self.models])
        return logs + self.evidence[:, None, None]

    def simulate(self, n_simulations, rng):
        """Log of p(z, x, y) of draws, ``n_simulations`` from each model in turn."""
        drawn = []
        for model, learning_model in zip(self.models, self.learning_models, strict=True):
            objects, _ = model.sample(n_simulations, rng)
            logs = np.stack([m.log_joint(objects) for m in self.models])
            if self.n_rows:
                logs = logs + self._draw_evidence(learning_model, n_simulations, rng)[..., None]
            drawn.append(logs)
        return np.concatenate(drawn, axis=1)

    def _draw_evidence(self, learning_model, n_simulations, rng):
        """Log-likelihoods of samples that one of the models drew, (n_models, n_simulations)."""
        evidence = []
        most = max(1, NUMBERS_AT_ONCE // (self.n_rows * self.n_features))
        for start in range(0, n_simulations, most):
            n_samples = min(most, n_simulations - start)
            X, codes = learning_model.sample(n_samples * self.n_rows, rng)
            by_row = self._log_likelihood(X, codes)
            evidence.append(by_row.reshape(-1, n_samples, self.n_rows).sum(axis=2))
        return np.concatenate(evidence, axis=1)


class SpreadModels:
    """Gaussian classes whose means are random, spread by each model's one of `RATIOS`.

    Each feature has a centre, around which the classes' means are, and a scale, none of which is
    known: all are integrated out, centre and logarithm of the scale with flat densities, so that
    risks do not depend on them. What is left are Student's distributions, in which object and
    sample depend on each other. Parameters and attributes as in `IndependentModels`.
    """

    def __init__(self, X, codes, n_classes):
        self.n_rows = len(X)
        self.counts = np.bincount(codes, minlength=n_classes)
        self.priors = (self.counts + 1) / (self.n_rows + n_classes)
        # variances in units of that within classes, (n_models, K), of a class's sum by row, and of
        # a new row about what is expected of it where the centre is known
        of_sums = 1 + np.outer(RATIOS, self.counts)
        self.weights = self.counts / of_sums
        self.shrinkage = RATIOS[:, None] * self.weights
        self.variances = 1 + RATIOS[:, None] / of_sums
        self.log_dets = np.log(of_sums).sum(axis=1) + np.log(self.weights.sum(axis=1))
        self.of_means = of_sums * (self.counts > 0) / np.maximum(self.counts, 1)
        scales = X.std(axis=0)
        # a constant feature's deviation may be rounding, not zero
        self.varying = scales > 1e-12 * abs(X).max(axis=0)
        self.centres, self.scales = X[:, self.varying].mean(axis=0), scales[self.varying]
        X = self._standardise(X)
        indicators = np.arange(n_classes)[:, None] == codes
        means = indicators @ X / np.maximum(self.counts, 1)[:, None]
        self.sample = means[None], ((X - means[codes]) ** 2).sum(axis=0)[None]
        self.evidence = np.concatenate(
            [self._evidence(m, self._squares(m, *self.sample)[2]) for m in range(len(RATIOS))]
        )

    def _standardise(self, X):
        return (X[:, self.varying] - self.centres) / self.scales  # for rounding's sake alone

    def _squares(self, m, means, scatter):
        """Centres (N, d), the means' offsets (N, K, d) and the sums of squares (N, d) of samples."""
        weights = self.weights[m]
        centres = np.einsum("k,nkd->nd", weights / weights.sum(), means)
        offsets = means - centres[:, None]
        return centres, offsets, scatter + np.einsum("k,nkd->nd", weights, offsets**2)

    def _evidence(self, m, squares):
        """Log-likelihoods (N,) of samples of those sums of squares (N, d)."""
        log_squares = np.log(squares).sum(axis=1)
        return -0.5 * (squares.shape[1] * self.log_dets[m] + (self.n_rows - 1) * log_squares)

    def _log_joint(self, m, X, means, scatter):
        """Log of p(z, x, y) under model m, (N, K), of samples' means (N, K, d) and scatter (N, d)."""
        centres, offsets, squares = self._squares(m, means, scatter)
        s = self.shrinkage[m]
        v = self.variances[m] + (1 - s) ** 2 / self.weights[m].sum()
        distances = (
            (X - centres - s_k * offset) ** 2 / (v_k * squares)
            for s_k, v_k, offset in zip(s, v, offsets.transpose(1, 0, 2), strict=True)
        )
        logs = self.n_rows * np.stack([np.log1p(d).sum(axis=1) for d in distances], axis=1)
        logs += X.shape[1] * np.log(v) + np.log(squares).sum(axis=1, keepdims=True)
        return np.log(self.priors) - 0.5 * logs + self._evidence(m, squares)[:, None]

    def log_joint(self, X):
        """Log of p(z, x, y) for the sample and every row and class, (n_models, n, n_classes)."""
        X = self._standardise(X)
        return np.stack([self._log_joint(m, X, *self.sample) for m in range(len(RATIOS))])

    def simulate(self, n_simulations, rng):
        """Log of p(z, x, y) of draws, ``n_simulations`` from each model in turn."""
        drawn = []
        most = max(1, NUMBERS_AT_ONCE // (self.sample[0].size or 1))
        for m in range(len(RATIOS)):
            for start in range(0, n_simulations, most):
                draws = self._draw(m, min(most, n_simulations - start), rng)
                logs = [self._log_joint(other, *draws) for other in range(len(RATIOS))]
                drawn.append(np.stack(logs))
        return np.concatenate(drawn, axis=1)

    def _draw(self, m, n, rng):
        """Objects (n, d), and means (n, K, d) and scatter (n, d) of samples, under model m."""
        n_classes, n_features = self.sample[0].shape[1:]
        codes = rng.choice(n_classes, size=n, p=self.priors)
        means = rng.standard_normal((n, n_classes, n_features))
        means *= np.sqrt(self.of_means[m])[:, None]
        X = np.sqrt(self.variances[m, codes, None]) * rng.standard_normal((n, n_features))
        X += self.shrinkage[m, codes, None] * means[np.arange(n), codes]
        freedom = (self.counts - 1)[self.counts > 0].sum()
        return X, means, 2 * rng.standard_gamma(freedom / 2, size=(n, n_features))


def as_numbers(value: Any, name: str) -> np.ndarray:
    """Array of finite numbers that a parameter is."""
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Parameter {name} must be numbers. Found {value!r}.") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"Parameter {name} must be finite numbers. Found {value!r}.")
    return numbers


def check_models(models: Any, name: str, n_features: int, classes: np.ndarray) -> None:
    """Raise unless each model draws rows of X's width and knows each class's probability."""
    if not isinstance(models, list | tuple) or not models:
        raise TypeError(
            f"Parameter {name} must be None or a list of models, one at least. Found {models!r}."
        )
    for i, model in enumerate(models):
        if not all(callable(getattr(model, method, None)) for method in ("sample", "log_joint")):
            raise TypeError(
                f"Parameter {name}[{i}] must have the methods sample(n, rng) and log_joint(X). "
                f"Found {model!r}."
            )
        X, codes = model.sample(2, np.random.default_rng(0))
        if np.shape(X) != (2, n_features):
            raise ValueError(
                f"Parameter {name}[{i}] must draw rows of as many features as X has, {n_features}. "
                f"Found an array of shape {np.shape(X)} for 2 rows."
            )
        if np.shape(codes) != (2,) or not np.isin(codes, range(len(classes))).all():
            raise ValueError(
                f"Parameter {name}[{i}] must draw with each row the index of its class, below "
                f"{len(classes)} for {classes.tolist()} (classes that y misses are named by "
                f"parameter classes). Found {codes!r}."
            )
        logs = np.asarray(model.log_joint(X))
        if logs.shape != (2, len(classes)):
            raise ValueError(
                f"Parameter {name}[{i}] must have a column of log_joint for each of the classes "
                f"{classes.tolist()} (those that y misses are named by parameter classes). Found "
                f"an array of shape {logs.shape} for 2 rows."
            )
