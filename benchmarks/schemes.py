"""What each sharing scheme costs: parameters and seconds of a step, beside hard sharing.

Ratios of medians, interleaved in one process. Writes docs/benchmarks/schemes.md.
"""

import sys
import warnings
from dataclasses import replace

import pandas as pd
import torch
from contestants import Work, data, estimator
from pages import write
from timing import interleave

from skmtl import sharing
from skmtl._resolve import known_names
from skmtl.sharing import CGC, MMoE, SoftSharing

WORK = Work(epochs=5)
NAMES = [n for n in known_names(sharing, sharing.Sharing) if n != "hard"]


def fit(scheme, n_tasks, work=WORK):
    X, Y = data(n=10_000, n_tasks=n_tasks)
    return lambda: estimator(work, sharing=scheme).fit(X, Y)


def asked(work=WORK):
    """Yield the ratios an issue put a limit on, towers first."""
    times = interleave(
        {"one": fit("none", 1, work)}
        | {s: fit(s, 20, work) for s in ("soft", "none", "cross_stitch")},
        repeats=7,
    )
    for scheme in ("none", "cross_stitch", "soft"):
        yield f"20 towers, {scheme} / one tower", times[scheme] / times["one"], 4.0
    for penalty in ("l2", "l1", "trace_norm"):
        soft = SoftSharing(penalty=penalty)
        times = interleave({"soft": fit(soft, 20, work), "none": fit("none", 20, work)}, repeats=7)
        yield f"20 towers, soft ({penalty}) / none", times["soft"] / times["none"], 1.15
    eight = {"mmoe": MMoE(n_experts=8), "cgc": CGC(n_shared_experts=4, n_task_experts=1)}
    times = interleave(
        {"hard": fit("hard", 4, work)} | {name: fit(s, 4, work) for name, s in eight.items()},
        repeats=7,
    )
    for name in eight:
        yield f"{name}, 8 experts, 4 tasks / hard", times[name] / times["hard"], 4.0


def by_width(work=WORK):
    """Time of 20 towers over that of one, by the width of their two layers."""
    rows = {}
    for width in (16, 32, 64, 128):
        wide = replace(work, sizes=(width, width))
        towers = {name: fit(name, 20, wide) for name in ("none", "soft", "cross_stitch")}
        times = interleave({"one": fit("none", 1, wide)} | towers, repeats=5)
        rows[width] = {name: times[name] / times["one"] for name in towers}
    return pd.DataFrame(rows).T.rename_axis("units")


def against_each_other(work=WORK):
    """Print what `asked` yields, and return it as a table."""
    rows = []
    for what, ratio, limit in asked(work):
        print(f"{what}: {ratio:.2f} (asked: {limit})", flush=True)
        rows.append((what, ratio, limit))
    return pd.DataFrame(rows, columns=["what", "measured", "asked"]).set_index("what")


def costs(n_tasks):
    """Parameters and time of every scheme with its defaults, over those of hard sharing."""
    times = interleave({name: fit(name, n_tasks) for name in ["hard", *NAMES]}, repeats=5)
    X, Y = data(n=300, n_tasks=n_tasks)
    sizes = {}
    for name in times:
        network = estimator(WORK, sharing=name, max_iter=1).fit(X, Y).module_.network
        sizes[name] = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return pd.DataFrame(
        {
            f"parameters, {n_tasks} tasks": pd.Series(sizes) / sizes["hard"],
            f"time, {n_tasks} tasks": pd.Series(times) / times["hard"],
        }
    )


def main(names):
    warnings.simplefilter("ignore")
    limits = against_each_other()
    if names:
        return
    table = pd.concat([costs(4), costs(20)], axis=1).sort_values("time, 20 tasks")
    print(table.round(2))
    widths = by_width()
    print(widths.round(2))
    write(
        __file__,
        "Cost of the sharing schemes",
        "n=10,000, d=50, regressions, layers of 64 and 64, batch 256, one member, defaults of each "
        f"scheme; {torch.get_num_threads()} CPU cores. Parameters and time of a fit over those of hard "
        "sharing:",
        table.to_markdown(floatfmt=".2f"),
        "Times against each other:",
        limits.to_markdown(floatfmt=".2f"),
        "20 towers over one, by the units of each of the two layers: a small tower leaves the "
        "processor idle, so that twenty cost little more; large ones are arithmetic.",
        widths.to_markdown(floatfmt=".2f"),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
