"""Which rows each member of a stack is validated on. Shapes: n rows, T tasks, K members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CHUNK = 2**18  # rows looked at together
Bound = tuple[np.ndarray, np.ndarray]  # rows that must train, and that must validate, (n,) each


def validation_split(
    codes: np.ndarray, *, fraction: float, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows anew for every member, alike in the labels of all tasks on both sides.

    Every task with two labels keeps some on both sides; every class keeps a row to train on where
    there are enough labels for that too. The order of the tasks does not matter.

    Parameters
    ----------
    codes : ndarray of int, shape (n, T)
        Stratum of each label (a class, a bin of a number); -1 where it is missing.
    fraction : float
        Share of the rows to validate on.
    seeds : sequence of int
        One a member, which alone decides the member's split.

    Returns
    -------
    train, valid : ndarray of int32, shapes (K, n_train) and (K, n_valid)
    """
    # rarest task first: it has the least choice, and leads the strata
    columns = sorted(codes.T, key=_rarity)
    n_valid = max(1, round(fraction * len(codes)))
    generators = [np.random.RandomState(seed) for seed in seeds]
    bound = [_bound_rows(columns, rng) for rng in generators]
    bound, n_valid = in_common(bound, n_valid)
    train = np.empty((len(seeds), len(codes) - n_valid), np.int32)
    valid = np.empty((len(seeds), n_valid), np.int32)
    for k, (rng, rows) in enumerate(zip(generators, bound, strict=True)):
        valid[k] = _fill(columns, n_valid, rng, *rows)
        others(valid[k], out=train[k])
    return train, valid


def in_common(bound: list[Bound], n_valid: int) -> tuple[list[Bound], int]:
    """Rows bound in each member, and how many all validate on, near what is asked for."""
    least = max(int(held.sum()) for _, held in bound)
    most = min(int((~kept).sum()) for kept, _ in bound)
    if least > most:  # too few rows for a split of its own each
        bound = bound[:1] * len(bound)
        least, most = int(bound[0][1].sum()), int((~bound[0][0]).sum())
    return bound, min(max(n_valid, least), most)


def free_rows(kept: np.ndarray, held: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Rows that are not bound, shuffled."""
    free = positions(~(kept | held))
    rng.shuffle(free)
    return free


def systematic_sample(n_free: int, wanted: int, rng: np.random.RandomState) -> np.ndarray:
    """Positions among the free rows, evenly apart from a random start on, (wanted,)."""
    steps = (np.arange(wanted) + rng.uniform()) * n_free / max(wanted, 1)
    return steps.astype(np.int32)


def others(rows: np.ndarray, out: np.ndarray) -> None:
    """Write all other rows, in order."""
    rest = np.ones(len(rows) + len(out), dtype=bool)
    rest[rows] = False
    positions(rest, out)


def positions(there: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Where it is true, in order, in 32 bits."""
    found = np.empty(np.count_nonzero(there), dtype=np.int32) if out is None else out
    at = 0
    for start in range(0, len(there), CHUNK):  # of all at once, numpy's 64 bits would be the peak
        part = np.flatnonzero(there[start : start + CHUNK])
        found[at : at + len(part)] = part + start
        at += len(part)
    return found


def _rarity(column: np.ndarray) -> tuple[int, bytes]:
    """Order that depends on a task's labels only, never on where its column stands."""
    return int((column >= 0).sum()), column.tobytes()


def _bound_rows(columns: list[np.ndarray], rng: np.random.RandomState) -> Bound:
    """Rows that must train (one a class and task) and that must validate (one a task), (n,)."""
    n_rows = len(columns[0])
    kept, held = np.zeros((2, n_rows), dtype=bool)
    shuffled = free_rows(kept, held, rng)
    for column in columns:
        labelled = shuffled if column.min() >= 0 else shuffled[column[shuffled] >= 0]
        strata = column[labelled]
        for stratum in np.unique(strata):
            rows = labelled[strata == stratum]
            if not kept[rows].any() and not held[rows].all():
                kept[rows[~held[rows]][0]] = True
        if len(labelled) > 1 and not held[labelled].any():
            spare = labelled[~kept[labelled]]
            row = spare[0] if len(spare) else labelled[-1]
            held[row], kept[row] = True, False
    return kept, held


def _fill(
    columns: list[np.ndarray],
    n_valid: int,
    rng: np.random.RandomState,
    kept: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Rows held and, up to ``n_valid``, a systematic sample of the free ones sorted by stratum."""
    free = free_rows(kept, held, rng)
    picks = systematic_sample(len(free), n_valid - int(held.sum()), rng)
    filled = [positions(held)]
    leading, start = columns[0][free], 0
    # a stratum of the first task at a time: all rows sorted at once would be where memory peaks
    for stratum in np.unique(leading):
        rows = _sorted(free[leading == stratum], columns[1:])
        first, last = np.searchsorted(picks, [start, start + len(rows)])
        filled.append(rows[picks[first:last] - start])
        start += len(rows)
    return np.concatenate(filled)


def _sorted(rows: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Rows by stratum, those of the first task first; equals stay in their order."""
    for column in reversed(columns):  # a lexsort, in less memory
        rows = rows[np.argsort(column[rows], kind="stable")]
    return rows
