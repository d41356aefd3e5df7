"""What X may be, and that it is neither copied nor written to."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import skmtl._engine.lesson
from skmtl import MultiTaskRegressor

QUICK = {"n_members": 1, "max_iter": 2, "hidden_layer_sizes": (4,), "random_state": 0}
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 6)).astype(np.float32)
Y = X[:, :2] + rng.normal(size=(2000, 2))


@pytest.fixture
def tables(monkeypatch):
    """The tensors that training reads, as they are made."""
    seen = []
    make = skmtl._engine.lesson.TrainingData

    def record(*tensors):
        seen.append(make(*tensors))
        return seen[-1]

    monkeypatch.setattr(skmtl._engine.lesson, "TrainingData", record)
    return seen


def test_float32_in_c_order_is_used_where_it_lies(tables):
    MultiTaskRegressor(**QUICK).fit(X, Y)
    assert tables[0].x.data_ptr() == X.ctypes.data


def test_a_read_only_memory_map_is_used_where_it_lies(tables, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    est = MultiTaskRegressor(**QUICK).fit(mapped, Y)
    assert tables[0].x.data_ptr() == mapped.ctypes.data
    assert_array_equal(est.predict(mapped), MultiTaskRegressor(**QUICK).fit(X, Y).predict(X))


LAYOUTS = {
    "Fortran order": np.asfortranarray(X),
    "float64": X.astype(np.float64),
    "every second row": np.repeat(X, 2, axis=0)[::2],
    "reversed twice": np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "list": X.tolist(),
    "object": X.astype(object),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_the_inputs_does_not_matter(layout):
    other = LAYOUTS[layout]
    expected = MultiTaskRegressor(**QUICK).fit(X, Y).predict(X)
    np.testing.assert_allclose(
        MultiTaskRegressor(**QUICK).fit(other, Y).predict(other), expected, rtol=1e-4, atol=1e-5
    )


def test_nothing_that_came_in_is_written_to(rng):
    weight = rng.random((2000, 2))
    before = X.copy(), Y.copy(), weight.copy()
    est = MultiTaskRegressor(**QUICK, activation="relu").fit(X, Y, weight)
    est.predict(X)
    est.score(X, Y, weight)
    for now, then in zip((X, Y, weight), before, strict=True):
        assert_array_equal(now, then)
