"""The same work by skmtl and its peers, and how time grows. Writes docs/benchmarks/peers.md.

Everyone gets the same table of regressions, layers (a trunk, linear heads, no skip), batch size, Adam
at rate 1e-3, L2 penalty of 1e-4 over the number of rows, and number of epochs; none stops early.
Seconds are wall-clock seconds of a fit, medians of fits in turn after one of each as a warm-up. R² on
the rows trained on shows that all have learned about as much.

`python benchmarks/peers.py [works] [growth]` prints these parts and writes nothing.
"""

import importlib.util
import os
import sys
import warnings
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from contestants import Work, hand_written, on_one_thread, ours, plain_skorch, sklearn_mlp
from pages import DOCS, write
from sklearn.metrics import r2_score
from timing import interleave

US, LOOP, MLP = "skmtl", "hand-written torch loop", "MLPRegressor"
EIGHT = "skmtl, eight networks averaged"
COLLATED, SLICED = "LibMTL's trainer", "LibMTL's trainer, batches sliced"
CONTESTANTS = {
    US: ours,
    LOOP: hand_written,
    "the same loop, torch held to one thread": on_one_thread(hand_written),
    MLP: sklearn_mlp,
    "skorch as it comes": plain_skorch,
    COLLATED: None,  # see `contestants`
    SLICED: None,
    EIGHT: partial(ours, n_members=8),
}
WORKS = {
    "larger": Work(),
    "smaller": Work(n=1500, d=20, sizes=(32, 32), batch_size=32),
}
BASE = Work(n=10_000, epochs=5)
AXES = {
    "rows": {n: {"n": n} for n in (1_000, 4_000, 16_000, 64_000, 256_000)},
    "columns": {d: {"d": d} for d in (10, 50, 250, 1_000)},
    "tasks": {n: {"n_tasks": n} for n in (2, 8, 32, 128)},
    "units a layer": {w: {"sizes": (w, w)} for w in (16, 64, 256, 512)},
    "rows of a batch": {b: {"batch_size": b} for b in (32, 128, 512, 2_048)},
}
LOST = 1.05  # times a peer's seconds, from which on a work is lost


def describe(work):
    layers = "-".join(map(str, work.sizes))
    return (
        f"n={work.n:,}, d={work.d}, {work.n_tasks} tasks, trunk {layers}, batch {work.batch_size}, "
        f"{work.epochs} epochs"
    )


def contestants():
    """Those that are there: LibMTL need not be installed."""
    all_there = dict(CONTESTANTS)
    if importlib.util.find_spec("LibMTL") is not None:
        import libmtl_peer

        all_there |= {COLLATED: libmtl_peer.collated, SLICED: libmtl_peer.sliced}
    return {name: fit for name, fit in all_there.items() if fit}


def seconds(fits, work, repeats=5):
    X, Y = work.table()
    return interleave({name: partial(fit, work, X, Y) for name, fit in fits.items()}, repeats)


def works():
    """A table of seconds, times of ours and R² for each work."""
    fits = contestants()
    for name, work in WORKS.items():
        table = pd.DataFrame({"seconds": seconds(fits, work)})
        table["times ours"] = table["seconds"] / table.loc[US, "seconds"]
        X, Y = work.table()
        table["R²"] = [r2_score(Y, fit(work, X, Y)(X)) for fit in fits.values()]
        yield name, table.reindex(list(CONTESTANTS)).rename_axis(f"the {name} work")


def growth():
    """A table of seconds along each axis, of ours, the loop's and MLPRegressor's."""
    fits = {name: CONTESTANTS[name] for name in (US, LOOP, MLP)}
    for axis, values in AXES.items():
        rows = {value: seconds(fits, replace(BASE, **change)) for value, change in values.items()}
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(axis)
        for peer in (LOOP, MLP):
            table[f"ours / {peer}"] = table[US] / table[peer]
        yield axis, table


def markdown(table):
    """Seconds and R² with three digits, ratios with two, and what is not installed in words."""
    formats = {name: ".3f" if name in {*CONTESTANTS, "seconds", "R²"} else ".2f" for name in table}
    cells = {
        name: [
            format(value, formats[name]) if value == value else "not installed" for value in column
        ]
        for name, column in table.items()
    }
    index = [f"{value:,}" if isinstance(value, int) else value for value in table.index]
    text = pd.DataFrame(cells, index=pd.Index(index, name=table.index.name))
    return text.to_markdown(disable_numparse=True, stralign="right")


def lost(tables, curves):
    """A line per peer: where a fit of ours took longer, and how many times as long."""
    ratios = [
        (peer, f"the {name} work", 1 / times)
        for name, table in tables.items()
        for peer, times in table["times ours"].drop([US, EIGHT]).items()
    ]
    ratios += [
        (peer, f"{value:,} {axis}", table.loc[value, f"ours / {peer}"])
        for axis, table in curves.items()
        for value in table.index
        for peer in (LOOP, MLP)
    ]
    places = {}
    for peer, where, ratio in ratios:
        if ratio > LOST:
            places.setdefault(peer, []).append(f"{where} ({ratio:.2f})")
    lines = [f"- {peer}: {', '.join(where)}." for peer, where in places.items()]
    return "\n".join(lines) or "Nowhere among what is measured here."


def draw(curves):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, len(curves), figsize=(16, 3.6), sharey=True, layout="constrained"
    )
    for ax, (axis, table) in zip(axes, curves.items(), strict=True):
        for name, style in ((US, "-o"), (LOOP, "--s"), (MLP, ":^")):
            ax.plot(table.index, table[name], style, ms=4, label=name)
        ax.set(xscale="log", yscale="log", xlabel=axis)
        ax.set_xticks(table.index, [f"{value:,}" for value in table.index], fontsize=8)
        ax.minorticks_off()
    axes[0].set_ylabel("seconds of a fit")
    axes[0].legend(fontsize=8)
    figure.savefig(DOCS / "images" / "peers.png", dpi=110)
    plt.close(figure)


def page(tables, curves):
    """Parts of the page."""
    parts = [
        __doc__.split("\n\n")[1],
        f"{os.cpu_count()} CPU cores; torch {torch.__version__}, threads it takes by itself: "
        f"{torch.get_num_threads()}. skmtl trains one network unless it says eight, which is its "
        "default up to 10,000 rows.",
        "## Where we lose",
        f"Where a fit takes more than {LOST} times what it takes a peer, with the ratio:",
        lost(tables, curves),
        "Known reasons: a fit has a fixed cost, of checks and of setting up, that counts where all is "
        "done in hundredths of a second; tables of up to 1,000 rows are trained in float64, equal rows "
        "merged ([why](../architecture.md)); and inputs far out are bent back, which no peer does: the "
        "bounds are quantiles of every column.",
        "Scores beside XGBoost, histogram gradient boosting and others, and on which tables they are "
        "better, are in [quality.md](quality.md); prediction, import, memory and the ratios that were "
        "missed in [speed.md](speed.md).",
    ]
    for name, table in tables.items():
        parts += [f"## The {name} work", describe(WORKS[name]) + ".", markdown(table)]
    parts += [
        "LibMTL 1.1.5 is patched to run on a CPU at all. Its batches are collated row by row as in its "
        "examples, or sliced from tensors, where what is left is the trainer's own.",
        "## How time grows",
        f"One axis at a time, from {describe(BASE)}. How it grows with the candidates of a search is "
        "in [search.md](search.md).",
        "![Seconds of a fit along five axes, both scales logarithmic](../images/peers.png)",
        *map(markdown, curves.values()),
    ]
    return parts


PARTS = {"works": works, "growth": growth}


def main(names):
    warnings.simplefilter("ignore")
    tables = {part: {} for part in PARTS}
    for part in names or PARTS:
        for name, table in PARTS[part]():
            print(f"{markdown(table)}\n", flush=True)
            tables[part][name] = table
    if not names:
        write(__file__, "Beside its peers", *page(*tables.values()))
        draw(tables["growth"])


if __name__ == "__main__":
    main(sys.argv[1:])
