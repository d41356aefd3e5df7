"""
What is a rare label worth, beside common ones?
===============================================

Whether a digit is odd, whether it is five or more and how much ink it takes are known for every
image; the digit itself for a few only. No image is dropped: those without the label still train
what the tasks share. The picture has the accuracy for the digit against the number of its labels,
when the tasks share a trunk and when each has a network to itself. Found: sharing is worth most where
labels are fewest. The data come with scikit-learn.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor

X, digit = load_digits(return_X_y=True)
Y = pd.DataFrame({"odd": digit % 2 == 1, "high": digit >= 5, "ink": X.mean(axis=1), "digit": digit})
X = StandardScaler().fit_transform(X)

# %%
# Two splits for each number of labels; missing is NaN, and that is all there is to do.

rows = []
for seed in range(2):
    parts = train_test_split(X, Y, train_size=300, random_state=seed, stratify=digit)
    X_train, X_test, Y_train, Y_test = parts
    for n_labels in (20, 40, 80):
        known = np.zeros(300, dtype=bool)
        classes = Y_train["digit"].to_numpy()
        for value in range(10):  # as many of every digit
            known[np.flatnonzero(classes == value)[: n_labels // 10]] = True
        few = Y_train.assign(digit=Y_train["digit"].where(known))
        for sharing in ("hard", "none"):
            est = MultiTaskClassifierRegressor(
                tasks={"digit": "classification", "ink": "regression"},
                sharing=sharing,
                hidden_layer_sizes=(32,),
                learning_rate_init=0.01,
                max_iter=20,
                early_stopping=False,
                n_members=1,
                random_state=seed,
            ).fit(X_train, few)
            accuracy = np.mean(
                est.predict(X_test)["digit"].to_numpy() == Y_test["digit"].to_numpy()
            )
            rows.append((n_labels, sharing, seed, accuracy))
scores = pd.DataFrame(rows, columns=["labels", "sharing", "seed", "accuracy"])
table = scores.pivot_table(index="labels", columns="sharing", values="accuracy")
print(table.round(3).to_string())

# %%
# Dots are single splits, lines their means.

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for sharing, label in (("hard", "one trunk for all tasks"), ("none", "the digit alone")):
    part = scores[scores["sharing"] == sharing]
    ax.plot(table.index, table[sharing], "o-", label=label)
    ax.plot(part["labels"], part["accuracy"], ".", color="0.6", zorder=0)
ax.set_xscale("log", base=2)
ax.set_xticks(table.index, table.index)
ax.set(xlabel="images whose digit is known, of 300", ylabel="accuracy for the digit")
ax.legend()
plt.show()
