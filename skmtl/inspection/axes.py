"""Where plots are drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WIDTH, HEIGHT = 3.2, 2.6  # of a panel, inches
IN_A_ROW = 4


def axes_of(ax: Any) -> Any:
    """Axes to draw on: these, or those of a new figure."""
    return pyplot().subplots(layout="constrained")[1] if ax is None else ax


def panels_of(axes: Any, n_panels: int) -> np.ndarray:
    """Axes (n_panels,) to draw on: these, or those of a new figure."""
    if axes is not None:
        given = np.asarray(axes).reshape(-1)
        if len(given) != n_panels:
            raise ValueError(
                f"Parameter axes must be {n_panels} Axes, one a task. Found {len(given)}."
            )
        return given
    columns = min(n_panels, IN_A_ROW)
    rows = math.ceil(n_panels / columns)
    size = WIDTH * columns, HEIGHT * rows
    _, made = pyplot().subplots(rows, columns, layout="constrained", figsize=size, squeeze=False)
    for ax in made.flat[n_panels:]:
        ax.remove()
    return made.reshape(-1)[:n_panels]


def pyplot() -> Any:
    """Matplotlib's pyplot, if it is installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install skmtl[plot].") from error
    return plt
