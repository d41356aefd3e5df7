"""Searches over parameters whose candidates train together."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
    check_cv,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import indexable
from sklearn.utils.validation import _check_method_params

from skmtl._checks import check_number

from .evaluation import Scoring, Trial, cut, evaluate, failures, make_trials


class StackedSearch(BaseSearchCV):
    """What both searches add: `fit` by stacks; it stands before a search of scikit-learn."""

    max_stack: int | str

    def fit(self, X, y=None, **params):
        """Run all candidates on all folds, and fit the best on everything.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : DataFrame, array-like of shape (n, T) or (n,)
            Targets, as the estimator takes them.
        **params : dict of str to object
            Parameters of the estimator's ``fit``, of the scorer and of the splitter, as in
            `sklearn.model_selection.GridSearchCV`.

        Returns
        -------
        self : object
        """
        self.check()
        scorers, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        self.n_splits_ = cv.get_n_splits(X, y, **routed.splitter.split)
        base = clone(self.estimator)
        scoring = Scoring(scorers, self.error_score, self.return_train_score)
        candidates = list(self._candidates())
        splits = cv.split(X, y, **routed.splitter.split)
        folds = cut(base, X, y, splits, routed.estimator.fit, routed.scorer.score)
        if len(folds) != self.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. Expected "
                f"{self.n_splits_} splits, got {len(folds)}."
            )
        out = self._run_trials(make_trials(base, candidates, folds), scoring)
        found = self._format_results(candidates, self.n_splits_, out)
        first = out[0]["test_scores"]
        self.multimetric_ = isinstance(first, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first)
            refit_metric = self.refit
        self._choose(found, refit_metric)
        if self.refit:
            best = clone(base).set_params(**clone(self.best_params_, safe=False))
            start = time.time()
            self.best_estimator_ = best.fit(X, y, **routed.estimator.fit)
            self.refit_time_ = time.time() - start
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        several = isinstance(scorers, _MultimetricScorer)
        self.scorer_ = scorers._scorers if several else scorers
        self.cv_results_ = found
        return self

    def check(self) -> None:
        """Raise where a parameter is none that the search takes."""
        self._validate_params()
        check_number(self.max_stack, "max_stack", Integral, low=1, or_auto=True)

    def _run_trials(self, trials: Sequence[Trial], scoring: Scoring) -> list[dict[str, Any]]:
        if not trials:
            raise ValueError(
                "No fits were performed. Was the CV iterator empty? Were there no candidates?"
            )
        results = self.run(trials, scoring)
        failed = failures(trials, results)
        if failed:
            warnings.warn(
                "Fits failed with these parameters: " + "; ".join(failed), FitFailedWarning
            )
        return results

    def run(self, trials: Sequence[Trial], scoring: Scoring) -> list[dict[str, Any]]:
        """Fit and score trials as the search's parameters say; warn of fits that failed."""
        results = evaluate(
            trials,
            scoring,
            n_jobs=self.n_jobs,
            pre_dispatch=self.pre_dispatch,
            max_stack=self.max_stack,
            verbose=self.verbose,
        )
        _warn_or_raise_about_fit_failures(results, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(results, self.error_score)
        return results

    def _choose(self, results: dict[str, Any], refit_metric: Any) -> None:
        if not self.refit and self.multimetric_:
            return
        self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]


class BatchedGridSearchCV(StackedSearch, GridSearchCV):
    """`sklearn.model_selection.GridSearchCV` whose candidates and folds train together.

    Candidates and folds of one structure (sharing scheme, layer sizes, activation, batch size) train as
    one stack of networks, each with its own rows, ``learning_rate_init``, ``alpha``, ``dropout``,
    ``loss_weights``, strength of sharing, ``random_state``, ``tol`` and ``max_iter``, and each stops on
    its own. Results are those of scikit-learn's class up to rounding; what cannot be stacked (other
    estimators, those with callbacks) is fitted by itself in the same call. In a Pipeline, transformers
    are fitted once per fold and setting.

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
    param_grid : dict or list of dict
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in `GridSearchCV`. With ``n_jobs``, each process stacks its share of the fits.
    max_stack : int or "auto", default="auto"
        Most networks that train together; "auto": what fits into half of the free memory, of which
        each process has its part.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, \
refit_time_, multimetric_
        As in `GridSearchCV`; ``mean_fit_time`` is a fit's share of its stack's.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.model_selection import BatchedGridSearchCV
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = np.column_stack([X[:, 0], X[:, 0] - X[:, 1]])
    >>> est = MultiTaskRegressor(n_members=1, hidden_layer_sizes=(), max_iter=50, random_state=0)
    >>> search = BatchedGridSearchCV(est, {"learning_rate_init": [1e-4, 1e-2]}, cv=3).fit(X, y)
    >>> search.best_params_
    {'learning_rate_init': 0.01}
    """

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
        max_stack="auto",
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.max_stack = max_stack

    def _candidates(self):
        return ParameterGrid(self.param_grid)


class BatchedRandomizedSearchCV(StackedSearch, RandomizedSearchCV):
    """`sklearn.model_selection.RandomizedSearchCV` whose candidates and folds train together.

    See `BatchedGridSearchCV` for what that means.

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
    param_distributions : dict or list of dict
    n_iter, scoring, n_jobs, refit, cv, verbose, pre_dispatch, random_state, error_score, \
return_train_score
        As in `RandomizedSearchCV`. With ``n_jobs``, each process stacks its share of the fits.
    max_stack : int or "auto", default="auto"
        Most networks that train together; "auto": what fits into half of the free memory, of which
        each process has its part.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.model_selection import BatchedRandomizedSearchCV
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = np.column_stack([X[:, 0], X[:, 0] - X[:, 1]])
    >>> est = MultiTaskRegressor(n_members=1, hidden_layer_sizes=(), max_iter=50, random_state=0)
    >>> search = BatchedRandomizedSearchCV(
    ...     est, {"learning_rate_init": loguniform(1e-3, 1e-1)}, n_iter=5, cv=3, random_state=0
    ... ).fit(X, y)
    >>> len(search.cv_results_["params"])
    5
    """

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
        max_stack="auto",
    ):
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.max_stack = max_stack

    def _candidates(self):
        return ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )
