"""What a loss weighting costs and gains, beside equal weights.

Cost: ratios of medians, interleaved in one process; 2, 5 and 20 tasks, trunk 128-128, batch 256.
Gain: relative change of each task's score against equal weights (Δm), on three real tables, five seeds.
Writes docs/benchmarks/weightings.md.
"""

import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
import tables
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from speed import data, ours
from timing import interleave

from skmtl import MultiTaskClassifierRegressor
from skmtl.weighting import Aggregation, GradientWeighting, by_name

BATCH = 256
SIZES = (128, 128)
SEEDS = range(5)
SETS = ["penguins", "births14", "diamonds"]
METHODS = [name for name in by_name() if name not in ("mean", "sum", "nash_mtl")]


def fit(weights, n_tasks):
    X, Y = data(n=5_000, n_tasks=n_tasks)
    return lambda: ours(BATCH, hidden_layer_sizes=SIZES, max_iter=4, loss_weights=weights).fit(X, Y)


def costs(n_tasks, methods, repeats):
    """Time of a fit with each method over that with equal weights."""
    times = interleave({None: fit(None, n_tasks)} | {m: fit(m, n_tasks) for m in methods}, repeats)
    return pd.Series({str(m): times[m] / times[None] for m in methods}, name=f"{n_tasks} tasks")


def full_jacobian(n_tasks):
    names = ("upgrad", "mgda", "pcgrad")
    methods = {f"{name}, full Jacobian": Aggregation(name, at="parameters") for name in names}
    times = interleave(
        {None: fit(None, n_tasks)} | {n: fit(m, n_tasks) for n, m in methods.items()}, repeats=3
    )
    return pd.Series({n: times[n] / times[None] for n in methods}, name=f"{n_tasks} tasks")


def scores(name, weights, seed):
    """Score of every task on a held-out third."""
    X, Y, preprocessing = tables.load(name)
    X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=1 / 3, random_state=seed)
    est = MultiTaskClassifierRegressor(loss_weights=weights, random_state=seed)
    model = make_pipeline(preprocessing, est).fit(X_train, Y_train)
    table = model[-1].score_tasks(model[:-1].transform(X_test), Y_test)
    return table["score"]


def gain(name, weights):
    """Δm in percent: mean over tasks of the change of 1 - score, sign so that more is better."""
    changes = []
    for seed in SEEDS:
        plain, other = (1 - scores(name, w, seed) for w in (None, weights))
        changes.append(100 * ((plain - other) / plain).mean())
    return np.mean(changes), np.std(changes, ddof=1)


def gains(methods):
    rows = {}
    for method in methods:
        cells = [gain(name, method) for name in SETS]
        rows[method] = {s: f"{m:+.1f} ± {sd:.1f}" for s, (m, sd) in zip(SETS, cells, strict=True)}
        print(method, rows[method], flush=True)
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(costs(5, METHODS, 5).round(2).to_string())
