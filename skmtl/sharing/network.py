"""The network all schemes build: a body where tasks share, heads where they part, a linear skip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from .base import Architecture, Block, Network
from .checks import check_skip
from .layers import Layer, TaskHeads, hidden_layers, per_copy

if TYPE_CHECKING:
    from typing_extensions import Self


class TaskNetwork(Network):
    """``outputs = heads(body(x)) + skip(x)``.

    Parameters
    ----------
    body : nn.Module
        Maps inputs (K, b, d) to features: (K, b, h) that all tasks share, or (K, T, b, h).
    heads, skip : TaskHeads
        Outputs (K, b, C) of the features, and of the inputs; no skip where a task is a linear
        model without it.
    constants : Constants, default=None
        What stands in place of the outputs that do not depend on the inputs, if any.
    """

    def __init__(
        self,
        body: nn.Module,
        heads: TaskHeads,
        skip: TaskHeads | None,
        constants: Constants | None = None,
    ):
        super().__init__()
        self.body, self.heads, self.skip, self.constants = body, heads, skip, constants

    @classmethod
    def around(
        cls,
        body: nn.Module,
        architecture: Architecture,
        generators: Sequence[Generator],
        *,
        linear_skip: bool,
        per_task: bool,
        kinds: Sequence[Layer] | None = None,
        last: Layer | None = None,
    ) -> Self:
        """Put heads and skip around a body whose last width is the last hidden layer's.

        ``per_task``, ``kinds`` and ``last`` as in `TaskHeads`.
        """
        check_skip(linear_skip)
        a = architecture
        n_in = (a.n_features, *a.hidden_layer_sizes)[-1]
        # without hidden layers every task is linear already
        has_skip = linear_skip and bool(a.hidden_layer_sizes or a.head_layer_sizes)
        has_skip = has_skip and a.trunk is None
        skip = TaskHeads(a.n_features, (), a, generators, last=last) if has_skip else None
        # the skip brings the bias: the heads then add its output in their own matrix product
        heads = TaskHeads(
            n_in,
            a.head_layer_sizes,
            a,
            generators,
            bias=skip is None,
            per_task=per_task,
            kinds=kinds,
            last=last,
        )
        constants = Constants(a, len(generators)) if any(a.task_constants) else None
        return cls(body, heads, skip, constants)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d)."""
        return self.outputs(self.body(x), x)

    def features(self, x: Tensor) -> Tensor | None:
        """The body's output where all tasks share it, (K, b, h); else None."""
        features = self.body(x)
        return features if features is not x and features.dim() == 3 else None

    def outputs(self, features: Tensor, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of features, and of the inputs through the skip."""
        outputs = self.heads(features, None if self.skip is None else self.skip(x))
        return outputs if self.constants is None else self.constants(outputs)

    def linear_heads(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Weight and owner of the heads' one matrix product, where they are one."""
        last: Any = self.heads.last
        return (
            (None, None) if self.heads.stacked else (last.weight, last.owner.to(last.weight.device))
        )

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.heads.n_tasks


class Constants(Block):
    """Puts numbers that are learned, but do not depend on the inputs, in place of some outputs.

    The weights behind these outputs get no gradient, so they stay at the zero they start from.
    """

    keep: Tensor

    def __init__(self, architecture: Architecture, n_members: int):
        super().__init__()
        outputs, constants = architecture.task_outputs, architecture.task_constants
        keep = [c < n - m for n, m in zip(outputs, constants, strict=True) for c in range(n)]
        self.register_buffer("keep", torch.tensor(keep))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, len(keep)))
        self.owner = torch.repeat_interleave(torch.arange(len(outputs)), torch.tensor(outputs))

    def forward(self, outputs: Tensor) -> Tensor:
        """Outputs (K, b, C), with the constants in their places."""
        return torch.where(self.keep, outputs, self.bias)

    def owners(self) -> dict[str, Tensor]:
        """Each is its task's."""
        return {"bias": self.owner}


class Towers(nn.Module):
    """The hidden layers of a network per task: (K, b, d), or (K, T, b, d), to (K, T, b, h).

    Without hidden layers it hands x on. Keyword parameters are those of `hidden_layers`.
    """

    def __init__(self, architecture: Architecture, generators: Sequence[Generator], **kwargs: Any):
        super().__init__()
        a = architecture
        self.n_tasks = a.n_tasks
        sizes = (a.n_features, *a.hidden_layer_sizes)
        self.layers = hidden_layers((len(generators), a.n_tasks), sizes, a, generators, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        if not len(self.layers):
            return x
        return self.layers(per_copy(x, self.n_tasks) if x.dim() == 3 else x)
