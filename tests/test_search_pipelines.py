"""Batched searches of pipelines, and what fails or is odd on the way: as in scikit-learn's."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import FitFailedWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.model_selection import cross_validate as one_by_one
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skmtl import MultiTaskRegressor
from skmtl.model_selection import BatchedGridSearchCV, cross_validate

NAME = "multitaskregressor"
ALPHAS = {f"{NAME}__alpha": [0.0, 1.0]}
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the test scores"),
]


def table():
    X = np.random.default_rng(0).normal(size=(90, 3))
    return X, np.column_stack([X[:, 0], X[:, 0] - X[:, 1]])


def net(**changes):
    params = {"hidden_layer_sizes": (4,), "n_members": 1, "max_iter": 20, "random_state": 0}
    return MultiTaskRegressor(**params | changes)


def scores(model, X, y, grid=ALPHAS, *, cv=3, scoring=None, n_jobs=None):
    """Scores of scikit-learn's search and of ours, (n_candidates, n_folds) each."""
    n_folds = cv if isinstance(cv, int) else cv.get_n_splits()
    names = [f"split{i}_test_score" for i in range(n_folds)]
    searches = [
        kind(model, grid, cv=cv, scoring=scoring, refit=False, n_jobs=n_jobs).fit(X, y)
        for kind in (GridSearchCV, BatchedGridSearchCV)
    ]
    return [np.stack([search.cv_results_[name] for name in names], 1) for search in searches]


def test_pipelines_that_are_handed_out_transform_anew():
    X, y = table()
    model = make_pipeline(StandardScaler(), net())
    theirs, ours = (f(model, X, y, return_estimator=True) for f in (one_by_one, cross_validate))
    for a, b in zip(theirs["estimator"], ours["estimator"], strict=True):
        assert "transform" not in vars(b[0])
        rows = X.copy()
        assert_allclose(b.predict(rows), a.predict(rows), atol=1e-5)
        rows *= -1
        assert_allclose(b.predict(rows), a.predict(rows), atol=1e-5)
        wide = 5 * X + 100
        assert_allclose(*(est.fit(wide, y).predict(wide) for est in (a, b)), atol=1e-5)
        b.set_output(transform="pandas")
        assert list(b[:-1].transform(X)) == ["x0", "x1", "x2"]


def test_a_scorer_may_change_a_table_of_its_own_in_place():
    X, y = table()

    def importance(est, X, y):
        found = permutation_importance(est, X, y, n_repeats=2, random_state=0)
        return found.importances.std()

    theirs, ours = scores(make_pipeline(StandardScaler(), net()), X, y, scoring=importance)
    assert_allclose(ours, theirs, atol=1e-4)
    assert (ours > 1e-3).all()


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize(
    "transformer",
    [OneHotEncoder(handle_unknown="ignore"), FunctionTransformer(lambda a: 2 * a), "passthrough"],
    ids=["sparse", "lambda", "passthrough"],
)
def test_any_transformer_does(transformer, n_jobs):
    X, y = table()
    X = (X > 0).astype(float)
    theirs, ours = scores(make_pipeline(transformer, net()), X, y, n_jobs=n_jobs)
    assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_row_that_is_no_number_fails_only_the_folds_that_it_is_in(n_jobs):
    X, y = table()
    X[80, 0] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid, cv = {"alpha": [0.0, 1.0]}, TimeSeriesSplit(3)
        theirs, ours = scores(net(), X, y, grid, cv=cv, n_jobs=n_jobs)
    assert np.isnan(theirs).any()
    assert_allclose(ours, theirs, atol=1e-4)


class OfTwoError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


class Picky(TransformerMixin, BaseEstimator):
    def __init__(self, fails=False):
        self.fails = fails

    def fit(self, X, y=None):
        if self.fails:
            raise OfTwoError("this", "that")
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_error_that_cannot_travel_fails_its_candidate_alone(n_jobs):
    X, y = table()
    with pytest.warns(FitFailedWarning, match="this and that"):
        theirs, ours = scores(
            make_pipeline(Picky(), net()), X, y, {"picky__fails": [True, False]}, n_jobs=n_jobs
        )
    assert np.isnan(ours[0]).all()
    assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_warning_made_an_error_fails_its_fit_alone(n_jobs):
    X, y = table()
    grid = {"max_iter": [2, 400], "learning_rate_init": [0.03]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", message="One or more of the test scores")
        theirs, ours = scores(net(), X, y, grid, n_jobs=n_jobs)
    assert np.isnan(theirs[0]).all()
    assert np.isfinite(theirs[1]).all()
    assert_allclose(ours, theirs, atol=1e-3)


def test_splits_must_be_as_many_as_the_splitter_says():
    X, y = table()

    class Odd(KFold):
        def get_n_splits(self, *args, **kwargs):
            return 3

    with pytest.raises(ValueError, match=r"inconsistent results\. Expected 3 splits, got 4"):
        BatchedGridSearchCV(net(), {"alpha": [0.0]}, cv=Odd(4)).fit(X, y)


def test_many_fits_are_announced_before_they_are_spread(capsys):
    X, y = table()
    BatchedGridSearchCV(net(), {"alpha": [0.0, 1.0]}, cv=2, n_jobs=2, verbose=1).fit(X, y)
    out = capsys.readouterr().out
    assert out.index("4 fits, shared out to 2 processes") < out.index("4 fits in 2 stacks")


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_fits_that_fail_before_training_are_told_too(n_jobs, capsys):
    X, y = table()
    grid = {"picky__fails": [True, False]}
    search = BatchedGridSearchCV(make_pipeline(Picky(), net()), grid, n_jobs=n_jobs, verbose=1)
    with pytest.warns(FitFailedWarning):
        search.fit(X, y)
    told = "10 fits in 1 stacks, 5 by" if n_jobs is None else "10 fits in 2 stacks, 5 by"
    assert told in capsys.readouterr().out
