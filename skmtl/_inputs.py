"""How X is read: checked by scikit-learn, and encoded by the trunk, if there is one.

In: X as the user has it. Out: rows of numbers (n, d), in memory or as they lie on disk.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from skmtl.sharing.base import TrunkPlan
from skmtl.streaming import inputs_of
from skmtl.trunks import Trunk
from skmtl.trunks.base import as_trunk, identity_of, make_module, width_of

# what torch computes with; others become float32
KINDS = [np.float32, np.uint8, np.int8, np.int16, np.int32, np.int64, np.bool_]


def read(estimator: Any, X: Any, dtype: Any, *, first: bool, where: Any = None) -> np.ndarray:
    """Rows (n, d) of X; sets the estimator's ``trunk_`` at first.

    Parameters
    ----------
    dtype : type
        Of what is returned where there is no trunk.
    first : bool
        Whether this is a new fit: then the trunk learns from X, of the rows ``where`` (None: all).
    """
    trunk, X = _trunk_of(estimator, first=first), inputs_of(X)
    if trunk is None:
        return validate_data(estimator, X, dtype=dtype, accept_sparse="csr", reset=first)
    if trunk.takes_tables:
        validate_data(estimator, X, skip_check_array=True, reset=first)
    else:
        X = validate_data(estimator, X, dtype=KINDS, allow_nd=True, reset=first)
    return _encoded(estimator, trunk, X, first=first, where=where)


def read_features(estimator: Any, X: Any, dtype: Any, *, first: bool) -> np.ndarray:
    """Rows (n, d) of what is left of a table that was looked at as a whole; else as `read`."""
    trunk = _trunk_of(estimator, first=first)
    if trunk is None:
        return check_array(X, dtype=dtype, input_name="X", estimator=estimator)
    if not trunk.takes_tables:
        X = check_array(X, dtype=KINDS, allow_nd=True, input_name="X", estimator=estimator)
    return _encoded(estimator, trunk, X, first=first)


def _encoded(estimator: Any, trunk: Trunk, X: Any, *, first: bool, where: Any = None) -> np.ndarray:
    if first:
        trunk.prepare(X if where is None else _rows(X, where))
    encoded = trunk.encode(X)
    estimator.trunk_ = trunk
    return encoded


def _trunk_of(estimator: Any, *, first: bool) -> Trunk | None:
    fitted = getattr(estimator, "trunk_", None)
    if not first:
        return fitted
    if fitted is not None:
        del estimator.trunk_
    return as_trunk(estimator.trunk)


def told_apart(estimator: Any) -> Any:
    """What two estimators must have in common to read X together; None: no trunk."""
    if estimator.trunk is None:
        return None
    trunk = as_trunk(estimator.trunk)
    return id(estimator) if trunk is not None and trunk.alone else identity_of(trunk)


def tag(tags: Any, estimator: Any) -> None:
    """Say in scikit-learn's tags what X may be."""
    trunk = estimator.trunk
    tags.input_tags.sparse = trunk is None
    tables = isinstance(trunk, Trunk) and trunk.takes_tables
    tags.input_tags.allow_nan = tags.input_tags.categorical = tables
    tags.input_tags.three_d_array = trunk is not None and not tables


def n_rows(X: Any) -> int:
    """Rows of X, which nothing is known of yet."""
    shape = getattr(X, "shape", None)
    if shape:
        return int(shape[0])
    return len(X) if hasattr(X, "__len__") else 0


def _rows(X: Any, where: Any) -> Any:
    return X.iloc[where] if hasattr(X, "iloc") else X[where]


def plan_trunk(estimator: Any) -> TrunkPlan | None:
    """Plan of the trunk that is asked for, with what the fitted one has learned.

    Raises
    ------
    ValueError, TypeError
        If the trunk does not work on such rows, or training is to go on with another trunk.
    """
    asked, fitted = as_trunk(estimator.trunk), getattr(estimator, "trunk_", None)
    if identity_of(asked) != identity_of(fitted):
        raise ValueError(
            "warm_start=True and partial_fit go on with the network that is there, which does not fit "
            f"any more: trunk (was {fitted!r}, now {asked!r}). Fit a clone to start anew."
        )
    if fitted is None:
        return None
    return TrunkPlan(
        make=partial(make_module, fitted),
        identity=identity_of(asked),
        input_shape=fitted.input_shape_,
        integers=fitted.integers_,
        width=width_of(fitted),
        alone=fitted.alone,
    )
