"""The target table, between what a user has and what the engine trains on.

`columns` takes any container apart into named columns with a mask of what is labelled, and puts
predicted columns into the container that came in; `kinds` says what kind of task each column is;
`weights` what each label counts; `encoding` makes two float arrays of them all.
"""

from .columns import Column, Container, align, read_columns, rebuild, settle_dtypes
from .encoding import Targets, encode, stratify, value_columns
from .kinds import categories_in_order, infer_kind, name_classes, name_tasks
from .weights import read_weight, weigh_columns

__all__ = [
    "Column",
    "Container",
    "Targets",
    "align",
    "categories_in_order",
    "encode",
    "infer_kind",
    "name_classes",
    "name_tasks",
    "read_columns",
    "read_weight",
    "rebuild",
    "settle_dtypes",
    "stratify",
    "value_columns",
    "weigh_columns",
]
