"""The estimators of one kind of task, in the output conventions of scikit-learn's own."""

from __future__ import annotations

from sklearn.base import ClassifierMixin, RegressorMixin

from skmtl import targets
from skmtl._base import BaseMultiTask


class MultiTaskClassifier(ClassifierMixin, BaseMultiTask):
    """One network for several classifications.

    `MultiTaskClassifierRegressor` in the conventions of a scikit-learn classifier: ``classes_``
    and `predict_proba` are lists over the tasks, or single arrays for a 1-D y. All that is said
    there of parameters and attributes holds here; "infer" takes every column for classes, in
    order where categories are. Kinds of task: "classification", "binary", "ordinal", "multilabel".

    Parameters
    ----------
    tasks : "infer", "classification", ClassificationTask, dict or list, default="infer"
    sharing : str or Sharing, default="hard"
    loss_weights : dict, array-like of shape (T,), str, object or None, default=None
    schedule : {"joint", "alternating", "progressive"} or Schedule, default="joint"
    hidden_layer_sizes : tuple of int, default=(128, 128)
    head_layer_sizes : tuple of int, default=()
    activation : {"relu", "gelu", "silu", "tanh", "logistic", "identity"}, default="relu"
    dropout : float in [0, 1), default=0.0
    batch_size : int or "auto", default="auto"
    learning_rate_init : float, default=1e-3
    alpha : float, default=1e-4
    max_iter : int, default=200
    tol : float, default=1e-4
    early_stopping : bool or "auto", default="auto"
    validation_fraction : float in (0, 1), default=0.1
    n_iter_no_change : int, default=10
    n_members : int or "auto", default="auto"
    callbacks : list of skorch callbacks or None, default=None
    device : str or torch.device, default="auto"
    warm_start : bool, default=False
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0

    Attributes
    ----------
    classes_ : list of ndarray, or ndarray for a 1-D y
        Class labels of each task.

    See Also
    --------
    MultiTaskClassifierRegressor : Explains every parameter and attribute.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skmtl import MultiTaskClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> y = np.column_stack([digit, digit % 2])
    >>> est = MultiTaskClassifier(n_members=1, random_state=0).fit(X[:800] / 16, y[:800])
    >>> est.score(X[800:] / 16, y[800:]) > 0.9
    True
    >>> [p.shape for p in est.predict_proba(X[800:] / 16)]
    [(997, 10), (997, 2)]
    """

    score = BaseMultiTask.score  # ClassifierMixin's refuses several multiclass tasks

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.

        Returns
        -------
        proba : list over the tasks of ndarray of shape (n, n_classes), or the ndarray for a 1-D y
            Columns in the order of ``classes_``.
        """
        return self._arrange(self._probabilities(X))

    def _arrange(self, by_task):
        return self._arrays(by_task)

    def _infer_kind(self, column):
        ordered = targets.categories_in_order(column) is not None
        return "ordinal" if ordered else "classification"

    def _accept_kind(self, task, column):
        if task.kind != "classification":
            raise ValueError(
                f"Task {column.name!r}: MultiTaskClassifier takes classification tasks. Found "
                f"{task!r}: use MultiTaskClassifierRegressor."
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MultiTaskRegressor(RegressorMixin, BaseMultiTask):
    """One network for several regressions.

    `MultiTaskClassifierRegressor` in the conventions of a scikit-learn regressor. All that is
    said there of parameters and attributes holds here; "infer" takes every column for numbers. Kinds
    of task: "regression", "count", "quantile", "heteroscedastic_regression".

    Parameters
    ----------
    tasks : "infer", "regression", RegressionTask, dict or list, default="infer"
    sharing : str or Sharing, default="hard"
    loss_weights : dict, array-like of shape (T,), str, object or None, default=None
    schedule : {"joint", "alternating", "progressive"} or Schedule, default="joint"
    hidden_layer_sizes : tuple of int, default=(128, 128)
    head_layer_sizes : tuple of int, default=()
    activation : {"relu", "gelu", "silu", "tanh", "logistic", "identity"}, default="relu"
    dropout : float in [0, 1), default=0.0
    batch_size : int or "auto", default="auto"
    learning_rate_init : float, default=1e-3
    alpha : float, default=1e-4
    max_iter : int, default=200
    tol : float, default=1e-4
    early_stopping : bool or "auto", default="auto"
    validation_fraction : float in (0, 1), default=0.1
    n_iter_no_change : int, default=10
    n_members : int or "auto", default="auto"
    callbacks : list of skorch callbacks or None, default=None
    device : str or torch.device, default="auto"
    warm_start : bool, default=False
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0

    See Also
    --------
    MultiTaskClassifierRegressor : Explains every parameter and attribute.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skmtl import MultiTaskRegressor
    >>> X, y = make_regression(n_samples=300, n_features=5, n_targets=3, random_state=0)
    >>> est = MultiTaskRegressor(random_state=0).fit(X[:200], y[:200])
    >>> est.score(X[200:], y[200:]) > 0.95
    True
    """

    score = BaseMultiTask.score  # RegressorMixin's knows no missing labels

    def _infer_kind(self, column):
        return "regression"

    def _accept_kind(self, task, column):
        if task.kind != "regression":
            raise ValueError(
                f"Task {column.name!r}: MultiTaskRegressor takes regression tasks. Found "
                f"{task!r}: use MultiTaskClassifierRegressor."
            )
