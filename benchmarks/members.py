"""What the members of an ensemble are worth: score and time of a fit with 1, 2, 4, 8 and 16 of them.

Mean score over tasks (accuracy, R2) on a fifth of the rows, mean and standard deviation over five
seeds of split and estimator; seconds of a fit over those of one member. At most 3,000 rows of a table.
Writes docs/benchmarks/members.md.
"""

import warnings

import numpy as np
import pandas as pd
from pages import write
from sklearn.model_selection import train_test_split
from tables import TABLES, kinds, standardise
from timing import timed

from skmtl import MultiTaskClassifierRegressor

SIZES = [1, 2, 4, 8, 16]
SEEDS = range(5)
ROWS = 3_000


def trials(name):
    X, Y = TABLES[name]()
    if len(X) > ROWS:
        X = X.sample(ROWS, random_state=0)
        Y = Y.loc[X.index]
    for seed in SEEDS:
        X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.2, random_state=seed)
        transform = standardise().fit(X_train)
        inputs = np.asarray(transform.transform(X_train), dtype=np.float32)
        others = np.asarray(transform.transform(X_test), dtype=np.float32)
        for n in SIZES:
            est = MultiTaskClassifierRegressor(kinds(Y), n_members=n, random_state=seed)
            seconds = timed(lambda est=est: est.fit(inputs, Y_train))
            score = est.score(others, Y_test)
            yield {"table": name, "members": n, "seed": seed, "score": score, "seconds": seconds}


def main():
    warnings.simplefilter("ignore")
    MultiTaskClassifierRegressor(max_iter=1).fit(np.zeros((20, 1)), np.arange(20.0))  # warm up
    found = pd.DataFrame([row for name in TABLES for row in trials(name)])
    by_size = found.groupby(["table", "members"], sort=False)
    mean, spread = by_size["score"].mean().unstack(), by_size["score"].std().unstack()
    seconds = by_size["seconds"].median().unstack()
    scores = mean.map("{:.3f}".format) + " ± " + spread.map("{:.3f}".format)
    times = seconds.div(seconds[1], axis=0).round(2)
    parts = [
        "Score:",
        scores.to_markdown(),
        "Time of a fit over that of one member:",
        times.to_markdown(),
    ]
    print("\n\n".join(parts))
    write(__file__, "Members of an ensemble", __doc__.split("Writes")[0].strip(), *parts)


if __name__ == "__main__":
    main()
