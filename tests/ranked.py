"""Tables of queries, and how well scores rank them."""

import numpy as np
import pandas as pd
from sklearn.metrics import ndcg_score


def mean_ndcg(scores, grades, qid):
    queries = [np.flatnonzero(qid == q) for q in np.unique(qid) if (qid == q).sum() > 1]
    return np.mean([ndcg_score(grades[None, r], scores[None, r]) for r in queries])


def ragged(n_queries=60, seed=0):
    """Queries (n,) of 1 to 12 rows, in no order."""
    rng = np.random.default_rng(seed)
    qid = np.repeat(np.arange(1, n_queries + 1), rng.integers(1, 13, size=n_queries))
    return rng.permutation(qid)


def searches(n_queries=30, seed=0, spread=3.0):
    """Ten documents a query; grades rest on the first column, and on the query."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(10 * n_queries, 3)).clip(-2, 2)
    qid = np.repeat(np.arange(n_queries), 10)
    level = X[:, 0] + 0.3 * rng.normal(size=len(X)) + spread * rng.normal(size=n_queries)[qid]
    return X, np.digitize(level, [-3, -1, 0, 1, 3]).astype(float), qid


def mixed(gaps=True):
    X, grades, qid = searches()
    Y = pd.DataFrame({"rank": grades, "size": X[:, 1], "sign": np.where(X[:, 2] > 0, "+", "-")})
    if gaps:
        Y.loc[::7, "rank"] = np.nan
        Y.loc[::5, "size"] = np.nan
        Y.loc[qid == 3, "rank"] = np.nan
    return X, Y, np.array([f"q{q}" for q in qid])
