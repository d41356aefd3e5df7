"""
Do convolutions help where the inputs are images?
=================================================

Which digit it is, whether it is odd, and how much ink it took: one trunk of convolutions for all three
tasks. `ConvTrunk` sees an image as such and stands below the shared layers; beside it is the default
network, to which an image is 64 numbers. Four of five labels of the digit are missing. Found: the
convolutions are better at all three. The digits come with scikit-learn.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskClassifierRegressor
from skmtl.trunks import ConvTrunk

X, digit = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
Y = pd.DataFrame({"digit": digit.astype(str), "odd": digit % 2 == 1, "ink": X.sum(axis=1)})
X, X_test, Y, Y_test = train_test_split(X, Y, random_state=0)
Y.loc[np.random.default_rng(0).random(len(Y)) < 0.8, "digit"] = None

# %%
# An image is channels first: here one channel of 8 by 8 pixels.

params = {"n_members": 1, "learning_rate_init": 3e-3, "random_state": 0}
flat = MultiTaskClassifierRegressor(**params).fit(X, Y)
images = MultiTaskClassifierRegressor(trunk=ConvTrunk(), **params).fit(X.reshape(-1, 1, 8, 8), Y)
tables = {
    "64 numbers": flat.score_tasks(X_test, Y_test),
    "images": images.score_tasks(X_test.reshape(-1, 1, 8, 8), Y_test),
}
scores = pd.DataFrame({name: own["accuracy"].fillna(own["r2"]) for name, own in tables.items()})
print(scores.round(3).to_string())

# %%
# What is left to the best score, one.

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
(1 - scores).plot.barh(ax=ax, xlabel="1 - accuracy, 1 - R² of ink")
plt.show()
