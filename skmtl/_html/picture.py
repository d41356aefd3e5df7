"""How tasks share, as a picture of a row a task: from the inputs, at the left, to its outputs."""

from __future__ import annotations

from collections.abc import Sequence

from .style import MIXING, OWN, SHARED

ROW, SLOT = 34, 20  # height of a row, width of what stands in it for a layer


def _through(x: int, width: int) -> str:
    """A bar through all rows: what tasks share is one piece."""
    return f'<rect x="{x}" y="{{top}}" width="{width}" height="{{high}}" rx="3" fill="{SHARED}"/>'


def _box(x: int, y: int, width: int, height: int) -> str:
    """A box in this row: what a task has to itself."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{OWN}"/>'


def _tie(dashes: str = "none") -> str:
    """A line through all rows: from task to task."""
    return (
        f'<path d="M10 {{start}}V{{end}}" fill="none" stroke="{MIXING}" stroke-width="2" '
        f'stroke-dasharray="{dashes}"/>'
    )


DOT = f'<circle cx="10" cy="17" r="5" fill="{MIXING}"/>'
PARTS = {
    "shared": _through(2, 16),
    "experts": _through(1, 5) + _through(7, 5) + _through(13, 5),
    "own": _box(2, 9, 16, 16),
    "both": _through(1, 8) + _box(11, 9, 8, 16),
    "adapted": _through(2, 16) + _box(5, 12, 10, 10),
    "tied": _tie("2 3") + _box(2, 9, 16, 16),
    "stitch": _tie() + DOT,
    "gate": DOT,
}
ROLES = {SHARED: "shared by the tasks", MIXING: "mixed or tied", OWN: "one task's own"}


def strip(picture: Sequence[str], *, first: bool, last: bool) -> str:
    """One row of the picture: a task's way from the inputs, at the left, to its outputs."""
    start, end = (4 if first else 0), (ROW - 4 if last else ROW)
    top = start if first else -4  # into the rows around, so that no round corner shows
    high = (end if last else ROW + 4) - top
    width = 10 + SLOT * len(picture) + 4
    drawn = [
        f'<path class="skmtl-flow" d="M6 17H{width}" stroke="#59626c" stroke-width="1.2"/>',
        f'<rect class="skmtl-input" y="{top}" width="6" height="{high}" rx="2" fill="#c3c9d0"/>',
    ]
    for at, part in enumerate(picture):
        shapes = PARTS[part].format(top=top, high=high, start=start, end=end)
        drawn.append(f'<g transform="translate({10 + SLOT * at} 0)">{shapes}</g>')
    return f'<svg width="{width}" height="{ROW}" aria-hidden="true">{"".join(drawn)}</svg>'


def legend(picture: Sequence[str]) -> str:
    """What the colours of the picture stand for."""
    drawn = "".join(PARTS[part] for part in picture)
    square = '<rect width="10" height="10" rx="2" fill="{}"/>'
    key = f'<svg width="10" height="10" aria-hidden="true">{square}</svg>'
    return "".join(
        f"<span>{key.format(colour)}{text}</span>\n"
        for colour, text in ROLES.items()
        if colour in drawn
    )
