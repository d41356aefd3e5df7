"""On a GPU: searches beside scikit-learn's and the CPU's, cost of towers and of weights, and speed.

`python benchmarks/gpu.py` where there is one, or some parts of it by their names, as listed at its end;
not part of `make bench`. Writes docs/benchmarks/gpu.md.
"""

import statistics
import sys
import warnings
from dataclasses import replace

import flights
import numpy as np
import pandas as pd
import schemes
import search
import torch
import weightings
from joblib import cpu_count
from pages import write_sections
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from timing import timed

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.training import MixedPrecision
from skmtl.trunks import TabularTrunk

METHODS = ["uw", "dwa", "stch", "famo", "gradnorm", "upgrad", "mgda", "pcgrad"]


def seconds(run, repeats=1):
    """Median wall-clock time."""

    def to_the_end():
        run()
        torch.cuda.synchronize()

    torch.cuda.synchronize()
    return statistics.median(timed(to_the_end) for _ in range(repeats))


def as_markdown(rows, columns, floatfmt):
    """Table whose first column is the index."""
    return pd.DataFrame(rows, columns=columns).set_index(columns[0]).to_markdown(floatfmt=floatfmt)


def searches():
    """20 candidates on 5 folds: a search there, scikit-learn's there, and the search on the CPU."""
    rows = []
    for name, (X, Y), est, _ in search.settings():
        there = clone(est).set_params(device="cuda")
        theirs = GridSearchCV(there, search.GRID, cv=search.CV, n_jobs=2, refit=False)
        ours, cpu = (
            BatchedGridSearchCV(e, search.GRID, cv=search.CV, refit=False)
            for e in (there, clone(est).set_params(device="cpu"))
        )
        ours.fit(X, Y)
        batched = seconds(lambda ours=ours, X=X, Y=Y: ours.fit(X, Y), repeats=3)
        here = seconds(lambda cpu=cpu, X=X, Y=Y: cpu.fit(X, Y))
        clone(theirs).set_params(param_grid={"alpha": [0, 1]}).fit(X[:100], Y[:100])  # warms up
        one_by_one = seconds(lambda theirs=theirs, X=X, Y=Y: theirs.fit(X, Y))
        apart = np.abs(theirs.cv_results_["mean_test_score"] - ours.cv_results_["mean_test_score"])
        rows.append((name, batched, one_by_one / batched, here / batched, apart.max()))
        print(*rows[-1], flush=True)
    columns = [
        "20 candidates x 5 folds",
        "seconds",
        "GridSearchCV / it",
        "CPU / it",
        "scores apart",
    ]
    return [
        "`BatchedGridSearchCV` in one process: its time; how many times longer "
        "`GridSearchCV(n_jobs=2)` of the same estimator takes on the same GPU, and the same batched "
        "search on the CPU cores; the largest difference of a `mean_test_score` between the two "
        "searches on the GPU.",
        as_markdown(rows, columns, ("", ".2f", ".1f", ".1f", ".0e")),
    ]


def curve(sizes=(1, 10, 100, 500)):
    """Candidates, seconds of their search on five folds, and of a fit."""
    X, Y = search.data(1500, 20, 4)
    [(_, _, est, _), *_] = search.settings()
    est.set_params(device="cuda")
    rows = []
    for n in sizes:
        grid = {"learning_rate_init": np.geomspace(3e-4, 1e-2, n).tolist()}
        model = BatchedGridSearchCV(est, grid, cv=search.CV, refit=False)
        took = seconds(lambda model=model: model.fit(X, Y))
        rows.append((n, took, took / n / 5))
        print(*rows[-1], flush=True)
    return [
        "Small networks leave a GPU waiting for the next kernel: one fit alone is slower there than "
        "on a CPU. Five folds of n=1500, d=20, 4 tasks, trunk 32-32, batch 32, at most 30 epochs:",
        as_markdown(rows, ["candidates", "seconds", "seconds a fit"], ("", ".2f", ".4f")),
    ]


def towers():
    """What sharing schemes cost there, as on the page of schemes."""
    work = replace(schemes.WORK, device="cuda")
    limits = schemes.against_each_other(work)
    widths = schemes.by_width(work)
    print(widths.round(2), flush=True)
    return [
        "The ratios of [the sharing schemes](schemes.md), layers of 64 and 64, batch 256:",
        limits.to_markdown(floatfmt=".2f"),
        "20 towers over one, by the units of each of the two layers:",
        widths.to_markdown(floatfmt=".2f"),
    ]


def weights():
    """What loss weights cost there, as on the page of weightings."""
    work = replace(weightings.WORK, device="cuda")
    methods = {name: name for name in METHODS}
    table = pd.DataFrame(
        {f"{n} tasks": weightings.costs(n, methods, work, repeats=5) for n in (2, 5, 20)}
    )
    print(table.round(2).to_string(), flush=True)
    return [
        "Time of a fit over that with equal weights, as for [the loss weights](weightings.md): trunk "
        "128-128, batch 256:",
        table.to_markdown(floatfmt=".2f"),
    ]


def precision():
    """Rows/s in training, in single and in mixed precision."""
    X = np.random.default_rng(0).normal(size=(200_000, 256)).astype(np.float32)
    Y = np.tanh(X[:, :8])
    rows = []
    for sizes in ((256, 256), (2048, 2048)):
        rates = []
        for callbacks in (None, [MixedPrecision()]):
            est = MultiTaskRegressor(hidden_layer_sizes=sizes, n_members=1, device="cuda")
            est.set_params(batch_size=8192, max_iter=5, early_stopping=False, callbacks=callbacks)
            est.fit(X, Y)
            rates.append(5 * len(X) / seconds(lambda est=est: clone(est).fit(X, Y)))
        rows.append(("-".join(map(str, sizes)), *rates))
        print(*rows[-1], flush=True)
    return [
        "`skmtl.training.MixedPrecision`: 200,000 rows of 256 numbers, 8 regressions, batches of "
        "8,192:",
        as_markdown(rows, ["trunk", "rows/s, float32", "rows/s, bfloat16"], ("", ",.0f", ",.0f")),
    ]


def rates_of_flights():
    """Rows/s of the flights' table by device."""
    X, _, y, _ = flights.table()
    rates = {}
    for device in ("cuda", "cpu"):
        est = MultiTaskClassifierRegressor(trunk=TabularTrunk(), n_members=1, device=device)
        est.set_params(batch_size=flights.BATCH, max_iter=flights.EPOCHS, random_state=0)
        clone(est).set_params(max_iter=1).fit(X[:50_000], y[:50_000])
        rates[device] = flights.EPOCHS * len(X) / seconds(lambda est=est: est.fit(X, y))
    print(rates, flush=True)
    return [
        f"The [flights](flights.md) in batches of {flights.BATCH:,}, a small network: "
        f"{rates['cuda']:,.0f} rows/s on the GPU, {rates['cpu']:,.0f} on the CPU cores."
    ]


def main(only):
    warnings.simplefilter("ignore")
    write_sections(
        __file__,
        "On a GPU",
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {cpu_count()} CPU cores. "
        "Wall-clock time, medians.",
        {
            "searches": ("Batched search", searches),
            "curve": ("Time against the number of candidates", curve),
            "towers": ("Sharing schemes", towers),
            "weights": ("Loss weights", weights),
            "precision": ("Mixed precision", precision),
            "flights": ("A large table", rates_of_flights),
        },
        only,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
