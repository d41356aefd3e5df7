"""Classification of a column into classes that have an order."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import cohen_kappa_score
from torch import Tensor

from .base import listed
from .classification import ClassificationTask

# A threshold is a bias: it moves by the learning rate a step, where a linear map of many features
# moves by as many times that. So thresholds are learned in a smaller unit.
PACE = 10.0
LEAST = 1e-6  # step between thresholds: no class is impossible


class OrdinalTask(ClassificationTask):
    """A column of classes from low to high.

    Domain: labels of one sortable type, whose order is given.
    Link: cumulative logit (McCullagh 1980): ``P(y <= k) = sigmoid(threshold_k - f(x))``, with one f
    for all thresholds. These are learned, do not depend on x, and ascend, as each is the one before
    plus a softplus: probabilities are never negative.
    Loss: negative log-likelihood of the true class, or CORAL's.
    Decode: the median class, the first that ``P(y <= k)`` brings to one half: it has the least
    expected distance in ranks. Metric: Cohen's kappa with quadratic weights.

    Parameters
    ----------
    order : sequence or None, default=None
        All classes from low to high. None: the order of the categories where the column is an ordered
        categorical, that of the labels where they are numbers.
    loss : {"cumulative", "coral"}, default="cumulative"
        "cumulative": negative log-likelihood. "coral": mean cross-entropy of the questions whether a
        label is above each threshold (Cao, Mirjalili & Raschka 2020).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted as scikit-learn has them; columns of probabilities are in this order.
    order_ : ndarray of shape (n_classes,)
        The classes from low to high.

    References
    ----------
    P. McCullagh (1980). Regression models for ordinal data. JRSS B 42, 109-142.

    W. Cao, V. Mirjalili, S. Raschka (2020). Rank consistent ordinal regression for neural networks
    with application to age estimation. Pattern Recognition Letters 140, 325-331.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskClassifier
    >>> from skmtl.tasks import OrdinalTask
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> y = np.array(["low", "mid", "high"])[np.digitize(X[:, 0] + rng.logistic(size=300), [-1, 1])]
    >>> task = OrdinalTask(["low", "mid", "high"])
    >>> est = MultiTaskClassifier(task, learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> est.predict([[-3, 0], [0, 0], [3, 0]]).tolist()
    ['low', 'mid', 'high']
    """

    metric = "quadratic_kappa"
    ordered = True
    class_weight = None

    def __init__(self, order=None, loss="cumulative"):
        self.order = order
        self.loss = loss

    def prepare(self, labels, weight, *, name, classes=None):
        self._check_word("loss", ["cumulative", "coral"], name)
        order = self._find_order(labels, name, classes)
        try:
            sorted(order)  # an array would make strings of [1, "a"]
        except TypeError:
            raise ValueError(
                f"Task {name!r}: OrdinalTask's order must hold labels of one type. Found {order!r}."
            ) from None
        self.order_ = np.asarray(order)
        self._rank = np.argsort(self.order_)  # of each class, as they are sorted
        self.n_constants = max(0, len(self.order_) - 2)
        return super().prepare(labels, weight, name=name, classes=self.order_)

    def _find_order(self, labels: np.ndarray, name: Any, classes: Any) -> Any:
        """All classes from low to high."""
        order = classes if self.order is None else self.order
        if classes is not None and set(classes) - set(order):
            raise ValueError(
                f"Task {name!r}: OrdinalTask's order must hold all classes, {list(classes)}. Found "
                f"{order!r}."
            )
        if order is None:
            if labels.dtype.kind not in "biuf":
                raise ValueError(
                    f"Task {name!r}: OrdinalTask must know the order of its classes. Found "
                    f"{list(dict.fromkeys(labels.tolist()))[:5]}. Say OrdinalTask(order=[...]), from "
                    "low to high, or make the column an ordered pandas Categorical."
                )
            return np.unique(labels)
        if not listed(order) or not len(order) or len(set(order)) < len(order):
            raise ValueError(
                f"Task {name!r}: OrdinalTask's order must be a list of distinct classes, from low to "
                f"high. Found {order!r}."
            )
        return order

    def encode(self, labels, *, name):
        codes = super().encode(labels, name=name).astype(int)
        return self._rank[codes].astype(float)

    @property
    def n_outputs(self) -> int:
        return max(1, len(self.classes_) - 1)

    @property
    def key(self) -> Hashable:
        return (type(self), len(self.classes_), self.loss)

    def _margins(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """``threshold_k - f`` (..., C - 1), ascending, and the steps between them (..., C - 2).

        Zero outputs make all classes equally probable.
        """
        n_classes = len(self.classes_)
        if n_classes == 2:
            return -outputs.unsqueeze(-1), outputs.new_empty(*outputs.shape, 0)
        even = np.arange(1, n_classes) / n_classes
        start = np.log(even / (1 - even))
        lift = outputs.new_tensor(np.log(np.expm1(np.diff(start))))
        steps = F.softplus(PACE * outputs[..., 1:] + lift) + LEAST
        first = start[0] - outputs[..., :1]
        return torch.cat([first, first + steps.cumsum(-1)], -1), steps

    def read(self, values: Tensor) -> Tensor:
        return values.long()

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        if len(self.classes_) == 1:
            return outputs * 0.0
        margins, steps = self._margins(outputs)
        ranks = values.unsqueeze(-1)
        if self.loss == "coral":
            below = (ranks <= torch.arange(margins.shape[-1], device=ranks.device)).to(margins)
            return F.binary_cross_entropy_with_logits(margins, below, reduction="none").mean(-1)
        # -log(sigmoid(a) - sigmoid(b)) = softplus(-a) + softplus(b) - log(1 - exp(b - a)), a > b
        upper, lower = F.softplus(-margins), F.softplus(margins)
        none = torch.zeros_like(upper[..., :1])
        between = F.pad(-(-(-steps).expm1()).log(), (1, 1))
        loss = torch.cat([upper, none], -1) + torch.cat([none, lower], -1) + between
        return loss.gather(-1, ranks).squeeze(-1)

    def _ranks(self, outputs: Tensor) -> Tensor:
        """Rank of the median class, (...)."""
        if len(self.classes_) == 1:
            return torch.zeros_like(outputs)
        return (self._margins(outputs)[0] < 0).sum(-1).to(outputs.dtype)

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        weight = weight / weight.sum(1, keepdim=True)
        said = self._ranks(outputs)
        observed = ((said - values).square() * weight).sum(1)
        means = (said * weight).sum(1) * (values * weight).sum(1)
        by_chance = ((said.square() + values.square()) * weight).sum(1) - 2 * means
        return 1 - observed / by_chance

    def activate(self, outputs: Tensor) -> Tensor:
        if len(self.classes_) == 1:
            return torch.ones_like(outputs).unsqueeze(-1)
        cumulative = F.pad(self._margins(outputs)[0].sigmoid(), (0, 1), value=1.0)
        return torch.diff(F.pad(cumulative, (1, 0)), dim=-1)

    def decode(self, activated):
        cumulative = activated.cumsum(1)[:, :-1] / activated.sum(1, keepdims=True)
        return self.order_[(cumulative < 0.5).sum(1)]

    def decode_proba(self, activated):
        return super().decode_proba(activated)[:, self._rank]

    def decode_tensor(self, activated: Tensor) -> dict[str, Tensor]:
        rank, label = (
            torch.from_numpy(places).to(activated.device)
            for places in (self._rank, self._rank.argsort())
        )
        proba = activated / activated.sum(1, keepdim=True)
        median = (proba.cumsum(1)[:, :-1] < 0.5).sum(1)
        return {"": label[median], "proba": proba[:, rank]}

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        true, said = (self.encode(labels, name="y")[:, 0] for labels in (y_true, y_pred))
        if len(np.unique(np.concatenate([true, said]))) == 1:
            return float("nan")  # no two ranks, no agreement by chance to compare with
        kappa = cohen_kappa_score(true, said, weights="quadratic", sample_weight=sample_weight)
        return float(kappa)
