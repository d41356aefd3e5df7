"""Warnings point at the line of the user's that called, however deep in skmtl they arise."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = str(Path(__file__).parent) + os.sep


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn in the name of the nearest caller outside skmtl."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
