"""The estimators of one kind of task, in the output conventions of scikit-learn's own."""

from __future__ import annotations

from sklearn.base import ClassifierMixin, RegressorMixin

from skmtl import targets
from skmtl._long_form import LongForm


class MultiTaskClassifier(ClassifierMixin, LongForm):
    """One network for several classifications.

    `MultiTaskClassifierRegressor` in the conventions of a scikit-learn classifier: ``classes_``
    and `predict_proba` are lists over the tasks, or single arrays for a 1-D y. All that is said
    there of parameters and attributes holds here; "infer" takes every column for classes, in
    order where categories are. Kinds of task: "classification", "binary", "ordinal", "multilabel".

    Parameters
    ----------
    tasks : "infer", "classification", ClassificationTask, dict or list, default="infer"
    task_column : str, int or None, default=None
        Column of X, by name or position, that says which task a row belongs to (a school, a shop, a
        user); y then is one target, shape (n,), that is alike in all tasks. Any labels, none
        missing; the other columns are the features. Or pass ``sample_task`` to `fit`, `predict` and
        the rest. See docs/groups.md.
    unseen : {"shared", "error"}, default="shared"
        What `predict` does for a task that `fit` has not seen: answer with the mean of all tasks'
        answers, which under linear heads is the shared part with the mean head; or raise.
    sharing : str or Sharing, default="hard"
    trunk : nn.Module, callable, Trunk or None, default=None
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
    consolidation : {"ewc", "replay", "agem"}, Consolidation or None, default=None
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0

    Attributes
    ----------
    classes_ : list of ndarray, or ndarray for a 1-D y
        Class labels of each task.
    task_labels_ : ndarray of shape (T,)
        Where rows have a task each: the tasks, sorted. ``tasks_`` then has the one target.

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

    _takes = "classification"
    score = LongForm.score  # ClassifierMixin's refuses several multiclass tasks

    def predict_proba(self, X, sample_task=None):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.
        sample_task : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        proba : list over the tasks of ndarray of shape (n, n_classes), or the ndarray for a 1-D y
            Columns in the order of ``classes_``.
        """
        return self._arrange(self._probabilities(self._of_tasks(X, sample_task)))

    def _arrange(self, by_task):
        return self._arrays(by_task)

    def _infer_kind(self, column):
        ordered = targets.categories_in_order(column) is not None
        return "ordinal" if ordered else "classification"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MultiTaskRegressor(RegressorMixin, LongForm):
    """One network for several regressions.

    `MultiTaskClassifierRegressor` in the conventions of a scikit-learn regressor. All that is
    said there of parameters and attributes holds here; "infer" takes every column for numbers. Kinds
    of task: "regression", "count", "quantile", "heteroscedastic_regression".

    Parameters
    ----------
    tasks : "infer", "regression", RegressionTask, dict or list, default="infer"
    task_column : str, int or None, default=None
        Column of X, by name or position, that says which task a row belongs to (a school, a shop, a
        user); y then is one target, shape (n,), that is alike in all tasks. Any labels, none
        missing; the other columns are the features. Or pass ``sample_task`` to `fit`, `predict` and
        the rest. See docs/groups.md.
    unseen : {"shared", "error"}, default="shared"
        What `predict` does for a task that `fit` has not seen: answer with the mean of all tasks'
        answers, which under linear heads is the shared part with the mean head; or raise.
    sharing : str or Sharing, default="hard"
    trunk : nn.Module, callable, Trunk or None, default=None
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
    consolidation : {"ewc", "replay", "agem"}, Consolidation or None, default=None
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0

    Attributes
    ----------
    task_labels_ : ndarray of shape (T,)
        Where rows have a task each: the tasks, sorted. ``tasks_`` then has the one target.

    See Also
    --------
    MultiTaskClassifierRegressor : Explains every other parameter and attribute.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skmtl import MultiTaskRegressor
    >>> X, y = make_regression(n_samples=300, n_features=5, n_targets=3, random_state=0)
    >>> est = MultiTaskRegressor(random_state=0).fit(X[:200], y[:200])
    >>> est.score(X[200:], y[200:]) > 0.95
    True

    One target in several schools, whose rows say which is theirs:

    >>> import numpy as np
    >>> import pandas as pd
    >>> X = pd.DataFrame({"school": ["a", "b", "c"] * 100, "x": np.linspace(-1, 1, 300)})
    >>> y = X["x"] * X["school"].map({"a": 1.0, "b": 2.0, "c": 3.0})
    >>> est = MultiTaskRegressor(task_column="school", n_members=1, random_state=0).fit(X, y)
    >>> est.score(X, y) > 0.95
    True
    """

    _takes = "regression"
    score = LongForm.score  # RegressorMixin's knows no missing labels

    def _infer_kind(self, column):
        return "regression"
