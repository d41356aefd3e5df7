"""Batched search against scikit-learn's with two processes, and time against the number of candidates.

Ratios of medians, interleaved in one process. Writes docs/benchmarks/search.md.
"""

import functools
import sys
import warnings

import contestants
import numpy as np
import pandas as pd
from pages import write
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from timing import interleave, timed

from skmtl import MultiTaskRegressor
from skmtl.inspection import transfer_gain
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import SoftSharing

GRID = {"learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2], "alpha": [0.0, 1e-3, 1e-2, 0.1, 1.0]}
CV = KFold(5)
data = functools.partial(contestants.data, spread=3, noise=0.3)


def settings():
    """Name, data, estimator, epochs and the ratio asked for."""
    small = {"hidden_layer_sizes": (32, 32), "batch_size": 32, "n_members": 1, "random_state": 0}
    large = {**small, "hidden_layer_sizes": (64, 64), "batch_size": 256}
    yield (
        "n=1500, d=20, 4 tasks, trunk 32-32, batch 32",
        data(1500, 20, 4),
        MultiTaskRegressor(**small, max_iter=30),
        20.0,
    )
    yield (
        "the same, 8 members",
        data(1500, 20, 4),
        MultiTaskRegressor(**{**small, "n_members": 8}, max_iter=10),
        float("nan"),
    )
    yield (
        "n=20000, d=50, 4 tasks, trunk 64-64, batch 256",
        data(20_000, 50, 4),
        MultiTaskRegressor(**large, max_iter=10),
        1.5,
    )
    yield (
        "n=1500, d=20, soft sharing of 10 tasks, towers 32-32, batch 32",
        data(1500, 20, 10),
        MultiTaskRegressor(**small, sharing=SoftSharing(), max_iter=10),
        8.0,
    )


def ratios():
    for name, (X, Y), est, asked in settings():
        theirs = GridSearchCV(est, GRID, cv=CV, n_jobs=2, refit=False)
        ours = BatchedGridSearchCV(est, GRID, cv=CV, refit=False)
        spread = BatchedGridSearchCV(est, GRID, cv=CV, refit=False, n_jobs=2)
        seconds = interleave(
            {
                "theirs": lambda: theirs.fit(X, Y),
                "ours": lambda: ours.fit(X, Y),
                "spread": lambda: spread.fit(X, Y),
            },
            repeats=3,
        )
        apart = np.abs(theirs.cv_results_["mean_test_score"] - ours.cv_results_["mean_test_score"])
        yield (
            name,
            seconds["theirs"] / seconds["ours"],
            seconds["theirs"] / seconds["spread"],
            asked,
            float(apart.max()),
        )


def gain():
    """Times that `transfer_gain` is faster than its fits one by one: 5 folds, all tasks and each."""
    for n_members in (1, 8):
        X, Y = data(1500, 20, 4)
        [(_, _, est, _), *_] = settings()
        est.set_params(n_members=n_members, max_iter=10)
        frame = pd.DataFrame(Y, columns=list("abcd"))

        def one_by_one(X=X, frame=frame, est=est):
            for names in (list(frame), *([name] for name in frame)):
                cross_validate(est, X, frame[names], cv=CV, scoring=multitask_scorer())

        seconds = interleave(
            {
                "ours": lambda X=X, y=frame, est=est: transfer_gain(est, X, y, cv=CV),
                "theirs": one_by_one,
            },
            repeats=3,
        )
        yield n_members, seconds["theirs"] / seconds["ours"]


def curve():
    """Seconds of a search of so many candidates on five folds, and of a fit."""
    X, Y = data(1500, 20, 4)
    [(_, _, est, _), *_] = settings()
    for n in (1, 2, 5, 10, 20, 50, 100, 200, 500):
        grid = {"learning_rate_init": np.geomspace(3e-4, 1e-2, n).tolist()}
        search = BatchedGridSearchCV(est, grid, cv=CV, refit=False)
        seconds = timed(lambda search=search: search.fit(X, Y))
        yield n, seconds, seconds / n / 5


def main():
    warnings.simplefilter("ignore")
    rows = []
    for row in ratios():
        print(
            "{}: {:.1f}, two processes {:.1f} (asked: {}); scores apart {:.1e}".format(*row),
            flush=True,
        )
        rows.append(row)
    columns = ["20 candidates x 5 folds", "one process", "two", "asked", "scores apart"]
    table = pd.DataFrame(rows, columns=columns).set_index(columns[0])
    gains = list(gain())
    for point in gains:
        print("transfer_gain, {} members: {:.1f}".format(*point), flush=True)
    points = []
    for point in curve():
        print("{} candidates: {:.2f} s, {:.4f} s a fit".format(*point), flush=True)
        points.append(point)
    times = pd.DataFrame(points, columns=["candidates", "seconds", "seconds a fit"])
    times = times.set_index("candidates")  # a column of numbers would be written as floats
    write(
        __file__,
        "Batched search",
        "How many times faster `BatchedGridSearchCV` is than `GridSearchCV(n_jobs=2)` of the same "
        "estimator (one member unless it says otherwise), in one process and in two; and the largest "
        "difference of a `mean_test_score`. 2 CPU cores.",
        table.to_markdown(floatfmt=("", ".1f", ".1f", ".1f", ".0e")),
        "`transfer_gain` over 5 folds of the same table (10 epochs; all tasks, and each alone) against "
        "scikit-learn's `cross_validate` of the same fits, one process: "
        f"{', '.join(f'{ratio:.1f} times faster with n_members={n}' for n, ratio in gains)}.",
        "Time against the number of candidates, five folds each, n=1500, d=20, 4 tasks, trunk 32-32, "
        "batch 32, at most 30 epochs:",
        times.to_markdown(floatfmt=("", ".2f", ".4f")),
    )


if __name__ == "__main__":
    sys.exit(main())
