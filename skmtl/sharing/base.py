"""The contracts of a sharing scheme, of the network it builds and of the blocks in it.

Shapes: K members, b rows, d features, C outputs of all tasks together, T tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Generator, Tensor, nn

from .lineage import Lineage, inherit_entries

SHARED = -1  # owner of a parameter that serves every task


@dataclass(frozen=True)
class TrunkPlan:
    """A trunk that is given: what makes one, and what goes in and out.

    Plans are equal if ``identity``, shape, kind and width of what they make are; ``alone`` says that
    two of equal identity may still differ, so that they are not trained in one stack.
    """

    make: Callable[[], nn.Module] = field(repr=False, compare=False)
    identity: str
    input_shape: tuple[int, ...]
    integers: bool
    width: int
    alone: bool = field(default=False, repr=False, compare=False)


@dataclass(frozen=True)
class Architecture:
    """What the estimator's parameters and the data ask of a network.

    Tasks stand in the engine's order: ``task_outputs`` lists the output columns of each,
    ``task_kinds`` a number that tasks of one kind share (their output layers can be compared),
    ``task_order`` where each stands in the target table, and ``task_constants`` how many of its
    columns, the last ones, do not depend on the inputs (none where it is empty). With a ``trunk``,
    ``n_features`` is its width: schemes build on its features, without a linear skip.

    Examples
    --------
    >>> from skmtl.sharing import Architecture
    >>> a = Architecture(
    ...     n_features=4,
    ...     task_outputs=(1, 3),  # a regression, and three classes
    ...     hidden_layer_sizes=(8,),
    ...     head_layer_sizes=(),
    ...     activation="relu",
    ...     dropout=0.0,
    ...     task_kinds=(0, 1),
    ...     task_order=(0, 1),
    ... )
    >>> a.n_tasks
    2
    """

    n_features: int
    task_outputs: tuple[int, ...]
    hidden_layer_sizes: tuple[int, ...]
    head_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    task_kinds: tuple[int, ...]
    task_order: tuple[int, ...]
    task_constants: tuple[int, ...] = ()
    trunk: TrunkPlan | None = None

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_outputs)

    @property
    def task_owner(self) -> Tensor:
        """Owners (T, 1, 1) of parameters with a copy per task."""
        return torch.arange(self.n_tasks).view(-1, 1, 1)


class Sharing(BaseEstimator, ABC):
    """How tasks share parameters. Immutable configuration; `build` makes the network.

    Examples
    --------
    >>> from skmtl.sharing import HardSharing, Sharing
    >>> class Straight(HardSharing):
    ...     def __init__(self):
    ...         super().__init__(linear_skip=False)
    >>> isinstance(Straight(), Sharing)
    True
    """

    @abstractmethod
    def build(self, architecture: Architecture, generators: Sequence[Generator]) -> Network:
        """Return a network of ``len(generators)`` members, member k drawn from generator k.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the scheme has no meaning for these layers.
        """

    def gathered(self, n_tasks: int) -> Sharing | None:
        """Return the scheme that looks at the heads of a batch's rows only, for very many tasks.

        Its network finds the task of each row in the last column of the inputs. None: there is no
        such scheme, and every row goes through every head.
        """
        return None

    def trunk_layer(self, architecture: Architecture, stacked: Any) -> Callable[..., nn.Module]:
        """What makes a layer of the given trunk from the members' generators and the plan.

        ``stacked`` is `StackedModule`, in the room's ``trunk.py``: by default one copy, which all tasks
        share; a scheme of towers gives each task one, ``partial(stacked, n_copies=..., owner=...)``.
        """
        return stacked


class Block(nn.Module, ABC):
    """A module with parameters of its own, of which it knows whose they are.

    ``settings`` names attributes, floats, that may differ between the members of a stack: there each
    is a parameter (K,) that is not trained; see `by_member`.

    Examples
    --------
    >>> import torch
    >>> from skmtl.sharing import SHARED, Block
    >>> class Scale(Block):
    ...     def __init__(self, n_members):
    ...         super().__init__()
    ...         self.factor = torch.nn.Parameter(torch.ones(n_members, 1, 1))
    ...
    ...     def owners(self):
    ...         return {"factor": torch.tensor(SHARED)}
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Scale(2)(torch.ones(2, 5, 3)).shape
    torch.Size([2, 5, 3])
    """

    settings: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def owners(self) -> dict[str, Tensor]:
        """Task that each parameter serves, by name; not those of modules inside.

        Integers that broadcast against the parameter: a task's position in the engine's order, or
        `SHARED`.
        """

    def made_for(self) -> dict[str, Tensor]:
        """Task for which each parameter was made, also where it came to serve others; as `owners`.

        What it leaves out, a network for other tasks does not take over.
        """
        return self.owners()

    def inherit(self, source: Any, lineage: Lineage) -> set[str]:
        """Start from the block that stands here in a fitted network of other tasks.

        Returns the parameters that serve all tasks and were taken: those that rest with a frozen
        trunk. See `inherit_entries` for what is taken.
        """
        return inherit_entries(self, source, lineage)

    def penalty(self) -> Tensor | None:
        """What is added to each member's loss, (K,); None: nothing."""
        return None

    def penalise(self) -> None:
        """Add the gradient of `penalty` to that of the parameters; a closed form spares a graph."""
        penalty = self.penalty()
        if penalty is not None and penalty.requires_grad:
            penalty.sum().backward()

    def decay(self) -> dict[str, float]:
        """Factors f of penalties ``f / 2 * ||p||^2`` by parameter name; they cost the step nothing."""
        return {}

    def anneal(self) -> None:
        """Called before every epoch of training, the first too: step a temperature, if any."""


def add_to_gradient(p: nn.Parameter, term: Tensor, factor: float | Tensor) -> None:
    """Add a term to the gradient of a parameter that trains, ``factor`` times, or (K,) times."""
    if not p.requires_grad:
        return
    if isinstance(factor, Tensor):
        gradient_of(p).addcmul_(term, by_member(factor, p.dim()))
    else:
        gradient_of(p).add_(term, alpha=factor)


def gradient_of(p: nn.Parameter) -> Tensor:
    """Gradient of a parameter, to be added to; zeros where there was none."""
    if p.grad is None:
        p.grad = torch.zeros_like(p)
    return p.grad


def by_member(setting: float | Tensor, n_dims: int) -> Any:
    """A setting that broadcasts to a tensor (K, ...) of so many dimensions."""
    return setting.view(-1, *[1] * (n_dims - 1)) if isinstance(setting, Tensor) else setting


class Network(nn.Module, ABC):
    """K independent networks as one: every parameter's first dimension is the member.

    Parameters belong to the `Block`s inside. One that is no subject of training (a temperature) has
    ``requires_grad=False``: it then leaves and returns with its member like any other.

    ``gathers`` says whether gradients of heads are sparse, of the tasks in the batch.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn.preprocessing import scale
    >>> from skmtl import MultiTaskRegressor
    >>> X, y = load_linnerud(return_X_y=True)
    >>> est = MultiTaskRegressor(n_members=2, max_iter=5, random_state=0).fit(scale(X), y)
    >>> network = est.module_.network
    >>> shared, own = network.parameters_by_sharing()
    >>> all(len(p) == 2 for p in [*shared, *own])  # the first dimension is the member
    True
    """

    gathers: bool = False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Outputs (K, b, C) of inputs (K, b, d); the columns of all tasks side by side."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor | None:
        """The shared representation (K, b, h) where tasks part; None if there is none."""

    @abstractmethod
    def outputs(self, features: Tensor, x: Tensor) -> Tensor:
        """What `forward` makes of x if these are the `features`; they may be a task's each.

        (K, b, h), or (K, T, b, h) unless there are `linear_heads`.
        """

    @abstractmethod
    def linear_heads(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Weight (K, h, C) of the heads and task (C,) of each column, if all heads are linear."""

    def penalty(self) -> Tensor | None:
        """What the blocks add to each member's loss beside their `decay`, (K,); None: nothing."""
        penalties: list[Any] = [block.penalty() for block in self._penalised()]
        return reduce(torch.add, penalties) if penalties else None

    def penalise(self) -> None:
        """Add the gradient of the `penalty` to those of the parameters."""
        for block in self._penalised():
            block.penalise()

    def _penalised(self) -> list[Block]:
        if not hasattr(self, "_with_penalty"):  # found once: this is asked at every step
            self._with_penalty = [b for b in self._blocks() if b.penalty() is not None]
        return self._with_penalty

    def anneal(self, trunk: nn.Module | None = None) -> None:
        """Tell the blocks that an epoch of training begins; ``trunk`` is what the network stands on."""
        for block in self._blocks():
            block.anneal()

    def decay(self) -> dict[str, float]:
        """Factors of the blocks' quadratic penalties, by parameter name."""
        return self._by_parameter(lambda block: block.decay())

    def owners(self) -> dict[str, Tensor]:
        """Task that each parameter serves, by parameter name; see `Block.owners`.

        Penalties, freezing and surgery per task are all read from it.
        """
        return self._by_parameter(lambda block: block.owners())

    def parameters_by_sharing(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Trained parameters that serve more than one task, and those that serve one."""
        if not hasattr(self, "_by_sharing"):  # found once: this is called at every step
            owners, parts = self.owners(), ([], [])  # type: ignore[var-annotated]
            for name, p in self.named_parameters():
                if p.requires_grad:
                    parts[not (owners[name] == SHARED).any()].append(p)
            self._by_sharing = parts
        return self._by_sharing

    def named_blocks(self) -> list[tuple[str, Block]]:
        """Blocks by their path, in the order of the data's way."""
        return [(path, m) for path, m in self.named_modules() if isinstance(m, Block)]

    def _blocks(self) -> list[Block]:
        return [module for module in self.modules() if isinstance(module, Block)]

    def _by_parameter(self, ask: Callable[[Block], dict[str, Any]]) -> dict[str, Any]:
        """What every block answers for its own parameters, under their names in the network."""
        return {
            f"{path}.{name}": answer
            for path, block in self.named_modules()
            if isinstance(block, Block)
            for name, answer in ask(block).items()
        }
