"""The contract of a trunk: how X becomes rows of numbers, and the module that sees them.

Shapes: n rows of X, d numbers of an encoded row, b rows of a batch, h features.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn

from skmtl._global_generator import kept

if TYPE_CHECKING:
    from typing_extensions import Self

ACCEPTED = (
    "None, a torch nn.Module, a function from the shape of a row to one, or a Trunk "
    "(ConvTrunk, TextTrunk, TabularTrunk)"
)


class Trunk(BaseEstimator, ABC):
    """What a network sees of X before tasks part. Configuration; `build` makes the module.

    Attributes
    ----------
    input_shape_ : tuple of int
        Shape of a row, as the module gets it; after `prepare`.
    integers_ : bool
        Whether the module gets int64; else it gets float32.

    Examples
    --------
    A trunk of one's own:

    >>> from torch import nn
    >>> from skmtl.trunks import Trunk
    >>> class Folded(Trunk):
    ...     def build(self, input_shape):
    ...         return nn.Sequential(nn.Linear(*input_shape, 4), nn.ReLU())
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(30, 3))
    >>> from skmtl import MultiTaskRegressor
    >>> est = MultiTaskRegressor(trunk=Folded(), n_members=1, max_iter=2, random_state=0)
    >>> est.fit(X, X[:, :2]).predict(X).shape
    (30, 2)
    """

    takes_tables: ClassVar[bool] = False  # X comes as the user's table, not as a checked array
    alone: ClassVar[bool] = False  # fits are stacked with no others: parameters do not say it all
    input_shape_: tuple[int, ...]
    integers_: bool = False

    def prepare(self, X: Any) -> Self:
        """Learn from the rows to train on what `encode` and `build` need.

        Parameters
        ----------
        X : ndarray of shape (n, ...), or a table where ``takes_tables``

        Returns
        -------
        self : Trunk

        Raises
        ------
        ValueError
            If X is not what this trunk takes.
        """
        self.input_shape_ = tuple(X.shape[1:])
        return self

    def encode(self, X: Any) -> np.ndarray:
        """Rows as numbers, (n, d) with d the product of ``input_shape_``; no copy where none is due.

        Raises
        ------
        ValueError
            If rows are not shaped like those of `prepare`.
        """
        if tuple(X.shape[1:]) != self._shape_of_rows():
            raise ValueError(
                f"X has rows of shape {tuple(X.shape[1:])}, but {type(self).__name__} was fitted on "
                f"rows of shape {self._shape_of_rows()}."
            )
        return X.reshape(len(X), -1)

    def _shape_of_rows(self) -> tuple[int, ...]:
        """What X.shape[1:] must be."""
        return self.input_shape_

    @abstractmethod
    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return a module, with fresh weights drawn from torch's global generator.

        It maps ``(b, *input_shape)`` to features (b, h). The estimator seeds the generator, once a
        member, and sets it back.

        Raises
        ------
        ValueError
            If a parameter is out of range, or does not go with this shape.
        """


class ModuleTrunk(Trunk):
    """A module of the user's, or a function that makes one.

    Parameters
    ----------
    module : nn.Module or callable
        A module is where every member starts, weights included. A callable is given the shape of a
        row, ``(64,)`` or ``(3, 32, 32)``, and returns a module, anew for each member.

    Examples
    --------
    What an estimator makes of a module, or of a function:

    >>> from torch import nn
    >>> from skmtl.trunks import ModuleTrunk
    >>> trunk = ModuleTrunk(lambda shape: nn.Linear(shape[0], 4))
    >>> trunk.build((64,))
    Linear(in_features=64, out_features=4, bias=True)
    """

    alone = True

    def __init__(self, module):
        self.module = module

    def prepare(self, X: np.ndarray) -> Self:
        """Note the shape of a row; whole numbers, but for bytes, reach the module as int64."""
        self.integers_ = X.dtype.kind in "iu" and X.dtype != np.uint8
        return super().prepare(X)

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return a copy of the module, or what the callable makes of the shape."""
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        return self.module(input_shape)


def as_trunk(value: Any) -> Trunk | None:
    """Return a fresh trunk for what a user wrote; None for None.

    Raises
    ------
    TypeError
        If it is none of what is accepted.
    """
    if value is None:
        return None
    if isinstance(value, Trunk):
        return clone(value)
    is_trunk_class = isinstance(value, type) and issubclass(value, Trunk)
    if is_trunk_class or isinstance(value, BaseEstimator) or not callable(value):
        hint = f" Pass an object: {value.__name__}()." if is_trunk_class else ""
        raise TypeError(f"Parameter trunk must be {ACCEPTED}. Found {value!r}.{hint}")
    return ModuleTrunk(value)


def make_module(trunk: Trunk) -> nn.Module:
    """Build a prepared trunk's module, and try it on two rows.

    Trying it also gives lazy layers their shapes.

    Raises
    ------
    TypeError, ValueError
        If it is no module, or does not map rows to features.
    """
    shape = trunk.input_shape_
    what = f"Parameter trunk={_short(trunk)}"
    module = trunk.build(shape)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{what} must make a torch nn.Module. Found {module!r}.")
    rows = _two_rows(trunk)
    module = module.float()
    try:
        with torch.no_grad():
            features = module.eval()(rows)
    except Exception as error:
        raise ValueError(
            f"{what} must take rows of shape {shape} as {rows.dtype}. It raised "
            f"{type(error).__name__}: {error}"
        ) from error
    found = (
        tuple(features.shape) if isinstance(features, Tensor) else f"a {type(features).__name__}"
    )
    if not isinstance(features, Tensor) or features.dim() != 2 or len(features) != 2:
        raise ValueError(
            f"{what} must map 2 rows of shape {shape} to a tensor (2, n_outputs). Found {found}. "
            "End it with nn.Flatten(), or a mean over positions."
        )
    if not features.is_floating_point() or not features.shape[1]:
        raise ValueError(f"{what} must give floating features. Found {found} of {features.dtype}.")
    return module


def width_of(trunk: Trunk) -> int:
    """Number of features that a prepared trunk's modules give; global generators stay as they are."""
    with kept([]), torch.no_grad():
        return make_module(trunk)(_two_rows(trunk)).shape[1]


def _two_rows(trunk: Trunk) -> Tensor:
    dtype = torch.int64 if trunk.integers_ else torch.float32
    return torch.zeros(2, *trunk.input_shape_, dtype=dtype)


def identity_of(trunk: Trunk | None) -> str:
    """What tells one trunk's parameters from another's, in print; weights of a module are not in it."""
    if trunk is None:
        return "None"
    given = trunk.get_params(deep=False)
    module = given.get("module")
    if callable(module) and not isinstance(module, nn.Module):  # whose repr may be an address
        given["module"] = getattr(module, "__qualname__", type(module).__name__)
    return f"{type(trunk).__name__}({given})"


def check_layers(sizes: Any, name: str, of: Any) -> tuple[int, ...]:
    """Return layer sizes, each an int >= 1, as a tuple."""
    good = isinstance(sizes, Sequence) and not isinstance(sizes, str) and len(sizes)
    if not good or not all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sizes):
        raise ValueError(
            f"Parameter {name} of {type(of).__name__} must be a tuple of ints >= 1, one a layer. "
            f"Found {sizes!r}."
        )
    return tuple(sizes)


def _short(trunk: Trunk) -> str:
    if isinstance(trunk, ModuleTrunk):
        module = trunk.module
        return getattr(module, "__name__", type(module).__name__)
    return repr(trunk)
