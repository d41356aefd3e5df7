"""Heads for very many tasks, of which a row has one: a step looks at the heads of its rows only.

The last column of the inputs says which task a row belongs to, as a number from 0 on; -1 is a task
that was not trained, for which the mean of all heads answers. Gradients of heads are sparse: they
hold the tasks of the batch. Shapes: K members, T tasks, b rows, d features, U tasks in a batch, each
counted once a member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from .base import Architecture, Block, Network, Sharing
from .checks import check_skip
from .layers import ACTIVATIONS, SeededDropout, draw_weights, hidden_layers


class Gathering(NamedTuple):
    """Whose each row is: ``of_rows`` (K b,) among the K T heads, or -1.

    ``heads`` (U,) are those indices, each once, and ``place`` (K b,) is where a row's stands there.
    """

    of_rows: Tensor
    heads: Tensor
    place: Tensor


def gathering(tasks: Tensor, n_tasks: int) -> Gathering:
    """Find the heads of rows whose tasks are (K, b)."""
    first = torch.arange(0, len(tasks) * n_tasks, n_tasks, device=tasks.device).unsqueeze(1)
    index = torch.where(tasks < 0, -1, tasks + first).flatten()
    return Gathering(index, *torch.unique(index, return_inverse=True))


class GatheredProduct(torch.autograd.Function):
    """``x W_t`` with the task t of each row: (K b, n_in) to (K b, n_out).

    The gradient of W (K, T, n_in, n_out) is sparse in the first two dimensions.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, at: Gathering) -> Tensor:
        """Product."""
        own = weight.flatten(0, 1).index_select(0, at.of_rows)  # (K b, n_in, n_out)
        ctx.save_for_backward(x, own, at.heads, at.place)
        ctx.stack = weight.shape[:2]
        return _product(x, own)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        """Gradients; of the weight, those of the heads that have rows."""
        x, own, heads, place = ctx.saved_tensors
        rows = gradient.unsqueeze(1)  # (K b, 1, n_out)
        outer = x.unsqueeze(-1) * rows
        to_x = (own * rows).sum(-1) if ctx.needs_input_grad[0] else None
        values = outer.new_zeros(len(heads), *outer.shape[1:])
        if outer.is_cuda:  # which adds in an order of its own, but not here
            values.index_put_((place,), outer, accumulate=True)
        else:
            values.index_add_(0, place, outer)
        at = torch.stack([heads // ctx.stack[1], heads % ctx.stack[1]])
        shape = (*ctx.stack, *outer.shape[1:])
        # the heads come sorted, each once
        to_weight = torch.sparse_coo_tensor(
            at, values, shape, is_coalesced=True, check_invariants=False
        )
        return to_x, to_weight, None


def _product(x: Tensor, own: Tensor) -> Tensor:
    """Row by row, x (K b, n_in) times own (K b, n_in, n_out)."""
    if own.shape[-1] == 1:
        return (x * own.squeeze(-1)).sum(-1, keepdim=True)
    mapped = x.new_empty(len(x), own.shape[-1])
    torch.bmm(x.unsqueeze(1), own, out=mapped.unsqueeze(1))
    return mapped


class GatheredLinear(Block):
    """An affine map per member and task, of which a row goes through its task's.

    All of a head's numbers lie in one place, ``weight`` (K, T, n_in + 1, n_out) with the bias last:
    gathering them, and stepping them, is then one thing to do.

    Parameters
    ----------
    stack : tuple of int
        Members and tasks.
    n_in, n_out : int
    generators : list of Generator, default=None
        One a member. None: the weights start at zero.
    activation : str, default="identity"
    """

    weight: Tensor

    def __init__(
        self,
        stack: tuple[int, int],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator] | None = None,
        *,
        activation: str = "identity",
    ):
        super().__init__()
        weight = torch.zeros(*stack, n_in + 1, n_out)
        if generators is not None:
            draw_weights(weight[:, :, :-1], generators)
        self.weight = nn.Parameter(weight)
        self.activation = activation

    def forward(self, x: Tensor, at: Gathering, *more: Tensor) -> Tensor:
        """Map x (K, b, h), and ``more`` inputs beside it."""
        rows = torch.cat([x, *more, x.new_ones(*x.shape[:-1], 1)], -1).flatten(0, 1)
        if torch.is_grad_enabled():
            mapped = GatheredProduct.apply(rows, self.weight, at)
        else:
            mapped = _product(rows, self._of_rows(at, x.shape[1]))
        return ACTIVATIONS[self.activation](mapped).view(*x.shape[:-1], mapped.shape[-1])

    def _of_rows(self, at: Gathering, n_rows: int) -> Tensor:
        """What each row is mapped by, (K b, n_in + 1, n_out): its head, or the mean head."""
        own = self.weight.flatten(0, 1).index_select(0, at.of_rows.clamp(min=0))
        unseen = (at.of_rows < 0).nonzero()[:, 0]
        if len(unseen):
            own[unseen] = self.weight.mean(1)[unseen // n_rows]
        return own

    def owners(self) -> dict[str, Tensor]:
        """One for all: each head sees to itself which of its entries serve the rows of a batch."""
        return {name: torch.tensor(0) for name, _ in self.named_parameters(recurse=False)}


class GatheredNetwork(Network):
    """``outputs = head_t(body(x)) + skip_t(x)`` with the task t of each row.

    The last column of its inputs (K, b, d + 1) is the task.

    Parameters
    ----------
    body : nn.Module
        Shared by all tasks.
    heads : list of nn.Module
        Layers of a head: `GatheredLinear`, and what comes between.
    n_tasks : int
    has_skip : bool
        Whether the last layer maps the inputs too, beside what comes to it.
    """

    gathers = True

    def __init__(self, body: nn.Module, heads: list[nn.Module], n_tasks: int, has_skip: bool):
        super().__init__()
        self.body, self.heads = body, nn.ModuleList(heads)
        self.n_tasks, self.has_skip = n_tasks, has_skip

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs and tasks (K, b, d + 1)."""
        return self.outputs(self.body(x[..., :-1]), x)

    def features(self, x: Tensor) -> Tensor | None:
        """The body's output, if it has layers."""
        inputs = x[..., :-1]
        features = self.body(inputs)
        return None if features is inputs else features

    def outputs(self, features: Tensor, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of features, and of the inputs through the skip."""
        at = gathering(x[..., -1].long(), self.n_tasks)
        *layers, last = self.heads
        for layer in layers:
            is_gathered = isinstance(layer, GatheredLinear)
            features = layer(features, at) if is_gathered else layer(features)
        return last(features, at, x[..., :-1]) if self.has_skip else last(features, at)

    def linear_heads(self) -> tuple[None, None]:
        """No one matrix product."""
        return None, None


class GatheredHardSharing(Sharing):
    """`HardSharing` whose rows have one task each, said by the last column of the inputs.

    Parameters
    ----------
    n_tasks : int
    linear_skip : bool, default=True
        As in `HardSharing`.
    """

    def __init__(self, n_tasks, linear_skip=True):
        self.n_tasks = n_tasks
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        check_skip(self.linear_skip)
        a = architecture
        if a.trunk is None:  # the task is no feature; the width of a trunk does not count it
            a = replace(a, n_features=a.n_features - 1)
        [n_outputs] = a.task_outputs
        stack = len(generators), self.n_tasks
        body_sizes = (a.n_features, *a.hidden_layer_sizes)
        body = hidden_layers(stack[:1], body_sizes, a, generators)
        sizes = (body_sizes[-1], *a.head_layer_sizes)
        heads: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layer = GatheredLinear(stack, n_in, n_out, generators, activation=a.activation)
            heads.append(layer)
            if a.dropout:
                heads.append(SeededDropout(a.dropout))
        # without hidden layers every task is linear already
        has_skip = self.linear_skip and bool(a.hidden_layer_sizes or a.head_layer_sizes)
        has_skip = has_skip and a.trunk is None
        n_in = sizes[-1] + a.n_features * has_skip
        heads.append(GatheredLinear(stack, n_in, n_outputs))
        return GatheredNetwork(body, heads, self.n_tasks, has_skip)
