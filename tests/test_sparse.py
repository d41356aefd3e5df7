"""Sparse inputs: what is learned is what the same numbers teach as an array; memory is not."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.training import sparse

ASKED = {"hidden_layer_sizes": (8,), "n_members": 2, "max_iter": 5, "random_state": 0}


def table(n):
    """Two tasks on twenty columns of which a twentieth is not zero."""
    X = sp.random(n, 20, density=0.03, format="csr", random_state=0, dtype=np.float64)
    X.data[:] = 1.0  # nothing to clip, which only arrays are
    y = pd.DataFrame({"number": X @ np.arange(20.0) + 0.5})
    y["sign"] = np.where(y["number"] > y["number"].median(), "up", "down")
    y.loc[::7, "number"] = np.nan
    return X, y


@pytest.mark.parametrize("n", [300, 1300])  # in float64, equal rows merged; in float32
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, sp.coo_array])
def test_a_sparse_matrix_is_the_array(n, kind):
    X, y = table(n)
    # equal rows, merged, come in another order: all in one batch, it does not matter
    asked = {} if n > 1000 else {"batch_size": n, "early_stopping": False}
    est = MultiTaskClassifierRegressor(**ASKED, **asked)
    ours, theirs = est.fit(kind(X), y).predict(kind(X)), clone(est).fit(X.toarray(), y)
    theirs = theirs.predict(X.toarray())
    np.testing.assert_allclose(ours["number"], theirs["number"], rtol=1e-4, atol=1e-5)
    assert (ours["sign"] == theirs["sign"]).all()


def test_no_more_than_a_part_is_ever_written_out(monkeypatch):
    monkeypatch.setattr(sparse, "DENSE_NUMBERS", 2**18)
    n, d = 3000, 5000  # 60 MB in float32
    X = sp.random(n, d, density=0.001, format="csr", random_state=0, dtype=np.float32)
    y = np.asarray(X[:, :50].sum(axis=1)).ravel()
    est = MultiTaskRegressor(**{**ASKED, "n_members": 1, "max_iter": 1, "batch_size": 32})
    tracemalloc.start()
    try:
        est.fit(X, y).predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < n * d * 4 / 8  # arrays of numpy, of which every tensor of inputs is made


def test_equal_rows_are_one_row_of_their_weight():
    X, _ = table(60)
    est = MultiTaskRegressor(**ASKED)
    numbers = np.arange(60.0)
    twice = est.fit(sp.vstack([X, X]).tocsr(), np.tile(numbers, 2)).predict(X)
    weighed = est.fit(X, numbers, sample_weight=np.full(60, 2.0)).predict(X)
    np.testing.assert_allclose(twice, weighed, rtol=1e-6)


def test_texts_go_from_a_vectoriser_into_searches():
    rng = np.random.default_rng(0)
    words = np.array(["good", "bad", "dress", "shoe", "blue", "old"])
    texts = [" ".join(rng.choice(words, 4)) for _ in range(200)]
    y = pd.DataFrame(
        {"liked": ["good" in t for t in texts], "shoes": [t.count("shoe") for t in texts]}
    )
    y["shoes"] += 0.5
    asked = {**ASKED, "max_iter": 40, "learning_rate_init": 0.02}
    model = make_pipeline(CountVectorizer(), MultiTaskClassifierRegressor(**asked))
    assert model.fit(texts, y).score(texts, y) > 0.95
    X = CountVectorizer().fit_transform(texts)
    est, grid = MultiTaskClassifierRegressor(**ASKED), {"learning_rate_init": [1e-3, 1e-2]}
    each, both = (S(est, grid, cv=2).fit(X, y) for S in (GridSearchCV, BatchedGridSearchCV))
    scores = [s.cv_results_["mean_test_score"] for s in (each, both)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    fitted = both.best_estimator_
    np.testing.assert_allclose(fitted.transform(X), fitted.transform(X.toarray()), atol=1e-6)
