"""Classification of a column into two classes, at a threshold that is given or tuned."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score
from torch import Tensor

from .classification import ClassificationTask

if TYPE_CHECKING:
    from typing_extensions import Self

# Metrics of weights: true positives, all positives, false positives, all negatives
METRICS = {
    "accuracy": lambda tp, p, fp, n: (tp + n - fp) / (p + n),
    "balanced_accuracy": lambda tp, p, fp, n: (tp / p + (n - fp) / n) / 2,
    "f1": lambda tp, p, fp, _: 2 * tp / (p + tp + fp),
}


class BinaryTask(ClassificationTask):
    """A column of two classes, told apart at a threshold on the probability of the second.

    Domain: labels of one sortable type, two of them. Link: logistic.
    Loss: negative log-likelihood of the true class.
    Decode: the second class, in sorted order, where its probability is above the threshold.
    Metric: see `metric`.

    Parameters
    ----------
    threshold : float in (0, 1) or "tuned", default=0.5
        "tuned" takes, after training, the threshold with the best `metric` on the rows that were held
        back for early stopping, each judged by the members that did not train on it. It needs such
        rows; `partial_fit`, which holds none back, goes on with the threshold that is there.
    metric : {"balanced_accuracy", "accuracy", "f1"}, default="balanced_accuracy"
        What the threshold is tuned for and the task is judged by. "f1" is that of the second class.
    class_weight : dict, "balanced" or None, default=None
        As in `ClassificationTask`; it counts in the loss, not in the tuning.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels, sorted.
    threshold_ : float
        The threshold in use; 0.5 until it is tuned.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskClassifier
    >>> from skmtl.tasks import BinaryTask
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 2))
    >>> y = X[:, 0] + rng.normal(size=600) > 1.8  # one in ten
    >>> est = MultiTaskClassifier(BinaryTask(threshold="tuned"), random_state=0).fit(X, y)
    >>> bool(est.tasks_["y"].threshold_ < 0.3), bool(est.score(X, y) > 0.75)
    (True, True)
    """

    def __init__(self, threshold=0.5, metric="balanced_accuracy", class_weight=None):
        self.threshold = threshold
        self.metric = metric
        self.class_weight = class_weight

    def prepare(self, labels, weight, *, name, classes=None):
        given = self.threshold
        share = isinstance(given, Real) and 0 < float(given) < 1
        if not share and not (isinstance(given, str) and given == "tuned"):
            raise ValueError(
                f"Task {name!r}: BinaryTask's threshold must be a number in (0, 1) or 'tuned'. "
                f"Found {given!r}."
            )
        self._check_word("metric", METRICS, name)
        super().prepare(labels, weight, name=name, classes=classes)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Task {name!r}: BinaryTask takes two classes. Found {len(self.classes_)}: "
                f"{self.classes_.tolist()[:5]}. Use 'classification'."
            )
        self.threshold_ = 0.5 if given == "tuned" else float(given)
        return self

    @property
    def tunes(self) -> bool:
        return isinstance(self.threshold, str)

    @property
    def key(self) -> Hashable:
        return (type(self), len(self.classes_), self.threshold_, self.metric)

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        if len(self.classes_) == 1:
            return super().score(outputs, values, weight)
        said = (outputs.sigmoid() > self.threshold_).to(weight.dtype)
        right, positive = (said * values * weight).sum(1), (values * weight).sum(1)
        false = (said * (1 - values) * weight).sum(1)
        return METRICS[self.metric](right, positive, false, weight.sum(1) - positive)

    def tune(self, activated: np.ndarray, values: np.ndarray, weight: np.ndarray) -> Self:
        positive = values[:, 0] > 0
        if positive.all() or not positive.any():
            return self  # nothing to tell apart
        factor = self.label_weight(values)
        if factor is not None:
            weight = weight / factor
        tuned = copy.copy(self)
        tuned.threshold_ = best_threshold(activated[:, 1], positive, weight, self.metric)
        return tuned

    def decode(self, activated):
        if len(self.classes_) == 1:
            return super().decode(activated)
        return self.classes_[(activated[:, 1] > self.threshold_).astype(int)]

    def decode_tensor(self, activated: Tensor) -> dict[str, Tensor]:
        found = super().decode_tensor(activated)
        if len(self.classes_) == 1:
            return found
        return {**found, "": (activated[:, 1] > self.threshold_).long()}

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        true, said = (np.searchsorted(self.classes_, labels) for labels in (y_true, y_pred))
        weighted = {"sample_weight": sample_weight}
        if self.metric == "accuracy":
            return float(accuracy_score(true, said, **weighted))
        if self.metric == "f1":
            undefined = not (true.any() or said.any())
            return float("nan") if undefined else float(f1_score(true, said, **weighted))
        if len(np.unique(true)) < 2:
            return float("nan")
        return float(recall_score(true, said, average="macro", **weighted))

    @property
    def scorer(self) -> Any:
        return self.as_scorer()  # scikit-learn's "f1" asks for labels 0 and 1


def best_threshold(
    probability: np.ndarray, positive: np.ndarray, weight: np.ndarray, metric: str
) -> float:
    """Threshold with the best metric; of equals, the nearest to one half.

    Candidates are the middles between neighbouring probabilities (m,), and both ends.
    """
    order = np.argsort(-probability, kind="stable")
    p, positive, weight = probability[order], positive[order], weight[order]
    true, false = np.cumsum(weight * positive), np.cumsum(weight * ~positive)
    last = np.flatnonzero(np.append(p[1:] < p[:-1], True))  # of rows with one probability
    ends = np.append(p[last[1:]], 0.0)
    below = (p[last] + ends) / 2  # said positive: the rows up to each of these
    thresholds = np.append((1 + p[0]) / 2, below)
    tp, fp = np.append(0.0, true[last]), np.append(0.0, false[last])
    values = METRICS[metric](tp, true[-1], fp, false[-1])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(thresholds[best[np.abs(thresholds[best] - 0.5).argmin()]])
