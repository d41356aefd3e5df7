"""Small solvers for what torchjd leaves to packages under the GPL, or to Python loops.

Shapes: K members, T tasks; a Gramian holds the inner products of their gradients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Generator, Tensor
from torchjd.aggregation import DualProjWeighting, UPGradWeighting
from torchjd.aggregation import Weighting as Extraction
from torchjd.linalg import DualConeProjector

REGULARISATION = 1e-4  # of a Gramian of unit trace, as in torchjd's own projector
PIVOTS = 6  # of problems of twenty tasks, half are solved at the first, 99 % at the second
ROUNDING = 1e-12  # of the largest number, under which one is taken for zero


def together(
    aggregator: Any, gramians: Tensor, generators: Sequence[Generator | None]
) -> Tensor | None:
    """Weights (K, T) of many members by one call, given their Gramians (K, T, T).

    None unless the aggregator is one of ours, or has our projector: they remember nothing, so that one
    can do for all members. ``generators`` has a generator a member, where it draws.
    """
    weighting = getattr(aggregator, "gramian_weighting", None)
    if isinstance(weighting, OfMany):
        return weighting.together(gramians, generators)
    if isinstance(getattr(weighting, "projector", None), NNLSProjector):
        if type(weighting) is UPGradWeighting:
            preferences = torch.diag(weighting.weighting(gramians[0]))
            return _projected(preferences, gramians).sum(1)
        if type(weighting) is DualProjWeighting:
            preference = weighting.weighting(gramians[0])
            return _projected(preference.unsqueeze(0), gramians).squeeze(1)
    return None


def _projected(vectors: Tensor, gramians: Tensor) -> Tensor:
    """Weights (K, m, T) of the projections of vectors (m, T) onto the dual cone of each Gramian."""
    G, starts = _of_unit_trace(gramians), _numbers(vectors)
    np.einsum("kii->ki", G)[:] += REGULARISATION
    slopes = starts @ G
    if not (slopes < 0).any():  # all are in the cone
        return torch.from_numpy(np.repeat(starts[None], len(G), axis=0)).to(gramians)
    raised = _complementary(np.repeat(G, len(starts), axis=0), slopes.reshape(-1, G.shape[1]))
    return torch.from_numpy(starts + raised.reshape(slopes.shape)).to(gramians)


def _complementary(G: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Solutions z (P, T) of ``z >= 0``, ``w = G z + q >= 0``, ``z w = 0``, given G (P, T, T), q (P, T).

    All by block principal pivoting (Júdice & Pires 1994): z is taken to be above zero where q is below,
    solved for there, and what has the wrong sign changes places with its w. Gradients are far from
    parallel, as a rule, and two or three such steps do. What is not solved then is left to
    non-negative least squares (Lawson & Hanson 1974), one by one.
    """
    z, least, one = np.empty_like(q), -ROUNDING * np.abs(q).max(), np.eye(q.shape[1])
    todo, own, below, above = np.arange(len(q)), G, q[:, :, None], q[:, :, None] < 0
    for _ in range(PIVOTS):
        system = np.where(above & above.transpose(0, 2, 1), own, one)
        found = np.linalg.solve(system, -below * above)
        z[todo] = found[:, :, 0]
        wrong = np.where(above, found, own @ found + below) < least
        still = wrong.any((1, 2))
        if not still.any():
            break
        todo, own, below, above = todo[still], own[still], below[still], (above ^ wrong)[still]
    else:
        for i in todo:
            root = np.linalg.cholesky(G[i]).T
            z[i] = nnls(root, np.linalg.solve(root.T, -q[i]))[0]
    return z.clip(min=0)


def _of_unit_trace(gramians: Tensor) -> np.ndarray:
    """Gramians (K, T, T) over their traces, as numbers; zeros stay."""
    G = _numbers(gramians)
    return G / np.einsum("kii->k", G).clip(min=np.finfo(float).tiny)[:, None, None]


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


class NNLSProjector(DualConeProjector):
    """Projection onto the dual cone as a problem of non-negative least squares.

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
        vectors = U.reshape(-1, U.shape[-1])
        return _projected(vectors, G.unsqueeze(0))[0].view(U.shape)

    def __repr__(self) -> str:
        return "NNLSProjector()"


class OfMany(Extraction, ABC):
    """Weights that one call finds for many members; torchjd asks for those of one."""

    @abstractmethod
    def together(self, gramians: Tensor, generators: Sequence[Generator | None]) -> Tensor:
        """Weights (K, T), given Gramians (K, T, T) and a generator a member; None: the global one."""

    def forward(self, gramian: Tensor, /) -> Tensor:
        """Weights (T,)."""
        return self.together(gramian.unsqueeze(0), [None])[0]


class MinNorm(OfMany):
    """Weights of MGDA, the shortest convex combination of the gradients (Désidéri 2012), exactly.

    torchjd's own comes near it in a hundred steps of Frank and Wolfe. Non-negative least squares
    gets there in one: the solution of ``min ||R w||^2 + (sum w - 1)^2`` over ``w >= 0``, divided by
    its sum, meets the same conditions of optimality.
    """

    def together(self, gramians: Tensor, generators: Sequence[Generator | None]) -> Tensor:
        """Weights (K, T)."""
        G = _of_unit_trace(gramians)
        n_members, size = G.shape[:2]
        values, vectors = np.linalg.eigh(G)
        roots = np.sqrt(values.clip(min=0))[:, :, None] * vectors.transpose(0, 2, 1)
        rows = np.concatenate([roots, np.ones((n_members, 1, size))], axis=1)
        one = np.append(np.zeros(size), 1.0)
        found = np.array([nnls(own, one)[0] for own in rows])
        return torch.from_numpy(found / found.sum(1, keepdims=True)).to(gramians)


class OrderedProjections(OfMany):
    """Weights of PCGrad (Yu et al. 2020): all tasks project their gradients at once.

    Each task visits the others in a random order of its own, as in torchjd's, but in step with the
    other tasks: T steps of a few array operations in place of T times T.
    """

    def together(self, gramians: Tensor, generators: Sequence[Generator | None]) -> Tensor:
        """Weights (K, T)."""
        G = _numbers(gramians)
        n_members, size = G.shape[:2]
        draws = [torch.rand(size, size, generator=generator) for generator in generators]
        # a row for each task of each member: whom it meets, in turn, and where that one's row is
        meetings = torch.cat(draws).argsort(1).numpy().T
        rows = np.arange(n_members * size)
        theirs = meetings + rows // size * size
        gradients = G.reshape(len(rows), size)
        squares = gradients[rows, rows % size][theirs]
        squares[(theirs == rows) | (squares == 0)] = np.inf  # from these nothing is taken
        scales, places = np.empty(theirs.shape), rows * size + meetings
        products = gradients.copy()  # of what each task has come to with every gradient
        steps = zip(scales, places, squares, gradients[theirs], strict=True)
        for scale, place, square, gradient in steps:
            np.divide(np.minimum(products.take(place), 0.0), square, out=scale)
            products -= scale[:, None] * gradient
        weights = np.tile(np.eye(size), (n_members, 1))
        weights[rows, meetings] -= scales
        return torch.from_numpy(weights.reshape(G.shape).sum(1)).to(gramians)
