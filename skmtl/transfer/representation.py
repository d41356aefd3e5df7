"""The representation that tasks share, as features for other models. Shapes: n rows, K members."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from skmtl import _engine, _inputs
from skmtl.sharing import Lineage, Network, inherit
from skmtl.training import FORWARD_ROWS, MultiTaskModule


@torch.inference_mode()
def shared_features(estimator: Any, X: Any) -> np.ndarray:
    """Features (n, K h) of the members, one after the other; see the estimators' `transform`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.transfer import shared_features
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0).fit(X, X[:, :2])
    >>> shared_features(est, X).shape  # one member, 128 features
    (60, 128)
    """
    if hasattr(estimator, "task_labels_"):
        raise ValueError(
            "transform is for a column per task. This estimator was fitted on rows that have a task "
            "each, by task_column or sample_task."
        )
    module = estimator.module_
    X = _inputs.read(estimator, X, module.dtype, first=False)
    x = _engine.inputs_to_device(X, str(module.low.device))
    first = x.index_select(0, torch.zeros(1, dtype=torch.long, device=x.device))
    network = _unknown_task(module, first)
    chunks = []
    for part in x.split(FORWARD_ROWS):
        features = _body_output(network, module.clip(part.expand(module.n_members, *part.shape)))
        chunks.append(features.transpose(0, 1).flatten(1).cpu())
    return torch.cat(chunks).numpy()


def _body_output(network: Network, x: Tensor) -> Tensor:
    """What comes out of the shared part, (K, b, h)."""
    features = network.features(x)
    return network.body(x)[:, 0] if features is None else features  # type: ignore[operator]


def _unknown_task(module: MultiTaskModule, row: Tensor) -> Any:
    """The network itself if it has one representation; else one that knows none of its tasks."""
    network: Any = module.network
    if network.features(row.expand(module.n_members, *row.shape)) is not None:
        return network
    architecture, scheme = module.built_for
    generators = [Generator().manual_seed(k) for k in range(module.n_members)]
    other: Any = scheme.build(architecture, generators).to(module.low).eval()
    taken = inherit(
        other, network, Lineage([None] * architecture.n_tasks, [None] * architecture.n_tasks)
    )
    if not taken or not hasattr(other, "body") or not architecture.hidden_layer_sizes:
        raise ValueError(
            f"{scheme!r} with hidden_layer_sizes={architecture.hidden_layer_sizes} has no "
            "representation that tasks share, so there is nothing to transform to. Fit with hidden "
            "layers and sharing='hard' or another scheme."
        )
    return other
