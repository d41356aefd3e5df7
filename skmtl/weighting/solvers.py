"""Small solvers for what torchjd leaves to packages under the GPL, or to Python loops.

Shapes: T tasks; a Gramian holds the inner products of their gradients.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchjd.aggregation import Weighting as Extraction
from torchjd.linalg import DualConeProjector

REGULARISATION = 1e-4  # of a Gramian of unit trace, as in torchjd's own projector


class NNLSProjector(DualConeProjector):
    """Projection onto the dual cone by non-negative least squares (Lawson & Hanson 1974).

    For `torchjd.aggregation.UPGrad` and `DualProj`, whose own projector needs packages under the GPL:
    ``min v^T G v`` over ``v >= u`` is ``min ||R (u + z)||`` over ``z >= 0`` where ``G = R^T R``. The
    Gramian is brought to unit trace and regularised as there, so the weights are the same.

    Examples
    --------
    >>> import torch
    >>> from torchjd.aggregation import UPGrad
    >>> from skmtl.weighting import NNLSProjector
    >>> jacobian = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    >>> UPGrad(projector=NNLSProjector())(jacobian)
    tensor([0.2929, 1.9004, 1.9004])
    """

    def __call__(self, U: Tensor, G: Tensor) -> Tensor:
        """Weights of the projections of vectors U (..., T) given the Gramian G (T, T)."""
        gramian = G.detach().cpu().double().numpy()
        gramian = gramian / (np.trace(gramian) or 1.0) + REGULARISATION * np.eye(len(gramian))
        projected = U.detach().cpu().double().numpy().copy()
        outside = (projected @ gramian < 0).any(-1)  # the others are in the cone
        if outside.any():
            root = np.linalg.cholesky(gramian).T
            projected[outside] = [u + nnls(root, -root @ u)[0] for u in projected[outside]]
        return torch.from_numpy(projected).to(G)

    def __repr__(self) -> str:
        return "NNLSProjector()"


class MinNorm(Extraction):
    """Weights of MGDA, the shortest convex combination of the gradients (Désidéri 2012), exactly.

    torchjd's own comes near it in a hundred steps of Frank and Wolfe. Non-negative least squares
    gets there in one: the solution of ``min ||R w||^2 + (sum w - 1)^2`` over ``w >= 0``, divided by
    its sum, meets the same conditions of optimality.
    """

    def forward(self, gramian: Tensor, /) -> Tensor:
        """Weights (T,)."""
        G = gramian.detach().cpu().double().numpy()
        size = len(G)
        values, vectors = np.linalg.eigh(G / max(np.trace(G), np.finfo(float).tiny))
        root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
        w, _ = nnls(np.vstack([root, np.ones(size)]), np.append(np.zeros(size), 1.0))
        return torch.from_numpy(w / w.sum()).to(gramian)


class OrderedProjections(Extraction):
    """Weights of PCGrad (Yu et al. 2020): all tasks project their gradients at once.

    Each task visits the others in a random order of its own, as in torchjd's, but in step with the
    other tasks: T steps of a few array operations in place of T times T.
    """

    def forward(self, gramian: Tensor, /) -> Tensor:
        """Weights (T,)."""
        G = gramian.detach().cpu().double().numpy()
        size = len(G)
        meetings = (
            torch.rand(size, size).argsort(1).numpy().T
        )  # (T, T): whom each task meets, in turn
        rows, weights = np.arange(size), np.eye(size)
        products = G.copy()  # of what each task has come to with every gradient
        squares = np.diag(G)[meetings]
        squares[(meetings == rows) | (squares == 0)] = np.inf  # from these nothing is taken
        for others, gradients, square in zip(meetings, G[meetings], squares, strict=True):
            scale = np.minimum(products[rows, others], 0.0) / square
            weights[rows, others] -= scale
            products -= scale[:, None] * gradients
        return torch.from_numpy(weights.sum(0)).to(gramian)
