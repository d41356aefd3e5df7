"""Layers whose parameters carry a leading stack of independent copies.

A layer of stack shape ``(K,)`` holds K members; ``(K, T)`` holds a copy per member and task. All
copies are one batched matrix product. Weights are drawn per member and shared by the copies
inside it: towers of one member start equal, so the order of the tasks carries no information.
Last layers start at zero, for the same reason: the first predictions are the target's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .base import SHARED, Architecture, Block, by_member

# In place where a derivative needs the result only: the input is a fresh product nobody else reads.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh_,
    "logistic": torch.sigmoid_,
    "identity": lambda x: x,
}


THIN = 8  # columns up to which a product on a CPU is better transposed
MANY = 1000  # rows, of all copies, from which that saves more than its call costs
Layer = Callable[..., nn.Module]  # makes a layer from the parameters of `StackedLinear`


def affine(
    x: Tensor, weight: Tensor, added: Tensor | None, activate: Callable[[Tensor], Tensor]
) -> Tensor:
    """``activate(x @ weight + added)`` per copy: (*stack, b, n_in) to (*stack, b, n_out).

    The activation sees the product as it came: in place on a view, autograd would copy it.
    """
    if x.dim() == 3:
        return activate(product(x, weight, added))
    x, weight, stack = x.flatten(0, -3), weight.flatten(0, -3), x.shape[:-2]
    added = None if added is None else added.flatten(0, -3)
    return activate(product(x, weight, added)).unflatten(0, stack)


def product(x: Tensor, weight: Tensor, added: Tensor | None) -> Tensor:
    """``x @ weight + added`` per copy, (S, b, n_in) to (S, b, n_out)."""
    if weight.shape[-1] <= THIN and x.is_cpu and _many(x):
        multiply = ThinProduct.apply if torch.is_grad_enabled() else thin_product
        return multiply(x, weight, added)
    return torch.bmm(x, weight) if added is None else torch.baddbmm(added, x, weight)


def _many(x: Tensor) -> bool:
    """Whether x has many rows; a graph that is exported is for any number of them."""
    return not torch.compiler.is_compiling() and x.shape[0] * x.shape[1] >= MANY


def thin_product(x: Tensor, weight: Tensor, added: Tensor | None) -> Tensor:
    """`product` for few columns, in the order of memory of targets, which it is compared with."""
    if added is None:
        return torch.bmm(weight.mT, x.mT).mT.contiguous()
    return torch.baddbmm(added.mT, weight.mT, x.mT).mT.contiguous()


class ThinProduct(torch.autograd.Function):
    """`thin_product` with gradients: (S, b, n), (S, n, m) and (S, b or 1, m) to (S, b, m).

    A product whose result has few columns is slow, and so are its gradients; with the rows of the batch
    last all three are fast (b=256, n=64, m=4, with gradients: S=8 0.24 against 0.48 ms, S=100 2.2
    against 7.1).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, added: Tensor | None) -> Tensor:
        """Multiply."""
        ctx.save_for_backward(x, weight)
        ctx.one_for_all = added is not None and added.shape[1] < x.shape[1]
        return thin_product(x, weight, added)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients of all three."""
        x, weight = ctx.saved_tensors
        if x.dtype != gradient.dtype or weight.dtype != gradient.dtype:  # under autocast
            x, weight = x.to(gradient), weight.to(gradient)
        outer = own = below = None
        if ctx.needs_input_grad[0]:
            thin = weight.shape[-1] == 1
            outer = gradient * weight.mT if thin else torch.bmm(gradient, weight.mT)
        if ctx.needs_input_grad[1]:
            own = torch.bmm(gradient.mT, x).mT.contiguous()
        if ctx.needs_input_grad[2]:
            below = gradient.sum(1, keepdim=True) if ctx.one_for_all else gradient
        return outer, own, below


class StackedLinear(Block):
    """Affine map per copy, and an activation, in one matrix product.

    Parameters
    ----------
    stack : tuple of int
        Members first.
    n_in, n_out : int
        (*stack, b, n_in) becomes (*stack, b, n_out).
    generators : list of Generator, default=None
        One a member. None: the weights start at zero.
    bias : bool, default=True
    activation : str, default="identity"
        Key of `ACTIVATIONS`. In this module, since a module's call costs like a product.
    distinct : bool, default=False
        Whether the copies along the last dimension of the stack start different, as experts must.
    owner : Tensor, default=None
        Whose the parameters are; see `Block.owners`. None: everybody's.
    made_for : Tensor, default=None
        For whom they were made; see `Block.made_for`. None: for their owner.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        stack: tuple[int, ...],
        n_in: int,
        n_out: int,
        generators: Sequence[Generator] | None = None,
        *,
        bias: bool = True,
        activation: str = "identity",
        distinct: bool = False,
        owner: Tensor | None = None,
        made_for: Tensor | None = None,
    ):
        super().__init__()
        weight = torch.zeros(*stack, n_in, n_out)
        if generators is not None:
            draw_weights(weight, generators, stack[-1] if distinct else 1)
        self.weight = nn.Parameter(weight)
        initial = nn.Parameter(torch.zeros(*stack, 1, n_out)) if bias else None
        self.register_parameter("bias", initial)
        self.activation = activation
        self.owner = torch.tensor(SHARED) if owner is None else owner
        self.copy_of = self.owner if made_for is None else made_for

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Map x; a layer without bias adds ``plus`` (*stack, b, n_out) in the same product."""
        own: Any = self._parameters  # where `self.weight` looks last, after everywhere else
        bias = own["bias"]
        added = plus if bias is None else bias
        return affine(x, own["weight"], added, ACTIVATIONS[self.activation])

    def effective_weight(self) -> Tensor:
        """Weights (*stack, n_in, n_out) that map inputs, from whatever parameters make them up."""
        return self.weight

    def compared_weight(self) -> Tensor:
        """Weights by which towers are compared: without what they all have in common, if known."""
        return self.effective_weight()

    def owners(self) -> dict[str, Tensor]:
        """One owner for all."""
        return {name: self.owner for name, _ in self.named_parameters(recurse=False)}

    def made_for(self) -> dict[str, Tensor]:
        """One task's copy, or everybody's."""
        return {name: self.copy_of for name, _ in self.named_parameters(recurse=False)}

    def extra_repr(self) -> str:
        """Show the stack and the sizes."""
        *stack, n_in, n_out = self.weight.shape
        return (
            f"{n_in}, {n_out}, stack={tuple(stack)}, bias={self.bias is not None}, "
            f"activation={self.activation!r}"
        )


def draw_weights(weight: Tensor, generators: Sequence[Generator], n_distinct: int = 1) -> None:
    """Fill a weight (K, ..., n_in, n_out) by Glorot & Bengio (2010), as `MLPRegressor` does.

    Every member has its own generator. ``n_distinct`` draws differ along the last dimension of the
    stack; along those between it and the members, weights are equal.
    """
    n_in, n_out = weight.shape[-2:]
    bound = math.sqrt(6.0 / (n_in + n_out))
    for member, generator in zip(weight, generators, strict=True):
        draws = [
            torch.empty(n_in, n_out, dtype=torch.float64).uniform_(
                -bound, bound, generator=generator
            )
            for _ in range(n_distinct)
        ]
        member.copy_(torch.stack(draws) if n_distinct > 1 else draws[0])


class SeededDropout(Block):
    """Dropout whose masks come from a member's own generator, alone or in any stack.

    ``generators`` is set by the trainer, one a member; torch's global generator is not touched.
    """

    settings = ("p",)
    p: float | Tensor

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.generators: list[Generator] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        mask = torch.empty_like(x, memory_format=torch.contiguous_format)
        n_members = len(self.generators)
        each = self.p.tolist() if isinstance(self.p, Tensor) else [self.p] * n_members
        for member, p, generator in zip(mask, each, self.generators, strict=True):
            member.bernoulli_(1 - p, generator=generator)
        return x * mask.div_(1 - by_member(self.p, x.dim()))

    def owners(self) -> dict[str, Tensor]:
        """None trains it."""
        return {name: torch.tensor(SHARED) for name, _ in self.named_parameters(recurse=False)}


def hidden_layers(
    stack: tuple[int, ...],
    sizes: Sequence[int],
    architecture: Architecture,
    generators: Sequence[Generator],
    *,
    kinds: Sequence[Layer] | None = None,
    **kwargs: Any,
) -> nn.Sequential:
    """Hidden layers ``sizes[0] -> sizes[1] -> ...``, each followed by activation and dropout.

    ``kinds`` are the classes of the layers, one each, if not all are `StackedLinear`; ``kwargs`` are
    keyword parameters of `StackedLinear`.
    """
    layers: list[nn.Module] = []
    kinds = [StackedLinear] * (len(sizes) - 1) if kinds is None else kinds
    for kind, n_in, n_out in zip(kinds, sizes[:-1], sizes[1:], strict=True):
        layers.append(
            kind(stack, n_in, n_out, generators, activation=architecture.activation, **kwargs)
        )
        if architecture.dropout:
            layers.append(SeededDropout(architecture.dropout))
    return nn.Sequential(*layers)


class TaskHeads(nn.Module):
    """Everything that belongs to one task alone, from features to the outputs (K, b, C).

    Heads without hidden layers on shared features (K, b, h) are one matrix product. All others are
    a tower per task, all of one shape, stacked (K, T); their last layers are padded to the widest
    task.

    Parameters
    ----------
    n_in : int
        Width h of the features.
    sizes : sequence of int
        Hidden layers of every head.
    architecture : Architecture
    generators : list of Generator
    bias : bool, default=True
        Without bias, `forward` adds its ``plus``.
    per_task : bool, default=False
        Whether every task has features of its own, (K, T, b, h).
    kinds : sequence of class, default=None
        Of the hidden layers, as in `hidden_layers`.
    last : class, default=None
        Of the last layer, where it is not just a `StackedLinear`.
    """

    def __init__(
        self,
        n_in: int,
        sizes: Sequence[int],
        architecture: Architecture,
        generators: Sequence[Generator],
        *,
        bias: bool = True,
        per_task: bool = False,
        kinds: Sequence[Layer] | None = None,
        last: Layer | None = None,
    ):
        super().__init__()
        a = architecture
        self.n_tasks = a.n_tasks
        self.stacked = per_task or bool(sizes) or last is not None
        if not self.stacked:
            owner = torch.repeat_interleave(torch.arange(a.n_tasks), torch.tensor(a.task_outputs))
            self.last: nn.Module = StackedLinear(
                (len(generators),), n_in, sum(a.task_outputs), bias=bias, owner=owner
            )
            return
        stack, widest = (len(generators), a.n_tasks), max(a.task_outputs)
        self.towers = hidden_layers(
            stack, (n_in, *sizes), a, generators, kinds=kinds, owner=a.task_owner
        )
        make_last = StackedLinear if last is None else last
        self.last = make_last(stack, (n_in, *sizes)[-1], widest, bias=bias, owner=a.task_owner)
        columns = [t * widest + c for t, width in enumerate(a.task_outputs) for c in range(width)]
        padded = len(columns) < a.n_tasks * widest
        self.register_buffer("columns", torch.tensor(columns) if padded else None)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Outputs of x; heads without bias add ``plus`` (K, b, C) to them."""
        if not self.stacked:
            return self.last.forward(x, plus)  # spares a call's bookkeeping
        if x.dim() == 3:
            x = per_copy(x, self.n_tasks)
        outputs = self.last(self.towers(x)).transpose(1, 2).flatten(2)  # (K, b, T * widest)
        if self.columns is not None:
            outputs = outputs.index_select(2, self.columns)
        return outputs if plus is None else outputs + plus


def per_copy(x: Tensor, n_copies: int) -> Tensor:
    """View of x (K, b, h) for every copy, (K, n_copies, b, h)."""
    return x.unsqueeze(1).expand(-1, n_copies, -1, -1)
