"""Losses of the rows of a query, and how well scores rank them.

All queries of a batch, of all members and tasks, are laid side by side, best grades first, so that what
happens within a query is a sum over a segment, and pairs are two lists of positions. No query sees
another. Shapes: K members, b rows, G tasks of one kind side by side, N labelled rows of all queries, Q
queries, P pairs of a query's rows whose grades differ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


class Queries:
    """The labelled rows (N,) of a batch, query after query, in each from the best grade down.

    Parameters
    ----------
    grades, codes : Tensor of shape (K, b, G)
        Grade of each row, and the number of its query; rows of query zero are in none.
    weight : Tensor of shape (K, b, G)
        Label weight; rows without are left out.

    Attributes
    ----------
    grades, weight : Tensor of shape (N,)
        Of the rows.
    of : Tensor of shape (N,)
        Query of each row, from zero.
    size, total : Tensor of shape (Q,)
        Rows and weight of each query.
    column : Tensor of shape (Q,)
        Whose query it is: its position in (K, G), flat.
    """

    def __init__(self, grades: Tensor, codes: Tensor, weight: Tensor):
        self.shape = grades.shape
        k, _, g = self.shape
        there = ((codes > 0) & (weight > 0)).flatten().nonzero().squeeze(1)
        column = torch.arange(k * g, device=codes.device).view(k, 1, g).expand(self.shape)
        column, code = column.reshape(-1)[there], codes.reshape(-1)[there].long()
        query = column * (code.max() + 1) + code if len(code) else code
        order = grades.reshape(-1)[there].argsort(descending=True, stable=True)
        order = order[query[order].argsort(stable=True)]
        self.rows = there[order]
        _, self.of, self.size = torch.unique_consecutive(
            query[order], return_inverse=True, return_counts=True
        )
        self.start = self.size.cumsum(0) - self.size
        self.grades, self.weight = self.take(grades), self.take(weight)
        self.total = self.sum(self.weight)
        self.column = column[order][self.start]

    def take(self, values: Tensor) -> Tensor:
        """What the rows have of (K, b, G)."""
        return values.reshape(-1)[self.rows]

    def put(self, values: Tensor) -> Tensor:
        """Values (N,) in their places in (K, b, G); zero elsewhere."""
        flat = values.new_zeros(self.shape.numel())
        return flat.index_copy(0, self.rows, values).view(self.shape)

    def sum(self, values: Tensor, of: Tensor | None = None) -> Tensor:
        """Sums (Q,) over the rows of each query, or over items whose queries are ``of``."""
        of = self.of if of is None else of
        return values.new_zeros(len(self.size)).index_add(0, of, values)

    def log_sum_exp(self, values: Tensor, weight: Tensor) -> Tensor:
        """Logarithms (Q,) of the weighted sums of exponentials over the rows of each query."""
        peak = values.detach().new_zeros(len(self.size))
        peak = peak.scatter_reduce(0, self.of, values.detach(), "amax", include_self=False)
        return self.sum(weight * (values - peak[self.of]).exp()).log() + peak

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Rows (P,) and (P,) of one query of which the first has the better grade."""
        ends = (self.start + self.size)[self.of]
        alike = _ends(_runs(self.of, self.grades))  # rows from there on have a lower grade
        n_below = ends - alike
        better = torch.arange(len(self.of), device=self.of.device).repeat_interleave(n_below)
        passed = (n_below.cumsum(0) - n_below)[better]
        return better, alike[better] + torch.arange(len(better), device=self.of.device) - passed

    def place(self) -> Tensor:
        """Place of each row, from 0, where grades alone rank them."""
        return torch.arange(len(self.of), device=self.of.device) - self.start[self.of]

    def ranked(self, scores: Tensor) -> Tensor:
        """Rows (N,) by query and falling score; of equal scores the lower grade comes first."""
        order = torch.arange(len(self.of), device=self.of.device).flip(0)
        order = order[scores[order].argsort(descending=True, stable=True)]
        return order[self.of[order].argsort(stable=True)]

    def discounts(self) -> Tensor:
        """Discounts (N,) of the places of every query, from the first place down."""
        return (self.place().to(self.grades) + 2).log2().reciprocal()


def _runs(*keys: Tensor) -> Tensor:
    """Number of the run of equal keys that each position is in, from zero."""
    changes = torch.zeros(len(keys[0]), dtype=torch.long, device=keys[0].device)
    for key in keys:
        changes[1:] |= (key[1:] != key[:-1]).long()
    return changes.cumsum(0)


def _ends(runs: Tensor) -> Tensor:
    """Position after the run that each position is in."""
    return torch.bincount(runs).cumsum(0)[runs]


def ranknet(queries: Queries, scores: Tensor) -> Tensor:
    """RankNet: mean cross-entropy of the pairs of a query, ``log(1 + exp(s_worse - s_better))``."""
    better, worse = queries.pairs()
    cost = F.softplus(scores[worse] - scores[better])
    weight = queries.weight / (queries.total / queries.size)[queries.of]
    of = queries.of[better]
    counted = queries.sum(weight[better] * weight[worse], of)
    counted = counted.clamp(min=torch.finfo(counted.dtype).tiny)
    return _of_rows(queries, cost * (queries.size / counted)[of], better, worse, weight)


def lambdarank(queries: Queries, scores: Tensor) -> Tensor:
    """LambdaRank: the pairs of RankNet times what NDCG would change if they traded places, summed.

    Its gradient are the lambdas of the paper, with NDCG's gain the grade itself, as scikit-learn's.
    """
    better, worse = queries.pairs()
    by_place = queries.discounts()
    ideal = queries.sum(queries.grades * by_place)
    discount = torch.empty_like(by_place)
    discount[queries.ranked(scores.detach())] = by_place
    gain = queries.grades[better] - queries.grades[worse]
    of = queries.of[better]
    change = gain * (discount[better] - discount[worse]).abs() / ideal[of]
    cost = F.softplus(scores[worse] - scores[better]) * change
    weight = queries.weight / (queries.total / queries.size)[queries.of]
    return _of_rows(queries, cost * queries.size[of], better, worse, weight)


def _of_rows(
    queries: Queries, cost: Tensor, better: Tensor, worse: Tensor, weight: Tensor
) -> Tensor:
    """Costs (P,) of pairs, half of each at either row, which counts the weight of the other."""
    rows = cost.new_zeros(len(queries.of))
    rows = rows.index_add(0, better, 0.5 * weight[worse] * cost)
    return rows.index_add(0, worse, 0.5 * weight[better] * cost)


def listnet(queries: Queries, scores: Tensor) -> Tensor:
    """ListNet: cross-entropy of the top-one probabilities, softmax of the grades and of the scores."""
    least = torch.full_like(queries.total, torch.inf)
    least = least.scatter_reduce(0, queries.of, queries.weight, "amin")
    weight = queries.weight / least[queries.of]  # a row of weight two is two rows
    top = (queries.grades - queries.log_sum_exp(queries.grades, weight)[queries.of]).exp()
    surprise = queries.log_sum_exp(scores, weight)[queries.of] - scores
    return (queries.total / least)[queries.of] * top * surprise


LOSSES: dict[str, Callable[[Queries, Tensor], Tensor]] = {
    "ranknet": ranknet,
    "listnet": listnet,
    "lambdarank": lambdarank,
}


def ndcg(queries: Queries, scores: Tensor) -> Tensor:
    """NDCG (K, G) as scikit-learn's: mean over the queries with two rows, NaN without any.

    Rows of equal scores share their discounts; a query counts the mean weight of its rows.
    """
    order, discounts = queries.ranked(scores), queries.discounts()
    runs = _runs(queries.of, scores[order])
    size = torch.bincount(runs)
    shared = discounts.new_zeros(len(size)).index_add(0, runs, discounts) / size
    gains = queries.sum(queries.grades[order] * shared[runs])
    ideal = queries.sum(queries.grades * discounts)
    found = torch.where(ideal > 0, gains / ideal, 0.0)
    counts = (queries.size > 1) * queries.total / queries.size
    k, _, g = queries.shape
    sums, total = (
        found.new_zeros(k * g).index_add(0, queries.column, x).view(k, g)
        for x in (found * counts, counts)
    )
    return sums / total
