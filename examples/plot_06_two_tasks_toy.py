"""
Where aggregated gradients lead
===============================

Where the ways to aggregate gradients end on a problem of two tasks that pull apart.

Two losses of two parameters, from Liu et al. (2021, CAGrad; also in Navon et al. 2022, Nash-MTL). Above
zero each loss has a steep, narrow valley, below zero a bowl; the bowls' Pareto front, from one minimum
to the other, is where training should end. Drawn is what the library does in a step: an `Aggregation`
is shown the tasks' gradients, and Adam, the optimizer of both papers, follows the one it makes of them.

Found: with equal weights a run zigzags in a valley, whose steep walls are what Adam then scales its
steps by, and hardly comes forward. MGDA, IMTL-G, Aligned-MTL, UPGrad and DualProj reach the front from
every start; MGDA stays where it first meets it, equal weights and CAGrad go on to the least mean loss.
PCGrad, GradVac and CAGrad are still on their way from one or two of the starts.

How long a run stays in a valley hangs on roundings: with starts moved by a millionth, UPGrad, DualProj
and PCGrad are late now and then, but MGDA, IMTL-G and Aligned-MTL were on the front in each of six
trials, and equal weights in none. The papers take Adam's step 0.001 and up to 100,000 steps; so long a
run with equal weights ends in the valleys from two of the three starts, at (-5.1, 2.2) and (5.0, 2.3).

B. Liu, X. Liu, X. Jin, P. Stone, Q. Liu (2021). Conflict-averse gradient descent for multi-task
learning. NeurIPS. A. Navon et al. (2022). Multi-task learning as a bargaining game. ICML.
"""

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from scipy.optimize import brentq
from torchjd import aggregation

from skmtl.training.jacobian import Rows
from skmtl.weighting import Aggregation, Setting

STARTS = [(-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0)]
N_STEPS = 2500
STEP = 0.02  # of Adam
METHODS = {
    "equal weights": aggregation.Mean(),
    **{name: name for name in ("mgda", "imtl_g", "aligned_mtl", "upgrad", "dualproj", "pcgrad")},
    **{name: name for name in ("gradvac", "graddrop", "cagrad")},
}


def losses_at(points):
    """Both losses, (..., 2), at points (..., 2): valleys above zero, bowls below, tanh between."""
    a, b = points.unbind(-1)
    bend = torch.tanh(b)
    valleys = torch.stack([(-a - 7) / 2 + bend, (3 - a) / 2 - bend + 2], -1)
    valleys = valleys.abs().clamp(min=5e-6).log() + 6
    bowls = torch.stack([(a - 7) ** 2, (a + 7) ** 2], -1) / 10 + 0.01 * (b[..., None] + 8) ** 2 - 20
    share = torch.tanh(b / 2)[..., None]
    return share.clamp(min=0) * valleys + (-share).clamp(min=0) * bowls


def pareto_front():
    """Points (561, 2) of the bowls where the two gradients are opposite."""

    def slope(b, a):  # along b, of the mixture of losses that is level along a
        bowls = (49 - a**2) / 10 + 0.01 * (b + 8) ** 2 - 20
        return -bowls / (2 * np.cosh(b / 2) ** 2) - np.tanh(b / 2) * 0.02 * (b + 8)

    along = np.linspace(-7, 7, 561)
    return np.column_stack([along, [brentq(slope, -12, -7, args=(a,)) for a in along]])


def run(method, n_steps):
    """Points (n_steps + 1, 3, 2) of the runs from all starts: three members of a stack."""
    points = torch.tensor(STARTS, dtype=torch.float64)
    weighting = Aggregation(method)
    weighting.start(
        Setting(
            task_names=["first", "second"],
            task_order=[0, 1],
            generators=[torch.Generator().manual_seed(k) for k in range(len(STARTS))],
            like=points.new_empty(0),
            scheme="two parameters",
            has_features=True,
            has_shared=True,
            single_task_losses=lambda: torch.empty(0),
        )
    )
    adam = torch.optim.Adam([points], lr=STEP)
    path = [points.clone()]
    for _ in range(n_steps):
        copies = points.unsqueeze(1).repeat(1, 2, 1).requires_grad_()  # a copy for each task
        losses = losses_at(copies).diagonal(dim1=1, dim2=2)
        [rows] = torch.autograd.grad(losses.sum(), copies)
        _, points.grad = weighting.aggregate(Rows(rows, (2,)), losses.detach(), None)
        adam.step()
        path.append(points.clone())
    return torch.stack(path).numpy()


def distances(points, front):
    """Distance of points (n, 2) to the front, (n,)."""
    return np.linalg.norm(points[:, None] - front, axis=-1).min(axis=1)


def draw(paths, front):
    """One panel a method, on the contours of the mean loss."""
    grid = np.linspace(-11, 11, 200)
    mean_loss = losses_at(torch.tensor(np.stack(np.meshgrid(grid, grid), -1))).mean(-1)
    figure, axes = plt.subplots(
        3, 4, figsize=(12, 9), layout="constrained", sharex=True, sharey=True
    )
    for ax, (name, path) in zip(axes.flat, paths.items(), strict=False):
        ax.contour(grid, grid, mean_loss, levels=15, linewidths=0.5, cmap="Greys")
        ax.plot(*front.T, color="0.6", lw=5, label="Pareto front")
        for k, colour in enumerate(["#0072B2", "#009E73", "#D55E00"]):
            ax.plot(*path[:, k].T, color=colour, lw=1)
            ax.plot(*path[0, k], "o", color=colour, label=f"from {STARTS[k]}")
            ax.plot(*path[-1, k], "X", color=colour, ms=9, mec="k", label="its end")
        ax.set_title(name)
    for ax in axes.flat[len(paths) :]:
        ax.set_axis_off()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower right", fontsize=12)
    plt.show()


def main(names=tuple(METHODS), n_steps=N_STEPS):
    """Run, print where the runs end, draw; the table is returned."""
    front, paths, rows = pareto_front(), {}, {}
    for name in names:
        try:
            paths[name] = run(METHODS[name], n_steps)
        except ImportError as error:
            print(f"{name} is left out: {error}")
            continue
        ends = paths[name][-1]
        mean_loss = losses_at(torch.from_numpy(ends)).mean(-1).numpy()
        rows[name] = [*distances(ends, front), *mean_loss]
    columns = pd.MultiIndex.from_product([["distance", "mean loss"], map(str, STARTS)])
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    print(f"Distance to the Pareto front, and mean loss, after {n_steps} steps from each start:\n")
    print(table.round(2).to_string())
    draw(paths, front)
    return table


if __name__ == "__main__":
    main()
