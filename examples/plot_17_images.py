"""
Digits as images
================

Which digit, whether it is odd, how much ink it took: one trunk of convolutions for all.

The network sees an image as such: `ConvTrunk` stands below the shared layers. Compared with it is the
default network, to which an image is 64 numbers. Every label of the digit but one in five is missing.

Digits come with scikit-learn.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskClassifierRegressor
from skmtl.trunks import ConvTrunk


def table():
    digits = load_digits()
    X = (digits.data / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    y = pd.DataFrame({"digit": digits.target.astype(str), "odd": digits.target % 2 == 1})
    y["ink"] = X.sum(axis=(1, 2, 3))
    return train_test_split(X, y, random_state=0)


def main():
    X, X_test, y, y_test = table()
    y.loc[np.random.default_rng(0).random(len(y)) < 0.8, "digit"] = None
    asked = {"n_members": 1, "learning_rate_init": 3e-3, "random_state": 0}
    scores = {}
    flat = MultiTaskClassifierRegressor(**asked).fit(X.reshape(len(X), -1), y)
    scores["64 numbers"] = flat.score_tasks(X_test.reshape(len(X_test), -1), y_test)
    images = MultiTaskClassifierRegressor(trunk=ConvTrunk(), **asked).fit(X, y)
    scores["images"] = images.score_tasks(X_test, y_test)
    table_ = pd.concat(scores).reindex(columns=["accuracy", "r2"]).stack().unstack(0).round(3)
    print(table_.to_string())
    ax = table_.unstack(0).plot.barh(figsize=(7, 4))
    ax.legend(fontsize="small")
    ax.figure.tight_layout()
    plt.show()
    return table_


if __name__ == "__main__":
    main()
