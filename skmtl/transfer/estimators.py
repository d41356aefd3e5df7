"""Estimators that start from a fitted one, so that transfer can be cross-validated and searched."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from skmtl._base import BaseMultiTask
from skmtl._pure import MultiTaskClassifier, MultiTaskRegressor
from skmtl.sharing import HardSharing

from .adapting import Manner, fitted_source, start


class FromSource(BaseMultiTask):
    """Parameters and start of an estimator that has a source."""

    task_column = None  # the tasks of a source are columns
    unseen = "shared"

    def __init__(
        self,
        source=None,
        *,
        freeze="trunk",
        n_layers=None,
        shared_learning_rate_init=None,
        epochs_per_stage=10,
        tasks="infer",
        loss_weights=None,
        schedule="joint",
        head_layer_sizes=(),
        dropout=0.0,
        batch_size="auto",
        learning_rate_init=1e-3,
        alpha=1e-4,
        max_iter=200,
        tol=1e-4,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        n_members="auto",
        callbacks=None,
        device="auto",
        warm_start=False,
        consolidation=None,
        random_state=None,
        verbose=0,
    ):
        self.source = source
        self.freeze = freeze
        self.n_layers = n_layers
        self.shared_learning_rate_init = shared_learning_rate_init
        self.epochs_per_stage = epochs_per_stage
        self.tasks = tasks
        self.loss_weights = loss_weights
        self.schedule = schedule
        self.head_layer_sizes = head_layer_sizes
        self.dropout = dropout
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_members = n_members
        self.callbacks = callbacks
        self.device = device
        self.warm_start = warm_start
        self.consolidation = consolidation
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_clone__(self):
        """Return a copy that is not fitted, with the same source: that is the point of it."""
        params = self.get_params(deep=False)
        source = params.pop("source")
        copied = {name: clone(value, safe=False) for name, value in params.items()}
        other = type(self)(source, **copied)
        if hasattr(self, "_metadata_request"):
            other._metadata_request = self._metadata_request
        if hasattr(self, "_sklearn_output_config"):
            other._sklearn_output_config = dict(self._sklearn_output_config)
        return other

    def get_params(self, deep=True):
        """Get the parameters; those of the source, which is fitted, are not among them.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list the parameters of what is not fitted yet, such as a schedule.

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep)
        return {name: value for name, value in params.items() if not name.startswith("source__")}

    def set_params(self, **params):
        """Set parameters; those of the source, which is fitted, cannot be set.

        Parameters
        ----------
        **params : dict
            By name, as in scikit-learn.

        Returns
        -------
        self : object
        """
        inside = [name for name in params if name.startswith("source__")]
        if inside:
            raise ValueError(
                f"The source is fitted, and its parameters do not change: found {inside}. Set another "
                "source, or the parameters of this estimator."
            )
        return super().set_params(**params)

    @property
    def sharing(self):
        """The source's scheme."""
        return HardSharing() if self._source is None else self._source.module_.built_for[1]

    @property
    def hidden_layer_sizes(self):
        """The source's layers."""
        return self._like_source("hidden_layer_sizes", (128, 128))

    @property
    def activation(self):
        """The source's activation."""
        return self._like_source("activation", "relu")

    def _of_tasks(self, X, sample_task):
        if sample_task is not None:
            raise ValueError(
                f"{type(self).__name__} takes a column of y for each task, as its source does. Found "
                "sample_task: bring the target into columns, one a task."
            )
        return X

    @property
    def _source(self) -> Any:
        return None if self.source is None else fitted_source(self.source)

    def _like_source(self, name: str, default: Any) -> Any:
        source = self._source
        return default if source is None else getattr(source.module_.built_for[0], name)

    def _start(self, ready):
        how = Manner(
            self.freeze, self.n_layers, self.shared_learning_rate_init, self.epochs_per_stage
        )
        how.check()
        source = self._source
        if source is not None:
            start(self, source, how, ready)


class TransferClassifier(FromSource, MultiTaskClassifier):
    """A `MultiTaskClassifier` that starts from the shared part of a fitted estimator.

    What ``source.adapt`` does once, as an estimator of its own: it can be cross-validated, and its
    parameters searched. Layers, activation and sharing scheme are the source's. A clone has the same
    source, fitted; in a grid over sources wrap each in `sklearn.frozen.FrozenEstimator`. With
    preprocessing, ``make_pipeline(FrozenEstimator(pipe[:-1]), TransferClassifier(pipe[-1]))``.

    Parameters
    ----------
    source : fitted estimator of skmtl, FrozenEstimator of one, or None, default=None
        Any class; its tasks may be of any kind. None: from scratch, the check that transfer helps.
    freeze : {"trunk", "none", "gradual"}, default="trunk"
        What the tasks share rests; goes along from the start; or goes along block by block, the last
        first (Howard & Ruder 2018).
    n_layers : int, default=None
        Shared layers that are kept, counted from the inputs; those above start anew (Yosinski et al.
        2014). None: all. 0: from scratch, in the source's form.
    shared_learning_rate_init : float, default=None
        Step size of the shared layers that are kept. None: ``learning_rate_init``.
    epochs_per_stage : int, default=10
        Epochs between one block and the next with ``freeze="gradual"``.
    tasks : "infer", "classification", ClassificationTask, dict or list, default="infer"
    loss_weights : dict, array-like of shape (T,), str, object or None, default=None
    schedule : {"joint", "alternating", "progressive"} or Schedule, default="joint"
    head_layer_sizes : tuple of int, default=()
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
        If the source has fewer, several start from one; if it has more, the first are taken.
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

    See Also
    --------
    skmtl.MultiTaskClassifierRegressor : Explains every other parameter and attribute.

    References
    ----------
    J. Howard, S. Ruder (2018). Universal language model fine-tuning for text classification. ACL.
    J. Yosinski, J. Clune, Y. Bengio, H. Lipson (2014). How transferable are features in deep neural
    networks? NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmtl import MultiTaskClassifier
    >>> from skmtl.transfer import TransferClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, source, target = X / 16, digit < 7, digit >= 7
    >>> est = MultiTaskClassifier(n_members=1, random_state=0).fit(X[source], digit[source])
    >>> few = TransferClassifier(est, learning_rate_init=0.01, random_state=0)
    >>> search = GridSearchCV(few, {"freeze": ["trunk", "none"], "n_layers": [0, 2]}, cv=3)
    >>> search = search.fit(X[target][:30], digit[target][:30])
    >>> bool(search.score(X[target][30:], digit[target][30:]) > 0.8)
    True
    """


class TransferRegressor(FromSource, MultiTaskRegressor):
    """A `MultiTaskRegressor` that starts from the shared part of a fitted estimator.

    See `TransferClassifier`, which explains it all: this one takes regressions.

    Parameters
    ----------
    source : fitted estimator of skmtl, FrozenEstimator of one, or None, default=None
    freeze : {"trunk", "none", "gradual"}, default="trunk"
    n_layers : int, default=None
    shared_learning_rate_init : float, default=None
    epochs_per_stage : int, default=10
    tasks : "infer", "regression", RegressionTask, dict or list, default="infer"
    loss_weights : dict, array-like of shape (T,), str, object or None, default=None
    schedule : {"joint", "alternating", "progressive"} or Schedule, default="joint"
    head_layer_sizes : tuple of int, default=()
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

    See Also
    --------
    TransferClassifier : Explains how it starts.
    skmtl.MultiTaskClassifierRegressor : Explains every other parameter and attribute.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.transfer import TransferRegressor
    >>> X = np.random.default_rng(0).normal(size=(400, 3))
    >>> bend = np.tanh(2 * X[:, 0] * X[:, 1])
    >>> many = np.column_stack([bend + X[:, k] for k in range(3)])
    >>> est = MultiTaskRegressor(hidden_layer_sizes=(32,), n_members=1, random_state=0).fit(X, many)
    >>> few = TransferRegressor(est, learning_rate_init=0.01, random_state=0).fit(X[:40], bend[:40])
    >>> few.score(X[40:], bend[40:]) > 0.6
    True
    """
