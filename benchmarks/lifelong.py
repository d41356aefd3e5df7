"""What is kept of a stream: fine-tuning, replay, A-GEM and EWC. Writes docs/benchmarks/lifelong.md.

Five seeds each: of the split into training and test rows, or of the data, and of the network.

Split digits: the 1,797 digits of scikit-learn (UCI, CC BY 4.0) as five tasks of two classes, the task
known; a stage is twenty calls of ``partial_fit`` with the rows of one task. Seasons: two regressions
that depend on six inputs in another way in each of five seasons; the season is an input, and a stage
is twenty calls with the rows of one. Curriculum: two parities, of three and of four of thirty signs.
In the easier environment 70 % of the signs are ones, so that each tells something alone; in the
harder one they are fair. Seven calls with 1,000 new rows of the easier and seven of the harder,
against fourteen of the harder; after forty calls both know it all. A stream of 1,000 chunks of 32
rows, a task absent from each, tells processor time (the median over 200 chunks, the first and the last
by turns) and size; what grows is the record of an epoch in ``history_``, 0.2 kB a chunk.

No linear skip: it belongs to a task, and would keep what is linear. EWC's strength was chosen on
another seed, among seven from 1 to 100,000 (digits) and four from 1 to 1,000 (seasons).
"""

import copy
import pickle
import time
import warnings

import numpy as np
import pandas as pd
import psutil
from pages import how, write
from scipy.stats import ttest_rel
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskClassifier, MultiTaskRegressor
from skmtl.consolidation import AGEM, EWC, Replay
from skmtl.metrics import average_accuracy, backward_transfer, forgetting, forward_transfer
from skmtl.sharing import HardSharing

SEEDS = range(5)
NET = {
    "hidden_layer_sizes": (64, 64),
    "sharing": HardSharing(linear_skip=False),
    "learning_rate_init": 3e-3,
    "n_members": 1,
}
DIGITS = {
    "fine-tuning": None,
    "replay, 200 rows": Replay(memory_size=200),
    "A-GEM, 200 rows": AGEM(memory_size=200),
    "EWC": EWC(strength=3000.0),
}
SEASONS = {
    "fine-tuning": None,
    "replay, 200 rows": Replay(memory_size=200),
    "A-GEM, 200 rows": AGEM(memory_size=200),
    "EWC, a stage is 20 chunks": EWC(strength=100.0, stage=20),
}


def pairs(seed):
    """Digits to train and to test on: a task for each two of them, whose label others lack."""
    X, digit = load_digits(return_X_y=True)
    Y = pd.DataFrame({f"{2 * t} or {2 * t + 1}": digit.astype(float) for t in range(5)})
    Y = Y.where(digit[:, None] // 2 == np.arange(5))
    return train_test_split(X / 16, Y, test_size=0.3, stratify=digit, random_state=seed)


def split_digits(consolidation, seed):
    """Accuracy (5, 5) of each task after each stage."""
    X, X_test, Y, Y_test = pairs(seed)
    classes = {name: [2 * t, 2 * t + 1] for t, name in enumerate(Y)}
    est = MultiTaskClassifier(consolidation=consolidation, random_state=seed, **NET)
    scores = []
    for name in Y:
        rows = Y[name].notna().to_numpy()
        for _ in range(20):
            est.partial_fit(X[rows], Y[rows], classes=classes)
        scores.append(est.score_tasks(X_test, Y_test)["accuracy"])
    return np.array(scores).T


def digits_at_once(seed):
    """The scores that all tasks have after as many passes over all rows at once."""
    X, X_test, Y, Y_test = pairs(seed)
    est = MultiTaskClassifier(random_state=seed, **NET)
    for _ in range(20):
        est.partial_fit(X, Y)
    return est.score_tasks(X_test, Y_test)["accuracy"].mean()


def season(number, n_rows, rng):
    """Inputs (n, 11) and two targets of a season."""
    own = np.random.default_rng(100 + number).normal(size=(2, 6)) / 2
    X = rng.normal(size=(n_rows, 6))
    Y = np.column_stack([np.tanh(2 * X @ own[0]), np.sin(X @ own[1])])
    indicator = np.eye(5)[np.full(n_rows, number)]
    return np.hstack([X, indicator]), Y + 0.1 * rng.normal(size=Y.shape)


def seasons(consolidation, seed):
    """R² (5, 5), a mean of both tasks, in each season after each stage."""
    rng = np.random.default_rng(seed)
    tests = [season(s, 500, rng) for s in range(5)]
    est = MultiTaskRegressor(consolidation=consolidation, random_state=seed, **NET)
    scores = []
    for s in range(5):
        X, Y = season(s, 400, rng)
        for _ in range(20):
            est.partial_fit(X, Y)
        scores.append([est.score(*test) for test in tests])
    return np.array(scores).T


def bits(share, n_rows, rng):
    """Thirty signs each, and two parities of some of them; ``share`` of the signs are ones."""
    X = np.where(rng.random((n_rows, 30)) < share, 1.0, -1.0)
    return X, np.column_stack([X[:, :3].prod(1), X[:, 1:5].prod(1)]) > 0


def curriculum(shares, seed):
    """Accuracy on fair bits after calls with bits of these shares of ones, one call each."""
    rng = np.random.default_rng(seed)
    est = MultiTaskClassifier(random_state=seed, **NET)
    for share in shares:
        est.partial_fit(*bits(share, 1000, rng))
    return est.score(*bits(0.5, 2000, rng))


def measures(run, methods, chance):
    """The field's measures, mean and sd over seeds, and how sure less is forgotten."""
    rows, fell = {}, {}
    for name, consolidation in methods.items():
        tables = [run(copy.deepcopy(consolidation), seed) for seed in SEEDS]
        own = {
            "average after last stage": [average_accuracy(t) for t in tables],
            "forgetting": [forgetting(t) for t in tables],
            "backward transfer": [backward_transfer(t) for t in tables],
            "forward transfer": [forward_transfer(t, chance) for t in tables],
        }
        fell[name] = own["forgetting"]
        rows[name] = {key: f"{np.mean(v):.3f} ± {np.std(v, ddof=1):.3f}" for key, v in own.items()}
        p = np.nan
        if name != "fine-tuning":
            p = ttest_rel(fell[name], fell["fine-tuning"], alternative="less").pvalue
        rows[name]["p, forgets less"] = f"{p:.1g}"
        print(name, rows[name], flush=True)
    return pd.DataFrame(rows).T


def chunk(number, rng):
    """32 rows of three regressions, one of which is absent but from the first chunk."""
    X = rng.normal(size=(32, 10))
    Y = X[:, :3] + np.sin(X[:, 3:6])
    if number:
        Y[:, number // 10 % 3] = np.nan
    return X, Y


def stream(consolidation, n_chunks=1000, n_timed=200):
    """CPU time a chunk, resident memory and pickled size, early and late in a stream.

    The first and the last chunks are timed in turns, so that both see the machine as it is.
    """
    rng = np.random.default_rng(0)
    old, fresh = (
        MultiTaskRegressor(consolidation=copy.deepcopy(consolidation), random_state=0, **NET)
        for _ in range(2)
    )
    took, sizes = {"first": [], "last": []}, {}

    def measure():
        rss = psutil.Process().memory_info().rss
        return rss / 2**20, len(pickle.dumps(old)) / 2**10

    for number in range(n_chunks - n_timed):
        old.partial_fit(*chunk(number, rng))
        if number + 1 == n_timed:
            sizes["early"] = measure()
    for number in range(n_timed):
        for name, est, at in (
            ("first", fresh, number),
            ("last", old, n_chunks - n_timed + number),
        ):
            X, Y = chunk(at, rng)
            start = time.process_time()
            est.partial_fit(X, Y)
            took[name].append(1e3 * (time.process_time() - start))
    sizes["late"] = measure()
    first, last = np.median(took["first"]), np.median(took["last"])
    return {
        f"CPU ms, first {n_timed}": first,
        f"CPU ms, last {n_timed}": last,
        "last / first": last / first,
        f"MB resident, {n_timed}": sizes["early"][0],
        f"MB resident, {n_chunks}": sizes["late"][0],
        f"kB pickled, {n_timed}": sizes["early"][1],
        f"kB pickled, {n_chunks}": sizes["late"][1],
    }


def main():
    warnings.simplefilter("ignore")
    parts = [how(__doc__)]
    table = measures(split_digits, DIGITS, 0.5)
    joint = [digits_at_once(seed) for seed in SEEDS]
    parts.append(f"## Split digits, accuracy\n\n{table.to_markdown()}")
    mean, sd = np.mean(joint), np.std(joint, ddof=1)
    parts.append(f"All tasks at once, as many passes: {mean:.3f} ± {sd:.3f}.")
    table = measures(seasons, SEASONS, 0.0)
    parts.append(f"## Seasons, R²\n\n{table.to_markdown()}")
    plans = {"easier, then harder": [0.7] * 7 + [0.5] * 7, "harder alone": [0.5] * 14}
    found = {name: [curriculum(plan, seed) for seed in SEEDS] for name, plan in plans.items()}
    p = ttest_rel(*found.values(), alternative="greater").pvalue
    table = pd.DataFrame(found, index=[f"seed {s}" for s in SEEDS]).T
    table.insert(0, "mean", table.mean(axis=1))
    parts.append(
        f"## Curriculum, accuracy on fair bits\n\n{table.to_markdown(floatfmt='.3f')}\n\n"
        f"p of a paired t-test, that the curriculum is better: {p:.1g}."
    )
    print(parts[-1], flush=True)
    table = pd.DataFrame({name: stream(c) for name, c in DIGITS.items()}).T
    formats = ("", ".1f", ".1f", ".2f", ".1f", ".1f", ".1f", ".1f")
    parts.append(f"## 1,000 chunks\n\n{table.to_markdown(floatfmt=formats)}")
    print(parts[-1])
    write(__file__, "Lifelong learning", *parts)


if __name__ == "__main__":
    main()
