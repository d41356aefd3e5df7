"""A new task, learned from a few rows by what a meta-learner brings along."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl._versioned import Versioned

from .learned import Learned
from .table import read_labels


class Adapted(Versioned, BaseEstimator):
    """What both kinds share: `fit` adapts the learner's start to the rows."""

    _kind: str

    def __init__(self, learner=None):
        self.learner = learner

    def fit(self, X, y, sample_weight=None):
        """Take the learner's gradient steps on the rows of the task.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Support set. Features are those of the meta-learner.
        y : array-like of shape (n,)
            Labels. Rows whose label is missing take no part.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the task's loss. Zero: as if the row were not there.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where the learner is not a fitted one of this kind, features differ, no row has a
            label, or, of classes, the labels are of one class or not among those known.
        """
        learner = self.learner
        if isinstance(learner, FrozenEstimator):
            learner = learner.estimator
        learned = getattr(learner, "learned_", None)
        if not isinstance(learned, Learned):
            if hasattr(learner, "adapt"):
                raise NotFittedError(
                    "Parameter learner must be a fitted MetaLearner. Call its fit."
                )
            raise TypeError(
                f"Parameter learner must be a fitted MetaLearner. Found {self.learner!r}."
            )
        if learned.encoding.kind != self._kind:
            raise ValueError(
                f"Parameter learner must be fitted to tasks of kind {self._kind!r}. Found "
                f"{learned.encoding.kind!r}."
            )
        if getattr(X, "shape", (1,))[0] == 0 or (hasattr(X, "__len__") and len(X) == 0):
            raise ValueError(
                "The support set is empty. Found array with 0 sample(s): a task is learned from at "
                "least one labelled row, of classes from one of each."
            )
        validate_data(learner, X, reset=False, skip_check_array=True)
        X = validate_data(self, X, dtype=np.float64)
        labels = read_labels(y, len(X), sample_weight)
        data, classes = learned.encoding.read(
            X, labels, [0], np.zeros(len(X), int), name="the support set's y"
        )
        if self._kind == "classification" and len(classes) < 2:
            raise ValueError(
                "The support set's y must have labels of two classes or more. Found one class: "
                f"{classes.tolist()}."
            )
        learned.encoding.check_ways(data.table, name="the support set's y")
        slots = data.outputs_of_rows()
        used = np.unique(slots)[None]
        offset = data.offset(used, np.ones(used.shape, bool))
        rows = np.arange(len(slots))[None]
        support = data.gather(rows, np.ones(rows.shape, bool), slots[None], offset)
        self._theta, self._learned = learned.adapt(support, learner.n_adapt_steps), learned
        self._offset, self._used = offset, used[0]
        self._keep(classes)
        return self

    def _keep(self, classes: np.ndarray) -> None:
        """Take note of the classes of the task, in the order of the outputs used."""

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        outputs = self._learned.outputs(self._theta, torch.from_numpy(X)[None], self._offset)
        return outputs[0].numpy()[:, self._used]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_theta")


class AdaptedRegressor(RegressorMixin, Adapted):
    """A regression task, learned from a few rows by a fitted `MetaLearner`.

    `MetaLearner.adapt` makes one, fitted. `fit` adapts anew, always from the meta-learner's start,
    so that `cross_val_score` of it tells how well the task is learned.

    Parameters
    ----------
    learner : MetaLearner
        A fitted one, in a `sklearn.frozen.FrozenEstimator` if `clone` is to keep its fit.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only where X has names.

    See Also
    --------
    MetaLearner : Learns how to learn such tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from skmtl.meta import MetaLearner
    >>> rng = np.random.default_rng(0)
    >>> slopes, X = rng.normal(size=50), rng.normal(size=(50, 20, 1))  # fifty lines of twenty points
    >>> learner = MetaLearner(hidden_layer_sizes=(), inner_lr=0.3, max_iter=100, random_state=0)
    >>> learner = learner.fit(
    ...     X.reshape(-1, 1), (slopes[:, None] * X[..., 0]).ravel(), np.repeat(np.arange(50), 20)
    ... )
    >>> line = learner.set_params(adapt_steps=20).adapt([[-1.0], [1.0]], [-3.0, 3.0])
    >>> line.predict([[2.0]]).round()
    array([6.])
    >>> new = rng.normal(size=(20, 1))
    >>> bool(cross_val_score(line, new, -new[:, 0]).min() > 0.9)
    True
    """

    _kind = "regression"

    def predict(self, X):
        """Predicted targets, (n,), for X (n, d)."""
        outputs = self._outputs(X)[:, 0]
        encoding = self._learned.encoding
        return outputs * encoding.scale + encoding.mean


class AdaptedClassifier(ClassifierMixin, Adapted):
    """A classification task, learned from a few rows by a fitted `MetaLearner`.

    Parameters
    ----------
    learner : MetaLearner
        A fitted one, in a `sklearn.frozen.FrozenEstimator` if `clone` is to keep its fit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the support set, sorted.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only where X has names.

    See Also
    --------
    MetaLearner : Learns how to learn such tasks.
    AdaptedRegressor : For numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmtl.meta import MetaLearner
    >>> X, y = load_digits(return_X_y=True)
    >>> X, known = X / 16, y < 7
    >>> learner = MetaLearner(n_ways=3, max_iter=100, random_state=0)
    >>> learner = learner.fit(X[known], y[known], sample_task=[0] * known.sum())
    >>> few = [7, 8, 9, 17, 18, 19]  # two images each of digits that were never seen
    >>> learner.adapt(X[few], y[few]).predict_proba(X[few]).shape
    (6, 3)
    """

    _kind = "classification"

    def _keep(self, classes: np.ndarray) -> None:
        self.classes_ = classes

    def predict_proba(self, X):
        """Probability of each class, (n, n_classes), for X (n, d); in the order of `classes_`."""
        return softmax(self._outputs(X), axis=1)

    def predict(self, X):
        """Most probable class of each row, (n,), for X (n, d)."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(1)]
