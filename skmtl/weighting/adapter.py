"""The one place that knows torchjd: its methods by name, made for a number of tasks.

A method that a later torchjd brings is one line in `SCALARIZERS` or `AGGREGATORS`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torchjd import aggregation, scalarization
from torchjd.aggregation import GramianWeightedAggregator, WeightedAggregator

from skmtl._checks import named
from skmtl._global_generator import drawn_from

from .solvers import MinNorm, NNLSProjector, OrderedProjections

Make = Callable[[int], Any]  # from a number of tasks to an object of torchjd

# Where a paper leaves a parameter open, the value here is stated in docs/weighting.md.
SCALARIZERS: dict[str, Make] = {
    "uw": scalarization.UW,
    "dwa": lambda _: scalarization.DWA(),
    "imtl_l": scalarization.IMTLL,
    "geometric_mean": lambda _: scalarization.GeometricMean(),
    "random": lambda _: scalarization.Random(),
    "stch": lambda _: scalarization.STCH(mu=0.1),
    "pbi": lambda n: scalarization.PBI(theta=5.0, weights=torch.ones(n)),
    "cosmos": lambda n: scalarization.COSMOS(lambda_=1.0, weights=torch.ones(n)),
    "mean": lambda _: scalarization.Mean(),
    "sum": lambda _: scalarization.Sum(),
}
AGGREGATORS: dict[str, Make] = {
    "upgrad": lambda _: aggregation.UPGrad(projector=NNLSProjector()),
    "dualproj": lambda _: aggregation.DualProj(projector=NNLSProjector()),
    "mgda": lambda _: GramianWeightedAggregator(MinNorm()),
    "pcgrad": lambda _: GramianWeightedAggregator(OrderedProjections()),
    "cagrad": lambda _: aggregation.CAGrad(c=0.4),
    "nash_mtl": aggregation.NashMTL,
    "aligned_mtl": lambda _: aggregation.AlignedMTL(),
    "imtl_g": lambda _: aggregation.IMTLG(),
    "gradvac": lambda _: aggregation.GradVac(),
    "graddrop": lambda _: aggregation.GradDrop(),
    "config": lambda _: aggregation.ConFIG(),
    "fairgrad": lambda _: aggregation.FairGrad(alpha=1.0, max_iters=50),
    # heads start at zero, so the first gradients are no baseline: it is a mean over sixty steps
    "excess_mtl": lambda _: aggregation.ExcessMTL(robust_step_size=0.01, n_warmup_steps=60),
    "pcd": lambda _: aggregation.PCD(),
}
# What a name cannot stand for, and why.
NEEDS_AN_OBJECT = {
    "constant": "its weights are yours to say: loss_weights takes them as a dict or an array",
    "krum": "it must be told how many tasks are adversarial: pass torchjd.aggregation.Krum(...)",
    "trimmed_mean": "it must be told how much to trim: pass torchjd.aggregation.TrimmedMean(...)",
}
# Their weights are the same at every step of an epoch.
STEADY = (scalarization.DWA,)
# Gradients of one coordinate are compared from step to step: rows of a batch are no coordinates.
BY_COORDINATE = (aggregation.ExcessMTL,)


def is_scalarizer(value: Any) -> bool:
    """Whether an object turns losses into one.

    Examples
    --------
    >>> from torchjd.aggregation import MGDA
    >>> from torchjd.scalarization import STCH
    >>> from skmtl.weighting import is_scalarizer
    >>> is_scalarizer(STCH(mu=0.5)), is_scalarizer(MGDA())
    (True, False)
    """
    return isinstance(value, scalarization.Scalarizer)


def is_aggregator(value: Any) -> bool:
    """Whether an object turns gradients into one.

    Examples
    --------
    >>> from torchjd.aggregation import MGDA
    >>> from torchjd.scalarization import STCH
    >>> from skmtl.weighting import is_aggregator
    >>> is_aggregator(STCH(mu=0.5)), is_aggregator(MGDA())
    (False, True)
    """
    return isinstance(value, aggregation.Aggregator)


def is_part(value: Any) -> bool:
    """Whether an object is the inner part of an aggregator, which is not what is asked for.

    Examples
    --------
    >>> from torchjd.aggregation import MGDA, MGDAWeighting
    >>> from skmtl.weighting import is_part
    >>> is_part(MGDAWeighting()), is_part(MGDA())
    (True, False)
    """
    return isinstance(value, aggregation.Weighting)


def only_gramian(aggregator: Any) -> bool:
    """Whether an aggregator finds weights from the Gramian alone."""
    return isinstance(aggregator, GramianWeightedAggregator)


def only_weighs(aggregator: Any) -> bool:
    """Whether the aggregate is a weighted sum of the gradients."""
    return isinstance(aggregator, WeightedAggregator)


def make(
    method: Any, table: dict[str, Make], n_tasks: int, positions: Sequence[int], like: Tensor
) -> Any:
    """An object of its own for the tasks at these positions of the target table.

    ``method`` is a key of ``table``, or an object for all ``n_tasks``, which is copied. Its numbers
    are of the dtype, and on the device, of ``like``.
    """
    if isinstance(method, str):
        own = _moved(table[named(method, table) or method](len(positions)), like)
    else:
        own = _moved(copy.deepcopy(method), like)
        if len(positions) < n_tasks:
            own = _fitting(restricted(own, n_tasks, torch.tensor(positions)), positions, like)
    if isinstance(
        own, aggregation.NashMTL
    ):  # pragma: no cover - its solver, under the GPL, is no dependency
        if len(positions) == 1:  # one is no bargain, and its solver fails on it
            return aggregation.Sum()
        own.n_tasks = len(positions)
        own.reset()
    return own


def check(method: Any, table: dict[str, Make], kind: type, parameter: str) -> None:
    """Raise unless ``method`` is a name in the table or an object of this kind."""
    accepted = f"Parameter {parameter} must be one of {list(table)} or a torchjd {kind.__name__}"
    if isinstance(method, str):
        if named(method, table) is None:
            raise ValueError(f"{accepted}. Found {method!r}.")
    elif not isinstance(method, kind):
        found = "a class: pass an object of it" if isinstance(method, type) else repr(method)
        raise TypeError(f"{accepted}. Found {found}.")


def _fitting(aggregator: Any, positions: Sequence[int], like: Tensor) -> Any:
    """An aggregator that takes so few tasks: the one cut down to them, else their mean."""
    if isinstance(aggregator, aggregation.PCD) and isinstance(aggregator.tau, Tensor):
        aggregator = copy.deepcopy(aggregator)  # one entry for each task but the first
        aggregator.tau = aggregator.tau[[p - 1 for p in positions[1:]]]
    if not is_aggregator(aggregator):
        return aggregator
    try:
        with drawn_from(Generator()):
            copy.deepcopy(aggregator)(torch.eye(len(positions)).to(like))
    except ValueError:
        return GramianWeightedAggregator(aggregation.MeanWeighting())
    return aggregator


def _moved(module: nn.Module, like: Tensor) -> nn.Module:
    """Move parameters and buffers, and the plain tensors that `Module.to` leaves where they are."""
    for part in module.to(like).modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                vars(part)[name] = value.to(like)
    return module


def restricted(
    module: nn.Module, n_tasks: int, positions: Tensor, known: dict[nn.Module, Any] | None = None
) -> Any:
    """A view of a torchjd object for some of its tasks.

    Vectors with an entry per task (weights, reference points, learned scales, earlier losses) are cut
    down to them; gradients reach the parameters of the original. ``known`` has what was restricted
    before: a part that stands in two places stays one.
    """
    known = {} if known is None else known
    if module in known:
        return known[module]
    part = known[module] = copy.copy(module)
    for store in ("_parameters", "_buffers", "_modules"):
        part.__dict__[store] = dict(part.__dict__[store])
    for values in (part.__dict__, part._parameters, part._buffers):
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == (n_tasks,):
                values[name] = value[positions.to(value.device)]  # type: ignore[assignment]
            elif isinstance(value, list) and all(isinstance(v, Tensor) for v in value):
                values[name] = [v[positions.to(v.device)] for v in value]  # type: ignore[assignment]
    for name, child in part._modules.items():
        if child is not None:
            part._modules[name] = restricted(child, n_tasks, positions, known)
    return part


def probe(method: Any, argument: Tensor, weighting: Any) -> bool:
    """Whether an object of torchjd draws random numbers.

    Raises
    ------
    ValueError
        If it does not fit the number of tasks.
    """
    generator = Generator()
    before = generator.get_state()
    try:
        with drawn_from(generator):
            copy.deepcopy(method)(argument)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"Parameter loss_weights={weighting!r} does not fit {len(argument)} tasks: {error}"
        ) from error
    return not torch.equal(generator.get_state(), before)


class Order:
    """The way between the engine's order of tasks and the table's, free where they are the same."""

    def __init__(self, task_order: Sequence[int], device: Any):
        self._engine = torch.tensor(task_order, device=device)
        self._table = self._engine.argsort()
        self.same = torch.equal(self._engine, self._table.sort()[0])

    def to_table(self, by_task: Tensor, dim: int = 1) -> Tensor:
        """By position in the table, along ``dim``."""
        return by_task if self.same else by_task.index_select(dim, self._table)

    def to_engine(self, by_task: Tensor) -> Tensor:
        """Back again, along dimension 1."""
        return by_task if self.same else by_task.index_select(1, self._engine)


def fresh(generators: Sequence[Generator], *, draws: bool) -> list[Generator | None]:
    """Generators for the draws of a method, if any, so that they do not shift those of batches."""
    return [Generator().manual_seed(g.initial_seed() + 1) if draws else None for g in generators]
