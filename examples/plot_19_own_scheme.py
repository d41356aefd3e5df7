"""
A sharing scheme of your own, in one file
=========================================

How many layers should tasks have in common? This scheme has three hidden layers, of which the
first ``n_shared`` are common and the others each task's own: 0 is a network per task, 3 is hard
sharing. It is a class with a ``build``, and from then on a parameter like any other: it is
cloned, pickled, searched, and trains in a stack. The tasks are those on digits, with 200 images
to learn from. Found: the three tasks of classes gain from common layers, but ink, which is a plain
sum, loses more than they gain. The data come with scikit-learn.
"""

import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import ShuffleSplit
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import Sharing
from skmtl.sharing.layers import TaskHeads, hidden_layers
from skmtl.sharing.network import TaskNetwork

# %%
# The scheme
# ----------


class SplitSharing(Sharing):
    """The first ``n_shared`` hidden layers are common; each task has the others to itself."""

    def __init__(self, n_shared=1):
        self.n_shared = n_shared

    def build(self, a, generators):
        sizes = (a.n_features, *a.hidden_layer_sizes, *a.head_layer_sizes)
        low, high = sizes[: self.n_shared + 1], sizes[self.n_shared + 1 :]
        trunk = hidden_layers((len(generators),), low, a, generators)  # (K, b, d) -> (K, b, h)
        heads = TaskHeads(low[-1], high, a, generators)  # -> (K, b, C)
        return TaskNetwork(trunk, heads, skip=None)


# %%
# The search
# ----------

X, digit = load_digits(return_X_y=True, as_frame=True)
Y = pd.DataFrame({"digit": digit, "odd": digit % 2 == 1, "high": digit >= 5, "ink": X.mean(axis=1)})
est = MultiTaskClassifierRegressor(
    tasks={"ink": "regression"},
    sharing=SplitSharing(),
    hidden_layer_sizes=(32, 32, 32),
    learning_rate_init=0.01,
    max_iter=60,
    n_members=1,
    random_state=0,
)
search = BatchedGridSearchCV(
    est,
    {"sharing__n_shared": [0, 1, 2, 3]},
    scoring=multitask_scorer(),
    refit="mean",
    cv=ShuffleSplit(4, train_size=200, test_size=400, random_state=0),
).fit(StandardScaler().fit_transform(X), Y)

names = {f"mean_test_{task}": task for task in [*Y, "mean"]}
scores = pd.DataFrame(search.cv_results_).set_index("param_sharing__n_shared")[list(names)]
scores = scores.rename(columns=names)
print(scores.round(3).to_string())

# %%
# Each task has its own answer; the thick line is their mean.

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for task in scores:
    ax.plot(scores.index, scores[task], "o-", label=task, lw=3 if task == "mean" else 1.2)
ax.set(xlabel="hidden layers in common, of three", ylabel="accuracy or R²")
ax.set_xticks(scores.index)
ax.legend()
plt.show()
