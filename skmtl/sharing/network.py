"""The network all schemes build: a body where tasks share, heads where they part, a linear skip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Generator, Tensor, nn

from .base import Architecture, Network
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
    """

    def __init__(self, body: nn.Module, heads: TaskHeads, skip: TaskHeads | None):
        super().__init__()
        self.body, self.heads, self.skip = body, heads, skip

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
        return cls(body, heads, skip)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d)."""
        return self.outputs(self.body(x), x)

    def features(self, x: Tensor) -> Tensor | None:
        """The body's output where all tasks share it, (K, b, h); else None."""
        features = self.body(x)
        return features if features is not x and features.dim() == 3 else None

    def outputs(self, features: Tensor, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of features, and of the inputs through the skip."""
        return self.heads(features, None if self.skip is None else self.skip(x))

    def linear_heads(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Weight and owner of the heads' one matrix product, where they are one."""
        last: Any = self.heads.last
        return (None, None) if self.heads.stacked else (last.weight, last.owner)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.heads.n_tasks


class Towers(nn.Module):
    """The hidden layers of a network per task: (K, b, d) to (K, T, b, h).

    Without hidden layers it hands x on, (K, b, d). Keyword parameters are those of `hidden_layers`.
    """

    def __init__(self, architecture: Architecture, generators: Sequence[Generator], **kwargs: Any):
        super().__init__()
        a = architecture
        self.n_tasks = a.n_tasks
        sizes = (a.n_features, *a.hidden_layer_sizes)
        self.layers = hidden_layers((len(generators), a.n_tasks), sizes, a, generators, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Features of every task."""
        return self.layers(per_copy(x, self.n_tasks)) if len(self.layers) else x
