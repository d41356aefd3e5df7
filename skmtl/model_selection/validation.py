"""Cross-validation whose folds train together."""

from __future__ import annotations

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import check_cv
from sklearn.model_selection._validation import (
    _aggregate_score_dicts,
    _normalize_score_results,
)
from sklearn.utils import Bunch, indexable
from sklearn.utils.metadata_routing import _routing_enabled

from .evaluation import Scoring, cut, make_trials
from .search import BatchedGridSearchCV


def cross_validate(
    estimator,
    X,
    y=None,
    *,
    groups=None,
    scoring=None,
    cv=None,
    n_jobs=None,
    verbose=0,
    params=None,
    pre_dispatch="2*n_jobs",
    return_train_score=False,
    return_estimator=False,
    return_indices=False,
    error_score=np.nan,
    max_stack="auto",
):
    """`sklearn.model_selection.cross_validate` whose folds train together.

    The networks of all folds are one stack, as in `BatchedGridSearchCV`; results are those of
    scikit-learn's function up to rounding. Estimators that no stack can train (of other libraries,
    with callbacks) are fitted one by one.

    Parameters
    ----------
    estimator : estimator of skmtl, or a Pipeline that ends in one
        Cloned for each split.
    X : array-like of shape (n, d)
    y : DataFrame, array-like of shape (n, T) or (n,)
        Targets, as the estimator takes them.
    groups, scoring, cv, n_jobs, verbose, params, pre_dispatch, return_train_score, \
return_estimator, return_indices, error_score
        As in `sklearn.model_selection.cross_validate`. With ``n_jobs``, each process stacks its share
        of the fits.
    max_stack : int or "auto", default="auto"
        Most networks that train together; "auto": what fits into half of the free memory, of which
        each process has its part.

    Returns
    -------
    scores : dict of str to ndarray of shape (n_splits,)
        As from `sklearn.model_selection.cross_validate`; ``fit_time`` is a fit's share of its stack's.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.metrics import multitask_scorer
    >>> from skmtl.model_selection import cross_validate
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = np.column_stack([X[:, 0], X[:, 0] - X[:, 1]])
    >>> est = MultiTaskRegressor(n_members=1, hidden_layer_sizes=(), max_iter=50, random_state=0)
    >>> scores = cross_validate(est, X, y, scoring=multitask_scorer(), cv=4)
    >>> sorted(scores)
    ['fit_time', 'score_time', 'test_mean', 'test_y0', 'test_y1']
    >>> scores["test_mean"].shape
    (4,)
    """
    search = BatchedGridSearchCV(
        estimator,
        {},
        scoring=scoring,
        n_jobs=n_jobs,
        refit=False,
        cv=cv,
        verbose=verbose,
        pre_dispatch=pre_dispatch,
        error_score=error_score,
        return_train_score=return_train_score,
        max_stack=max_stack,
    )
    X, y = indexable(X, y)
    search.check()
    scorers, _ = search._get_scorers()
    routed = _route(search, groups, {} if params is None else params)
    splitter = check_cv(cv, y, classifier=is_classifier(estimator))
    splits = list(splitter.split(X, y, **routed.splitter.split))
    folds = cut(estimator, X, y, splits, routed.estimator.fit, routed.scorer.score)
    scores_of = Scoring(scorers, error_score, return_train_score, return_estimator)
    found = _aggregate_score_dicts(search.run(make_trials(estimator, [{}], folds), scores_of))
    scores = {name: found[name] for name in ("fit_time", "score_time")}
    if return_estimator:
        scores["estimator"] = found["estimator"]
    if return_indices:
        train, test = zip(*splits, strict=True)
        scores["indices"] = {"train": train, "test": test}
    by_kind = {"test": _normalize_score_results(found["test_scores"])}
    if return_train_score:
        by_kind["train"] = _normalize_score_results(found["train_scores"])
    for name in by_kind["test"]:
        scores.update((f"{kind}_{name}", values[name]) for kind, values in by_kind.items())
    return scores


def _route(search, groups, params):
    """Parameters for the fits, the splitter and the scorer: by metadata routing, where enabled."""
    if not _routing_enabled():
        return Bunch(  # weights are for training alone, as in scikit-learn's function
            estimator=Bunch(fit=params),
            splitter=Bunch(split={"groups": groups}),
            scorer=Bunch(score={}),
        )
    if groups is not None:
        raise ValueError(
            "With metadata routing enabled, groups are passed in params: params={'groups': groups}."
        )
    try:
        return search._get_routed_params_for_fit(params)
    except UnsetMetadataPassedError as error:
        raise UnsetMetadataPassedError(
            message=str(error).replace("BatchedGridSearchCV.fit", "cross_validate"),
            unrequested_params=error.unrequested_params,
            routed_params=error.routed_params,
        ) from None
