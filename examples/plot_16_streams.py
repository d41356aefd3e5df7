"""
What is left of the first task after the fifth?
===============================================

The digits come two by two: first 0 and 1, which are told apart for a while, then 2 and 3, and so on to
8 and 9. A network that goes on with whatever comes forgets what it knew of the first pairs. Replay
of 200 remembered images keeps nearly all of it; elastic weight consolidation, which holds the
parameters that old pairs depend on and keeps none of their images, most. Drawn is how well each pair
is told apart after each stage: dots mark the stage that taught it. The data come with scikit-learn.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskClassifier
from skmtl.consolidation import EWC, Replay
from skmtl.inspection import StageScoresDisplay
from skmtl.metrics import average_accuracy, forgetting
from skmtl.sharing import HardSharing

# %%
# A task is a pair, a column of the table; where an image is of another pair, its label is missing.

X, digit = load_digits(return_X_y=True)
pairs = pd.DataFrame({f"{2 * t} or {2 * t + 1}": digit.astype(float) for t in range(5)})
pairs = pairs.where(digit[:, None] // 2 == np.arange(5))
classes = {name: [2 * t, 2 * t + 1] for t, name in enumerate(pairs)}
X, X_test, Y, Y_test = train_test_split(
    X / 16, pairs, test_size=0.3, stratify=digit, random_state=0
)

# %%
# Ten passes over the images of a pair, then the next pair.


def stream(consolidation):
    """Accuracy of each pair (rows) after each stage (columns)."""
    est = MultiTaskClassifier(
        sharing=HardSharing(linear_skip=False),  # a skip is a task's own: it would not forget
        hidden_layer_sizes=(64, 64),
        learning_rate_init=5e-3,
        consolidation=consolidation,
        n_members=1,
        random_state=0,
    )
    after = {}
    for name in pairs:
        rows = Y[name].notna()
        for _ in range(10):
            est.partial_fit(X[rows], Y[rows], classes=classes)
        after[name] = est.score_tasks(X_test, Y_test)["accuracy"]
    return pd.DataFrame(after)


scores = {
    "fine-tuning": stream(None),
    "replay of 200 images": stream(Replay(memory_size=200)),
    "EWC": stream(EWC(strength=3000.0)),
}
table = pd.DataFrame(
    {
        name: {"average at the end": average_accuracy(own), "forgetting": forgetting(own)}
        for name, own in scores.items()
    }
).T
print(table.round(3).to_string())

# %%
# The dashed line is the mean over the pairs taught so far.

figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained", sharey=True)
for ax, (name, own) in zip(axes, scores.items(), strict=True):
    StageScoresDisplay(own).plot(ax)
    ax.set_title(name)
    ax.set_ylabel("accuracy")
for ax in axes[:2]:
    ax.get_legend().remove()
plt.show()
