"""On a GPU: a batched search beside fits one by one and beside the CPU, mixed precision, flights.

`python benchmarks/gpu.py` where there is one; not part of `make bench`. Writes docs/benchmarks/gpu.md.
"""

import statistics
import warnings

import flights
import numpy as np
import pandas as pd
import search
import torch
from pages import write
from sklearn.base import clone
from timing import timed

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.training import MixedPrecision
from skmtl.trunks import TabularTrunk


def seconds(run, repeats=1):
    """Median wall-clock time."""

    def to_the_end():
        run()
        torch.cuda.synchronize()

    torch.cuda.synchronize()
    return statistics.median(timed(to_the_end) for _ in range(repeats))


def searches():
    """20 candidates on 5 folds: a search on the GPU, a fit there, and the search on the CPU."""
    for name, (X, Y), est, _ in search.settings():
        there = clone(est).set_params(device="cuda")
        ours, cpu = (
            BatchedGridSearchCV(e, search.GRID, cv=search.CV, refit=False)
            for e in (there, clone(est).set_params(device="cpu"))
        )
        ours.fit(X, Y)
        batched = seconds(lambda ours=ours, X=X, Y=Y: ours.fit(X, Y), repeats=3)
        fit = seconds(lambda est=there, X=X, Y=Y: clone(est).fit(X, Y), repeats=2)
        here = seconds(lambda cpu=cpu, X=X, Y=Y: cpu.fit(X, Y))
        yield name, batched, 100 * fit / batched, here / batched


def curve(sizes=(1, 10, 100, 500)):
    """Candidates, seconds of their search on five folds, and of a fit."""
    X, Y = search.data(1500, 20, 4)
    [(_, _, est, _), *_] = search.settings()
    est.set_params(device="cuda")
    for n in sizes:
        grid = {"learning_rate_init": np.geomspace(3e-4, 1e-2, n).tolist()}
        model = BatchedGridSearchCV(est, grid, cv=search.CV, refit=False)
        took = seconds(lambda model=model: model.fit(X, Y))
        yield n, took, took / n / 5


def precision():
    """Rows/s in training, in single and in mixed precision."""
    X = np.random.default_rng(0).normal(size=(200_000, 256)).astype(np.float32)
    Y = np.tanh(X[:, :8])
    for sizes in ((256, 256), (2048, 2048)):
        rates = []
        for callbacks in (None, [MixedPrecision()]):
            est = MultiTaskRegressor(hidden_layer_sizes=sizes, n_members=1, device="cuda")
            est.set_params(batch_size=8192, max_iter=5, early_stopping=False, callbacks=callbacks)
            est.fit(X, Y)
            rates.append(5 * len(X) / seconds(lambda est=est: clone(est).fit(X, Y)))
        yield "-".join(map(str, sizes)), *rates


def rates_of_flights():
    """Rows/s of the flights' table by device."""
    X, _, y, _ = flights.table()
    rates = {}
    for device in ("cuda", "cpu"):
        est = MultiTaskClassifierRegressor(trunk=TabularTrunk(), n_members=1, device=device)
        est.set_params(batch_size=flights.BATCH, max_iter=flights.EPOCHS, random_state=0)
        clone(est).set_params(max_iter=1).fit(X[:50_000], y[:50_000])
        rates[device] = flights.EPOCHS * len(X) / seconds(lambda est=est: est.fit(X, y))
    return rates


def write_page(device, searches, curve, precision, rates):
    """Make the page."""
    columns = ["20 candidates x 5 folds", "seconds", "100 fits there / it", "CPU / it"]
    of_searches = pd.DataFrame(searches, columns=columns).set_index(columns[0])
    columns = ["candidates", "seconds", "seconds a fit"]
    times = pd.DataFrame(curve, columns=columns).set_index(columns[0])
    columns = ["trunk", "rows/s, float32", "rows/s, bfloat16"]
    widths = pd.DataFrame(precision, columns=columns).set_index(columns[0])
    write(
        __file__,
        "On a GPU",
        f"{device}; its host lends two CPU cores. Wall-clock time, medians.",
        "`BatchedGridSearchCV` on the GPU: its time, how many times longer a hundred fits one by one "
        "would take there, and how many times longer the same batched search takes on the CPU "
        "cores.",
        of_searches.to_markdown(floatfmt=("", ".2f", ".0f", ".1f")),
        "Small networks leave a GPU waiting for the next kernel: one fit alone is slower there than "
        "on a CPU, and the smallest search no faster. Time against the number of candidates, five "
        "folds each, n=1500, d=20, 4 tasks, trunk 32-32, batch 32, at most 30 epochs:",
        times.to_markdown(floatfmt=("", ".2f", ".4f")),
        "Mixed precision (`skmtl.training.MixedPrecision`): 200,000 rows of 256 numbers, 8 "
        "regressions, batches of 8,192:",
        widths.to_markdown(floatfmt=("", ",.0f", ",.0f")),
        f"The [flights](flights.md) in batches of {flights.BATCH:,}, a small network: "
        f"{rates['cuda']:,.0f} rows/s on the GPU, {rates['cpu']:,.0f} on the CPU cores.",
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    write_page(name, list(searches()), list(curve()), list(precision()), rates_of_flights())
