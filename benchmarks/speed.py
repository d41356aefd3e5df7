"""Speed: `fit` and `predict` against a hand-written torch loop, scikit-learn and plain skorch.

Ratios of medians, interleaved in one process. Writes docs/benchmarks/speed.md.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from contestants import Work, data, estimator, hand_written, plain_skorch, sklearn_mlp
from pages import write
from timing import interleave

from skmtl import MultiTaskClassifierRegressor
from skmtl.sharing import HardSharing

WORK = Work(linear_skip=True)
OF_GROUPS = {"task_column", "unseen"}  # what the estimator of mixed tasks does not have


def ours(batch_size, **changes):
    return estimator(replace(WORK, batch_size=batch_size), **changes)


def training():
    X, Y = data()
    gaps = Y.copy()
    gaps[np.random.default_rng(1).random(Y.shape) < 0.3] = np.nan
    no_skip = HardSharing(linear_skip=False)  # which MLPRegressor has not
    for batch_size in (64, 256, 1024):
        work = replace(WORK, batch_size=batch_size)
        times = interleave(
            {
                "fit": lambda: ours(batch_size).fit(X, Y),
                "loop": lambda: hand_written(work, X, Y),
                "mlp": lambda: sklearn_mlp(work, X, Y),
                "same net": lambda: ours(batch_size, sharing=no_skip).fit(X, Y),
            },
            repeats=7,
        )
        limit = 1.0 if batch_size >= 256 else 1.3
        yield f"fit / hand-written loop, batch {batch_size}", times["fit"] / times["loop"], 1.10
        yield f"fit / MLPRegressor, batch {batch_size}", times["fit"] / times["mlp"], limit
        same_net = times["same net"] / times["mlp"]
        yield f"fit of its very network / MLPRegressor, batch {batch_size}", same_net, limit
    times = interleave(
        {
            "fit": lambda: ours(256).fit(X, gaps),
            "loop": lambda: hand_written(WORK, X, gaps),
        },
        repeats=7,
    )
    yield "fit / hand-written loop, 30 % of labels missing", times["fit"] / times["loop"], 1.10
    times = interleave(
        {"fit": lambda: ours(256).fit(X, Y), "skorch": lambda: plain_skorch(WORK, X, Y)}, repeats=3
    )
    yield "plain skorch / fit (at least)", times["skorch"] / times["fit"], 3.5


def many_tasks():
    X, Y = data()
    mixed = pd.DataFrame(Y, columns=list("abcd"))
    for name in "cd":
        mixed[name] = pd.cut(
            mixed[name], [-9, -0.5, 0.5, 9], labels=["low", "mid", "high"], ordered=False
        )
    params = ours(256).get_params(deep=False)
    mixture = MultiTaskClassifierRegressor(
        **{name: value for name, value in params.items() if name not in OF_GROUPS}
    )
    twenty = data(n_tasks=20)
    times = interleave(
        {
            "four": lambda: ours(256).fit(X, Y),
            "mixed": lambda: mixture.fit(X, mixed),
            "twenty": lambda: ours(256).fit(*twenty),
        },
        repeats=7,
    )
    yield (
        "2 regressions and 2 three-class tasks / 4 regressions",
        times["mixed"] / times["four"],
        1.3,
    )
    yield "20 tasks / 4 tasks", times["twenty"] / times["four"], 1.5


def members():
    X, Y = data(n=1500, d=20)
    small = {"hidden_layer_sizes": (32, 32)}
    times = interleave(
        {k: lambda k=k: ours(32, n_members=k, **small).fit(X, Y) for k in (1, 8)}, repeats=7
    )
    yield "8 members / 1 member, n=1500, trunk 32-32, batch 32", times[8] / times[1], 3.0


def prediction():
    X, Y = data()
    est, mlp = ours(256).fit(X, Y), sklearn_mlp(WORK, X, Y)
    many = data(n=100_000)[0]
    tensor = torch.from_numpy(many).unsqueeze(0)

    @torch.inference_mode()
    def bare():
        return torch.cat([est.module_(part) for part in tensor.split(4096, dim=1)], 1)

    times = interleave({"predict": lambda: est.predict(many), "bare": bare}, repeats=25)
    yield "predict 100,000 rows / bare module", times["predict"] / times["bare"], 1.2
    times = interleave({"ours": lambda: est.predict(X[:1]), "mlp": lambda: mlp(X[:1])}, repeats=500)
    yield "predict one row / MLPRegressor", times["ours"] / times["mlp"], 2.0


def in_new_process(code):
    # installed packages are compiled, so be what is measured here
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return float(run.stdout)


def importing():
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    both = "torch, sklearn.base, sklearn.metrics, sklearn.model_selection"
    seconds = interleave(
        {
            "ours": lambda: in_new_process(code.format("skmtl")),
            "both": lambda: in_new_process(code.format(both)),
        },
        repeats=9,
        measure=lambda run: run(),
    )
    yield "import skmtl / import torch and sklearn", seconds["ours"] / seconds["both"], 1.15


MEMORY = """
import resource, numpy as np
from skmtl import MultiTaskRegressor
X = np.load({path!r}, mmap_mode={mode!r})
if {mode!r} is None:
    X = np.ascontiguousarray(X)
n = len(X)
Y = np.random.default_rng(0).normal(size=(n, 4))
est = MultiTaskRegressor(hidden_layer_sizes=(64, 64), max_iter=1, batch_size=4096, random_state=0)
warm = np.zeros((200, X.shape[1]), np.float32) + np.random.default_rng(0).normal(size=(200, 1))
import warnings; warnings.simplefilter("ignore")
est.fit(warm, Y[:200])
float(X[::64].sum())
peak = lambda: int(next(l.split()[1] for l in open("/proc/self/status") if l.startswith({field!r})))
open("/proc/self/clear_refs", "w").write("5")
before = peak()
est.fit(X, Y)
print((peak() - before) * 1024 / X.nbytes)
"""


def memory():
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "X.npy")
        for n, d in ((1_000_000, 250), (5_000_000, 50)):
            X = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
            rng = np.random.default_rng(0)
            for start in range(0, n, 100_000):
                X[start : start + 100_000] = rng.normal(size=(100_000, d))
            X.flush()
            del X
            used = in_new_process(MEMORY.format(path=path, mode=None, field="VmHWM"))
            yield f"memory a fit adds / X of 1 GB, {n:,} x {d}", used, 0.20
        # a memory map counts as resident as it is read, so anonymous memory is what a fit adds
        code = MEMORY.format(path=path, mode="r", field="RssAnon")
        yield "the same, X a read-only memory map, after the fit", in_new_process(code), 0.20


PARTS = (training, many_tasks, members, prediction, importing, memory)


def main(names):
    warnings.simplefilter("ignore")
    parts = [part for part in PARTS if not names or part.__name__ in names]
    rows = []
    for part in parts:
        for what, ratio, limit in part():
            print(f"{what}: {ratio:.2f} (asked: {limit})", flush=True)
            rows.append((what, ratio, limit))
    if not names:
        table = pd.DataFrame(rows, columns=["what", "measured", "asked"]).set_index("what")
        what = (
            "n=20,000, d=50, 4 regressions, trunk 64-64, 10 epochs, one member unless it says "
            "otherwise; 2 CPU cores."
        )
        write(__file__, "Speed", what, table.to_markdown(floatfmt=".2f"))


if __name__ == "__main__":
    main(sys.argv[1:])
