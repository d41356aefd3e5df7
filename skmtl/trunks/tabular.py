"""A trunk for tables as they come: categories, gaps, numbers of any unit.

In: a DataFrame, or an array of numbers with NaN. Out: rows of numbers, and a module that embeds
them. Shapes: n rows, b rows of a batch, h features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from skmtl._checks import check_choice, check_int, check_number, check_word

from .base import Trunk

if TYPE_CHECKING:
    from typing_extensions import Self

FAR = 4.0  # standard deviations from which numbers are bent back
NUMERICAL = ["none", "linear", "periodic", "piecewise_linear"]


class TabularTrunk(Trunk):
    """Embeddings of categories and of numbers, side by side.

    Takes a table as it is. *Categories* (columns of strings, categories, booleans) are embedded;
    missing and unknown ones share an embedding. *Numbers* are standardised, and bent where they lie
    more than four standard deviations from the mean; a missing one is the mean, and a column that has
    gaps in `fit` also says where they are.

    Parameters
    ----------
    categorical : "auto" or list, default="auto"
        Names of the columns of categories (positions, where X is an array). "auto": by their dtype.
    embedding_dim : int or "auto", default="auto"
        Numbers that stand for a category. "auto": ``1.6 * n_categories ** 0.56``, at most 64.
    numerical : {"none", "linear", "periodic", "piecewise_linear"}, default="none"
        Embedding of each number, by the package ``rtdl_num_embeddings`` (``pip install
        "skmtl[tabular]"``): "linear" with a rectifier; "periodic": sines and cosines of learned
        frequencies; "piecewise_linear": how far it is through each of its bins.
    numerical_dim : int, default=16
        Numbers that stand for a number, unless "none".
    n_bins : int, default=48
        Bins of "piecewise_linear", between quantiles.
    frequency_scale : float, default=0.1
        Standard deviation of the initial frequencies of "periodic"; the one parameter to tune.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko (2022). On embeddings for numerical features in tabular deep
    learning. NeurIPS.
    C. Guo, F. Berkhahn (2016). Entity embeddings of categorical variables. arXiv:1604.06737.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.trunks import TabularTrunk
    >>> X = pd.DataFrame({"kind": ["a", "b", None, "a"] * 25, "size": [1.0, np.nan, 3.0, 9.0] * 25})
    >>> y = X["size"].fillna(5.0) + (X["kind"] == "b")
    >>> est = MultiTaskRegressor(trunk=TabularTrunk(), learning_rate_init=0.01, random_state=0)
    >>> bool(est.fit(X, y).score(X, y) > 0.95)
    True
    """

    takes_tables = True

    def __init__(
        self,
        categorical="auto",
        embedding_dim="auto",
        numerical="none",
        numerical_dim=16,
        n_bins=48,
        frequency_scale=0.1,
    ):
        self.categorical = categorical
        self.embedding_dim = embedding_dim
        self.numerical = numerical
        self.numerical_dim = numerical_dim
        self.n_bins = n_bins
        self.frequency_scale = frequency_scale

    def prepare(self, X: Any) -> Self:
        """Learn categories, means and scales, and bins where they are asked for."""
        check_word(self.numerical, "numerical", self, NUMERICAL)
        check_int(self.n_bins, "n_bins", self, low=2)
        frame = _frame(X)
        chosen = self._categorical(frame)
        self.categories_ = {c: _categories(frame[c]) for c in frame if c in chosen}
        self.numbers_ = [c for c in frame if c not in chosen]
        values = _numbers(frame, self.numbers_)
        there = ~np.isnan(values)
        counts = np.maximum(there.sum(axis=0), 1)
        self.mean_ = np.where(there, values, 0).sum(axis=0) / counts
        squares = np.where(there, values - self.mean_, 0) ** 2
        scale = np.sqrt(squares.sum(axis=0) / counts)
        self.varies_ = np.flatnonzero(scale > 0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        self.gaps_ = np.flatnonzero(~there.all(axis=0))
        self.bins_: list[Tensor] = []
        if self.numerical == "piecewise_linear" and len(self.varies_):
            scaled = torch.from_numpy(self._scaled(values)[:, self.varies_]).float()
            self.bins_ = _embeddings().compute_bins(scaled, min(self.n_bins, len(scaled) - 1))
        width = len(self.numbers_) + len(self.gaps_) + len(self.categories_)
        self.input_shape_ = (width,)
        return self

    def encode(self, X: Any) -> np.ndarray:
        """Standardised numbers, then where they are missing, then numbers of categories from one on."""
        frame = _frame(X)
        values = _numbers(frame, self.numbers_)
        codes = [_codes(frame[c], known) for c, known in self.categories_.items()]
        parts = [self._scaled(values), np.isnan(values[:, self.gaps_])]
        encoded = np.empty((len(frame), *self.input_shape_), np.float32)
        np.concatenate([*parts, *(c[:, None] for c in codes)], axis=1, out=encoded)
        return encoded

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the module; see `Trunk.build`."""
        numbers = nn.Identity() if self.numerical == "none" else self._number_embedding()
        sizes = [(len(known) + 1, self._width(len(known))) for known in self.categories_.values()]
        embedded = [] if self.numerical == "none" else self.varies_.tolist()
        plain = [i for i in range(input_shape[0] - len(sizes)) if i not in set(embedded)]
        return TableReader(numbers, embedded, plain, sizes)

    def _number_embedding(self) -> nn.Module:
        check_int(self.numerical_dim, "numerical_dim", self, low=1)
        n, width, kinds = len(self.varies_), self.numerical_dim, _embeddings()
        if not n:
            return nn.Identity()
        if self.numerical == "linear":
            return kinds.LinearReLUEmbeddings(n, width)
        if self.numerical == "periodic":
            name = "frequency_scale of TabularTrunk"
            check_number(self.frequency_scale, name, low=0, open_low=True)
            scale = float(self.frequency_scale)
            return kinds.PeriodicEmbeddings(n, width, frequency_init_scale=scale, lite=False)
        return kinds.PiecewiseLinearEmbeddings(self.bins_, width, activation=False, version="B")

    def _width(self, n_categories: int) -> int:
        name = "embedding_dim of TabularTrunk"
        if isinstance(self.embedding_dim, str):
            check_choice(self.embedding_dim, name, ["auto"])
            return min(64, round(1.6 * max(n_categories, 1) ** 0.56))
        check_int(self.embedding_dim, "embedding_dim", self, low=1)
        return self.embedding_dim

    def _categorical(self, frame: pd.DataFrame) -> set[Any]:
        """Columns of categories."""
        if isinstance(self.categorical, str):
            check_word(self.categorical, "categorical", self, ["auto"])
            kinds = frame.dtypes.items()
            return {c for c, kind in kinds if kind.kind not in "iuf"}
        unknown = [c for c in self.categorical if c not in frame.columns]
        if unknown:
            raise ValueError(
                f"Parameter categorical of TabularTrunk names {unknown}, which X has not. Its columns "
                f"are {frame.columns.tolist()}."
            )
        return set(self.categorical)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        scaled = (values - self.mean_) / self.scale_
        size = np.abs(scaled)
        bent = np.sign(scaled) * (FAR + np.tanh(size - FAR))
        return np.where(np.isnan(scaled), 0.0, np.where(size > FAR, bent, scaled))


class TableReader(nn.Module):
    """Rows of `TabularTrunk.encode` (b, d) to features (b, h).

    Parameters
    ----------
    numbers : nn.Module
        Embeds the columns ``embedded``, (b, m) to (b, m, width).
    embedded, plain : sequence of int
        Columns that are embedded, and that are features as they are.
    sizes : sequence of (int, int)
        Categories, and width of their embedding, of each of the last columns.
    """

    def __init__(
        self,
        numbers: nn.Module,
        embedded: Sequence[int],
        plain: Sequence[int],
        sizes: Sequence[tuple[int, int]],
    ):
        super().__init__()
        self.numbers, self.embedded, self.plain = numbers, list(embedded), list(plain)
        self.categories = nn.ModuleList([nn.Embedding(n, width) for n, width in sizes])

    def forward(self, x: Tensor) -> Tensor:
        """Features side by side."""
        features = [x[:, self.plain]]
        if self.embedded:
            features.append(self.numbers(x[:, self.embedded]).flatten(1))
        codes = x[:, x.shape[1] - len(self.categories) :].long()
        features += [embed(codes[:, i]) for i, embed in enumerate(self.categories)]
        return torch.cat(features, dim=1)


def _frame(X: Any) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame):
        return X
    array = np.asarray(X)
    if array.ndim != 2:
        raise ValueError(f"TabularTrunk takes a table, (n, d). Found X of shape {array.shape}.")
    frame = pd.DataFrame(array)
    return frame.infer_objects() if array.dtype == object else frame


def _numbers(frame: pd.DataFrame, columns: Sequence[Any]) -> np.ndarray:
    """Columns as floats (n, m), NaN where missing."""
    values = np.empty((len(frame), len(columns)))
    for i, name in enumerate(columns):
        try:
            values[:, i] = frame[name].to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Column {name!r} of X must hold numbers, as in fit, or be named in categorical. Found "
                f"dtype {frame[name].dtype}: {error}"
            ) from error
        if np.isinf(values[:, i]).any():
            raise ValueError(f"Column {name!r} of X contains infinity. Mark it as missing, by NaN.")
    return values


def _categories(column: pd.Series) -> pd.Index:
    """Distinct values, in the order in which they come."""
    return pd.Index(column.dropna().astype(object).unique(), dtype=object)


def _codes(column: pd.Series, known: pd.Index) -> np.ndarray:
    """Position of each value among those known, from one on; zero: missing or not known."""
    return known.get_indexer(pd.Index(column.astype(object), dtype=object)) + 1


def _embeddings() -> Any:
    try:
        import rtdl_num_embeddings
    except ImportError as error:
        raise ImportError(
            'TabularTrunk(numerical=...) needs rtdl_num_embeddings: pip install "skmtl[tabular]".'
        ) from error
    return rtdl_num_embeddings
