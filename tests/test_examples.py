"""The examples that run in seconds, and what they claim; the others are run by hand."""

import pathlib
import runpy

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def toy():
    return runpy.run_path(str(EXAMPLES / "plot_02_two_tasks_toy.py"))


def test_the_toys_front_is_where_two_gradients_are_opposite(toy):
    points = torch.from_numpy(toy["pareto_front"]()).requires_grad_()
    losses = toy["losses_at"](points)
    gradients = [
        torch.autograd.grad(losses[:, t].sum(), points, retain_graph=True)[0] for t in (0, 1)
    ]
    first, second = (g.numpy()[1:-1] for g in gradients)
    cosines = (
        (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    )
    np.testing.assert_allclose(cosines, -1, atol=1e-6)
    ends = [g.numpy()[i] for g, i in zip(gradients, (-1, 0), strict=True)]
    np.testing.assert_allclose(ends, 0, atol=1e-6)  # each loss's own minimum


def test_aggregators_reach_the_front_where_equal_weights_stay_in_a_valley(
    toy, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    table = toy["main"](["equal weights", "mgda", "imtl_g", "aligned_mtl", "upgrad"])
    assert (tmp_path / "output" / "two_tasks_toy.png").stat().st_size > 10_000
    assert "Distance to the Pareto front" in capsys.readouterr().out
    distance = table["distance"]
    sure = distance.loc[["mgda", "imtl_g", "aligned_mtl"]]
    assert sure.to_numpy().max() < 0.2
    assert distance.loc["equal weights"].max() > 0.5
    # from the start below the valleys all reach it; equal weights go on to the least mean loss
    assert distance["(-8.5, -5.0)"].max() < 0.05
    assert table["mean loss"]["(-8.5, -5.0)"].idxmin() == "equal weights"
