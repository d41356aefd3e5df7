"""Share rows out so that every part gets its share of every label: arrays in, arrays out.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, Algorithm 1), and a repair for labels
that it left out of a part. Shapes: n rows, C codes a row, L labels, k parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NONE = 0  # the code of "no label here"
TRIED = 1000  # rows of a part that a swap looks at: the more there are, the sooner one fits


def stratify(
    codes: np.ndarray,
    sizes: Sequence[int],
    worth: np.ndarray,
    *,
    order: np.ndarray,
    spare: int = 0,
) -> np.ndarray:
    """Part of each row, (n,), by `share_out` and then `cover`, taking equal rows in the given order.

    The order of columns, and which label has which code, has no effect: labels are numbered anew, by
    how many rows they have and then by which.
    """
    codes = codes[order]
    counts = np.bincount(codes.ravel(), minlength=len(worth))
    rows_of = _rows_of(codes, counts)
    labels = sorted(range(1, len(worth)), key=lambda x: (counts[x], rows_of[x].tobytes()))
    labels = [NONE, *labels]
    codes, worth = np.argsort(labels)[codes], worth[labels]
    part = np.empty(len(codes), int)
    part[order] = cover(share_out(codes, sizes, spare=spare), codes, worth)
    return part


def _rows_of(codes: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Rows of each label, in order."""
    rows = np.argsort(codes.ravel(), kind="stable") // codes.shape[1]
    return np.split(rows, counts.cumsum())[:-1]


def share_out(codes: np.ndarray, sizes: Sequence[int], *, spare: int = 0) -> np.ndarray:
    """Give each row to a part, rows with rare labels first, to a part that wants them.

    A part's demand for a label is its share of the label's rows, less those it has. The label with
    the fewest rows left comes first, and its rows go one after the other to a part whose demand for
    it is a whole row or more. Once no part's is, they go to one that has any demand; or, if a part's
    share was less than a row from the start, to the one with the most. So all parts end within a
    row of their share of the label, unless rarer ones took its rows or filled a part before. Among
    the parts that a row may go to, it goes where it lowers the chi-square of all its labels most:
    the sum of (rows - share)^2 / share.

    The paper takes the part that wants the label most and, among equals, the emptiest; it asks the
    other labels nothing and lets the sizes of parts drift. Here sizes are exact.

    Parameters
    ----------
    codes : ndarray of int, shape (n, C)
        Labels of each row; `NONE` where it has fewer than C. No label comes twice in a row.
    sizes : sequence of int, length k
        Rows of each part, all above zero: its share of every label.
    spare : int, default=0
        Number of parts that get one row more, whichever want it.

    Returns
    -------
    part : ndarray of int, shape (n,)
    """
    # one more label, that every row has: emptier parts want it more
    all_rows = np.full(len(codes), codes.max(initial=NONE) + 1)
    codes = np.sort(np.column_stack([codes, all_rows]), axis=1)
    left = np.bincount(codes.ravel())
    rows_of = _rows_of(codes, left)
    left[NONE] = 0
    # in units of 1 / sum(sizes) rows, in which all demands are whole numbers and compare exactly
    unit, demand = float(sum(sizes)), np.multiply.outer(left, np.array(sizes, float))  # (L, k)
    enough = np.where(left * min(sizes) >= unit, 1.0, unit)
    weight = 1 / np.maximum(demand, 1)
    weight[NONE] = 0
    part, room, full = np.full(len(codes), -1), list(sizes), np.zeros(len(sizes))
    while (label := int(np.where(left > 0, left, len(codes) + 1).argmin())) != NONE:
        rows = rows_of[label]
        for row in rows[part[rows] < 0].tolist():
            own, needs = codes[row], demand[label] + full
            most = needs.max()
            gain = ((demand[own] - unit / 2) * weight[own]).sum(0)
            gain[needs < min(most, unit if most >= unit else enough[label])] = -np.inf
            chosen = int(gain.argmax())
            part[row] = chosen
            demand[own, chosen] -= unit
            left[own] -= 1
            room[chosen] -= 1
            if room[chosen] <= 0:
                spare += min(room[chosen], 0)
                full[[r < 0 or (r == 0 and spare == 0) for r in room]] = -np.inf
    return part


def cover(part: np.ndarray, codes: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Swap rows between parts while that brings a label into a part that wants it and has none.

    Whether every wish can be met is a hard question (it contains set splitting, which is
    NP-complete), so this takes each swap that gains, and stops where none does. A label gets into
    all k parts for certain if it has more than (k - 1) W rows and no part has W or fewer, for W
    labels of any worth: a part can hold only W rows whose loss would cost it a label.

    Parameters
    ----------
    part : ndarray of int, shape (n,)
        Part of each row.
    codes : ndarray of int, shape (n, C)
        As in `share_out`; a label always stands in the same column.
    worth : ndarray of shape (L, k)
        What it is worth that a part has any row of a label; zero: nothing.

    Returns
    -------
    part : ndarray of int, shape (n,)
        Of the same sizes.
    """
    part, swapped = part.copy(), True
    count = count_labels(part, codes, worth.shape)
    while swapped:
        swapped = False
        missing = np.argwhere((worth > 0) & (count == 0))
        for label, target in sorted(missing.tolist(), key=lambda wish: -worth[tuple(wish)]):
            spare_rows = (count[label] > (worth[label] > 0)).any()
            if spare_rows and (pair := _find_swap(part, codes, worth, count, label, target)):
                part[pair] = part[pair[::-1]]
                count = count_labels(part, codes, worth.shape)
                swapped = True
    return part


def _find_swap(
    part: np.ndarray,
    codes: np.ndarray,
    worth: np.ndarray,
    count: np.ndarray,
    label: int,
    target: int,
) -> list[int]:
    """Find the best pair of a row with the label and a row of the target part; empty: none gains."""
    comers = np.flatnonzero((codes == label).any(1) & (part != target))
    leavers = np.flatnonzero(part == target)[:TRIED]
    lost, gained = worth * (count == 1), worth * (count == 0)  # by giving one row, by getting one
    there = codes[leavers]
    of_leaver = gained[there].sum(1) - lost[there, target].sum(1)[:, None]
    best, pair = 0.0, []
    for comer in comers.tolist():
        own, source = codes[comer], part[comer]
        of_comer = (gained[own, target] - lost[own, source]).sum()
        stays = (there == own) @ (lost[own, source] + lost[own, target])  # both rows have it
        gain = of_comer + of_leaver[:, source] + stays
        if gain.max() > best:
            best, pair = gain.max(), [comer, int(leavers[gain.argmax()])]
    return pair


def count_labels(part: np.ndarray, codes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows of each label in each part, shape (L, k)."""
    cells = codes * shape[1] + part[:, None]
    return np.bincount(cells.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
