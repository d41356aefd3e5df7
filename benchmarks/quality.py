"""Quality of the defaults: mean score over tasks (accuracy, R2) in 5-fold cross-validation.

The default estimator against one scikit-learn model per task and XGBoost's multi-output trees, all
with their defaults, on the same folds and the same standardised inputs. Boosting is histogram gradient
boosting. XGBoost has one model for all regressions of a table, their targets standardised, and one
for all classifications, an indicator per class; both take trees that split for all outputs at once
(`multi_output_tree`), and only rows without a gap in those targets, since it takes no missing labels.
Writes docs/benchmarks/quality.md.

`python benchmarks/quality.py [table ...]` prints these tables and writes nothing.
"""

import sys
import warnings
from functools import partial

import numpy as np
import pandas as pd
from pages import write
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tables import REGRESSIONS, TABLES, kinds, standardise

from skmtl import MultiTaskClassifierRegressor

try:
    import xgboost
except ImportError:
    xgboost = None

SINGLE = {
    "linear": (LogisticRegression(max_iter=1000), Ridge()),
    "boosting": (
        HistGradientBoostingClassifier(random_state=0),
        HistGradientBoostingRegressor(random_state=0),
    ),
    "forest": (
        RandomForestClassifier(random_state=0, n_jobs=2),
        RandomForestRegressor(random_state=0, n_jobs=2),
    ),
    "MLP": (
        MLPClassifier(random_state=0),
        TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler()),
    ),
}


def is_regression(column):
    return column.name in REGRESSIONS


def folds(X, Y):
    for train, test in KFold(5, shuffle=True, random_state=0).split(X):
        transform = standardise().fit(X.iloc[train])
        inputs = (
            np.asarray(transform.transform(X.iloc[i]), dtype=np.float32) for i in (train, test)
        )
        yield *inputs, Y.iloc[train], Y.iloc[test]


def score(y_true, y_pred):
    there = y_true.notna().to_numpy()
    metric = r2_score if is_regression(y_true) else accuracy_score
    return metric(y_true[there], np.asarray(y_pred)[there])


def one_by_one(models, X_train, Y_train, X_test):
    predicted = {}
    for name in Y_train:
        there = Y_train[name].notna().to_numpy()
        model = models[is_regression(Y_train[name])]
        predicted[name] = model.fit(X_train[there], Y_train.loc[there, name]).predict(X_test)
    return predicted


def multi_output_trees(X_train, Y_train, X_test):
    """Predict by XGBoost with a value per output in a leaf: all numbers by one model, all classes."""
    params = {"multi_strategy": "multi_output_tree", "n_jobs": 2, "random_state": 0}
    predicted = {}
    numbers = [name for name in Y_train if is_regression(Y_train[name])]
    classes = [name for name in Y_train if name not in numbers]
    if numbers:
        there = Y_train[numbers].notna().all(axis=1).to_numpy()
        est = TransformedTargetRegressor(
            xgboost.XGBRegressor(**params), transformer=StandardScaler()
        )
        est.fit(X_train[there], Y_train.loc[there, numbers].to_numpy())
        predicted |= zip(numbers, est.predict(X_test).reshape(len(X_test), -1).T, strict=True)
    if classes:
        there = Y_train[classes].notna().all(axis=1).to_numpy()
        labels = Y_train.loc[there, classes].astype(object)
        encoder = OneHotEncoder(sparse_output=False).fit(labels)
        est = xgboost.XGBClassifier(**params).fit(X_train[there], encoder.transform(labels))
        likeliest = encoder.inverse_transform(est.predict_proba(X_test))
        predicted |= dict(pd.DataFrame(likeliest, columns=classes).infer_objects())
    return predicted


def default(X_train, Y_train, X_test):
    est = MultiTaskClassifierRegressor(kinds(Y_train), random_state=0)
    return est.fit(X_train, Y_train).predict(X_test)


CONTESTANTS = {name: partial(one_by_one, models) for name, models in SINGLE.items()}
if xgboost:
    CONTESTANTS["XGBoost"] = multi_output_trees
CONTESTANTS["skmtl"] = default


def compare(name):
    """Mean score over the tasks of a table: folds by contestants."""
    X, Y = TABLES[name]()
    scores = {
        label: [
            np.mean([score(Y_test[task], predicted[task]) for task in Y])
            for X_train, X_test, Y_train, Y_test in folds(X, Y)
            for predicted in [predict(X_train, Y_train, X_test)]
        ]
        for label, predict in CONTESTANTS.items()
    }
    found = pd.DataFrame(scores)
    print(f"{name}: {found.mean().round(3).to_dict()}", flush=True)
    return {"rows": len(X), "tasks": Y.shape[1]}, found


def lost(scores):
    """A line per table on which others are better: who, and by how much."""
    for name, by_fold in scores.items():
        ahead = by_fold.drop(columns="skmtl").sub(by_fold["skmtl"], axis=0)
        by = [
            f"{peer} by {margin.mean():.3f} (better in {(margin > 0).sum()} of 5 folds)"
            for peer, margin in ahead.items()
            if margin.mean() > 0
        ]
        if by:
            yield f"- {name}: {', '.join(by)}."


def main(names):
    warnings.simplefilter("ignore")
    sizes, scores = zip(*map(compare, names or TABLES), strict=True)
    scores = dict(zip(names or TABLES, scores, strict=True))
    table = pd.DataFrame({name: found.mean() for name, found in scores.items()}).T
    best = table[["linear", "boosting", "forest"]].max(axis=1)
    table.insert(0, "best of linear, boosting, forest", best)
    table["beats MLP"] = np.where(table["skmtl"] >= table["MLP"], "yes", "no")
    table["beats best"] = np.where(table["skmtl"] >= best, "yes", "no")
    table = pd.DataFrame(sizes, index=table.index).join(table).rename_axis("table")
    text = table.to_markdown(floatfmt=".3f")
    losses = "\n".join(lost(scores)) or "Nowhere among these."
    print(f"{text}\n\n{losses}")
    if not names:
        head = __doc__.split("`python")[0].strip()
        if not xgboost:
            head += "\n\nXGBoost was not installed."
        write(__file__, "Quality of the defaults", head, text, "## Where we lose", losses)


if __name__ == "__main__":
    main(sys.argv[1:])
