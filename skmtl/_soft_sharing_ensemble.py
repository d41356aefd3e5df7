"""A tower per task, tied by how the tasks are related; the relation is part of the answer."""

from __future__ import annotations

from typing import Any

import pandas as pd

from skmtl import sharing
from skmtl._classifier_regressor import MultiTaskClassifierRegressor
from skmtl.sharing.related import tower_relation


class SoftSharingEnsemble(MultiTaskClassifierRegressor):
    """A network per task, pulled together as far as the tasks are related.

    Minimises the tasks' losses and ``strength / 2`` times the distance of the towers' parameters:
    from their centre (Duong et al. 2015), or as a covariance of the tasks says, given or learned
    from the towers (Zhang & Yeung 2010). Hidden layers, heads and linear skips are all tied, the
    last two among tasks of one kind. With "uniform", a strong tie is one model for all tasks and no
    tie a model each; a covariance says itself how much is tied, and a large ``strength`` then shrinks
    what is learned, as a ridge's penalty does.

    Parameters
    ----------
    tasks : "infer", str, Task, dict or list, default="infer"
    strength : float, default=0.01
        Weight of the distance beside the tasks' mean losses; see `SoftSharing` and
        `RelatedSharing`.
    relation : {"uniform", "learned"}, array-like or DataFrame of shape (T, T), default="learned"
        "uniform": all towers towards their centre. Else the covariance of the tasks, positive
        where they should agree, negative where one should be the other's opposite, zero where
        neither knows of the other: learned from the towers, or given, in the order of y's columns
        or as a DataFrame with their names (those of ``tasks_``: "y0", "y1", ... where y is an
        array). It must be symmetric without negative eigenvalues.
    trunk : nn.Module, callable, Trunk or None, default=None
        What the towers see of X, a copy for each, which is tied like a hidden layer.
    loss_weights : dict, array-like of shape (T,), str, object or None, default=None
    schedule : {"joint", "alternating", "progressive"} or Schedule, default="joint"
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Layers of each tower.
    head_layer_sizes : tuple of int, default=()
        Further layers of each tower.
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
        Ensembles trained together and averaged.
    callbacks : list of skorch callbacks or None, default=None
    device : str or torch.device, default="auto"
    warm_start : bool, default=False
    consolidation : {"ewc", "replay", "agem"}, Consolidation or None, default=None
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0

    Attributes
    ----------
    task_relation_ : DataFrame of shape (T, T)
        Correlations of the fitted towers, with the tasks' names: between tasks of one kind those
        of their last layers, between others those of their hidden layers and trunks (of what they
        learned; with "uniform", of their weights). Averaged over members.

    See Also
    --------
    MultiTaskClassifierRegressor : Explains every other parameter and attribute.
    skmtl.inspection.TaskRelationDisplay : Draws ``task_relation_``.

    References
    ----------
    L. Duong, T. Cohn, S. Bird, P. Cook (2015). Low resource dependency parsing: cross-lingual
    parameter sharing in a neural network parser. ACL.
    Y. Zhang, D.-Y. Yeung (2010). A convex formulation for learning task relationships in
    multi-task learning. UAI.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import SoftSharingEnsemble
    >>> rng = np.random.default_rng(0)
    >>> X, w = rng.normal(size=(200, 5)), rng.normal(size=5)
    >>> y = pd.DataFrame({"up": X @ w, "down": X @ -w, "other": X @ rng.normal(size=5)})
    >>> est = SoftSharingEnsemble(hidden_layer_sizes=(8,), n_members=2, random_state=0).fit(X, y)
    >>> bool(est.task_relation_.loc["up", "down"] < -0.9)
    True
    """

    def __init__(
        self,
        tasks="infer",
        *,
        strength=0.01,
        relation="learned",
        trunk=None,
        loss_weights=None,
        schedule="joint",
        hidden_layer_sizes=(128, 128),
        head_layer_sizes=(),
        activation="relu",
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
        self.tasks = tasks
        self.strength = strength
        self.relation = relation
        self.trunk = trunk
        self.loss_weights = loss_weights
        self.schedule = schedule
        self.hidden_layer_sizes = hidden_layer_sizes
        self.head_layer_sizes = head_layer_sizes
        self.activation = activation
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

    def _resolve_sharing(self, names: list[Any]) -> sharing.Sharing:
        relation = self.relation
        if relation is None or isinstance(relation, str):
            if relation not in ("uniform", "learned"):
                raise ValueError(
                    "Parameter relation must be 'uniform', 'learned' or an array of a row and a "
                    f"column per task. Found {relation!r}."
                )
            if relation == "uniform":
                return sharing.SoftSharing(self.strength, layers="all")
        elif isinstance(relation, pd.DataFrame):
            if set(relation.index) != set(names) or set(relation.columns) != set(names):
                raise ValueError(
                    f"Parameter relation must have the tasks {names} as rows and columns. Found "
                    f"{relation.index.tolist()} and {relation.columns.tolist()}."
                )
            relation = relation.loc[names, names].to_numpy(dtype=float)
        return sharing.RelatedSharing(self.strength, relation)

    def _keep(self, reading, ready, *, go_on=False):
        super()._keep(reading, ready, go_on=go_on)
        architecture, _ = self.module_.built_for
        names = pd.Index(self.tasks_, name="task", tupleize_cols=False)
        relation = tower_relation(self.module_.network, architecture)
        self.task_relation_ = pd.DataFrame(relation, names, names)
