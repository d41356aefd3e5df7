"""The network of a task as a function of one vector, so that learning is arithmetic on vectors.

Shapes: r rows of a task, d features, m outputs, P parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

# Never in place: these are differentiated twice, and mapped over tasks.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "identity": lambda x: x,
}


class Affine(nn.Module):
    """``activation(x @ weight + bias)``, (r, n_in) to (r, n_out)."""

    def __init__(self, n_in: int, n_out: int, activation: str, generator: torch.Generator):
        super().__init__()
        bound = 1 / math.sqrt(n_in)  # torch's own for nn.Linear

        def draw(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.weight, self.bias = draw(n_in, n_out), draw(n_out)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation](x @ self.weight + self.bias)


class Network(nn.Sequential):
    """Hidden layers and a head; ``sizes`` are features, widths of the hidden layers, outputs."""

    def __init__(self, sizes: Sequence[int], activation: str, generator: torch.Generator):
        kinds = [activation] * (len(sizes) - 2) + ["identity"]
        super().__init__(
            *(
                Affine(n_in, n_out, kind, generator)
                for n_in, n_out, kind in zip(sizes, sizes[1:], kinds, strict=False)
            )
        )

    def flatten(self) -> Tensor:
        """All parameters as a vector (P,), the head's last."""
        return torch.cat([p.detach().flatten() for p in self.parameters()])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Parameters by name, as views of a vector (P,)."""
        shapes = {name: p.shape for name, p in self.named_parameters()}
        parts = vector.split([shape.numel() for shape in shapes.values()])
        return {n: v.view(s) for (n, s), v in zip(shapes.items(), parts, strict=True)}

    def fill(self, vector: Tensor) -> Network:
        """Take the parameters from a vector (P,)."""
        self.load_state_dict(self.unflatten(vector))
        return self

    @property
    def head_start(self) -> int:
        """Where the parameters of the head begin in the vector."""
        *hidden, _ = self.children()
        return sum(p.numel() for layer in hidden for p in layer.parameters())

    def outputs(self, vector: Tensor, x: Tensor) -> Tensor:
        """Outputs (r, m) for rows (r, d) under the parameters (P,)."""
        return functional_call(self, self.unflatten(vector), (x,))


def squared_error(outputs: Tensor, values: Tensor) -> Tensor:
    """Squared error of each row, (r, m) and (r, m) to (r,)."""
    apart = outputs - values
    return (apart * apart).sum(1)


def cross_entropy(outputs: Tensor, values: Tensor) -> Tensor:
    """Cross-entropy of each row with one-hot classes, (r, m) and (r, m) to (r,)."""
    return -(values * outputs.log_softmax(1)).sum(1)


LOSSES = {"regression": squared_error, "classification": cross_entropy}
