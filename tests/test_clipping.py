"""Where inputs are clipped, by which formula, and that a table lists just the values outside."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from networks import architecture, spread
from numpy.testing import assert_allclose, assert_array_equal
from torch import Generator

from skmtl.sharing import HardSharing
from skmtl.training import MultiTaskModule, TrainingData, clip_bounds, open_bounds
from skmtl.training.clipping import Bounds, Outside, bent
from skmtl.training.sparse import SparseRows


def table(x, weight=None, dtype=torch.float64):
    """Inputs (n, d), with a target that plays no part."""
    x = torch.as_tensor(x).to(dtype)
    values = torch.zeros(len(x), 1, dtype=dtype)
    return TrainingData(x, values, None if weight is None else torch.as_tensor(weight).to(dtype))


def normal(n, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


# Bounds


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clipping_starts_half_an_inner_range_outside_the_5_and_95_percent(dtype):
    x = np.random.default_rng(0).permutation(np.arange(1, 101.0))  # between them: 5 to 95
    bounds = clip_bounds(table(np.column_stack([x, -2 * x]), dtype=dtype), torch.arange(100))
    assert [b.tolist() for b in bounds] == [[-40, -282], [140, 78], [45, 90]]
    assert {b.dtype for b in bounds} == {dtype}


def test_a_column_whose_inner_values_are_one_is_not_clipped():
    x = np.where(np.arange(100) == 7, 1e9, 0.0)[:, None]
    data = table(x)
    bounds = clip_bounds(data, torch.arange(100))
    assert torch.equal(bent(data.x, bounds), data.x)
    assert len(Outside(data.x, bounds).columns) == 0


def test_rows_count_by_the_largest_weight_of_their_labels():
    x = normal(60)
    weight = np.column_stack([np.ones(60), 1 + 8 * (x[:, 0] > 0), np.ones(60)])
    rows = torch.from_numpy(np.random.default_rng(2).permutation(60)[:50])
    repeated = x[rows.numpy().repeat(weight[rows].max(1).astype(int))]
    found = torch.stack(clip_bounds(table(x, weight), rows))
    expected = clip_bounds(table(repeated), torch.arange(len(repeated)))
    assert torch.equal(found, torch.stack(expected))
    assert not torch.equal(found, torch.stack(clip_bounds(table(x), rows)))


@pytest.mark.parametrize(("n", "step"), [(3_999, 1), (4_000, 2), (10_000, 5)])
def test_evenly_spread_rows_of_a_large_table_place_the_bounds(n, step):
    """Two thousand do: more would not move them."""
    some = normal(n)[::step]
    found = clip_bounds(table(normal(n)), torch.arange(n))
    expected = clip_bounds(table(some), torch.arange(len(some)))
    assert torch.equal(torch.stack(found), torch.stack(expected))


def test_open_bounds_clip_nothing():
    data = table(1e30 * normal(40))
    assert [b.shape for b in open_bounds(data)] == [(2,)] * 3
    assert torch.equal(bent(data.x, open_bounds(data)), data.x)
    assert len(Outside(data.x, open_bounds(data)).columns) == 0


# What becomes of a value


def test_a_value_outside_is_bent_towards_a_range_more():
    bounds = Bounds(*(torch.tensor([b]).double() for b in (-2.0, 1.0, 3.0)))
    x = torch.tensor([[-1e9], [-4.0], [-2.0], [0.3], [1.0], [1.5], [1e9]]).double()
    expected = [-5, -2 - 3 * np.tanh(2 / 3), -2, 0.3, 1, 1 + 3 * np.tanh(0.5 / 3), 4]
    assert_allclose(bent(x, bounds)[:, 0], expected)


def test_a_module_leaves_inputs_between_the_bounds_as_they_are():
    data = table(normal(100, 4), dtype=torch.float32)
    network = spread(HardSharing().build(architecture(), [Generator()])).float()
    module = MultiTaskModule(network, clip_bounds(data, torch.arange(100)))
    inside = 0.5 * data.x
    assert module.clip(inside) is inside
    far = torch.full((1, 5, 4), 1e9, dtype=torch.float32)
    assert torch.equal(module.clip(far), bent(far, module.bounds))
    assert torch.equal(module(far), network(bent(far, module.bounds)))
    assert torch.equal(module(far, clipped=True), network(far))


# The values outside, listed once for a table


def wild(n=500, d=7):
    """Inputs, a tenth of them outside the bounds; of one column none, as it has none below."""
    generator = Generator().manual_seed(0)
    low = torch.full((d,), -4.0).double()
    low[2] = -torch.inf
    x = 3 * torch.randn(n, d, generator=generator).double()
    return x, Bounds(low, 1 - low, torch.ones(d).double())


def by_member(bounds):
    """Bounds of three members, each wider than the one before."""
    shift = torch.arange(3).double().view(3, 1, 1)
    return Bounds(bounds.low - shift, bounds.high + shift, bounds.span.expand(3, 1, -1))


@pytest.mark.parametrize("apart", [False, True])
def test_rows_are_clipped_as_they_are_gathered(apart):
    """Only values outside are touched, and these as the module clips them: also by members' bounds."""
    x, bounds = wild()
    bounds = by_member(bounds) if apart else bounds
    rows = torch.randint(500, (3, 40), generator=Generator().manual_seed(1))
    rows[-1, -1] = int((x < -8).any(1).nonzero()[0])  # outside for every member
    gathered = x[rows]
    clipped = Outside(x, bounds).clip(gathered.clone(), rows, bounds)
    assert_allclose(clipped, bent(gathered, bounds), rtol=1e-12)
    inside = (gathered >= bounds.low) & (gathered <= bounds.high)
    assert 0.7 < inside.float().mean() < 0.99
    assert_array_equal(clipped[inside], gathered[inside])


def test_rows_without_a_value_outside_come_back_as_they_are():
    x, bounds = wild()
    inside = ((x >= bounds.low) & (x <= bounds.high)).all(1).nonzero()[:, 0]
    rows = inside[:6].view(2, 3)
    gathered = x[rows]
    assert Outside(x, bounds).clip(gathered, rows, bounds) is gathered
    assert torch.equal(gathered, x[rows])


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("chunk", [7, 64, 499, 500, 10_000])
def test_the_columns_of_each_row_are_listed_in_parts_of_any_size(chunk, apart, monkeypatch):
    monkeypatch.setattr("skmtl.training.clipping.CHUNK", chunk)
    x, bounds = wild()
    found = Outside(x, by_member(bounds) if apart else bounds)
    outside = (x < bounds.low) | (x > bounds.high)  # of the narrowest: the first member's
    assert found.columns.tolist() == outside.nonzero()[:, 1].tolist()
    assert found.ends.tolist() == [0, *outside.sum(1).cumsum(0).tolist()]
    assert found.columns.dtype == found.ends.dtype == torch.int32


@pytest.mark.parametrize("side", ["low", "high"])
def test_one_bound_is_enough_to_be_outside(side):
    x, bounds = wild()
    never = {"low": -torch.inf, "high": torch.inf}[side]
    one = bounds._replace(**{side: torch.full((7,), never).double()})
    outside = (x < one.low) | (x > one.high)
    assert Outside(x, one).columns.tolist() == outside.nonzero()[:, 1].tolist()
    assert outside.any()


def test_a_sparse_table_lists_what_it_holds_written_out(monkeypatch):
    monkeypatch.setattr("skmtl.training.sparse.DENSE_NUMBERS", 70)  # ten rows at once
    x, bounds = wild()
    rows = SparseRows(sp.csr_matrix(x.numpy()), "cpu")
    found, expected = Outside(rows, bounds), Outside(x, bounds)
    assert torch.equal(found.columns, expected.columns)
    assert torch.equal(found.ends, expected.ends)
