"""A bounded memory of a stream: who is in it, and what is drawn."""

import numpy as np
import torch
from numpy.testing import assert_array_equal
from scipy.stats import binom, chisquare

from skmtl.consolidation.reservoir import Reservoir


def test_every_row_is_remembered_as_often():
    """2,000 members see 30 rows in uneven chunks: each is among the six with probability 0.2."""
    memory = Reservoir(6, range(2000))
    x = torch.arange(30.0).unsqueeze(1)
    for part in x.split([1, 4, 9, 16]):
        memory.add(part, part, None, n_tasks=1)
    assert memory.rows.x.shape == (2000, 6, 1)
    assert all(len(set(own.flatten().tolist())) == 6 for own in memory.rows.x)
    counts = np.bincount(memory.rows.x.long().flatten().numpy(), minlength=30)
    low, high = binom.interval(1 - 1e-4 / 30, 2000, 0.2)
    assert low <= counts.min() <= counts.max() <= high
    # pairs, too: rows of one chunk do not come or go together
    first = (memory.rows.x == 20).any(1) & (memory.rows.x == 21).any(1)
    assert abs(first.float().mean() - 6 * 5 / (30 * 29)) < 0.015


def test_draws_are_uniform_and_a_members_own():
    memory = Reservoir(5, [0, 1])
    memory.add(torch.arange(5.0).unsqueeze(1), torch.zeros(5, 1), None, n_tasks=2)
    assert memory.draw(9).x[:, :, 0].tolist() == [[0, 1, 2, 3, 4]] * 2  # all there are
    drawn = torch.cat([memory.draw(4).x for _ in range(500)], 1)[:, :, 0]
    for own in drawn:
        assert chisquare(np.bincount(own.long().numpy())).pvalue > 1e-4
    alone = Reservoir(5, [1])
    alone.add(torch.arange(5.0).unsqueeze(1), torch.zeros(5, 1), None, n_tasks=2)
    assert_array_equal(torch.cat([alone.draw(4).x for _ in range(500)], 1)[0, :, 0], drawn[1])
    assert memory.draw(4).weight.shape == (2, 4, 2)
