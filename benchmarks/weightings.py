"""What a loss weighting costs and gains, beside equal weights.

Cost: time of a fit over that of one with equal weights just before it, in one process; medians of 15;
2, 5 and 20 regressions, trunk 128-128, batch 256, 50 features. Gain: Δm, the mean over tasks of the
relative change of accuracy or (negative) root mean squared error against equal weights, in percent,
on a held-out third, mean and standard deviation over five splits and seeds; p of a paired t-test of
the mean over the three sets, for one method looked at alone: of this many, one is below .05 by chance.
Writes
docs/benchmarks/weightings.md. `python benchmarks/weightings.py [cost | gain]`.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from contestants import Work, data, estimator
from pages import write_sections
from scipy import stats
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from tables import REGRESSIONS, TABLES, kinds, standardise
from timing import ratios

from skmtl import MultiTaskClassifierRegressor
from skmtl.weighting import Aggregation, MinimaxDeviation, by_name

WORK = Work(sizes=(128, 128), epochs=4, linear_skip=True)
SEEDS = range(5)
SETS = ["penguins", "births14", "digits"]
MEMBERS = 2
METHODS = [name for name in by_name() if name not in ("mean", "sum", "nash_mtl")]
GAIN_FORMAT = ("", "", "", "", "+.2f", ".3f")


def fit(weights, n_tasks, work):
    X, Y = data(n=5_000, n_tasks=n_tasks)
    est = estimator(work, loss_weights=weights)
    return lambda: est.fit(X, Y)


def costs(n_tasks, methods, work=WORK, repeats=15):
    """Time of a fit with each method over that with equal weights."""
    fits = {name: fit(method, n_tasks, work) for name, method in methods.items()}
    return pd.Series(ratios(fit(None, n_tasks, work), fits, repeats))


def cost_table():
    columns = {}
    for n_tasks in (2, 5, 20):
        methods = {name: name for name in METHODS}
        # with the best losses given: without, it trains the single-task networks first
        methods["minimax_deviation"] = MinimaxDeviation([0.1] * n_tasks)
        full = ("upgrad", "mgda", "pcgrad")
        methods |= {f"{name}, full Jacobian": Aggregation(name, "parameters") for name in full}
        columns[f"{n_tasks} tasks"] = costs(n_tasks, methods)
        print(columns[f"{n_tasks} tasks"].round(2).to_string(), flush=True)
    return pd.DataFrame(columns)


def quality(name, weights, seed):
    """Accuracy, or negative root mean squared error, of every task on a held-out third."""
    X, Y = TABLES[name]()
    parts = train_test_split(X, Y, test_size=1 / 3, random_state=seed)
    transform = standardise().fit(parts[0])
    X_train, X_test = (transform.transform(part).astype(np.float32) for part in parts[:2])
    est = MultiTaskClassifierRegressor(
        kinds(Y), loss_weights=weights, n_members=MEMBERS, random_state=seed
    )
    predicted = est.fit(X_train, parts[2]).predict(X_test)
    scores = []
    for task in Y:
        there = parts[3][task].notna().to_numpy()
        pair = parts[3][task].to_numpy()[there], predicted[task].to_numpy()[there]
        if task in REGRESSIONS:
            scores.append(-root_mean_squared_error(*(np.asarray(p, float) for p in pair)))
        else:
            scores.append(accuracy_score(*pair))
    return np.array(scores)


def gain_table():
    rows = {}
    plain = {(s, seed): quality(s, None, seed) for s in SETS for seed in SEEDS}
    for method in METHODS:
        cells, every = {}, []
        for s in SETS:
            equal = [plain[s, seed] for seed in SEEDS]
            ours = [quality(s, method, seed) for seed in SEEDS]
            each = [100 * ((o - e) / abs(e)).mean() for o, e in zip(ours, equal, strict=True)]
            cells[s] = f"{np.mean(each):+.2f} ± {np.std(each, ddof=1):.2f}"
            every.append(each)
        cells["mean"] = f"{np.mean(every):+.2f}"
        test = stats.ttest_1samp(np.mean(every, axis=0), 0)
        cells["p (paired t)"] = f"{test.pvalue:.3f}"
        rows[method] = cells
        print(method, cells, flush=True)
    table = pd.DataFrame(rows).T
    return table.loc[table["mean"].astype(float).sort_values(ascending=False).index]


def main(what):
    warnings.simplefilter("ignore")
    made = {
        "cost": ("Cost", lambda: [cost_table().to_markdown(floatfmt=".2f")]),
        "gain": ("Gain (Δm, percent)", lambda: [gain_table().to_markdown(floatfmt=GAIN_FORMAT)]),
    }
    about = __doc__.split("\nWrites")[0].strip()
    write_sections(__file__, "Loss weights", about, made, what)


if __name__ == "__main__":
    main(sys.argv[1:])
