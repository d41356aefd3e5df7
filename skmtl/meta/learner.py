"""The meta-learner: many tasks in, a start out from which a new task is learned in a few steps."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl import _parameters
from skmtl._checks import check_choice, check_number
from skmtl._versioned import Versioned

from .adapted import AdaptedClassifier, AdaptedRegressor
from .algorithms import ALGORITHMS
from .encoding import Encoding
from .learned import Learned
from .measures import Scores, score_tasks
from .network import ACTIVATIONS, LOSSES, Network
from .table import check_tasks, read_kind, read_labels, read_tasks
from .training import Plan, meta_train


class MetaLearner(Versioned, BaseEstimator):
    """Learns from many tasks how to learn a new one from a few rows.

    A network's parameters are a starting point: a task is learned by ``inner_steps`` gradient steps
    from there on its support set. Meta-training draws tasks, adapts to a support set of each, and
    moves the start so that the adapted networks do well on other rows of their tasks, the query
    sets. `adapt` then takes the same steps for a new task.

    Parameters
    ----------
    algorithm : {"maml", "fomaml", "reptile", "anil", "meta_sgd"}, default="maml"
        How the start is learned. "maml" descends the query loss through the inner steps (Finn et
        al. 2017); "fomaml" leaves out second derivatives; "reptile" moves the start towards where
        the tasks end (Nichol et al. 2018) and needs several inner steps: with one it is joint
        training. "anil" adapts the last layer only (Raghu et al. 2020). "meta_sgd" learns a rate
        for every parameter too, beginning with ``inner_lr`` (Li et al. 2017).
    kind : {"infer", "regression", "classification"}, default="infer"
        What the tasks are. "infer": by the labels, as `MultiTaskClassifierRegressor` does.
    n_support : int, default=5
        Rows of a support set, for classification of each class ("shots"). A task, or class, of no
        more rows leaves one of them to query.
    n_query : int, default=15
        Rows of a query set in meta-training, of each class, at most.
    n_ways : int or None, default=None
        None: labels mean the same in all tasks, and a new task has no others. An int: the labels
        of a task are names that other tasks need not share. Each time a task is drawn it is for
        ``n_ways`` of its classes, in random order, and a new task may have any, up to so many.
    inner_steps : int, default=1
    inner_lr : float, default=0.01
        Size of an inner step; with "meta_sgd" the first value of all that are learned.
    adapt_steps : int or None, default=None
        Gradient steps of `adapt` and `score`. None: ``inner_steps``; 0: the start as it is.
    meta_batch_size : int, default=16
        Tasks in a step of meta-training, which takes them all at once.
    learning_rate_init : float, default=1e-3
        Rate of Adam, which moves the start, and for "meta_sgd" the rates.
    max_iter : int, default=1000
        Steps of meta-training.
    hidden_layer_sizes : tuple of int, default=(40, 40)
    activation : {"relu", "gelu", "silu", "tanh", "logistic", "identity"}, default="relu"
    standardize : bool, default=True
        Whether targets of regressions are standardised inside, by the mean and deviation of all
        labels. X is taken as it is.
    device : str or torch.device, default="auto"
        For meta-training; new tasks are learned on the CPU.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        Above 0, print the loss now and then.

    Attributes
    ----------
    kind_ : {"regression", "classification"}
    tasks_ : list
        Ids of the tasks in `fit`.
    classes_ : ndarray of shape (n_classes,)
        Labels of all tasks; for classifications without ``n_ways``.
    module_ : torch.nn.Module
        The network, with the parameters that every task starts from.
    inner_lr_ : float or dict from str to ndarray
        Rates of the inner steps; of "meta_sgd" those of each of the module's parameters.
    loss_curve_ : list of float
        Loss of every meta-batch: of query rows after adapting, of "reptile" of all rows.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only where X has names.

    See Also
    --------
    AdaptedRegressor, AdaptedClassifier : What `adapt` returns.

    Notes
    -----
    A meta-batch is one step of `torch.func.vmap`, traced once; what that saves is in
    docs/benchmarks/sinusoid.md. Memory grows with ``meta_batch_size`` times the number of
    parameters, with "maml", "anil" and "meta_sgd" times ``inner_steps`` too.

    References
    ----------
    C. Finn, P. Abbeel, S. Levine (2017). Model-agnostic meta-learning for fast adaptation of deep
    networks. ICML.

    A. Nichol, J. Achiam, J. Schulman (2018). On first-order meta-learning algorithms.
    arXiv:1803.02999.

    A. Raghu, M. Raghu, S. Bengio, O. Vinyals (2020). Rapid learning or feature reuse? Towards
    understanding the effectiveness of MAML. ICLR.

    Z. Li, F. Zhou, F. Chen, H. Li (2017). Meta-SGD: learning to learn quickly for few-shot learning.
    arXiv:1707.09835.

    Examples
    --------
    Waves that are shifted each in its own way, and a new one seen at five points:

    >>> import numpy as np
    >>> from skmtl.meta import MetaLearner
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(np.arange(100), 12)
    >>> x, shift = rng.uniform(-3, 3, size=1200), rng.uniform(0, 3, size=100)[task]
    >>> learner = MetaLearner("meta_sgd", inner_lr=0.1, max_iter=600, random_state=0)
    >>> learner = learner.fit(x[:, None], np.sin(x + shift), sample_task=task)
    >>> few = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    >>> wave = learner.adapt(few, np.sin(few[:, 0] + 1.5))
    >>> between = np.array([[-1.5], [-0.5], [0.5], [1.5]])
    >>> bool(wave.score(between, np.sin(between[:, 0] + 1.5)) > 0.9)
    True
    """

    def __init__(
        self,
        algorithm="maml",
        *,
        kind="infer",
        n_support=5,
        n_query=15,
        n_ways=None,
        inner_steps=1,
        inner_lr=0.01,
        adapt_steps=None,
        meta_batch_size=16,
        learning_rate_init=1e-3,
        max_iter=1000,
        hidden_layer_sizes=(40, 40),
        activation="relu",
        standardize=True,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.algorithm = algorithm
        self.kind = kind
        self.n_support = n_support
        self.n_query = n_query
        self.n_ways = n_ways
        self.inner_steps = inner_steps
        self.inner_lr = inner_lr
        self.adapt_steps = adapt_steps
        self.meta_batch_size = meta_batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.standardize = standardize
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X, y, sample_task=None, sample_weight=None):
        """Learn from many tasks.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of all tasks, in any order.
        y : array-like of shape (n,)
            Labels; a row whose label is missing takes no part.
        sample_task : array-like of shape (n,), default=None
            Task of each row, any values that compare equal within a task. None: all rows are one
            task, with a warning.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the losses of its task. Zero: as if the row were not there.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Before training, where a parameter, a task or a row is not what it must be. The
            estimator then is what it was before the call.
        """
        before = vars(self).copy()
        try:
            return self._fit(X, y, sample_task, sample_weight)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _fit(self, X, y, sample_task, sample_weight):
        sizes = self._check_parameters()
        device = _parameters.check_device(self.device)
        X = validate_data(self, X, dtype=np.float32)
        labels = read_labels(y, len(X), sample_weight)
        ids, tasks = read_tasks(sample_task, len(X))
        encoding = self._encoding(labels)
        data, _ = encoding.read(X, labels, ids, tasks, name="y")
        check_tasks(data.table, encoding.kind, self.n_support, self.n_ways, "y")
        [seed] = _parameters.draw_seeds(self.random_state, 1)
        network = Network(
            (X.shape[1], *sizes, encoding.n_outputs),
            self.activation,
            torch.Generator().manual_seed(seed),
        )
        algorithm = ALGORITHMS[self.algorithm](network, LOSSES[encoding.kind], self.inner_steps)
        theta = network.flatten().to(device)
        rates = torch.full_like(theta, self.inner_lr) if algorithm.learns_rates else None
        start = meta_train(
            algorithm,
            data.to(device),
            self._plan(),
            theta=theta,
            rates=torch.tensor(float(self.inner_lr)).to(theta) if rates is None else rates,
            rng=np.random.default_rng(seed),
        )
        rates = start.rates.cpu()
        self.learned_ = Learned(self.algorithm, network.fill(start.theta.cpu()), rates, encoding)
        self._publish(data.table.ids, start.losses)
        return self

    def _encoding(self, labels) -> Encoding:
        kind = read_kind(self.kind, labels)
        if kind == "regression" and self.n_ways is not None:
            raise ValueError(
                f"Parameter n_ways must be None for regressions. Found {self.n_ways!r}."
            )
        return Encoding(kind, n_ways=self.n_ways).learn(labels, standardize=self.standardize)

    def _plan(self) -> Plan:
        return Plan(
            n_steps=self.max_iter,
            n_tasks=self.meta_batch_size,
            n_support=self.n_support,
            n_query=self.n_query,
            learning_rate=float(self.learning_rate_init),
            verbose=int(self.verbose),
        )

    def _publish(self, ids: list[Any], losses: list[float]) -> None:
        learned = self.learned_
        self.kind_, self.tasks_ = learned.encoding.kind, ids
        self.module_ = learned.network
        self.loss_curve_, self.n_iter_ = losses, len(losses)
        if learned.rates.dim():
            named = learned.network.unflatten(learned.rates)
            self.inner_lr_ = {name: rate.numpy() for name, rate in named.items()}
        else:
            self.inner_lr_ = float(self.inner_lr)  # type: ignore[assignment]
        if learned.encoding.classes is not None:
            self.classes_ = learned.encoding.classes
        elif hasattr(self, "classes_"):
            del self.classes_

    def adapt(self, X_support, y_support, sample_weight=None):
        """Learn a new task from a few rows.

        Parameters
        ----------
        X_support : array-like of shape (n, d)
        y_support : array-like of shape (n,)
            Labels; a row whose label is missing takes no part.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        AdaptedRegressor or AdaptedClassifier
            A fitted estimator of the task.

        Raises
        ------
        ValueError
            Where the features are not those of `fit`, no row has a label, or labels of classes are
            of one class or unknown.
        """
        check_is_fitted(self)
        adapted = AdaptedRegressor if self.kind_ == "regression" else AdaptedClassifier
        learner = FrozenEstimator(copy.copy(self))  # a later fit of this one leaves it alone
        return adapted(learner).fit(X_support, y_support, sample_weight=sample_weight)

    def score(self, X, y, sample_task=None, sample_weight=None):
        """How well tasks are learned from ``n_support`` rows (of each class): score of the others.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        sample_task : array-like of shape (n,), default=None
            Task of each row, new ones or not.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
            Of classifications, the mean over tasks of the accuracy. Of regressions, R² of all
            query rows around their tasks' means: a mean of the tasks' own R² would be that of the
            tasks whose targets hardly vary.
        """
        return self._score(X, y, sample_task, sample_weight).overall

    def score_tasks(self, X, y, sample_task=None, sample_weight=None):
        """Scores of each task, adapted to a support set as in `score`.

        Parameters
        ----------
        X, y, sample_task, sample_weight
            As in `score`.

        Returns
        -------
        DataFrame
            Indexed by task: ``n_support``, ``n_query``; and ``accuracy`` and ``log_loss``, or
            ``r2``, NaN where the query rows' targets are all equal, and ``mse``.
        """
        return self._score(X, y, sample_task, sample_weight).table

    def _score(self, X, y, sample_task, sample_weight) -> Scores:
        check_is_fitted(self)
        n_steps = self.n_adapt_steps
        check_number(self.n_support, "n_support", Integral, low=1)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        labels = read_labels(y, len(X), sample_weight)
        ids, tasks = read_tasks(sample_task, len(X))
        encoding = self.learned_.encoding
        data, _ = encoding.read(X, labels, ids, tasks, name="y")
        encoding.check_ways(data.table, name="y")
        check_tasks(data.table, self.kind_, self.n_support, self.n_ways, "y")
        [seed] = _parameters.draw_seeds(self.random_state, 1)
        return score_tasks(
            self.learned_,
            data,
            n_support=self.n_support,
            n_steps=n_steps,
            rng=np.random.default_rng(seed),
        )

    @property
    def n_adapt_steps(self):
        """Gradient steps that a new task takes."""
        if self.adapt_steps is None:
            return self.inner_steps
        check_number(self.adapt_steps, "adapt_steps", Integral, low=0)
        return self.adapt_steps

    def _check_parameters(self) -> tuple[int, ...]:
        """Raise where a parameter is not what it must be; return the widths of the layers."""
        check_choice(self.algorithm, "algorithm", ALGORITHMS)
        check_choice(self.kind, "kind", ["infer", "regression", "classification"])
        for name in ("n_support", "n_query", "inner_steps", "meta_batch_size", "max_iter"):
            check_number(getattr(self, name), name, Integral, low=1)
        if self.n_ways is not None:
            check_number(self.n_ways, "n_ways", Integral, low=2)
        check_number(self.n_adapt_steps, "adapt_steps", Integral, low=0)
        for name in ("inner_lr", "learning_rate_init"):
            check_number(getattr(self, name), name, low=0, open_low=True)
        check_choice(self.activation, "activation", ACTIVATIONS)
        check_choice(self.standardize, "standardize", [True, False])
        if not isinstance(self.verbose, bool):
            check_number(self.verbose, "verbose", Integral, low=0)
        return _parameters.check_sizes(self.hidden_layer_sizes, "hidden_layer_sizes")
