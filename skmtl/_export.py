"""A fitted estimator as one torch module: raw inputs in, decoded predictions out.

In: a fitted estimator and, if there is one, the scaler before it. Out: an `InferenceModule`, which
`torch.export`, `torch.onnx.export` and skops take. Shapes: n rows, d features, K members, m numbers of
one task.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import Generator, Tensor, nn

from skmtl._engine import build_module
from skmtl.tasks import Task, TaskLosses
from skmtl.training import Bounds, MultiTaskModule

N_PROBES = 64  # rows on which decoding of tensors is compared with that of arrays


class Scaling(nn.Module):
    """A fitted scaler of scikit-learn: ``(x - shift) * factor + offset``, within low and high.

    Parameters
    ----------
    shift, factor : array-like of shape (d,)
    offset, low, high : float
    """

    shift: Tensor
    factor: Tensor
    offset: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        shift: Any,
        factor: Any,
        offset: float = 0.0,
        low: float = -np.inf,
        high: float = np.inf,
    ):
        super().__init__()
        given = {"shift": shift, "factor": factor, "offset": offset, "low": low, "high": high}
        for name, value in given.items():
            self.register_buffer(name, torch.tensor(np.asarray(value), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Scale rows (n, d)."""
        scaled = (x.to(self.shift.dtype) - self.shift) * self.factor + self.offset
        return torch.clamp(scaled, self.low, self.high)


class InferenceModule(nn.Module):
    """What `to_torch` returns: rows (n, d) as they come to predictions in the targets' own units.

    A copy: training the estimator further does not change it. It checks nothing: rows must have
    the columns of `fit` in its order; a NaN gives NaN (and, of classes, a label without meaning). For
    a device or runtime without float64, call ``.float()``.

    Parameters
    ----------
    body : MultiTaskModule
        Clipping of inputs, and the network of all members.
    tasks : dict from str to Task
        Prepared, in the order of the target table.
    shown : list of str
        Tasks to predict.
    scalings : list of Scaling
        What comes before.

    Attributes
    ----------
    classes_ : dict from str to ndarray
        Labels of the classes of each task that has any; what it returns under a task's name are
        positions in them.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skmtl import MultiTaskClassifierRegressor
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> y = y.to_frame().assign(width=X.pop("petal width (cm)"))
    >>> est = MultiTaskClassifierRegressor(max_iter=20, tol=0.01, random_state=0).fit(X, y)
    >>> module = est.to_torch()
    >>> module.output_names
    ['target', 'target_proba', 'width']
    >>> outputs = module(torch.tensor(X.to_numpy()))
    >>> labels = module.classes_["target"][outputs["target"]]
    >>> bool((labels == est.predict(X)["target"]).all())
    True
    """

    unit: Tensor

    def __init__(
        self,
        body: MultiTaskModule,
        tasks: dict[str, Task],
        shown: Sequence[str],
        scalings: Sequence[Scaling] = (),
    ):
        super().__init__()
        self.scalings = nn.Sequential(*scalings)
        self.body = body
        self.losses = TaskLosses(list(tasks.values()))
        self.tasks, self.shown = tasks, list(shown)
        # what is decoded is what this is: in float64 a float32 net's outputs keep all their digits
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))
        self.classes_ = {name: t.classes_ for name, t in tasks.items() if hasattr(t, "classes_")}
        self.to(body.low.device).eval().requires_grad_(False)

    @property
    def output_names(self) -> list[str]:
        """Keys of what `forward` returns, in order."""
        with torch.no_grad():
            return list(self(self._probes(2)))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Predictions by name.

        Parameters
        ----------
        x : Tensor of shape (n, d)
            As for the estimator, or for the scaler before it.

        Returns
        -------
        outputs : dict from str to Tensor
            Under a task's name what `predict` gives, (n,): numbers, or positions in its
            ``classes_``; under its name and ``_proba`` the probabilities (n, n_classes).
        """
        return self._named(self.activated(x))

    def activated(self, x: Tensor) -> dict[str, Tensor]:
        """Each task's outputs (n, m), averaged over the members, before they are decoded."""
        body, network = self.body, self.body.network
        x = self.scalings(x).to(body.low.dtype)
        x = body.bent(x)
        groups = self.losses.activate(network(x.expand(body.n_members, *x.shape)))
        outputs = zip(self.tasks, self.losses.by_task(groups), strict=True)
        return {name: own.to(self.unit.dtype) for name, own in outputs}

    def _named(self, activated: dict[str, Tensor]) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for task in self.shown:
            for key, value in self.tasks[task].decode_tensor(activated[task]).items():
                name = f"{task}_{key}" if key else task
                if name in outputs:
                    raise ValueError(
                        f"Two outputs of the module would be called {name!r}: rename a task of "
                        f"{list(self.tasks)}."
                    )
                outputs[name] = value
        return outputs

    def _probes(self, n: int) -> Tensor:
        """Rows like those of training, as they come to the network's clipping."""
        low, high = self.body.low, self.body.high
        at = torch.rand(n, len(low), dtype=torch.float64, generator=Generator().manual_seed(0))
        low, high = low.double().nan_to_num(neginf=0.0), high.double().nan_to_num(posinf=1.0)
        x = (low + at.to(low.device) * (high - low)).to(self.body.low.dtype)
        steps: list[Any] = list(self.scalings)
        for scaling in reversed(steps):
            x = (x - scaling.offset) / scaling.factor + scaling.shift
        return x

    @torch.no_grad()
    def check(self) -> None:
        """Raise if a task decodes tensors to something else than arrays, or names are not distinct."""
        for name, outputs in self.activated(self._probes(N_PROBES)).items():
            task = self.tasks[name]
            try:
                task.decode_tensor(outputs.to("meta"))  # has no numbers that numpy could take
                decoded = task.decode_tensor(outputs)[""].cpu().numpy()
                classes = None if task.several else getattr(task, "classes_", None)
                decoded = decoded if classes is None else classes[decoded]
            except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
                raise TypeError(
                    f"Task {name!r}: {type(task).__name__} decodes arrays, and the same code does not "
                    f"work on tensors ({error}). Give it a method decode_tensor; see Task."
                ) from error
            expected = task.decode(outputs.cpu().numpy())
            if not _alike(decoded, expected):
                raise TypeError(
                    f"Task {name!r}: {type(task).__name__} decodes arrays to {expected[:3]} and "
                    f"tensors to {decoded[:3]}. Give it a decode_tensor that does the same; see Task."
                )
        self(self._probes(2))

    def __getstate__(self) -> dict[str, Any]:
        """Configuration and plain arrays: skops writes them, and reads them without a pickle."""
        architecture, sharing = self.body.built_for
        return {
            "architecture": architecture,
            "sharing": sharing,
            "n_members": self.body.n_members,
            "tasks": list(self.tasks.items()),
            "shown": self.shown,
            "arrays": {name: t.cpu().numpy() for name, t in self.state_dict().items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = {name: torch.tensor(array) for name, array in state["arrays"].items()}
        low, high, span = (arrays[f"body.{name}"] for name in ("low", "high", "span"))
        bounds = Bounds(low, high, span)
        generators = [Generator() for _ in range(state["n_members"])]
        body = build_module(bounds, state["architecture"], state["sharing"], generators)
        scalings: list[Scaling] = []
        while f"scalings.{len(scalings)}.shift" in arrays:
            prefix = f"scalings.{len(scalings)}."
            given: dict[str, Any] = {name: arrays[prefix + name] for name in SCALING}
            scalings.append(Scaling(**given))
        self.__init__(body, dict(state["tasks"]), state["shown"], scalings)  # type: ignore[misc]
        self.load_state_dict(arrays, assign=True)
        self.requires_grad_(False)


def inference_module(
    estimator: Any, preprocessing: Any = None, shown: Sequence[Any] | None = None
) -> InferenceModule:
    """Module of a fitted estimator; ``shown`` names the tasks to predict, None: all."""
    scalings = _scalings(preprocessing, estimator.n_features_in_)
    tasks = {str(name): copy.deepcopy(task) for name, task in estimator.tasks_.items()}
    names = list(tasks) if shown is None else [str(name) for name in shown]
    module = InferenceModule(copy.deepcopy(estimator.module_).cpu(), tasks, names, scalings)
    module.check()
    return module


def _scalings(preprocessing: Any, n_features: int) -> list[Scaling]:
    steps = [preprocessing]
    if isinstance(preprocessing, Pipeline):
        steps = [step for _, step in preprocessing.steps]
    steps = [s for s in steps if s is not None and not (isinstance(s, str) and s == "passthrough")]
    for step in steps:
        if type(step) not in SCALERS:
            raise TypeError(
                "Parameter preprocessing must be None, one of "
                f"{[kind.__name__ for kind in SCALERS]}, or a Pipeline of these. Found {step!r}: apply "
                "it to the rows before they come to the module."
            )
        check_is_fitted(step)
        if step.n_features_in_ != n_features:
            raise ValueError(
                f"Parameter preprocessing must give the {n_features} columns that the estimator was "
                f"fitted on. Found {step!r} of {step.n_features_in_}."
            )
    return [Scaling(**SCALERS[type(step)](step)) for step in steps]


def _affine(shift: Any, scale: Any, n_features: int) -> dict[str, Any]:
    return {
        "shift": np.zeros(n_features) if shift is None else shift,
        "factor": np.ones(n_features) if scale is None else 1 / scale,
    }


def _min_max(scaler: MinMaxScaler) -> dict[str, Any]:
    low, high = scaler.feature_range
    within = {"low": low, "high": high} if scaler.clip else {}
    return {"shift": scaler.data_min_, "factor": scaler.scale_, "offset": low, **within}


SCALING = ("shift", "factor", "offset", "low", "high")
SCALERS = {
    StandardScaler: lambda s: _affine(s.mean_ if s.with_mean else None, s.scale_, s.n_features_in_),
    RobustScaler: lambda s: _affine(s.center_, s.scale_, s.n_features_in_),
    MaxAbsScaler: lambda s: _affine(None, s.scale_, s.n_features_in_),
    MinMaxScaler: _min_max,
}


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether columns are equal, numbers up to rounding."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=1e-6, equal_nan=True))
    return bool((one == other).all())
