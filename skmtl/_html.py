"""Tables for notebooks: plain data in, HTML out, without JavaScript.

A card is a caption, a table and notes, on a background of its own, so that its text is readable where
the theme of the page cannot be told. Bars are decoration: every number stands in its cell as text, so
the table holds without its style too (GitHub strips it), and for a screen reader.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from skmtl._html_style import MIXING, OWN, SHARED, STYLE

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


class TaskRow(NamedTuple):
    """A task of a fitted estimator; ``about`` is its classes or its unit, in short and in full."""

    name: str
    kind: str
    settings: str
    about: tuple[str, str]
    n_labels: int | None
    metric: str
    score: float


class GainRow(NamedTuple):
    """What a task gains by sharing."""

    name: str
    single: float
    multi: float
    gain: float
    low: float
    high: float
    relative: float
    verdict: str


class Score(NamedTuple):
    """A score and its interval; ``bounded``: one in [0, 1] where more is better."""

    value: float
    low: float = math.nan
    high: float = math.nan
    bounded: bool = True


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
    return f"{len(labels)}: {shown}{more}", f"{len(labels)} classes: {_listed(map(str, labels))}"


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


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _name(name: str) -> Cell:
    return Cell(escape(name), name if len(name) > 16 else "", "skmtl-clip", header=True)


def _cut(names: Sequence[str]) -> tuple[int, str]:
    """How many rows a table shows, and what is said of the others."""
    if len(names) <= MAX_ROWS:
        return len(names), ""
    return MAX_ROWS - 1, f"and {len(names) - MAX_ROWS + 1} more"


def _rest(
    names: Sequence[str], n_columns: int, before: Sequence[Cell] = ()
) -> list[Sequence[Cell]]:
    """The row that counts the tasks that are not shown, if any."""
    shown, text = _cut(names)
    if not text:
        return []
    cell = Cell(text, _listed(names[shown:]), "skmtl-muted", header=True)
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


def task_table(
    rows: Sequence[TaskRow], picture: Sequence[str], *, caption: str, scheme: str, notes: str
) -> str:
    """What a fitted estimator learned, a row a task, beside a picture of how the tasks share.

    Parameters
    ----------
    rows : list of TaskRow
    picture : list of str
        What stands between inputs and tasks, from left to right; see `PARTS`.
    caption, scheme, notes : str
        Plain text: above the table, on hovering over the picture, below the table.
    """
    names = [row.name for row in rows]
    shown, more = _cut(names)
    body: list[Sequence[Cell]] = []
    for at, row in enumerate(rows[:shown]):
        last = at == shown - 1 and not more
        score = scored(row.score, title=row.metric)
        if not math.isnan(row.score):
            metric = f'<span class="skmtl-muted skmtl-wide">{escape(row.metric)} </span>'
            score = score._replace(markup=metric + score.markup)
        labels = MISSING if row.n_labels is None else f"{row.n_labels:,}"
        body.append(
            [
                Cell(strip(picture, first=at == 0, last=last), scheme, "skmtl-strip"),
                _name(row.name),
                Cell(escape(row.kind), row.settings),
                Cell(escape(row.about[0]), row.about[1], "skmtl-clip"),
                Cell(labels, "", "skmtl-num"),
                score,
            ]
        )
    body += _rest(names, 5, [Cell(strip(picture, first=False, last=True), scheme, "skmtl-strip")])
    head = [
        Cell("sharing", scheme),
        Cell("task"),
        Cell("kind"),
        Cell("classes, or mean ± sd"),
        Cell("labels", "that it was trained on", "skmtl-num"),
        Cell("validation score", "greater is better", "skmtl-num"),
    ]
    first, _, others = caption.partition(": ")
    told = f"<b>{escape(first)}</b> {escape(others)}"
    return card(told, head, body, _legend(picture) + f"<span>{escape(notes)}</span>")


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


def _legend(picture: Sequence[str]) -> str:
    drawn = "".join(PARTS[part] for part in picture)
    square = '<rect width="10" height="10" rx="2" fill="{}"/>'
    key = f'<svg width="10" height="10" aria-hidden="true">{square}</svg>'
    return "".join(
        f"<span>{key.format(colour)}{text}</span>\n"
        for colour, text in ROLES.items()
        if colour in drawn
    )


VERDICTS = {"helps": ("skmtl-good", "▲"), "hurts": ("skmtl-bad", "▼")}
AXIS = 104  # width of the axis that gains are drawn on


def gain_table(
    rows: Sequence[GainRow],
    *,
    delta_m: float,
    interval: tuple[float, float],
    confidence: float,
    n_folds: int,
) -> str:
    """Gain of every task, its interval drawn around zero; Δm above the table."""
    ends = [abs(end) for row in rows for end in (row.low, row.high) if math.isfinite(end)]
    reach = max([*ends, *(abs(row.gain) for row in rows if math.isfinite(row.gain)), 1e-12])
    names = [row.name for row in rows]
    body: list[Sequence[Cell]] = []
    for row in rows[: _cut(names)[0]]:
        colour, mark = VERDICTS.get(row.verdict, ("skmtl-muted", "●"))
        between = f"{number(row.low, sign=True)} to {number(row.high, sign=True)}"
        verdict = f'<span aria-hidden="true">{mark}</span> {escape(row.verdict)}'
        body.append(
            [
                _name(row.name),
                scored(row.single, kind="own"),
                scored(row.multi, kind="shared"),
                Cell(number(row.gain, sign=True), between, "skmtl-num"),
                Cell(_whisker(row, reach), between, colour),
                Cell(f"{number(row.relative, 1, sign=True)} %", "", "skmtl-num"),
                Cell(verdict, "", colour),
            ]
        )
    body += _rest(names, 7)
    head = [
        Cell("task"),
        Cell("alone", "mean score of a network for this task alone", "skmtl-num"),
        Cell("together", "mean score of a network for all tasks", "skmtl-num"),
        Cell("gain", "", "skmtl-num"),
        Cell(f"{100 * confidence:g} % interval", f"the axis goes from −{reach:.3g} to {reach:.3g}"),
        Cell("relative", "share of the error alone that the gain takes away", "skmtl-num"),
        Cell("verdict"),
    ]
    low, high = (number(end, 2, sign=True) for end in interval)
    caption = (
        f"<b>Transfer gain: Δm = {number(delta_m, 2, sign=True)} %</b> ({low} to {high}, "
        f"{100 * confidence:g} % interval), {n_folds} folds"
    )
    return card(caption, head, body)


def _whisker(row: GainRow, reach: float) -> str:
    """Gain and its interval, on an axis from -reach to reach with zero in its middle."""

    def place(value: float) -> str:
        return f"{AXIS / 2 + (AXIS / 2 - 6) * max(-1.0, min(1.0, value / reach)):.1f}"

    shapes = [
        f'<path class="skmtl-rail" d="M0 10H{AXIS}" stroke="#e9ecf0" stroke-width="4"/>',
        f'<path class="skmtl-zero" d="M{AXIS // 2} 1V19" stroke="#59626c"/>',
    ]
    if not math.isnan(row.gain):
        low, high = place(row.low), place(row.high)
        shapes += [
            f'<path class="skmtl-interval" d="M{low} 10H{high}" stroke="currentColor" '
            'stroke-width="2"/>',
            *(
                f'<path d="M{at} 6V14" stroke="currentColor" stroke-width="2"/>'
                for at, end in ((low, row.low), (high, row.high))
                if math.isfinite(end)
            ),
            f'<circle class="skmtl-gain" cx="{place(row.gain)}" cy="10" r="4.5" fill="currentColor"/>',
        ]
    return f'<svg width="{AXIS}" height="20" aria-hidden="true">{"".join(shapes)}</svg>'


def score_table(
    tasks: Sequence[tuple[str, str, int | None]], scores: dict[str, Sequence[Score]]
) -> str:
    """Scores of every task: ``tasks`` are (name, kind, labels), ``scores`` a column a metric."""
    names = [task[0] for task in tasks]
    counted = any(task[2] is not None for task in tasks)
    body: list[Sequence[Cell]] = []
    for at, (name, kind, n_labels) in enumerate(tasks[: _cut(names)[0]]):
        below = f'<br><span class="skmtl-muted">{escape(kind)}</span>' if kind else ""
        label = _name(name)
        row = [label._replace(markup=label.markup + below, classes=f"{label.classes} skmtl-two")]
        row += [Cell(f"{n_labels:,}", "", "skmtl-num")] if counted else []
        for column in scores.values():
            value, low, high, bounded = column[at]
            text = number if bounded else quantity
            between = "" if math.isnan(low) else f"{text(low)} to {text(high)}"
            row.append(scored(value, title=between, bounded=bounded))
        body.append(row)
    body += _rest(names, 1 + counted + len(scores))
    head = [Cell("task"), *([Cell("labels", "", "skmtl-num")] if counted else [])]
    head += [Cell(escape(metric), "", "skmtl-num") for metric in scores]
    caption = f"<b>Scores of {len(tasks)} task{'s' * (len(tasks) != 1)}</b>"
    return card(caption, head, body)
