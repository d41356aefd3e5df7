"""Draw the layers of the code into docs/images/layers.svg: ``python docs/draw_layers.py``.

From below: what a room may import lies below it; beside each layer stands the stage of the data flow.
"""

import pathlib

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PICTURE = pathlib.Path(__file__).parent / "images" / "layers.svg"
BLUE, ORANGE, GREEN, GREY, LINE = "#56B4E9", "#E69F00", "#009E73", "#DDDDDD", "#444444"
LAYERS = [  # from the top: name, colour, rooms
    ("L4 tools", GREEN, ["model_selection/", "inspection/", "transfer/", "meta/"]),
    (
        "L3 face",
        BLUE,
        ["estimators", "_base", "_fitted", "metrics/", "_engine/"],
    ),
    ("L2 engine", ORANGE, ["streaming", "targets/", "training/"]),
    (
        "L1 families",
        GREY,
        ["tasks/", "trunks/", "sharing/", "weighting/", "schedules", "consolidation/"],
    ),
    ("L0", "white", ["_checks", "_resolve", "_warn", "_global_generator"]),
]
ROLES = [
    "splits, searches, does sharing help?",
    "fit, predict, score; parameters",
    "table to tensors; batches, step, net",
    "a user's choices, one object each",
    "",
]
FLOW = ["X, Y", "targets", "batches", "network", "losses", "step", "predictions"]
WIDTH, HIGH, GAP, LEFT = 11.0, 0.62, 0.42, 1.5


def box(ax, x, y, width, text, colour):
    """Draw a box whose lower left corner is (x, y), and what it says."""
    style = "round,pad=0,rounding_size=0.06"
    look = {"facecolor": colour, "edgecolor": LINE, "linewidth": 0.8}
    ax.add_patch(FancyBboxPatch((x, y), width, HIGH, boxstyle=style, **look))
    ax.text(x + width / 2, y + HIGH / 2, text, ha="center", va="center", fontsize=9)


def arrow(ax, start, end):
    """Draw an arrow."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=LINE, lw=1))


def draw() -> Figure:
    """Return the drawing: the data flow above, the layers below."""
    top = 0.3 + len(LAYERS) * (HIGH + GAP)
    figure = Figure(figsize=(WIDTH, top + 1.7))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, top + 1.7))
    ax.set_axis_off()
    wide = (WIDTH - 0.4) / len(FLOW)
    for i, stage in enumerate(FLOW):
        box(ax, 0.2 + i * wide, top + 0.6, wide - 0.35, stage, "white")
        if i:
            arrow(ax, (0.2 + i * wide - 0.35, top + 0.91), (0.2 + i * wide, top + 0.91))
    ax.text(0.2, top + 1.4, "data go one way", fontsize=10, style="italic")
    ax.text(
        0.2,
        top + 0.1,
        "a room imports from the layers below it; in L1 and L2 never from a neighbour",
        fontsize=10,
        style="italic",
    )
    for i, ((name, colour, rooms), role) in enumerate(zip(LAYERS, ROLES, strict=True)):
        y = top - (i + 1) * (HIGH + GAP) + 0.2
        ax.text(0.2, y + HIGH / 2, name, va="center", fontsize=10, weight="bold")
        room = (WIDTH - LEFT - 3.4) / len(rooms)
        for j, text in enumerate(rooms):
            box(ax, LEFT + j * room, y, room - 0.12, text, colour)
        ax.text(WIDTH - 3.3, y + HIGH / 2, role, va="center", fontsize=9)
        if i:
            middle = (LEFT + WIDTH - 3.4) / 2
            arrow(ax, (middle, y + HIGH + GAP), (middle, y + HIGH))
    return figure


if __name__ == "__main__":
    with mpl.rc_context({"svg.hashsalt": "skmtl", "svg.fonttype": "path"}):
        draw().savefig(
            PICTURE, metadata={"Date": None, "Creator": None}
        )  # the same file every time
