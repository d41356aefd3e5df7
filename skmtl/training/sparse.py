"""A table of inputs that is mostly zeros, of which only the rows of a batch are ever written out.

Shapes: n rows, d features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

DENSE_NUMBERS = 2**23  # written out at once at most, but for a batch: 32 MB of float32


class SparseRows:
    """Rows in compressed form, with what the engine asks of a tensor (n, d).

    Parameters
    ----------
    rows : scipy.sparse.csr_matrix or csr_array of shape (n, d)
        Of float32 or float64; not copied.
    device : str or torch.device
        Where rows go that are written out.
    """

    is_cuda = False  # the table stays in main memory

    def __init__(self, rows: Any, device: Any):
        self.rows, self.device = rows, torch.device(device)
        self.shape = torch.Size(rows.shape)
        self.dtype = torch.float64 if rows.dtype == np.float64 else torch.float32

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.rows[_plain(index)], self.device)

    def element_size(self) -> int:
        """Bytes of a number."""
        return self.rows.dtype.itemsize

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Rows (m, d), written out."""
        assert dim == 0, "rows are what is stored"
        return torch.from_numpy(self.rows[_plain(index)].toarray()).to(self.device)

    def split(self, n_rows: int) -> Iterator[Tensor]:
        """All rows, written out part by part: so many at most."""
        n_rows = rows_at_once(self, n_rows)
        for start in range(0, max(len(self), 1), n_rows):
            part = self.rows[start : start + n_rows].toarray()
            yield torch.from_numpy(part).to(self.device)

    def keys(self) -> np.ndarray:
        """A number for each row, equal where rows are, (n, 1); their order is that of bytes."""
        rows = self.rows.copy()
        rows.sum_duplicates()
        rows.eliminate_zeros()
        ends = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
        each = [rows.indices[i:j].tobytes() + rows.data[i:j].tobytes() for i, j in ends]
        number = {row: k for k, row in enumerate(sorted(set(each)))}
        return np.array([[number[row]] for row in each], dtype=float)


def rows_at_once(x: Any, n_rows: int) -> int:
    """How many of so many rows may be gathered together: of sparse ones, fewer."""
    if isinstance(x, SparseRows):
        return max(1, min(n_rows, DENSE_NUMBERS // max(1, x.shape[1])))
    return n_rows


def _plain(index: Any) -> Any:
    return index.cpu().numpy() if isinstance(index, Tensor) else index
