"""The estimator that mixes kinds of tasks in one target table."""

from __future__ import annotations

from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if

from skmtl import tasks
from skmtl._base import BaseMultiTask
from skmtl._resolve import meant
from skmtl.tasks import Task


def _may_classify(estimator: MultiTaskClassifierRegressor) -> bool:
    if hasattr(estimator, "tasks_"):
        return any(hasattr(task, "decode_proba") for task in estimator.tasks_.values())
    return estimator._declared_kind() != "regression"


class MultiTaskClassifierRegressor(BaseMultiTask):
    """One network for several targets, classifications and regressions side by side.

    Minimises ``sum_t w_t L_t``, where ``L_t`` is the task's loss averaged over the rows that have
    its label. Targets of regressions are standardised inside, so that losses compare; inputs are
    taken as they are, so standardise them in a Pipeline. On small tables several networks train at
    once, each with its own validation split, and their predictions are averaged.

    Parameters
    ----------
    tasks : "infer", str, Task, dict or list, default="infer"
        What each column of y is: "classification", "regression", "ordinal", "count", another name of
        docs/tasks.md, or an object such as ``RegressionTask(loss="huber")``. One for all columns, a
        dict from column to task (columns it leaves out are inferred), or a list. A task of several
        columns has a name of its own in a dict: ``{"tags": MultilabelTask(["red", "large"])}``.
        "infer" takes floats with a fraction for regression; ordered categories for ordinal; strings,
        booleans and other categories for classification; whole numbers for classification up to 20
        distinct values.
    sharing : str or Sharing, default="hard"
        How tasks share parameters: "hard" (a trunk for all, a head per task), "none" (a network
        per task), or an object from `skmtl.sharing`.
    trunk : nn.Module, callable, Trunk or None, default=None
        What sees the inputs first, for images, texts, categories: an object of `skmtl.trunks`, a torch
        module that maps rows to features (b, h) and is where every member starts, or a function from
        the shape of a row to one. ``hidden_layer_sizes`` stand on its features, without a linear skip;
        schemes with a tower per task have a copy for each. None: the inputs are the features.
    loss_weights : dict, array-like of shape (T,), str, object or None, default=None
        The ``w_t``. None: all one, as are the tasks a dict leaves out. A name ("uw", "dwa", "famo",
        "gradnorm", "minimax_deviation", ...) stands for a method that finds weights while it trains;
        "upgrad", "mgda", "pcgrad", ... make one gradient of the tasks' gradients. An object of
        `skmtl.weighting`, `torchjd.scalarization` or `torchjd.aggregation` sets their parameters.
        All names, with their papers, are in docs/weighting.md.
    schedule : {"joint", "alternating", "progressive"} or Schedule, default="joint"
        In what order tasks train: all at every step, one at a time, or joining stage by stage; an
        object of `skmtl.schedules` sets the phases and what is frozen in them.
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Layers of the shared trunk, or of each network where nothing is shared. ``()`` makes every
        task a linear model.
    head_layer_sizes : tuple of int, default=()
        Layers that each task has to itself on top of the trunk.
    activation : {"relu", "gelu", "silu", "tanh", "logistic", "identity"}, default="relu"
        Activation of the hidden layers.
    dropout : float in [0, 1), default=0.0
        Probability that a hidden unit is left out of a training step.
    batch_size : int or "auto", default="auto"
        Rows of a training step, at most all. "auto" makes about 20 steps an epoch, of 32 to 256
        rows.
    learning_rate_init : float, default=1e-3
        Step size of Adam (Kingma & Ba 2015).
    alpha : float, default=1e-4
        Strength of the L2 penalty, in the unit of `Ridge`'s.
    max_iter : int, default=200
        Most epochs to train.
    tol : float, default=1e-4
        Least improvement of the loss that counts.
    early_stopping : bool or "auto", default="auto"
        Whether to hold back rows and stop when the loss on them no longer improves, keeping the
        best weights. "auto": from 10 labelled rows on. False: the training loss is watched.
    validation_fraction : float in (0, 1), default=0.1
        Share of the rows held back, alike in the labels of every task; each member has its own.
    n_iter_no_change : int, default=10
        Epochs without an improvement after which a member is finished.
    n_members : int or "auto", default="auto"
        Networks trained together and averaged. "auto": 8 up to 10,000 rows, 1 above.
    callbacks : list of skorch callbacks or None, default=None
        Told of every epoch; see skorch. Copies of them work in `net_`. One that saves parameters
        (Checkpoint) saves the members still training: use ``n_members=1`` with it.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    consolidation : {"ewc", "replay", "agem"}, Consolidation or None, default=None
        What keeps a network that goes on learning (`partial_fit`, or `fit` with ``warm_start``)
        from forgetting: "replay" of a bounded number of old rows, "ewc", a penalty on leaving what
        old rows depend on, "agem", no step against them; an object of `skmtl.consolidation` sets
        their parameters. See docs/incremental.md.
    random_state : int, RandomState, Generator or None, default=None
        Draws initial weights, batches, dropout and validation splits. An int makes all
        reproducible to the bit on one machine. Global generators are never touched.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line an epoch with every task's losses.

    Attributes
    ----------
    tasks_ : dict
        The Task of each column, with what it learned from the labels.
    classes_ : dict from task to ndarray
        Class labels of each classification task, names of the columns of a `MultilabelTask`; absent
        without either. A list, or the single array, where `predict_proba` returns one.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had string column names.
    n_iter_ : int
        Epochs trained.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_scores_ : list of float or None
        Mean over the tasks of the score on the held-back rows, each epoch.
    history_ : DataFrame
        An epoch a row: losses, loss weights and validation scores of every task, averaged over
        the members.
    net_ : MultiTaskNet
        The skorch net.
    module_ : MultiTaskModule
        The torch module; all members in one.

    See Also
    --------
    MultiTaskClassifier : Classifications only, as scikit-learn's classifiers.
    MultiTaskRegressor : Regressions only, as scikit-learn's regressors.

    References
    ----------
    R. Caruana (1997). Multitask learning. Machine Learning 28, 41-75.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_iris
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> X, species = load_iris(return_X_y=True, as_frame=True)
    >>> y = pd.DataFrame({"species": species, "petal": X.pop("petal width (cm)")})
    >>> est = MultiTaskClassifierRegressor(random_state=0).fit(X - X.mean(), y)
    >>> list(est.tasks_.values())
    [ClassificationTask(), RegressionTask()]
    >>> est.predict(X - X.mean()).columns.tolist()
    ['species', 'petal']
    >>> est.score(X - X.mean(), y) > 0.9
    True
    """

    @available_if(_may_classify)
    def predict_proba(self, X):
        """Predict class probabilities of the classification tasks.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.

        Returns
        -------
        proba : dict from task to ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``. If y was an array of classes only, scikit-learn's
            form: a list of such arrays, or the single array for a 1-D y. Of a `MultilabelTask`, the
            probability of each of its columns.
        """
        return self._arrange(self._probabilities(X))

    def _arrange(self, by_task):
        if self._container.kind == "frame" or len(by_task) < len(self.tasks_):
            return by_task
        return self._arrays(by_task)

    def _declared_kind(self) -> str | None:
        """Return "classification" or "regression" if the parameter `tasks` says so of all tasks."""
        specs = self.tasks
        specs = [specs] if isinstance(specs, str | Task) else specs
        if not isinstance(specs, list | tuple):  # a dict may leave columns out: they are inferred
            return None
        kinds = {getattr(meant(spec, tasks, Task), "kind", None) for spec in specs}
        return kinds.pop() if len(kinds) == 1 else None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        kind = self._declared_kind()
        if kind == "classification":
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_label=True)
        elif kind == "regression":
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        else:  # neither type; but where there is predict_proba, scikit-learn's checks look at these
            tags.classifier_tags = ClassifierTags(multi_label=True)
        return tags
