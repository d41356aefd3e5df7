"""The three tables: what a fitted estimator learned, what tasks gain, how they score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from .card import MISSING, Cell, card, cut, name_cell, number, quantity, rest_of, scored
from .picture import legend, strip

VERDICTS = {"helps": ("skmtl-good", "▲"), "hurts": ("skmtl-bad", "▼")}
AXIS = 104  # width of the axis that gains are drawn on


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
    shown, more = cut(names)
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
                name_cell(row.name),
                Cell(escape(row.kind), row.settings),
                Cell(escape(row.about[0]), row.about[1], "skmtl-clip"),
                Cell(labels, "", "skmtl-num"),
                score,
            ]
        )
    body += rest_of(names, 5, [Cell(strip(picture, first=False, last=True), scheme, "skmtl-strip")])
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
    return card(told, head, body, legend(picture) + f"<span>{escape(notes)}</span>")


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
    for row in rows[: cut(names)[0]]:
        colour, mark = VERDICTS.get(row.verdict, ("skmtl-muted", "●"))
        between = f"{number(row.low, sign=True)} to {number(row.high, sign=True)}"
        verdict = f'<span aria-hidden="true">{mark}</span> {escape(row.verdict)}'
        body.append(
            [
                name_cell(row.name),
                scored(row.single, kind="own"),
                scored(row.multi, kind="shared"),
                Cell(number(row.gain, sign=True), between, "skmtl-num"),
                Cell(_whisker(row, reach), between, colour),
                Cell(f"{number(row.relative, 1, sign=True)} %", "", "skmtl-num"),
                Cell(verdict, "", colour),
            ]
        )
    body += rest_of(names, 7)
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
    for at, (name, kind, n_labels) in enumerate(tasks[: cut(names)[0]]):
        below = f'<br><span class="skmtl-muted">{escape(kind)}</span>' if kind else ""
        label = name_cell(name)
        row = [label._replace(markup=label.markup + below, classes=f"{label.classes} skmtl-two")]
        row += [Cell(f"{n_labels:,}", "", "skmtl-num")] if counted else []
        for column in scores.values():
            value, low, high, bounded = column[at]
            text = number if bounded else quantity
            between = "" if math.isnan(low) else f"{text(low)} to {text(high)}"
            row.append(scored(value, title=between, bounded=bounded))
        body.append(row)
    body += rest_of(names, 1 + counted + len(scores))
    head = [Cell("task"), *([Cell("labels", "", "skmtl-num")] if counted else [])]
    head += [Cell(escape(metric), "", "skmtl-num") for metric in scores]
    caption = f"<b>Scores of {len(tasks)} task{'s' * (len(tasks) != 1)}</b>"
    return card(caption, head, body)
