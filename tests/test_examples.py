"""The examples that run in seconds, and what they claim; the others are run by hand."""

import pathlib
import runpy

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from sklearn.calibration import calibration_curve

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def test_the_first_example_draws_its_picture_and_one_network_beats_a_model_per_task(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    names = runpy.run_path(str(EXAMPLES / "plot_01_penguins.py"))
    assert (tmp_path / "output" / "penguins_learning_curves.png").stat().st_size > 10_000
    assert "one network for all" in capsys.readouterr().out
    scores = names["scores"]
    assert scores.loc[("mean", ""), "skmtl"] > scores.loc[("mean", ""), ["linear", "forest"]].max()


@pytest.fixture(scope="module")
def toy():
    return runpy.run_path(str(EXAMPLES / "plot_06_two_tasks_toy.py"))


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


def test_aggregators_reach_the_front_where_equal_weights_stay_in_a_valley(toy, monkeypatch, capsys):
    plt.switch_backend("agg")
    plt.close("all")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.extend(plt.get_fignums()))
    methods = ["equal weights", "mgda", "imtl_g", "aligned_mtl", "upgrad"]
    table = toy["main"](methods)
    assert len(shown) == 1
    assert [ax.get_title() for ax in plt.gcf().axes][: len(methods)] == methods
    plt.close("all")
    assert "Distance to the Pareto front" in capsys.readouterr().out
    distance = table["distance"]
    sure = distance.loc[["mgda", "imtl_g", "aligned_mtl"]]
    assert sure.to_numpy().max() < 0.2
    assert distance.loc["equal weights"].max() > 0.5
    # from the start below the valleys all reach it; equal weights go on to the least mean loss
    assert distance["(-8.5, -5.0)"].max() < 0.05
    assert table["mean loss"]["(-8.5, -5.0)"].idxmin() == "equal weights"


def run(script, monkeypatch):
    """Names of a script after it ran; it must show what it drew."""
    shown = []
    plt.switch_backend("agg")
    plt.close("all")
    monkeypatch.setattr(plt, "show", lambda: shown.extend(plt.get_fignums()))
    [path] = EXAMPLES.glob(f"{script}_*.py")
    names = runpy.run_path(str(path))
    assert len(shown) == 1
    assert all(ax.has_data() for ax in plt.gcf().axes)
    plt.close("all")
    return names


# what each example says of its figures, with room for another machine's rounding
CLAIMS = {
    "plot_02": lambda n: n["table"].loc[20, "hard"] > n["table"].loc[20, "none"],
    "plot_03": lambda n: (
        n["scores"].shape == (4, 5)
        and n["scores"]["mean"].min() > 0.9
        and n["scores"]["digit"].idxmin() == "none"
    ),
    "plot_04": lambda n: (
        n["fitted"]["uw"].history_.iloc[-1]["weight_species"]
        > 3 * n["fitted"]["uw"].history_.iloc[-1]["weight_sex"]
    ),
    "plot_05": lambda n: n["conflict"].cosines.loc["price", "depth"] < 0.3,
    "plot_08": lambda n: n["gain"].delta_m > 0,
    "plot_09": lambda n: (
        n["grouping"].groups_ == [["A2", "A3", "A4", "A5"], ["N1", "N2", "N3", "N4"]]
    ),
    "plot_10": lambda n: (
        (n["relation"].loc["A1", ["A2", "A3", "A5"]] < -0.1).all()
        and (n["relation"].loc["N1", ["N2", "N3", "N4"]] > 0.5).all()
    ),
    "plot_11": lambda n: (
        len(n["said"]) == 333
        and np.ptp(calibration_curve(n["male"], n["said"], n_bins=6, strategy="quantile"), 0).max()
        < 0.1
    ),
    "plot_12": lambda n: n["difference"] < 1e-3,
    "plot_13": lambda n: n["best"][-1] > n["best"][0],
    "plot_14": lambda n: (
        n["explained"]["adapt, trunk"]
        > n["explained"]["from scratch"]
        > n["explained"]["a ridge per school"]
    ),
    "plot_16": lambda n: (
        n["table"]["forgetting"].iloc[1:] < 0.4 * n["table"].loc["fine-tuning", "forgetting"]
    ).all(),
    "plot_17": lambda n: (n["scores"]["images"] > n["scores"]["64 numbers"]).all(),
    "plot_19": lambda n: (
        n["scores"].loc[2, "digit"] > n["scores"].loc[0, "digit"]
        and n["scores"].loc[2, "ink"] < n["scores"].loc[0, "ink"] - 0.05
    ),
}


@pytest.mark.parametrize("script", CLAIMS)
def test_an_example_draws_and_its_claim_holds(script, monkeypatch):
    assert CLAIMS[script](run(script, monkeypatch))
