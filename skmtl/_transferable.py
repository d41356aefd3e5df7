"""What a fitted estimator gives to other tasks; the work is done in `skmtl.transfer`."""

from __future__ import annotations

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin


class Transferable(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Adds `adapt`, `add_task` and `transform` to an estimator."""

    def adapt(
        self,
        X,
        y,
        *,
        freeze="trunk",
        sample_weight=None,
        tasks="infer",
        loss_weights=None,
        n_layers=None,
        shared_learning_rate_init=None,
        epochs_per_stage=10,
        qid=None,
    ):
        """Learn other tasks, starting from the shared part of this fitted estimator.

        The new tasks may have other names, kinds and classes; they train together in one net. All
        other parameters are this estimator's as they are set now: say
        ``est.set_params(alpha=1.0).adapt(X, y)`` to change one. This estimator stays as it is.

        Parameters
        ----------
        X : array-like of shape (n, d)
            The features that this estimator was fitted on.
        y : DataFrame, array-like of shape (n, T) or (n,)
            Targets of the new tasks, as in `fit`; labels may be missing.
        freeze : {"trunk", "none", "gradual"}, default="trunk"
            Whether what the tasks share rests, so that only what belongs to a task is trained; goes
            along from the start; or goes along block by block, the last first.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        tasks : "infer", str, Task, dict or list, default="infer"
            Kinds of the new tasks.
        loss_weights : dict, array-like of shape (T,), str, object or None, default=None
            Weights of the new tasks' losses.
        n_layers : int, default=None
            Shared layers that are kept, counted from the inputs; those above start anew. None: all.
            0: none, which is training from scratch.
        shared_learning_rate_init : float, default=None
            Step size of the shared layers that are kept; None: ``learning_rate_init``, as the others.
        epochs_per_stage : int, default=10
            Epochs between one block and the next with ``freeze="gradual"``.
        qid : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        adapted : estimator
            A new one of the same class, fitted to the new tasks.

        Raises
        ------
        ValueError, TypeError
            Where a parameter or the data are not what they must be; if X has other features; if the
            scheme shares nothing (``sharing="none"``, or a trunk without layers).

        References
        ----------
        J. Yosinski, J. Clune, Y. Bengio, H. Lipson (2014). How transferable are features in deep
        neural networks? NeurIPS.

        Examples
        --------
        >>> import numpy as np
        >>> from skmtl import MultiTaskRegressor
        >>> X = np.random.default_rng(0).normal(size=(200, 4))
        >>> y = np.column_stack([np.tanh(X[:, 0] * X[:, 1]), np.abs(X[:, 0])])
        >>> est = MultiTaskRegressor(hidden_layer_sizes=(16,), n_members=2, random_state=0).fit(X, y)
        >>> other = est.adapt(X[:50], (X[:50, 0] > 0).astype(float), tasks="regression")
        >>> other.predict(X[:3]).shape, est.predict(X[:3]).shape
        ((3,), (3, 2))
        """
        from skmtl import transfer

        how = transfer.Manner(freeze, n_layers, shared_learning_rate_init, epochs_per_stage)
        return transfer.adapt(
            self,
            X,
            y,
            how,
            sample_weight=sample_weight,
            tasks=tasks,
            loss_weights=loss_weights,
            qid=qid,
        )

    def add_task(self, X, y, *, sample_weight=None, tasks="infer", qid=None):
        """Add tasks to those that are there, which stay as they are.

        What the tasks share rests, so the others' predictions do not change; the new tasks get all
        that belongs to a task: heads, towers, gates. To train everything on all tasks, go on with
        ``partial_fit``, or fit a clone.

        Parameters
        ----------
        X : array-like of shape (n, d)
            The features that this estimator was fitted on.
        y : DataFrame, Series or array-like of shape (n, T) or (n,)
            Targets of the new tasks: with names if this estimator was fitted on a DataFrame, without
            if on an array, of which they are further columns.
        sample_weight : array-like of shape (n,) or (n, T), default=None
            As in `fit`.
        tasks : "infer", str, Task, dict or list, default="infer"
            Kinds of the new tasks.
        qid : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        extended : estimator
            A new one of the same class, with the old tasks and then the new ones.

        Raises
        ------
        ValueError, TypeError
            As `adapt`; also if a name is taken, or if the scheme cannot add a task without changing
            the others.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> from skmtl import MultiTaskRegressor
        >>> X = np.random.default_rng(0).normal(size=(200, 4))
        >>> y = pd.DataFrame({"sum": X.sum(1), "size": np.abs(X).sum(1)})
        >>> est = MultiTaskRegressor(hidden_layer_sizes=(16,), n_members=2, random_state=0).fit(X, y)
        >>> list(est.add_task(X, pd.Series(X[:, 0] ** 2, name="square")).predict(X))
        ['sum', 'size', 'square']
        """
        from skmtl import transfer

        return transfer.add_task(self, X, y, sample_weight=sample_weight, tasks=tasks, qid=qid)

    def transform(self, X):
        """The representation that tasks share: what a new task would start from.

        The output of the shared trunk where there is one. Other schemes give what they give a task
        that they do not know: the mean of towers, experts mixed evenly, the trunk without adapters.

        Parameters
        ----------
        X : array-like of shape (n, d)
            As in `fit`.

        Returns
        -------
        features : ndarray of shape (n, K * h)
            Of every member, one after the other; h is the width of the last hidden layer.

        Raises
        ------
        ValueError
            If the scheme shares nothing.
        """
        self._check_fitted()
        from skmtl import transfer

        return transfer.shared_features(self, X)

    @property
    def _n_features_out(self):
        module = self.net_.module_
        return module.n_members * (0, *module.built_for[0].hidden_layer_sizes)[-1]
