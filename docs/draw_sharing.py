"""Draw every sharing scheme into docs/images/sharing: ``python docs/draw_sharing.py``.

A drawing is made of boxes, into whose bottom their input goes and from whose top their output comes,
and of lines. Lengths are in units of 50 points; a drawing is 6 wide, 400 pixels on a page.
"""

from __future__ import annotations

import pathlib
from collections import namedtuple
from collections.abc import Sequence
from itertools import pairwise

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

FOLDER = pathlib.Path(__file__).parent / "images" / "sharing"
UNIT = 50 / 72  # inches
WIDTH, BAR, HIGH = 6.0, 5.8, 0.5  # of a drawing, of a box across it, of any box
SHARED, MIXING, TASK = "#56B4E9", "#E69F00", "#009E73"  # of Okabe & Ito's colours
PLAIN, LINE = "#DDDDDD", "#444444"
TWO, THREE, FOUR, GAPS = (1.0, 5.0), (1.0, 3.0, 5.0), (0.75, 2.25, 3.75, 5.25), (1.5, 3.0, 4.5)
Box = namedtuple("Box", "x y width")  # where its centre is
LINES = {
    "flow": {"color": LINE, "linewidth": 1.1, "arrowstyle": "-|>"},
    "mix": {"color": MIXING, "linewidth": 1.5, "arrowstyle": "-|>"},
    "steer": {"color": MIXING, "linewidth": 1.3, "arrowstyle": "-|>", "linestyle": (0, (4, 2))},
    "off": {"color": "#AAAAAA", "linewidth": 0.9, "arrowstyle": "-", "linestyle": (0, (1, 2))},
    "tie": {"color": MIXING, "linewidth": 1.8, "arrowstyle": "<->", "linestyle": (0, (1, 1))},
}


class Drawing:
    """A page to put boxes and lines on, as high as what is on it."""

    def __init__(self) -> None:
        self.figure, self.top = Figure(), 0.0
        self.ax = self.figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH))
        self.ax.set_axis_off()

    def text(self, x: float, y: float, text: str, **kwargs) -> None:
        self.ax.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": 8.5} | kwargs)
        self.top = max(self.top, y + 0.22)

    def box(self, x, y, text, colour, width=1.2, *, high=HIGH, used=True, above=0) -> Box:
        """Draw a box; one that mixes is round, one that is not used an outline."""
        look = {"facecolor": colour, "edgecolor": LINE, "linewidth": 0.8, "zorder": 2 + above}
        if not used:
            look |= {"facecolor": "white", "edgecolor": colour, "linestyle": "--"}
        style = f"round,pad=0,rounding_size={high / 2 if colour == MIXING else 0.06}"
        corner = (x - width / 2, y - high / 2)
        self.ax.add_patch(FancyBboxPatch(corner, width, high, boxstyle=style, **look))
        self.text(x, y, text, zorder=3 + above)
        return Box(x, y, width)

    def row(self, xs, y, text, colour, names="ABC", **kwargs) -> list[Box]:
        """Boxes side by side; ``{}`` in the text is the name of each."""
        named = zip(xs, names, strict=False)
        return [self.box(x, y, text.format(name), colour, **kwargs) for x, name in named]

    def line(self, kind: str, start: tuple, end: tuple, **kwargs) -> None:
        look = {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 8, "zorder": 1} | LINES[kind]
        self.ax.add_patch(FancyArrowPatch(start, end, **look | kwargs))

    def link(self, lower: Sequence[Box], upper: Sequence[Box], kind="flow", **kwargs) -> None:
        """Draw a line from every lower box to every upper one; straight up from a bar."""
        for a, b in [(a, b) for a in lower for b in upper]:
            start = b.x if a.width == BAR else a.x
            self.line(kind, (start, a.y + HIGH / 2), (b.x, b.y - HIGH / 2), **kwargs)

    def each(self, *rows: Sequence[Box], kind="flow", **kwargs) -> None:
        """Draw a line through the first of every row, one through the second, and so on."""
        for column in zip(*rows, strict=True):
            for a, b in pairwise(column):
                self.link([a], [b], kind, **kwargs)

    def tie(self, a: Box, b: Box, text: str, **kwargs) -> None:
        left, right = a.x + a.width / 2, b.x - b.width / 2
        self.line("tie", (left, a.y), (right, b.y), **kwargs)
        self.text((left + right) / 2, a.y + 0.16, text)

    def inputs(self) -> list[Box]:
        return [self.box(WIDTH / 2, 0.35, "inputs x", PLAIN, width=BAR)]

    def tasks(self, xs: Sequence[float], y: float) -> list[Box]:
        """Draw task heads, and on top the tasks."""
        for x, name in zip(xs, "ABC", strict=False):
            self.line("flow", (x, y + HIGH / 2), (x, y + 0.55))
            self.text(x, y + 0.7, f"task {name}")
        return self.row(xs, y, "head {}", TASK)

    def towers(self, xs: Sequence[float], *ys: float) -> list[list[Box]]:
        """Draw the layers and the head of a tower per task, as yet unconnected."""
        rows = [self.row(xs, y, f"layer {i} {{}}", TASK) for i, y in enumerate(ys[:-1], 1)]
        self.link(self.inputs(), rows[0])
        return [*rows, self.tasks(xs, ys[-1])]

    def level(self, y: float) -> tuple[list[Box], list[Box]]:
        """Draw experts of A and B around shared ones, and above them gates of A and B."""
        a, b = self.row(FOUR[::3], y, "expert {}", TASK)
        shared = self.row(FOUR[1:3], y, "shared {}", SHARED, "12")
        gates = self.row(GAPS[::2], y + 1.4, "gate {}", MIXING)
        self.link([a, *shared], gates[:1], "mix")
        self.link([*shared, b], gates[1:], "mix")
        return [a, *shared, b], gates


class Schemes(Drawing):
    """The drawings: a method each, and the legend."""

    def none(self) -> None:
        self.each(*self.towers(THREE, 1.3, 2.2, 3.1))

    def soft(self) -> None:
        first, second, heads = self.towers(TWO, 1.3, 2.2, 3.1)
        self.each(first, second, heads)
        for centre, (a, b) in zip(("centre 1", "centre 2"), (first, second), strict=True):
            shared = self.box(3, a.y, centre, SHARED)
            self.tie(a, shared, "$V_A$")
            self.tie(shared, b, "$V_B$")

    def related(self) -> None:
        rows = self.towers(THREE, 1.3, 2.4, 3.5)
        self.each(*rows)
        for (a, b, c), r in zip(rows, ("R", "R", "R'"), strict=True):
            self.tie(a, b, f"${r}_{{AB}}$", linewidth=3.0)
            self.tie(b, c, f"${r}_{{BC}}$", linewidth=1.0)
            ends = (a.x + 0.45, a.y - HIGH / 2), (c.x - 0.45, a.y - HIGH / 2)
            self.line("tie", *ends, linewidth=1.0, connectionstyle="arc3,rad=0.11")

    def cross_stitch(self) -> None:
        first, second, heads = self.towers(THREE, 1.3, 3.3, 5.3)
        for below, above in ((first, second), (second, heads)):
            mixed = self.row(THREE, below[0].y + 1.2, "Σ", MIXING, width=HIGH)
            self.link(below, mixed, "mix", linewidth=0.9)
            self.each(below, mixed, kind="mix", linewidth=2.6)
            self.each(mixed, above)

    def cgc(self) -> None:
        inputs, (experts, gates) = self.inputs(), self.level(1.3)
        self.link(inputs, experts)
        self.link(inputs, gates, "steer")
        self.each(gates, self.tasks(GAPS[::2], 3.55))

    def ple(self) -> None:
        inputs, (experts, gates) = self.inputs(), self.level(1.3)
        common = [self.box(3, 2.7, "shared gate", MIXING, width=1.35)]
        self.link(inputs, experts)
        self.link(inputs, [*gates, *common], "steer")
        self.link(experts, common, "mix")
        (a, *shared, b), above = self.level(3.7)
        self.each(gates, [a, b])
        self.link(common, shared)
        self.each(gates, above, kind="steer")
        self.each(above, self.tasks(GAPS[::2], 5.95))

    def mmoe(self, choices: Sequence[Sequence[int]] = ()) -> None:
        inputs, gates = self.inputs(), self.row(GAPS, 2.7, "gate {}", MIXING)
        experts = self.row(FOUR, 1.3, "expert {}", SHARED, "1234")
        self.link(inputs, experts)
        self.link(inputs, () if choices else gates, "steer")
        for gate, chosen in zip(gates, choices or [range(4)] * 3, strict=True):
            for i, expert in enumerate(experts):
                self.link([expert], [gate], "mix" if i in chosen else "off")
        self.each(gates, self.tasks(GAPS, 3.55))

    def dselectk(self) -> None:
        self.mmoe([(0, 1), (0, 2), (2, 3)])

    def mtan(self) -> None:
        common, own = self.inputs(), []
        for i, y in ((1, 1.3), (2, 3.6)):
            layer = [self.box(3, y + 0.2, f"layer {i}", SHARED)]
            masks = self.row(TWO, y, "mask {}", MIXING)
            products = self.row(TWO, y + 1.15, "×", MIXING, width=HIGH)
            self.link(common, layer)
            self.link(common, masks, "steer")
            self.each(own, masks[: len(own)], kind="steer")
            self.each(masks, products, kind="mix")
            for x in (TWO[0] + HIGH / 2, TWO[1] - HIGH / 2):
                self.line("mix", (3, y + 0.2 + HIGH / 2), (x, y + 1.15))
            own, common = products, layer
        self.each(own, self.tasks(TWO, 5.6))

    def low_rank(self) -> None:
        rows = [self.inputs() * 3]
        for i, y in ((1, 1.3), (2, 2.3)):
            self.box(WIDTH / 2, y, "", SHARED, width=BAR)
            for x, task in zip(THREE, "ABC", strict=True):
                self.text(x - 0.45, y, f"$W_{i}+$", zorder=3)
                product = f"$A_{{{i}{task}}}B_{{{i}{task}}}$"
                self.box(x + 0.33, y, product, TASK, 0.95, high=0.38, above=2)
            rows.append([Box(x, y, HIGH) for x in THREE])
        self.each(*rows, self.tasks(THREE, 3.2))

    def ltb(self) -> None:
        rows, trees = [], ({(1, 0), (1, 2)}, {(0, 0), (0, 1), (2, 2)})
        for i, y, used in ((1, 1.3, {2}), (2, 2.7, {1, 3})):
            names = [(x, j, f"layer {i}, copy {j}") for j, x in enumerate(THREE, 1)]
            rows.append([self.box(x, y, name, SHARED, 1.6, used=j in used) for x, j, name in names])
        self.link(self.inputs(), rows[0])
        rows.append(self.tasks(THREE, 4.1))
        for lower, upper, tree in zip(rows, rows[1:], trees, strict=False):
            for i, j in [(i, j) for i in range(3) for j in range(3)]:
                self.link([lower[i]], [upper[j]], "mix" if (i, j) in tree else "off")

    def hard(self) -> None:
        trunk = [[self.box(3, y, f"layer {i}", SHARED, 2.4)] for i, y in ((1, 1.3), (2, 2.2))]
        self.each(self.inputs(), *trunk)
        self.link(trunk[-1], self.tasks(THREE, 3.3))

    def legend(self) -> None:
        self.box(1.4, 0.35, "inputs x", PLAIN, width=2.5)
        scheme, head = self.box(0.8, 1.4, "scheme", "white"), self.box(0.8, 2.35, "heads", TASK)
        skip, end = self.box(2.1, 1.875, "linear skip", TASK, 1.1), Box(0.8, 3.2, 0.25)
        self.each([Box(0.8, 0.35, 0), Box(2.1, 0.35, 0)], [scheme, skip])
        self.each([scheme], [head], [end])
        self.line("flow", (skip.x, skip.y + HIGH / 2), (0.95, 3.07))
        self.text(0.8, 3.2, "outputs\n+")
        roles = ("shared by all tasks", "mixes: gate, stitch, mask", "of one task")
        for i, (colour, text) in enumerate(zip((SHARED, MIXING, TASK), roles, strict=True)):
            self.box(3.2, 3.4 - 0.45 * i, "", colour, 0.6, high=0.35)
            self.text(3.65, 3.4 - 0.45 * i, text, ha="left")
        meanings = ("features", "mixed, masked or chosen", "seen by a gate or a mask")
        meanings += ("could be chosen, is not", "tied by a penalty")
        for i, (kind, text) in enumerate(zip(LINES, meanings, strict=True)):
            self.line(kind, (2.9, 1.9 - 0.38 * i), (3.5, 1.9 - 0.38 * i))
            self.text(3.65, 1.9 - 0.38 * i, text, ha="left")


NOTHING = {"Date": None, "Creator": None}
SCHEMES = [name for name in vars(Schemes) if not name.startswith("_")]


def draw(scheme: str) -> Figure:
    """Return the drawing of a scheme, or the legend."""
    drawing = Schemes()
    getattr(drawing, scheme)()
    drawing.ax.set_ylim(0, drawing.top)
    drawing.figure.set_size_inches(WIDTH * UNIT, drawing.top * UNIT)
    return drawing.figure


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "skmtl", "svg.fonttype": "path"}):
        for scheme in SCHEMES:  # the same files every time
            draw(scheme).savefig(FOLDER / f"{scheme}.svg", metadata=NOTHING)
