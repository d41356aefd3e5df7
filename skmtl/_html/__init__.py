"""Tables for notebooks: plain data in, HTML out, without JavaScript.

A card is a caption, a table and notes, on a background of its own, so that its text is readable where
the theme of the page cannot be told. Bars are decoration: every number stands in its cell as text, so
the table holds without its style too (GitHub strips it), and for a screen reader.
"""

from .card import MAX_ROWS, classes, number, quantity, spread
from .picture import PARTS
from .style import STYLE
from .tables import GainRow, Score, TaskRow, gain_table, score_table, task_table

__all__ = [
    "MAX_ROWS",
    "PARTS",
    "STYLE",
    "GainRow",
    "Score",
    "TaskRow",
    "classes",
    "gain_table",
    "number",
    "quantity",
    "score_table",
    "spread",
    "task_table",
]
