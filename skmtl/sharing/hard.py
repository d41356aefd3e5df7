"""The two ends: a network per task, and one trunk for all."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Generator, Tensor

from .base import Architecture, Network, Sharing
from .layers import TaskHeads, hidden_layers, shared


class HardSharing(Sharing):
    """A shared trunk and a head per task (Caruana 1997).

    ``outputs = heads(trunk(x)) + skip(x)``: ``hidden_layer_sizes`` is the trunk,
    ``head_layer_sizes`` the layers each task has to itself on top of it.

    Parameters
    ----------
    linear_skip : bool, default=True
        Add a linear map from the inputs straight to the outputs. What is linear is then learned
        at once and the trunk learns the rest; small tables gain most.

    References
    ----------
    R. Caruana (1997). Multitask learning. Machine Learning 28, 41-75.
    """

    def __init__(self, linear_skip=True):
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        a = architecture
        return TrunkNetwork(
            a, a.hidden_layer_sizes, a.head_layer_sizes, self.linear_skip, generators
        )


class NoSharing(Sharing):
    """A tower per task and nothing in common: single-task networks, trained side by side.

    Each tower has ``hidden_layer_sizes`` and then ``head_layer_sizes``.

    Parameters
    ----------
    linear_skip : bool, default=True
        As in `HardSharing`.
    """

    name = "none"

    def __init__(self, linear_skip=True):
        self.linear_skip = linear_skip

    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return the network; see `Sharing.build`."""
        a = architecture
        towers = (*a.hidden_layer_sizes, *a.head_layer_sizes)
        return TrunkNetwork(a, (), towers, self.linear_skip, generators)


class TrunkNetwork(Network):
    """Trunk, heads and linear skip; without trunk layers, a tower per task."""

    def __init__(
        self,
        architecture: Architecture,
        trunk_sizes: Sequence[int],
        head_sizes: Sequence[int],
        linear_skip: bool,
        generators: Sequence[Generator],
    ):
        super().__init__()
        a = architecture
        sizes = (a.n_features, *trunk_sizes)
        self.trunk = hidden_layers((len(generators),), sizes, a, generators)
        has_skip = linear_skip and bool(trunk_sizes or head_sizes)
        # the skip brings the bias: the heads then add its output in their own matrix product
        self.heads = TaskHeads(sizes[-1], head_sizes, a, generators, bias=not has_skip)
        self.skip = TaskHeads(a.n_features, (), a, generators) if has_skip else None

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d)."""
        return self.heads(self.trunk(x), None if self.skip is None else self.skip(x))

    def features(self, x: Tensor) -> Tensor | None:
        """The trunk's output (K, b, h); None where towers have nothing in common."""
        return self.trunk(x) if len(self.trunk) else None

    def owners(self) -> dict[str, Tensor]:
        """Owner of each parameter; see `Network.owners`."""
        parts = {"trunk": shared(self.trunk), "heads": self.heads.owners()}
        if self.skip is not None:
            parts["skip"] = self.skip.owners()
        return {f"{part}.{name}": o for part, own in parts.items() for name, o in own.items()}
