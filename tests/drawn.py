"""Tables that hypothesis draws: inputs, columns of targets of any kind, gaps, weights, tasks.

What a table looks like is drawn; the numbers in it come from a seed that is drawn too, so that a table
costs little and still gets smaller when a test fails.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from skmtl import MultiTaskClassifierRegressor
from skmtl.tasks import ClassificationTask, QuantileTask, RegressionTask

WORDS = np.array(["apple", "Birne", "cerise", "δρυς"], dtype=object)
RANKS = ["low", "mid", "high", "top"]
# from codes 0 .. 3 to a column
CLASSES = {
    "object": lambda codes: pd.Series(WORDS[codes], dtype=object),
    "str": lambda codes: pd.Series(WORDS[codes].tolist()),
    "string": lambda codes: pd.Series(WORDS[codes], dtype="string"),
    "category": lambda codes: pd.Series(WORDS[codes]).astype("category"),
    "ordered category": lambda codes: pd.Series(
        pd.Categorical.from_codes(codes, RANKS, ordered=True)
    ),
    "category of ints": lambda codes: pd.Series(10 - codes).astype("category"),
    "bool": lambda codes: pd.Series(codes % 2 == 0),
    "boolean": lambda codes: pd.Series(codes % 2 == 0, dtype="boolean"),
    "object of bools": lambda codes: pd.Series(codes % 2 == 0, dtype=object),
    "int64": lambda codes: pd.Series(codes - 2),
    "int8": lambda codes: pd.Series(codes, dtype="int8"),
    "uint16": lambda codes: pd.Series(codes * 9000, dtype="uint16"),
    "Int64": lambda codes: pd.Series(codes, dtype="Int64"),
    "UInt8": lambda codes: pd.Series(codes, dtype="UInt8"),
    "whole float64": lambda codes: pd.Series(codes, dtype=float),
    "whole Float32": lambda codes: pd.Series(codes, dtype="Float32"),
}
# from numbers of unit spread to a column
NUMBERS = {
    "float64": lambda x: pd.Series(x),
    "float32": lambda x: pd.Series(x, dtype="float32"),
    "Float64": lambda x: pd.Series(x, dtype="Float64"),
    "object of floats": lambda x: pd.Series(x, dtype=object),
    "int32 amounts": lambda x: pd.Series(np.round(np.exp(x)), dtype="int32"),
    "Int64 amounts": lambda x: pd.Series(np.round(np.exp(x)).astype(int), dtype="Int64"),
    "Int16 amounts": lambda x: pd.Series(np.round(np.exp(x)).astype(int), dtype="Int16"),
}
FULL = {"bool", "int64", "int8", "uint16", "int32 amounts"}  # dtypes that cannot miss a label
BINARY = {"bool", "boolean", "object of bools"}
SCHEMES = ["hard", "none", "soft", "cross_stitch", "mmoe", "low_rank"]
SMALL = st.integers(1, 30)
ANY = st.one_of(
    SMALL, st.just(1003)
)  # above `PRECISE` rows all is float32, and rows are not merged


@dataclass(frozen=True)
class Table:
    """X, a frame Y, weights and tasks by column; what dtype each column was drawn as."""

    X: pd.DataFrame
    Y: pd.DataFrame
    weight: Any
    tasks: dict[str, Any]
    dtypes: dict[str, str]

    @property
    def numbers(self):
        return [name for name, dtype in self.dtypes.items() if dtype in NUMBERS]

    @property
    def classes(self):
        return [name for name, dtype in self.dtypes.items() if dtype in CLASSES]

    @property
    def weights(self):
        """Weights (n, T), in the order of Y."""
        if isinstance(self.weight, pd.DataFrame):
            return self.weight[list(self.Y)].to_numpy()
        weight = np.ones(len(self.X)) if self.weight is None else self.weight
        return np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], self.Y.shape)

    def tells(self, params):
        """Whether rounding decides nothing of the fit, which two ways of telling it part in.

        Adam makes a step of any gradient. One that is zero in exact arithmetic, and so 1e-17, is one
        where labels sum to zero, as standardised ones do, over rows of equal inputs; where a label is
        the mean, at which training starts and the absolute error has a kink; and wherever inputs
        balance, which ceases when they are moved a little: predictions must not then move a lot.
        """
        there = self.Y.notna().to_numpy() & (self.weights > 0)
        if any(len(self.X[rows].drop_duplicates()) < 2 for rows in there.T):
            return False
        for name, rows, weight in zip(self.Y, there.T, self.weights.T, strict=True):
            if getattr(self.tasks[name], "loss", "") == "absolute_error" or isinstance(
                self.tasks[name], QuantileTask
            ):
                labels = self.Y[name][rows].to_numpy(float)
                off = np.abs(labels - np.average(labels, weights=weight[rows]))
                if (off < 1e-9 * np.ptp(labels)).any():
                    return False
        # equal inputs stay equal, and zero, at which relu has its kink, stays zero
        nudged = self.X * (1 + 1e-10 * np.sin(np.arange(1, 1 + self.X.shape[1]) + 3 * self.X))
        here, near = (said(t.fit(params), self.X) for t in (self, replace(self, X=nudged)))
        return all(
            np.abs(near[name] - values).max() <= 1e-7 * np.abs(values).max()
            for name, values in here.items()
        )

    def fit(self, params):
        return MultiTaskClassifierRegressor(self.tasks, **params).fit(self.X, self.Y, self.weight)


def said(est, X):
    """What an estimator says of each task: probabilities where there are any, else predictions."""
    predicted = est.predict(X)
    proba = est.predict_proba(X) if hasattr(est, "predict_proba") else {}
    return {t: proba[t] if t in proba else predicted[t].to_numpy(float) for t in est.tasks_}


@st.composite
def inputs(draw, n, rng):
    """A frame of standardised numbers, columns of which may be constant, or rows repeated."""
    d = draw(st.integers(1, 4))
    values = rng.normal(size=(n, d))
    if draw(st.booleans()):
        values = np.round(values)  # ties
    if draw(st.booleans()):
        values[:, 0] = 1.0
    if draw(st.booleans()):
        values = values[rng.integers(n, size=n)]
    index = draw(st.sampled_from(["range", "names", "repeated"]))
    rows = {"range": None, "names": [f"r{i}" for i in range(n)], "repeated": [7] * n}[index]
    return pd.DataFrame(values, columns=list("abcd")[:d], index=rows)


def tasks_for(dtype, n_classes):
    """What may be asked of such a column."""
    if dtype in NUMBERS:
        asked = ["regression", "heteroscedastic_regression", QuantileTask((0.2, 0.9))]
        asked += [RegressionTask(loss="huber"), RegressionTask(loss="absolute_error")]
        return asked + (["count"] if dtype.endswith("amounts") else [])
    if dtype == "ordered category":
        return ["infer", "ordinal", "classification"]
    binary = ["binary"] if dtype in BINARY or n_classes <= 2 else []
    return ["infer", "classification", ClassificationTask("balanced"), *binary]


@st.composite
def column(draw, n, rng, dtypes, unit):
    """A column, a task for it, and the dtype it was drawn as."""
    dtype = draw(st.sampled_from(dtypes))
    n_classes = draw(st.integers(1, 4))
    if dtype in CLASSES:
        drawn = CLASSES[dtype](rng.integers(n_classes, size=n))
    else:
        scale = unit if "float" in dtype.lower() else 1.0
        drawn = NUMBERS[dtype](scale * (rng.normal(size=n) + draw(st.sampled_from([0, 3]))))
    task = draw(st.sampled_from(tasks_for(dtype, n_classes)))
    return drawn, task, dtype


@st.composite
def tables(
    draw, sizes=SMALL, dtypes=(*CLASSES, *NUMBERS), weights=("none", "rows", "labels", "frame")
):
    """A `Table`, in which every task has a label of some weight."""
    n, rng = draw(sizes), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = draw(inputs(n, rng))
    unit = draw(st.sampled_from([1.0, 1e-3, 1e5]))
    drawn = [draw(column(n, rng, dtypes, unit)) for _ in range(draw(st.integers(1, 4)))]
    names = [f"t{i}" for i in range(len(drawn))]
    weight = rng.choice([0.0, 0.5, 1.0, 1.0, 3.0], size=(n, len(drawn)))
    how = draw(st.sampled_from(weights))
    if how == "rows":
        weight[:] = weight[:, :1]
    missing = rng.random(weight.shape) < draw(st.sampled_from([0.0, 0.2, 0.7]))
    gap = draw(st.sampled_from([None, np.nan, pd.NA]))
    series = []
    for t, (labels, _, dtype) in enumerate(drawn):
        row = rng.integers(n)  # has a label that counts
        weight[row, slice(None) if how == "rows" else t], missing[row, t] = 1.0, False
        labels = labels if dtype in FULL else with_gaps(labels, missing[:, t], gap)
        series.append(labels.set_axis(X.index).rename(names[t]))
    Y = pd.concat(series, axis=1)
    given = {"none": None, "rows": weight[:, 0], "labels": weight}
    given["frame"] = pd.DataFrame(weight, columns=names).iloc[:, ::-1]
    return Table(
        X,
        Y,
        given[how],
        dict(zip(names, (task for _, task, _ in drawn), strict=True)),
        dict(zip(names, (dtype for _, _, dtype in drawn), strict=True)),
    )


def with_gaps(labels, missing, gap=None):
    """The column with no label in these rows."""
    labels = labels.copy()
    labels[np.asarray(missing)] = gap if labels.dtype == object else None
    return labels


@st.composite
def settings_of_fits(draw, **fixed):
    """Parameters of a small estimator that trains for an epoch or a few."""
    params = {
        "sharing": draw(st.sampled_from(SCHEMES)),
        "loss_weights": draw(st.sampled_from([None, "uw", "dwa", "famo"])),
        "schedule": draw(st.sampled_from(["joint", "alternating"])),
        "hidden_layer_sizes": draw(st.sampled_from([(4,), (3, 2)])),
        "head_layer_sizes": draw(st.sampled_from([(), (2,)])),
        "activation": draw(st.sampled_from(["relu", "tanh"])),
        "dropout": draw(st.sampled_from([0.0, 0.2])),
        "batch_size": draw(st.sampled_from(["auto", 5])),
        "early_stopping": draw(st.sampled_from(["auto", False])),
        "n_members": draw(st.integers(1, 3)),
        "max_iter": draw(st.integers(1, 3)),
        "random_state": draw(st.integers(0, 99)),
        "learning_rate_init": 0.03,
    }
    return {**params, **fixed}
