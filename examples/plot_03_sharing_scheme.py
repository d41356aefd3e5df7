"""
Which way of sharing suits these tasks?
=======================================

Images of digits, with four tasks of two kinds: the digit, whether it is odd, whether it is five
or more, and how much ink it takes. Labels are few (100 images to learn from), so tasks can gain
from each other. A batched search tries four sharing schemes on the same folds; ``"none"``, a
network per task, is the check that sharing helps at all. Found: every way of sharing tells more of the
digits than none; which way is best is a matter of a hundredth, less than such folds can tell. The data
come with scikit-learn.
"""

# %%
# Four tasks from one label and one sum
# -------------------------------------

import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import BatchedGridSearchCV, MultiTaskStratifiedKFold

X, digit = load_digits(return_X_y=True, as_frame=True)
Y = pd.DataFrame({"digit": digit, "odd": digit % 2 == 1, "high": digit >= 5, "ink": X.mean(axis=1)})
X, Y = X[:150], Y[:150]

# %%
# A scheme is a parameter, so a search finds it
# ---------------------------------------------
#
# All candidates of one scheme, on all folds, train as one stack.

est = MultiTaskClassifierRegressor(
    tasks={"ink": "regression"},
    hidden_layer_sizes=(32,),
    learning_rate_init=0.01,
    max_iter=40,
    n_members=1,
    random_state=0,
)
search = BatchedGridSearchCV(
    est,
    {"sharing": ["none", "soft", "mmoe", "hard"]},
    scoring=multitask_scorer(),
    refit="mean",
    cv=MultiTaskStratifiedKFold(3, shuffle=True, random_state=0),
).fit(StandardScaler().fit_transform(X), Y)

columns = {f"mean_test_{task}": task for task in [*Y, "mean"]}
scores = pd.DataFrame(search.cv_results_).set_index("param_sharing")[list(columns)]
scores = scores.rename(columns=columns)
print(scores.round(3).to_string())
print(f"best mean score: {search.best_params_}")

# %%
# The digit, which has ten classes and so the fewest labels each, gains most.

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
scores.T.plot.bar(ax=ax, rot=0, width=0.8)
ax.set(ylabel="accuracy or R²", ylim=(0.5, 1.0), title="Three folds, 100 images to learn from")
ax.legend(title="sharing", loc="lower right", ncols=4)
plt.show()
