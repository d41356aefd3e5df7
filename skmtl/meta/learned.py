"""What meta-training leaves behind, and how a task is learned from it.

Shapes: N tasks, L rows of a task, d features, m outputs, P parameters.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from .algorithms import ALGORITHMS, Rows
from .data import MetaData
from .encoding import Encoding
from .network import LOSSES, Network

AT_ONCE = 2**22  # numbers of x and of adapted parameters that are held at a time


@dataclass(frozen=True)
class Learned:
    """The start, in ``network``, and all else that adapting to a task needs.

    Adapting is done in float64 and on the CPU: it is little work, and rows predicted alone are then
    what they are among others.
    """

    algorithm: str
    network: Network
    rates: Tensor
    encoding: Encoding

    def adapt(self, support: Rows, n_steps: int) -> Tensor:
        """Parameters (N, P) of tasks after the steps on their rows (N, L, ...), in float64."""
        network = copy.deepcopy(self.network).double()
        learner = ALGORITHMS[self.algorithm](network, LOSSES[self.encoding.kind], n_steps)
        with torch.no_grad():
            return learner.adapt_all(network.flatten(), self.rates.double(), support)

    def outputs(self, theta: Tensor, x: Tensor, offset: Tensor) -> Tensor:
        """Outputs (N, L, m) of rows x (N, L, d) under the parameters (N, P) of their tasks."""
        with torch.no_grad():
            return vmap(self.network.outputs)(theta, x) + offset.unsqueeze(1)

    def cross_predict(
        self, data: MetaData, is_support: np.ndarray, n_steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adapt to the support rows of every task; predict the others.

        ``is_support`` (n,) is in the table's order, as are the two results: the positions of the
        query rows (q,), and their outputs (q, m).
        """
        table = data.table
        sizes = np.diff(table.first_row[table.first_group])
        slots = data.outputs_of_rows()
        n_numbers = sizes.max() * data.x.shape[1] + sum(
            p.numel() for p in self.network.parameters()
        )
        n_tasks = max(1, AT_ONCE // int(n_numbers))
        by_size = sizes.argsort(kind="stable")  # so that little is filled up
        parts = [
            self._predict_some(data, is_support, slots, by_size[i : i + n_tasks], n_steps)
            for i in range(0, len(sizes), n_tasks)
        ]
        rows, outputs = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(outputs)

    def _predict_some(
        self,
        data: MetaData,
        is_support: np.ndarray,
        slots: np.ndarray,
        tasks: np.ndarray,
        n_steps: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Do so for some of the tasks; ``slots`` (n,) are the outputs of the rows' classes."""
        table = data.table
        groups = np.arange(table.n_groups[tasks].max())
        there = groups < table.n_groups[tasks][:, None]
        groups = np.where(there, table.first_group[:-1][tasks][:, None] + groups, 0)
        offset = data.offset(slots[table.first_row[:-1]][groups], there)
        starts = table.first_row[table.first_group]
        spans = [np.arange(starts[t], starts[t + 1]) for t in tasks]
        support, present = _pad([span[is_support[span]] for span in spans])
        query, asked = _pad([span[~is_support[span]] for span in spans])
        theta = self.adapt(data.gather(support, present, slots[support], offset), n_steps)
        outputs = self.outputs(theta, data.x[torch.from_numpy(query)], offset)
        return query[asked], outputs.numpy()[asked]


def _pad(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of rows as one array (N, L), and where it holds one."""
    there = np.arange(max(map(len, rows))) < np.array([len(r) for r in rows])[:, None]
    padded = np.zeros(there.shape, int)
    padded[there] = np.concatenate(rows)
    return padded, there
