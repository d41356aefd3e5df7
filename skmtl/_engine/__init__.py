"""The one door to `training`: from what is asked and a table to a trained net, and to outputs.

A fit is a `Plan`, what the parameters ask for, and a `Lesson`, what there is to learn: a table on its
way to the device (`table`). Both decide what network is built (`build`) and how it trains (`train`);
what tasks learn from rows that did not train comes last (`tuning`).
"""

from .build import build_module, same_scheme
from .lesson import Lesson, Reading
from .plan import Plan
from .table import PRECISE, inputs_to_device, precision, to_device, warn_if_unscaled
from .train import infer, prepare, train, warn_of_the_end
from .tuning import require_held_out_rows, tuned

__all__ = [
    "PRECISE",
    "Lesson",
    "Plan",
    "Reading",
    "build_module",
    "infer",
    "inputs_to_device",
    "precision",
    "prepare",
    "require_held_out_rows",
    "same_scheme",
    "to_device",
    "train",
    "tuned",
    "warn_if_unscaled",
    "warn_of_the_end",
]
