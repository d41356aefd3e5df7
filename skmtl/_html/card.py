"""A card, its cells, and how numbers and names are written in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from .style import STYLE

MAX_ROWS = 20  # of a table; what is over them is counted
MAX_CLASSES = 6  # named in a cell
MAX_NAMES = 60  # named in a title
MISSING = "–"


class Cell(NamedTuple):
    """A cell: markup (escaped already), what it says on hovering, its classes."""

    markup: str
    title: str = ""
    classes: str = ""
    header: bool = False


def number(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """Text of a score: fixed decimals, a true minus; a dash for what is not a number."""
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if abs(value) >= 1e6:
        return f"{value:{'+' if sign else ''}.3g}".replace("-", "−")
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")


def quantity(value: float) -> str:
    """Text of a number in a unit of its own: about four digits that matter."""
    magnitude = math.floor(math.log10(abs(value))) if math.isfinite(value) and value else 0
    if -3 <= magnitude < 7:
        return number(value, max(0, 3 - max(0, magnitude)))
    return f"{value:.3g}".replace("-", "−")


def spread(mean: float, deviation: float) -> tuple[str, str]:
    """Mean and standard deviation in a unit of their own, in short and in full."""
    magnitude = math.floor(math.log10(deviation)) if deviation > 0 else 0
    if -4 <= magnitude < 7:
        texts = [number(value, max(0, 2 - magnitude)) for value in (mean, deviation)]
    else:
        texts = [f"{value:.3g}".replace("-", "−") for value in (mean, deviation)]
    return " ± ".join(texts), "mean {}, standard deviation {} of the labels".format(*texts)


def classes(labels: Sequence[object]) -> tuple[str, str]:
    """Class labels, in short and in full."""
    shown = ", ".join(str(label) for label in labels[:MAX_CLASSES])
    more = ", …" if len(labels) > MAX_CLASSES else ""
    return f"{len(labels)}: {shown}{more}", f"{len(labels)} classes: {listed(map(str, labels))}"


def card(
    caption: str, head: Sequence[Cell], rows: Iterable[Sequence[Cell]], notes: str = ""
) -> str:
    """Return a table with its style; all strings are markup."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    top = "".join(_cell(cell._replace(header=True), "col") for cell in head)
    foot = f'<p class="skmtl-notes">{notes}</p>\n' if notes else ""
    return (
        f'<div class="skmtl-repr"><style>\n{STYLE}\n</style>\n<table>\n<caption>{caption}</caption>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n{foot}</div>"
    )


def _cell(cell: Cell, scope: str = "row") -> str:
    tag = "th" if cell.header else "td"
    attributes = f' scope="{scope}"' if cell.header else ""
    attributes += f' class="{cell.classes}"' if cell.classes else ""
    attributes += f' title="{escape(cell.title)}"' if cell.title else ""
    return f"<{tag}{attributes}>{cell.markup}</{tag}>"


def listed(names: Iterable[str]) -> str:
    """Names for a title; those over the most are counted."""
    names = list(names)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def name_cell(name: str) -> Cell:
    """The cell of a task's name, whole on hovering."""
    return Cell(escape(name), name if len(name) > 16 else "", "skmtl-clip", header=True)


def cut(names: Sequence[str]) -> tuple[int, str]:
    """How many rows a table shows, and what is said of the others."""
    if len(names) <= MAX_ROWS:
        return len(names), ""
    return MAX_ROWS - 1, f"and {len(names) - MAX_ROWS + 1} more"


def rest_of(
    names: Sequence[str], n_columns: int, before: Sequence[Cell] = ()
) -> list[Sequence[Cell]]:
    """The row that counts the tasks that are not shown, if any."""
    shown, text = cut(names)
    if not text:
        return []
    cell = Cell(text, listed(names[shown:]), "skmtl-muted", header=True)
    return [[*before, cell, *[Cell("")] * (n_columns - 1)]]


def bar(value: float, kind: str = "") -> str:
    """A bar for a value in [0, 1]; what is below is empty, what is no number has none."""
    if math.isnan(value):
        return ""
    width = 100 * min(max(value, 0.0), 1.0)
    fill = f' class="skmtl-fill-{kind}"' if kind else ""
    return (
        f'<span class="skmtl-track" aria-hidden="true"><span{fill} '
        f'style="width:{width:.1f}%"></span></span>'
    )


def scored(value: float, *, title: str = "", kind: str = "", bounded: bool = True) -> Cell:
    """A cell of a score, with its bar below if it has bounds."""
    text = number(value) if bounded else quantity(value)
    missing = " skmtl-muted" if math.isnan(value) else ""
    below = bar(value, kind) if bounded else ""
    return Cell(f"{text}{below}", title, f"skmtl-num{missing}")
