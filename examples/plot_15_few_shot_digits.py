"""
Digits that were never seen, from a few images each
===================================================

How few images, and how few steps, teach a network a digit that it has never seen?

The digits 0 to 6 of scikit-learn's `load_digits`, in the eight orientations that turning and
mirroring make, teach a meta-learner to tell classes apart: every orientation is a task, and each
time one is drawn three of its digits are, in random order. Then 7, 8 and 9 are learned from one or
five images each. Beside it: the same network from a random start, and logistic regression.

Found: meta-learning makes learning quick, a few steps do what takes a random start many. It does not
make it better here. Seven digits are few classes to learn from, and these images are nearly linearly
separable: given a hundred steps the random start overtakes, and neither meta-learner beats logistic
regression, from one image of each digit or from five.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from skmtl.meta import MetaLearner

SHOTS, STEPS, N_SPLITS = (1, 5), (1, 5, 20, 100), 10
images, y = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8) / 16
known = y < 7


def orientations(images):
    """The images turned by quarters, as they are and mirrored: eight sets of rows."""
    return [
        np.rot90(side, turn, (1, 2)).reshape(len(images), -1)
        for side in (images, images[:, :, ::-1])
        for turn in range(4)
    ]


def meta_learner(algorithm, **params):
    return MetaLearner(
        algorithm,
        n_ways=3,
        n_query=10,
        hidden_layer_sizes=(128,),
        meta_batch_size=8,
        random_state=0,
        **params,
    )


# %%
# Every orientation of the digits up to 6 is a task.

sets = orientations(images[known])
X, labels = np.concatenate(sets), np.tile(y[known], len(sets))
orientation = np.repeat(np.arange(len(sets)), known.sum())
learners = {  # the last one's start is as it was drawn: its step is nearly none
    "MAML": meta_learner("maml", inner_steps=5, inner_lr=0.2, max_iter=600),
    "Reptile": meta_learner("reptile", inner_steps=10, inner_lr=0.5, max_iter=600),
    "random start": meta_learner("maml", inner_lr=0.2, max_iter=1, learning_rate_init=1e-9),
}
for learner in learners.values():
    learner.fit(X, labels, sample_task=orientation)

# %%
# A new task: the digits left out.

X_new, y_new = images[~known].reshape(-1, 64), y[~known]
one_task = np.zeros(len(y_new))


def logistic_regression(shots, seed):
    rng = np.random.default_rng(seed)
    support = [rng.choice(np.flatnonzero(y_new == c), shots, replace=False) for c in (7, 8, 9)]
    query = np.setdiff1d(np.arange(len(y_new)), support)
    few = np.concatenate(support)
    fitted = LogisticRegression(max_iter=600).fit(X_new[few], y_new[few])
    return fitted.score(X_new[query], y_new[query])


def accuracy(learner, shots, n_steps):
    each = [
        learner.set_params(n_support=shots, adapt_steps=n_steps, random_state=seed).score(
            X_new, y_new, sample_task=one_task
        )
        for seed in range(N_SPLITS)
    ]
    return np.mean(each)


scores = pd.DataFrame(
    {
        (shots, n_steps): {name: accuracy(est, shots, n_steps) for name, est in learners.items()}
        for shots in SHOTS
        for n_steps in STEPS
    }
).T.rename_axis(["images", "steps"])
linear = {s: np.mean([logistic_regression(s, seed) for seed in range(N_SPLITS)]) for s in SHOTS}
scores["logistic regression"] = [linear[shots] for shots, _ in scores.index]
print(f"Accuracy on 7, 8 and 9, mean of {N_SPLITS} draws of the images to learn from:\n")
print(scores.round(3).to_string())

# %%
# Against the steps that a task takes from its start.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, shots in zip(axes, SHOTS, strict=True):
    for name, values in scores.loc[shots].items():
        ax.plot(STEPS, values, marker="o", label=name)
    ax.set(xscale="log", title=f"{shots} of each digit", xlabel="gradient steps")
axes[0].set_ylabel("accuracy")
axes[0].legend()
plt.show()
