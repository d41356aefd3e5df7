"""The contract of a task. Shapes: K members, b rows, T tasks, G tasks of one kind side by side."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names, make_scorer

if TYPE_CHECKING:
    from torch import Tensor


class Task(BaseEstimator, ABC):
    """One column of the target table: how it is encoded, learned, decoded and judged.

    A subclass is configuration until `prepare` has seen the labels; what `prepare` learns ends in
    an underscore. A fitted estimator keeps its prepared tasks in ``tasks_``.

    Attributes
    ----------
    kind : {"classification", "regression"}
        What scikit-learn would call an estimator of this column.
    metric : str
        Name of what judges the task by default, a scikit-learn scorer's where it has one; greater
        is better.
    n_values : int
        Numbers that encode one label.
    n_constants : int
        How many of the outputs, the last ones, are numbers that do not depend on the inputs.
    ordered : bool
        Whether its classes have an order.
    several : bool
        Whether it is a group of columns, and labels are of shape (m, n_columns), NaN where missing.
    by_query : bool
        Whether labels are compared within queries: they are then of shape (m, 2), the second the number
        of the query, from one, and the loss is `query_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.tasks import RegressionTask
    >>> labels = np.array([10.0, 20.0, 30.0])
    >>> task = RegressionTask().prepare(labels, np.ones(3), name="price")
    >>> values = task.encode(labels, name="price")
    >>> values.shape == (3, task.n_values), task.kind, task.metric
    (True, 'regression', 'r2')
    """

    kind: ClassVar[str]
    metric: str
    n_values: int = 1
    n_constants: int = 0
    ordered: ClassVar[bool] = False
    several: ClassVar[bool] = False
    by_query: ClassVar[bool] = False

    def reads(self, name: Any) -> tuple[list[Any], list[Any]]:
        """Columns of the table that the task ``name`` predicts, and others that it only reads.

        Where they are several, `prepare` and `encode` get labels of shape (m, n_columns).
        """
        return [name], []

    @abstractmethod
    def prepare(
        self, labels: np.ndarray, weight: np.ndarray, *, name: Any, classes: Any = None
    ) -> Task:
        """Learn from the labels that are present, shape (m,), with weights > 0.

        ``classes`` are all the classes there are, if they are known beforehand; only then m may be 0.
        """

    @abstractmethod
    def encode(self, labels: np.ndarray, *, name: Any) -> np.ndarray:
        """Encode present labels, shape (m,), as floats of shape (m, n_values)."""

    def label_weight(self, values: np.ndarray) -> np.ndarray | None:
        """Factor on the sample weight of each encoded label, shape (m,); None means one."""
        return None

    def strata(self, values: np.ndarray) -> np.ndarray:
        """Integers >= 0, shape (m,), that group encoded labels which are alike: five even bins."""
        edges = np.quantile(values[:, 0], [0.2, 0.4, 0.6, 0.8]).astype(values.dtype)
        return sum((values[:, 0] > edge).astype(np.int8) for edge in edges)

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Columns the network gives this task; known once prepared."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Prepared tasks with equal keys are evaluated by one call, side by side.

        So it holds all that `sample_loss`, `score` and `activate` depend on, the class included.
        """

    def read(self, values: Tensor) -> Tensor:
        """Encoded labels as `sample_loss` and `score` are given them, the same shape.

        Done once for many batches; what every step would do anew belongs here.
        """
        return values

    @abstractmethod
    def sample_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        """Loss per sample: (..., n_outputs) and (..., n_values) to (...).

        A single output or value has no dimension of its own: its shape is (...). Where a label is
        missing, values are zero: the loss must be finite there, and is not looked at.
        """

    def query_loss(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """Loss per sample, (...), where it depends on other samples and their label weights (...).

        Called in place of `sample_loss` if ``by_query``; samples without weight must not count.
        """
        return self.sample_loss(outputs, values)

    @abstractmethod
    def score(self, outputs: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """Validation score (K, G) of (K, b, G, n_outputs) against (K, b, G, n_values).

        Shapes as in `sample_loss`; weight (K, b, G).
        """

    @abstractmethod
    def activate(self, outputs: Tensor) -> Tensor:
        """Outputs on the scale where members are averaged: (K, b, G, n_outputs) to (K, b, G, m).

        Shapes as in `sample_loss`; the dimension m is there even if it is one.
        """

    @abstractmethod
    def decode(self, activated: np.ndarray) -> np.ndarray:
        """Averaged outputs, shape (n, m), as a column of labels, shape (n,)."""

    def decode_tensor(self, activated: Tensor) -> dict[str, Tensor]:
        """Averaged outputs, shape (n, m), as what an exported module returns, in torch alone.

        Under ``""`` what `decode` says: of a task with ``classes_`` positions in them; other keys are
        put behind the task's name. By default the likeliest class and ``proba``, or `decode` itself,
        which needs no more where it is arithmetic.
        """
        if hasattr(self, "classes_"):
            proba = activated / activated.sum(1, keepdim=True)
            return {"": activated.argmax(1), "proba": proba}
        learned: Any = copy.copy(self)
        for name, value in vars(self).items():  # exporters keep seven digits of a Python number
            if name.endswith("_") and np.asarray(value).dtype.kind == "f":
                setattr(learned, name, activated.new_tensor(value))
        return {"": learned.decode(activated)}

    @abstractmethod
    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any) -> float:
        """Value of `metric` on labels that are all present."""

    def compared(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What predictions are compared with, and a factor on the labels' weights; None means one."""
        return labels, None

    @property
    def tunes(self) -> bool:
        """Whether `tune` has something to do, for which rows must be held back."""
        return False

    def tune(self, activated: np.ndarray, values: np.ndarray, weight: np.ndarray) -> Task:
        """Return this task, or a copy that is better set for outputs of rows that did not train.

        Shapes (m, ·) of `activate` and of `encode`, and (m,) label weights > 0.
        """
        return self

    @property
    def scorer(self) -> Any:
        """What `multitask_scorer` judges the task by: the name of a scorer, or a scorer."""
        return self.metric if self.metric in get_scorer_names() else self.as_scorer()

    def as_scorer(self) -> Any:
        """`evaluate` as a scorer of scikit-learn's."""
        return make_scorer(partial(self.evaluate, sample_weight=None))

    def _check_word(self, parameter: str, words: Iterable[str], name: Any) -> None:
        """Raise unless a parameter of ours is one of ``words``; ``name`` is the column's."""
        value, words = getattr(self, parameter), list(words)
        if not isinstance(value, str) or value not in words:
            raise ValueError(
                f"Task {name!r}: {type(self).__name__}'s {parameter} must be one of {words}. Found "
                f"{value!r}."
            )


def listed(value: Any) -> bool:
    """Whether it is a list, a tuple, or an array or Series of one dimension."""
    return isinstance(value, list | tuple) or (hasattr(value, "tolist") and np.ndim(value) == 1)
