"""Ranking of the rows of a query by their relevance."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import ndcg_score
from torch import Tensor

from .base import Task
from .listwise import LOSSES, Queries, ndcg
from .regression import numbers, refuse_classes

MOST_STRATA = 2**15 - 1  # they are kept in 16 bits


class RankingTask(Task):
    """A column of relevance grades, by which the rows of a query are to be ranked.

    A query is a set of rows that are compared with each other: documents for a search, products for a
    customer, runners of a race. `fit` is told by ``qid`` which rows these are; rows of other queries
    never enter a query's loss. Batches and validation splits keep queries whole.

    Domain: numbers >= 0, higher is better. Link: none.
    Loss: see ``loss``; a query counts as much as its rows weigh, so that a weight of two is a repeated
    row (but for ``loss="lambdarank"``, where a row has one place, whatever its weight).
    Decode: a score, whose order within a query is what counts. Metric: NDCG, scikit-learn's
    `ndcg_score` of each query with two grades or more, averaged over the queries.

    Parameters
    ----------
    loss : {"ranknet", "listnet", "lambdarank"}, default="ranknet"
        "ranknet": cross-entropy of which of two rows is the better, mean over the pairs of a query
        whose grades differ (Burges et al. 2005). "listnet": cross-entropy of the softmax of the scores
        with the softmax of the grades (Cao et al. 2007, top-one probabilities). "lambdarank": RankNet's
        pairs, each times how much NDCG would change if the two traded places (Burges et al. 2006),
        with the grade itself as gain, as in `ndcg_score`.

    References
    ----------
    C. Burges, T. Shaked, E. Renshaw, A. Lazier, M. Deeds, N. Hamilton, G. Hullender (2005). Learning
    to rank using gradient descent. ICML, 89-96.

    C. Burges, R. Ragno, Q. V. Le (2006). Learning to rank with nonsmooth cost functions. NeurIPS.

    Z. Cao, T. Qin, T.-Y. Liu, M.-F. Tsai, H. Li (2007). Learning to rank: from pairwise approach to
    listwise approach. ICML, 129-136.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.tasks import RankingTask
    >>> rng = np.random.default_rng(0)
    >>> X, qid = rng.normal(size=(600, 3)), np.repeat(np.arange(60), 10)
    >>> relevance = X[:, 0] + rng.normal(size=60)[qid]  # some queries have better answers
    >>> grades = np.digitize(relevance, [-1, 0, 1])
    >>> est = MultiTaskRegressor(RankingTask(), random_state=0).fit(X, grades, qid=qid)
    >>> est.score(X, grades, qid=qid) > 0.95
    True
    """

    kind = "regression"
    metric = "ndcg"
    n_values = 2
    n_outputs = 1
    by_query = True

    def __init__(self, loss="ranknet"):
        self.loss = loss

    def prepare(self, labels, weight, *, name, classes=None):
        refuse_classes(classes, name)
        self._check_word("loss", LOSSES, name)
        _grades(labels, name)
        return self

    def encode(self, labels, *, name):
        """Encode grades (m,), which are one query's, or grades and numbers of queries, (m, 2)."""
        grades = _grades(labels, name)
        return np.column_stack([grades, np.ones(len(grades)) if labels.ndim == 1 else labels[:, 1]])

    def strata(self, values):
        return np.minimum(np.unique(values[:, 0], return_inverse=True)[1], MOST_STRATA)

    @property
    def key(self) -> Hashable:
        return (type(self), self.loss)

    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        return self.query_loss(outputs, values, torch.ones_like(outputs))

    def query_loss(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        shape = outputs.shape
        if outputs.dim() != 3:
            outputs, weight = outputs.reshape(1, -1, 1), weight.reshape(1, -1, 1)
            values = values.reshape(1, -1, 1, 2)
        queries = Queries(values[..., 0], values[..., 1], weight)
        losses = LOSSES[self.loss](queries, queries.take(outputs))
        return queries.put(losses).view(shape)

    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        queries = Queries(values[..., 0], values[..., 1], weight)
        return ndcg(queries, queries.take(outputs))

    def activate(self, outputs: Tensor) -> Tensor:
        return outputs.unsqueeze(-1)

    def decode(self, activated):
        return activated[:, 0]

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        """NDCG of grades (m,) of one query, or of grades and numbers of queries (m, 2).

        Queries of one row are left out; a query counts the mean weight of its rows.
        """
        y_true = np.asarray(y_true, float).reshape(len(y_true), -1)
        codes = y_true[:, 1] if y_true.shape[1] > 1 else np.zeros(len(y_true))
        weight = np.ones(len(y_true)) if sample_weight is None else np.asarray(sample_weight, float)
        rows = np.flatnonzero(weight > 0)
        rows = rows[np.argsort(codes[rows], kind="stable")]
        _, starts, sizes = np.unique(codes[rows], return_index=True, return_counts=True)
        scores, counts = [], []
        for size in np.unique(sizes[sizes > 1]):  # queries of a size make one table
            at = rows[starts[sizes == size][:, None] + np.arange(size)]
            of_query = weight[at].mean(axis=1)
            scores.append(ndcg_score(y_true[at, 0], y_pred[at], sample_weight=of_query))
            counts.append(of_query.sum())
        return float(np.average(scores, weights=counts)) if scores else float("nan")


def _grades(labels: np.ndarray, name: Any) -> np.ndarray:
    """Grades as floats, or an error that names the task and what it found."""
    grades = numbers(labels if labels.ndim == 1 else labels[:, 0], name)
    if (grades < 0).any():
        raise ValueError(
            f"Task {name!r}: RankingTask accepts grades >= 0, higher is better. Found "
            f"{(grades < 0).sum()} others, such as {grades[grades < 0][0]:g}. Add a constant to all."
        )
    return grades
