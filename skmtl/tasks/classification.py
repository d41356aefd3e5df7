"""Classification of a column into two or more classes, of any label type that sorts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from skmtl._warn import warn

from .base import Task


class ClassificationTask(Task):
    """A column of class labels.

    Domain: labels of one sortable type (strings, booleans, integers, categories).
    Link: logistic for two classes (one output), softmax for more (an output per class).
    Loss: negative log-likelihood of the true class.
    Decode: the most probable class. Metric: accuracy.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in scikit-learn: it multiplies the sample weights.
        ``"balanced"`` weighs a class by the inverse of its weighted frequency.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.tasks import ClassificationTask
    >>> labels = np.array(["no", "yes", "no"])
    >>> task = ClassificationTask().prepare(labels, np.ones(3), name="bought")
    >>> task.classes_.tolist(), task.n_outputs
    (['no', 'yes'], 1)
    """

    kind = "classification"
    metric = "accuracy"

    def __init__(self, class_weight=None):
        self.class_weight = class_weight

    def prepare(self, labels, weight, *, name, classes=None):
        refuse_fractions(labels, f"Task {name!r}", "'regression'")
        self.classes_ = sort_classes(labels if classes is None else classes, f"Task {name!r}")
        codes = self.encode(labels, name=name)[:, 0].astype(int)
        if len(self.classes_) == 1:
            warn(
                f"Task {name!r} has one class only, {self.classes_.tolist()[0]!r}: every prediction "
                "will be that."
            )
        self.class_weight_ = None
        if self.class_weight is not None:
            self.class_weight_ = self._class_weights(codes, weight, name)
        return self

    def _class_weights(self, codes: np.ndarray, weight: np.ndarray, name: str) -> np.ndarray:
        if isinstance(self.class_weight, dict):
            unknown = set(self.class_weight) - set(self.classes_.tolist())
            if unknown:
                raise ValueError(
                    f"Task {name!r}: class_weight names classes {sorted(unknown, key=str)} that "
                    f"are not among the labels {self.classes_.tolist()}."
                )
            given = [self.class_weight.get(c, 1.0) for c in self.classes_.tolist()]
            sound = all(isinstance(w, int | float) and 0 <= w < np.inf for w in given)
            if not sound or not any(given):
                raise ValueError(
                    f"Task {name!r}: class_weight must give finite weights >= 0, one of them above "
                    f"0. Found {self.class_weight!r}."
                )
            return np.array(given, dtype=float)
        if self.class_weight != "balanced":
            raise ValueError(
                f"Task {name!r}: class_weight must be a dict, 'balanced' or None. "
                f"Found {self.class_weight!r}."
            )
        if not len(codes):
            raise ValueError(
                f"Task {name!r}: class_weight='balanced' needs labels to count. Found none: give it a "
                "label, or a dict of weights."
            )
        present = np.unique(codes)
        balanced = compute_class_weight("balanced", classes=present, y=codes, sample_weight=weight)
        weights = np.ones(len(self.classes_))
        weights[present] = balanced
        return weights

    def encode(self, labels, *, name):
        codes, unseen = find_classes(np.asarray(labels), self.classes_)
        if unseen:
            raise ValueError(
                f"Task {name!r}: labels {unseen} were not among the classes seen in fit, "
                f"{self.classes_.tolist()}."
            )
        return codes[:, None].astype(float)

    def strata(self, values):
        return values[:, 0].astype(int)

    def label_weight(self, values):
        return None if self.class_weight_ is None else self.class_weight_[values[:, 0].astype(int)]

    @property
    def n_outputs(self) -> int:
        return 1 if len(self.classes_) <= 2 else len(self.classes_)

    @property
    def key(self) -> Hashable:
        return (type(self), len(self.classes_))

    def read(self, values: Tensor) -> Tensor:
        return values if self.n_outputs == 1 else values.long()

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        if len(self.classes_) == 1:
            return outputs * 0.0
        if self.n_outputs == 1:
            return F.binary_cross_entropy_with_logits(outputs, values, reduction="none")
        return F.cross_entropy(outputs.movedim(-1, 1), values, reduction="none")

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        if self.n_outputs == 1:
            codes = (outputs > 0).to(values.dtype) * (len(self.classes_) > 1)
        else:
            codes = outputs.argmax(-1).to(values.dtype)
        hit = (codes == values).to(weight.dtype)
        return (hit * weight).sum(1) / weight.sum(1)

    def activate(self, outputs: Tensor) -> Tensor:
        if len(self.classes_) == 1:
            return torch.ones_like(outputs).unsqueeze(-1)
        if self.n_outputs == 1:
            p = outputs.sigmoid()
            return torch.stack([1 - p, p], -1)
        return outputs.softmax(-1)

    def decode(self, activated):
        return self.classes_[activated.argmax(1)]

    def decode_proba(self, activated: np.ndarray) -> np.ndarray:
        """Class probabilities, shape (n, n_classes), rows summing to one."""
        return activated / activated.sum(1, keepdims=True)

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        codes = (np.searchsorted(self.classes_, labels) for labels in (y_true, y_pred))
        return float(accuracy_score(*codes, sample_weight=sample_weight))


def refuse_fractions(labels: np.ndarray, whose: str, instead: str) -> None:
    """Raise for numbers that are no classes; ``instead`` is what to use for them."""
    if labels.dtype.kind == "f" and np.any(labels != np.floor(labels)):
        raise ValueError(
            f"Unknown label type: continuous. {whose} must hold classes. Found "
            f"{labels[labels != np.floor(labels)][0]}: use {instead}, or bin the labels."
        )


def sort_classes(labels: Any, whose: str) -> np.ndarray:
    """Distinct labels, sorted, or an error where they are of types that do not sort."""
    try:
        if not isinstance(labels, np.ndarray):
            sorted(labels)  # an array would make strings of [1, "a"]
        distinct = np.asarray(labels)
        if distinct.dtype == object:  # hashed first: Python's objects are slow to sort
            distinct = np.array(list(dict.fromkeys(distinct.tolist())), dtype=object)
        return np.unique(distinct)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"{whose} must hold class labels of one type that sorts. Found {kinds}. Convert them, "
            "e.g. to strings."
        ) from None


def find_classes(labels: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Position of each label among sorted classes, and the first of those that are not there."""
    try:
        codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        unseen = classes[codes] != labels
    except TypeError:  # labels of a type that does not compare with the classes'
        codes, unseen = np.zeros(len(labels), int), np.ones(len(labels), bool)
    return codes, list(dict.fromkeys(labels[unseen].tolist()))[:5] if np.any(unseen) else []
