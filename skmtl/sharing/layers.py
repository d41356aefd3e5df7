"""Layers whose parameters carry a leading stack of independent copies.

A layer of stack shape ``(K,)`` holds K members; ``(K, T)`` holds a copy per member and task. All
copies are one batched matrix product. Weights are drawn per member and shared by the copies
inside it: towers of one member start equal, so the order of the tasks carries no information.
Last layers start at zero, for the same reason: the first predictions are the target's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .base import SHARED, Architecture

# In place where a derivative needs the result only: the input is a fresh product nobody else reads.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh_,
    "logistic": torch.sigmoid_,
    "identity": lambda x: x,
}


class StackedLinear(nn.Module):
    """Affine map per copy: (*stack, b, n_in) to (*stack, b, n_out), in one matrix product.

    Without ``generators`` the weights start at zero.
    """

    def __init__(
        self,
        stack: tuple[int, ...],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator] | None = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        weight = torch.zeros(*stack, n_in, n_out)
        if generators is not None:
            bound = math.sqrt(6.0 / (n_in + n_out))  # Glorot & Bengio (2010), as MLPRegressor
            for k, generator in enumerate(generators):
                draw = torch.empty(n_in, n_out, dtype=torch.float64)
                weight[k] = draw.uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(weight)
        initial = nn.Parameter(torch.zeros(*stack, 1, n_out)) if bias else None
        self.register_parameter("bias", initial)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x; a layer without bias adds ``plus`` (*stack, b, n_out) in the same product."""
        own: Any = self._parameters  # where `self.weight` looks last, after everywhere else
        weight, bias = own["weight"], own["bias"]
        added = plus if bias is None else bias
        if x.dim() == 3:
            return torch.bmm(x, weight) if added is None else torch.baddbmm(added, x, weight)
        x, weight, shape = x.flatten(0, -3), weight.flatten(0, -3), x.shape
        added = None if added is None else added.flatten(0, -3)
        flat = torch.bmm(x, weight) if added is None else torch.baddbmm(added, x, weight)
        return flat.view(*shape[:-1], flat.shape[-1])

    def extra_repr(self) -> str:
        """Show the stack and the sizes."""
        *stack, n_in, n_out = self.weight.shape
        return f"{n_in}, {n_out}, stack={tuple(stack)}, bias={self.bias is not None}"


class SeededDropout(nn.Module):
    """Dropout whose masks come from a member's own generator, alone or in any stack.

    ``generators`` is set by the trainer, one a member; torch's global generator is not touched.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.generators: list[Generator] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        mask = torch.empty_like(x, memory_format=torch.contiguous_format)
        for k, generator in enumerate(self.generators):
            mask[k].bernoulli_(1 - self.p, generator=generator)
        return x * mask.div_(1 - self.p)


class HiddenLayer(StackedLinear):
    """A `StackedLinear` followed by an activation: one module, since a call costs like a product."""

    def __init__(
        self,
        stack: tuple[int, ...],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator],
        activation: str,
    ):
        super().__init__(stack, n_in, n_out, generators)
        self.activation = activation

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x and activate."""
        return ACTIVATIONS[self.activation](super().forward(x, plus))

    def extra_repr(self) -> str:
        """Add the activation to the layer's repr."""
        return f"{super().extra_repr()}, activation={self.activation!r}"


def hidden_layers(
    stack: tuple[int, ...],
    sizes: Sequence[int],
    architecture: Architecture,
    generators: Sequence[Generator],
) -> nn.Sequential:
    """Hidden layers ``sizes[0] -> sizes[1] -> ...``, each followed by activation and dropout."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers.append(HiddenLayer(stack, n_in, n_out, generators, architecture.activation))
        if architecture.dropout:
            layers.append(SeededDropout(architecture.dropout))
    return nn.Sequential(*layers)


class TaskHeads(nn.Module):
    """Everything that belongs to one task alone: (K, b, h) to (K, b, C).

    Without hidden layers all heads are one matrix product. With them each task has a tower, all
    towers of one shape, stacked (K, T); their last layers are padded to the widest task.
    """

    def __init__(
        self,
        n_in: int,
        sizes: Sequence[int],
        architecture: Architecture,
        generators: Sequence[Generator],
        *,
        bias: bool = True,
    ):
        super().__init__()
        task_outputs = architecture.task_outputs
        n_members, n_tasks, widest = len(generators), len(task_outputs), max(task_outputs)
        self.owner = torch.repeat_interleave(
            torch.arange(n_tasks), torch.tensor(task_outputs)
        )  # (C,)
        if not sizes:
            self.towers = None
            self.last = StackedLinear((n_members,), n_in, sum(task_outputs), bias=bias)
            return
        stack = (n_members, n_tasks)
        self.towers = hidden_layers(stack, (n_in, *sizes), architecture, generators)
        self.last = StackedLinear(stack, sizes[-1], widest, bias=bias)
        columns = [t * widest + c for t, width in enumerate(task_outputs) for c in range(width)]
        padded = len(columns) < n_tasks * widest
        self.register_buffer("columns", torch.tensor(columns) if padded else None)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Outputs of x; heads without bias add ``plus`` (K, b, C) to them."""
        if self.towers is None:
            return self.last.forward(x, plus)  # spares a call's bookkeeping
        n_members, n_tasks = self.last.weight.shape[:2]
        h = self.towers(x.unsqueeze(1).expand(n_members, n_tasks, *x.shape[1:]))
        outputs = self.last(h).transpose(1, 2).flatten(2)  # (K, b, T * widest)
        if self.columns is not None:
            outputs = outputs.index_select(2, self.columns)
        return outputs if plus is None else outputs + plus

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter, as `Network.owners`."""
        by_tower = torch.arange(self.last.weight.shape[1]).view(-1, 1, 1)
        owner = self.owner if self.towers is None else by_tower
        return {name: owner for name, _ in self.named_parameters()}


def shared(module: nn.Module) -> dict[str, Tensor]:
    """Owners of a module that serves every task."""
    return {name: torch.tensor(SHARED) for name, _ in module.named_parameters()}
