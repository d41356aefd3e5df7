"""Every kind of task, with labels it takes."""

import numpy as np

from skmtl.tasks import (
    BinaryTask,
    ClassificationTask,
    CountTask,
    HeteroscedasticRegressionTask,
    MultilabelTask,
    OrdinalTask,
    QuantileTask,
    RankingTask,
    RegressionTask,
)

rng = np.random.default_rng(0)
NUMBERS, WORDS = rng.normal(5, 3, size=40), np.array(["a", "b", "c", "b"] * 10)
COUNTS = rng.poisson(3, size=40).astype(float)
LABELS = np.where(rng.random((40, 3)) < 0.2, np.nan, rng.integers(0, 2, size=(40, 3)))
LABELS[np.isnan(LABELS).all(1)] = 1
GRADES = np.column_stack([COUNTS, 1 + np.arange(40) % 7])  # and the number of the query
# every kind of task with labels it accepts; a new kind adds a line here
PREPARED = {
    "squared_error": (RegressionTask(), NUMBERS),
    "absolute_error": (RegressionTask("absolute_error"), NUMBERS),
    "huber": (RegressionTask("huber"), NUMBERS),
    "three classes": (ClassificationTask(), WORDS),
    "two classes": (ClassificationTask(), WORDS == "b"),
    "balanced": (ClassificationTask("balanced"), WORDS),
    "quantiles": (QuantileTask([0.9, 0.2, 0.3]), NUMBERS),
    "ordinal": (OrdinalTask(["c", "a", "b"]), WORDS),
    "coral": (OrdinalTask(loss="coral"), NUMBERS.round() % 5),
    "two in order": (OrdinalTask(), WORDS == "b"),
    "balanced accuracy": (BinaryTask(0.4), WORDS == "b"),
    "f1": (BinaryTask(0.6, "f1", {True: 2.0}), WORDS == "b"),
    "tuned": (BinaryTask("tuned", "accuracy"), WORDS == "b"),
    "counts": (CountTask(), COUNTS),
    "counts and exposure": (CountTask("days"), np.column_stack([COUNTS, 1 + COUNTS % 5])),
    "labels": (MultilabelTask(["a", "b", "c"]), LABELS),
    "median": (QuantileTask([0.5]), NUMBERS),
    "heteroscedastic": (HeteroscedasticRegressionTask(), NUMBERS),
    "ranknet": (RankingTask(), GRADES),
    "listnet": (RankingTask("listnet"), GRADES),
    "lambdarank": (RankingTask("lambdarank"), GRADES),
}
