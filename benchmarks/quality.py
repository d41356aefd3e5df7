"""Quality of the defaults: mean score over tasks (accuracy, R2) in 5-fold cross-validation.

The default estimator against one scikit-learn model per task, on the same folds and the same
standardised inputs. Writes docs/benchmarks/quality.md. `python benchmarks/quality.py [table ...]`.
"""

import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
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
from sklearn.preprocessing import StandardScaler
from tables import REGRESSIONS, TABLES, standardise

from skmtl import MultiTaskClassifierRegressor

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


def single_task(models, X, Y):
    scores = []
    for X_train, X_test, Y_train, Y_test in folds(X, Y):
        for name in Y:
            model = models[is_regression(Y[name])]
            there = Y_train[name].notna().to_numpy()
            fitted = model.fit(X_train[there], Y_train.loc[there, name])
            scores.append(score(Y_test[name], fitted.predict(X_test)))
    return float(np.mean(scores))


def multi_task(est, X, Y):
    scores = []
    for X_train, X_test, Y_train, Y_test in folds(X, Y):
        predicted = est.fit(X_train, Y_train).predict(X_test)
        scores += [score(Y_test[name], predicted[name]) for name in Y]
    return float(np.mean(scores))


def compare(name):
    X, Y = TABLES[name]()
    row = {"table": name, "rows": len(X), "tasks": Y.shape[1]}
    for label, models in SINGLE.items():
        row[label] = single_task(models, X, Y)
    tasks = {name: "regression" if is_regression(Y[name]) else "classification" for name in Y}
    row["skmtl"] = multi_task(MultiTaskClassifierRegressor(tasks, random_state=0), X, Y)
    return row


def main(names):
    warnings.simplefilter("ignore")
    table = pd.DataFrame([compare(name) for name in names or TABLES]).set_index("table")
    best = table[["linear", "boosting", "forest"]].max(axis=1)
    table.insert(2, "best of linear, boosting, forest", best)
    table["beats MLP"] = np.where(table["skmtl"] >= table["MLP"], "yes", "no")
    table["beats best"] = np.where(table["skmtl"] >= best, "yes", "no")
    text = table.to_markdown(floatfmt=".3f")
    print(text)
    if not names:
        path = pathlib.Path(__file__).parents[1] / "docs" / "benchmarks" / "quality.md"
        path.write_text(
            f"# Quality of the defaults\n\n{__doc__.split('`python')[0].strip()}\n\n{text}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
