"""
Optuna's ask-and-tell in batches
================================

Optuna proposes settings one by one; a batched search trains many at once. To have both, ask for a
batch, train it as one stack over all folds, tell the scores, and ask again. Found: from the second
round of ten on the sampler looks where the first did well, and the best score rises. The data are the
handwritten digits of scikit-learn: which digit, is it odd, and how much ink.
"""

import numpy as np
import optuna
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold

from skmtl import MultiTaskClassifierRegressor
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import SoftSharing

ROUNDS, BATCH = 4, 10
optuna.logging.set_verbosity(optuna.logging.WARNING)

images, digit = load_digits(return_X_y=True)
rows = np.random.default_rng(0).permutation(len(images))[:500]
X = images[rows] / 16
Y = pd.DataFrame({"digit": digit[rows].astype(str), "odd": digit[rows] % 2 == 1})
Y["ink"] = X.sum(axis=1)

# %%
# Settings that may differ inside a stack: rates, penalties, strength of sharing, loss weights.
estimator = MultiTaskClassifierRegressor(
    sharing=SoftSharing(), hidden_layer_sizes=(32,), n_members=1, max_iter=15, random_state=0
)
study = optuna.create_study(
    direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=BATCH)
)


def settings(trial):
    """What Optuna proposes."""
    return {
        "learning_rate_init": trial.suggest_float("learning_rate_init", 1e-4, 1e-1, log=True),
        "alpha": trial.suggest_float("alpha", 1e-6, 1.0, log=True),
        "sharing__strength": trial.suggest_float("strength", 1e-4, 10.0, log=True),
        "loss_weights": {"ink": trial.suggest_float("weight of ink", 0.1, 10.0, log=True)},
    }


for _ in range(ROUNDS):
    trials = [study.ask() for _ in range(BATCH)]
    # a grid of one point for each trial keeps their order
    grid = [{name: [value] for name, value in settings(trial).items()} for trial in trials]
    search = BatchedGridSearchCV(
        estimator, grid, scoring=multitask_scorer(single=True), cv=KFold(3), refit=False
    ).fit(X, Y)
    for trial, score in zip(trials, search.cv_results_["mean_test_score"], strict=True):
        study.tell(trial, score)

values = np.array([trial.value for trial in study.trials])
print(f"Best mean score after each round of {BATCH}:")
best = np.maximum.accumulate(values)[BATCH - 1 :: BATCH]
print(pd.Series(best, range(1, ROUNDS + 1)).round(4).to_string())
print("Best settings:", {name: float(f"{v:.3g}") for name, v in study.best_params.items()})

# %%
# From the second round on, the sampler looks where the first did well.
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.scatter(np.arange(len(values)), values, c=np.arange(len(values)) // BATCH, cmap="viridis")
ax.plot(np.maximum.accumulate(values), color="tab:gray", lw=1, label="best so far")
ax.set(xlabel="trial", ylabel="mean score, 3 folds", ylim=(min(0.5, np.quantile(values, 0.1)), 1))
ax.legend()
plt.show()
