"""Candidates on folds: fitted in stacks where they can be, as scikit-learn would where not, and scored.

Transformers before an estimator are fitted once per fold and setting. In: candidates and splits. Out:
what `sklearn.model_selection` makes its results of. Shapes: n rows.
"""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import _routing_enabled, process_routing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples

from skmtl._base import BaseMultiTask
from skmtl._stack import Job, once, plan_stacks, train_stack

from .progress import watching
from .transformers import fit_transformers, told_apart


@dataclass
class Fold:
    """A split: rows taken out once for all candidates, those to train on only where they are needed."""

    estimator: Any
    X: Any
    y: Any
    train: np.ndarray
    X_test: Any
    y_test: Any
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    score_params_train: dict[str, Any]

    @cached_property
    def train_inputs(self) -> Any:
        """Inputs of the training rows."""
        return _safe_split(self.estimator, self.X, None, self.train)[0]

    @cached_property
    def train_targets(self) -> Any:
        """Targets of the training rows."""
        return None if self.y is None else _safe_indexing(self.y, self.train)


@dataclass
class Trial:
    """A candidate on a fold.

    ``model`` is what is scored, ``job`` the part of it that a stack can train, if any, and ``steps``
    the transformers before it, as they are to be handed out.
    """

    model: Any
    parameters: dict[str, Any]
    fold: Fold
    job: Job | None = None
    steps: Any = None

    @property
    def failed(self) -> bool:
        """Whether there is nothing left to train."""
        return self.job is not None and self.job.error is not None


@dataclass
class Scoring:
    """How trials are scored, in the words of scikit-learn's searches."""

    scorer: Any
    error_score: Any
    return_train_score: bool = False
    return_estimator: bool = False


def cut(
    estimator: Any, X: Any, y: Any, splits: Any, fit_params: Any, score_params: Any
) -> list[Fold]:
    """Rows and parameters of each split."""
    folds, rows = [], np.arange(_num_samples(X))
    for train, test in splits:
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        folds.append(
            Fold(
                estimator,
                X,
                y,
                train=rows[np.asarray(train)],
                X_test=X_test,
                y_test=y_test,
                fit_params=_check_method_params(X, params=fit_params, indices=train),
                score_params=_check_method_params(X, params=score_params, indices=test),
                score_params_train=_check_method_params(X, params=score_params, indices=train),
            )
        )
    return folds


def make_trials(estimator: Any, candidates: Sequence[Any], folds: Sequence[Fold]) -> list[Trial]:
    """Trials in the order of scikit-learn, candidate by candidate."""
    return [
        Trial(clone(estimator).set_params(**clone(parameters, safe=False)), parameters, fold)
        for parameters in candidates
        for fold in folds
    ]


def find_jobs(trials: Sequence[Trial], scoring: Scoring) -> None:
    """Find what stacks can train; transformers are fitted here."""
    known: dict[Any, Any] = {}
    for trial in trials:
        try:
            _find_job(trial, scoring, known)
        except Exception as error:  # noqa: BLE001
            trial.job = Job(trial.model, None, None, error=error)
    if not scoring.return_train_score:
        for trial in trials:  # made for the transformers, and too large to travel for nothing
            trial.fold.__dict__.pop("train_inputs", None)


def _find_job(trial: Trial, scoring: Scoring, known: dict[Any, Any]) -> None:
    """Find what a stack can train of a trial, and fit what stands before it."""
    model, fold = trial.model, trial.fold
    weights = dict(fold.fit_params)
    if _stacks(model) and not weights.keys() - {"sample_weight"}:
        trial.job = Job(model, fold.X, fold.train_targets, fold.train, weights.get("sample_weight"))
        return
    if not isinstance(model, Pipeline) or not _stacks(model.steps[-1][1]):
        return
    name = f"{model.steps[-1][0]}__sample_weight"
    weights = _of_steps(model, weights)
    if weights.keys() - {name}:
        return
    scored = [fold.X_test, *([fold.train_inputs] if scoring.return_train_score else [])]
    trial.steps, remembering, inputs = once(
        known,
        (id(fold), told_apart(model)),
        lambda: fit_transformers(model, fold.train_inputs, fold.train_targets, scored),
    )
    model.steps = [*remembering, model.steps[-1]]
    trial.job = Job(model.steps[-1][1], inputs, fold.train_targets, None, weights.get(name))


def _stacks(model: Any) -> bool:
    return isinstance(model, BaseMultiTask) and model._stacks


def _of_steps(model: Pipeline, params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a pipeline's fit by ``step__name``: their form without metadata routing."""
    if not params or not _routing_enabled():
        return params
    routed = process_routing(model, "fit", **params)
    return {
        f"{step}__{name}": value
        for step, methods in routed.items()
        for given in methods.values()
        for name, value in given.items()
    }


def evaluate(
    trials: Sequence[Trial],
    scoring: Scoring,
    *,
    n_jobs: int | None = None,
    pre_dispatch: Any = "2*n_jobs",
    max_stack: int | str = "auto",
    verbose: int = 0,
) -> list[dict[str, Any]]:
    """Fit and score all trials; their results, in their order."""
    find_jobs(trials, scoring)
    n_workers = joblib.effective_n_jobs(n_jobs)
    # these have nothing to do elsewhere, and some errors cannot travel
    failed = [trial for trial in trials if trial.failed] if n_workers > 1 else []
    parts = deal(trials, n_workers)
    parallel = Parallel(n_jobs=n_jobs, pre_dispatch=pre_dispatch)
    # other processes cannot print for this one, or move its bar
    shown = verbose > 0 and n_workers == 1
    if verbose > 0 and not shown:
        print(f"{len(trials)} fits, shared out to {n_workers} processes")  # noqa: T201
    with watching() if shown else nullcontext() as watch:
        done = [_run(failed, scoring, max_stack, n_workers, None)]
        done += parallel(
            delayed(_run)(part, scoring, max_stack, n_workers, watch) for part in parts
        )
    if verbose > 0 and not shown:
        print(_told([size for _, sizes in done for size in sizes]))  # noqa: T201
    result_of = {
        id(trial): result
        for part, (results, _) in zip([failed, *parts], done, strict=True)
        for trial, result in zip(part, results, strict=True)
    }
    return [result_of[id(trial)] for trial in trials]


def deal(trials: Sequence[Trial], n_workers: int) -> list[list[Trial]]:
    """Trials for each worker, which makes stacks of its own; those that no stack can train apart.

    In turn, those of one structure after another: they cost the same, and are spread evenly. Trials
    that have failed are dealt to none of several workers.
    """
    if n_workers == 1:
        return [list(trials)]
    by_likeness = [(t.job.likeness(), t) for t in trials if t.job is not None and not t.failed]
    to_stack = [trial for _, trial in sorted(by_likeness, key=itemgetter(0))]
    hands = [to_stack[i::n_workers] for i in range(n_workers)]
    return [hand for hand in hands if hand] + [[t] for t in trials if t.job is None]


def _run(
    trials: Sequence[Trial], scoring: Scoring, max_stack: int | str, n_workers: int, watch: Any
) -> tuple[list[dict[str, Any]], list[int]]:
    """Fit and score what falls to one of so many workers; results, and the sizes of the stacks."""
    by_job = {id(trial.job): trial for trial in trials if trial.job is not None}
    jobs = [trial.job for trial in by_job.values() if trial.job and not trial.failed]
    plan = plan_stacks(jobs, max_stack, n_workers)
    stacks = [[by_job[id(job)] for job in stack] for stack in plan]
    stacked = {id(trial) for stack in stacks for trial in stack}
    stacks += [[trial] for trial in trials if id(trial) not in stacked]
    sizes = [len(stack) for stack in stacks]
    if watch is not None:
        watch.bar.write(_told(sizes))
    result_of: dict[int, dict[str, Any]] = {}
    for stack in stacks:
        results = _run_stack(stack, scoring, watch)
        result_of.update(zip(map(id, stack), results, strict=True))
    return [result_of[id(trial)] for trial in trials], sizes


def _told(sizes: Sequence[int]) -> str:
    """How many stacks there are."""
    n_alone = sizes.count(1)
    alone = f", {n_alone} by themselves" if n_alone else ""
    return f"{sum(sizes)} fits in {len(sizes) - n_alone} stacks{alone}"


def _run_stack(stack: Sequence[Trial], scoring: Scoring, watch: Any) -> list[dict[str, Any]]:
    """Fit and score the trials of a stack."""
    start = time.perf_counter()
    jobs = [trial.job for trial in stack if trial.job is not None]
    if jobs and all(job.error is None for job in jobs):
        train_stack(jobs, [] if watch is None else [watch])
    seconds = (time.perf_counter() - start) / len(stack)
    results = [
        _fit_alone(trial) if trial.job is None else _outcome(trial.job.error, seconds)
        for trial in stack
    ]
    for trial, result in zip(stack, results, strict=True):
        _score_trial(trial, result, scoring)
        if trial.steps is not None:
            trial.model.steps = [*trial.steps, trial.model.steps[-1]]
        if scoring.return_estimator:  # from another process this is the way back
            result["estimator"] = trial.model
        if watch is not None:
            watch.scored(trial.parameters, result["test_scores"])
    return results


def _outcome(error: Exception | None, seconds: float) -> dict[str, Any]:
    return {"error": error, "fit_time": seconds}


def _fit_alone(trial: Trial) -> dict[str, Any]:
    """Fit a model that no stack can train."""
    start, fold, error = time.perf_counter(), trial.fold, None
    try:
        trial.model.fit(fold.train_inputs, fold.train_targets, **fold.fit_params)
    except Exception as raised:  # noqa: BLE001
        error = raised
    return _outcome(error, time.perf_counter() - start)


def _score_trial(trial: Trial, result: dict[str, Any], scoring: Scoring) -> None:
    """Add what scikit-learn makes its results of."""
    error, fold = result.pop("error"), trial.fold
    result["n_test_samples"] = _num_samples(fold.X_test)
    result["score_time"] = 0.0
    result["fit_error"] = None
    if error is not None:
        if scoring.error_score == "raise":
            raise error
        result["fit_error"] = "".join(traceback.format_exception(error))
        names = getattr(scoring.scorer, "_scorers", None)
        score = scoring.error_score
        result["test_scores"] = score if names is None else dict.fromkeys(names, score)
        if scoring.return_train_score:
            result["train_scores"] = copy.copy(result["test_scores"])
        return

    def judge(X: Any, y: Any, params: Any) -> Any:
        return _score(trial.model, X, y, scoring.scorer, params, scoring.error_score)

    start = time.perf_counter()
    result["test_scores"] = judge(fold.X_test, fold.y_test, fold.score_params)
    result["score_time"] = time.perf_counter() - start
    if scoring.return_train_score:
        rows = fold.train_inputs, fold.train_targets
        result["train_scores"] = judge(*rows, fold.score_params_train)


def failures(trials: Sequence[Trial], results: Sequence[dict[str, Any]]) -> list[str]:
    """What failed: parameters and the last line of the error, once each."""
    shown = dict.fromkeys(
        f"{trial.parameters}: {result['fit_error'].strip().splitlines()[-1]}"
        for trial, result in zip(trials, results, strict=True)
        if result["fit_error"] is not None
    )
    return list(shown)
