"""A fit that starts from the shared part of a fitted estimator.

In: a fitted estimator and a net that is ready to train on other tasks. Out: that net, with what the
scheme shares taken over and told to rest, to thaw or to go at its own pace. Shapes: n rows, d
features, T tasks, K members.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skmtl._checks import check_choice, check_number
from skmtl._engine import same_scheme
from skmtl.sharing import Lineage, Network, inherit
from skmtl.training import Freezing, MultiTaskModule, MultiTaskNet, Ready

FREEZE = ["trunk", "none", "gradual"]
MUST_MATCH = ("n_features", "hidden_layer_sizes", "activation")  # of the architecture


@dataclass(frozen=True)
class Manner:
    """How a fit starts from another; the parameters are those of `adapt`.

    Examples
    --------
    >>> from skmtl.transfer import Manner
    >>> Manner(freeze="none").freeze
    'none'
    """

    freeze: str = "trunk"
    n_layers: int | None = None
    shared_learning_rate_init: float | None = None
    epochs_per_stage: int = 10

    def check(self) -> None:
        """Raise where a parameter is not what it must be."""
        check_choice(self.freeze, "freeze", FREEZE)
        check_number(self.epochs_per_stage, "epochs_per_stage", Integral, low=1)
        if self.n_layers is not None:
            check_number(self.n_layers, "n_layers", Integral, low=0)
        if self.shared_learning_rate_init is not None:
            check_number(
                self.shared_learning_rate_init, "shared_learning_rate_init", low=0, open_low=True
            )


def adapt(
    source: Any,
    X: Any,
    y: Any,
    how: Manner,
    *,
    sample_weight: Any = None,
    tasks: Any = "infer",
    loss_weights: Any = None,
    qid: Any = None,
) -> Any:
    """Return a new estimator of the source's class, fitted to other tasks; see its `adapt`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.transfer import Manner, adapt
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> est = MultiTaskRegressor(n_members=1, max_iter=5, random_state=0).fit(X, X[:, :2])
    >>> adapt(est, X[:20], X[:20, 2:], Manner(freeze="trunk")).predict(X).shape
    (60, 1)
    """
    fitted_source(source)
    how.check()
    new = clone(source).set_params(tasks=tasks, loss_weights=loss_weights)
    new._start = partial(start, new, source, how)
    new._learn(X, y, sample_weight, first=True, classes=None, one_epoch=False, qid=qid)
    del new._start
    return new


def fitted_source(source: Any) -> Any:
    """The fitted estimator that is meant, or an error that says what is accepted."""
    if isinstance(source, FrozenEstimator):
        source = source.estimator
    if isinstance(source, Pipeline):
        raise TypeError(
            "source must be a fitted estimator of skmtl. Found a Pipeline: pass its last step, "
            "pipe[-1], and put FrozenEstimator(pipe[:-1]) before the new estimator."
        )
    if not hasattr(source, "_start") or isinstance(source, type):
        raise TypeError(
            "source must be a fitted estimator of skmtl, such as MultiTaskRegressor, or a "
            f"FrozenEstimator around one. Found {source!r}."
        )
    if not hasattr(source, "net_"):
        raise NotFittedError(
            f"This {type(source).__name__} is not fitted yet, so there is nothing to start from. Fit "
            "it; in a grid of sources wrap each in a FrozenEstimator, or it is cloned."
        )
    if hasattr(source, "task_labels_"):
        raise ValueError(
            "Transfer starts from a fit of a column of y for each task. This source was fitted on rows "
            "that have a task each, by task_column or sample_task: fit it on a column per task, NaN "
            "where a row is of another, or take skmtl.meta.MetaLearner."
        )
    return source


def start(new: Any, source: Any, how: Manner, ready: Ready) -> None:
    """Let a net that is ready to train start from the source."""
    _check_features(new, source)
    module, fitted = ready.net.module_, source.module_
    check_architecture(module, fitted)
    if how.n_layers == 0:
        return
    taken = _take_over(ready.net, source.net_, how.n_layers)
    if not taken:
        raise ValueError(
            f"The source shares nothing that a new task could start from: {fitted.built_for[1]!r} with "
            f"hidden_layer_sizes={fitted.built_for[0].hidden_layer_sizes} has no parameters that serve "
            "more than one task. Fit it with hidden layers and sharing='hard' or another scheme."
        )
    if how.n_layers is not None and how.n_layers > len(taken):
        raise ValueError(
            f"Parameter n_layers must be at most {len(taken)}, the shared layers of the source. Found "
            f"{how.n_layers}."
        )
    module.low, module.high, module.span = (
        getattr(fitted, name).to(module.low).clone() for name in ("low", "high", "span")
    )
    _hold(ready.net, taken, how)


def _hold(net: MultiTaskNet, taken: Sequence[Sequence[str]], how: Manner) -> None:
    """Let the parameters that were taken over rest, thaw, or go at their own pace."""
    if how.freeze != "none" and net.weighting.level == "parameters":
        raise ValueError(
            "loss_weights aggregates gradients at the shared parameters, which "
            f"freeze={how.freeze!r} holds still. Use freeze='none', or weights on losses."
        )
    own = how.shared_learning_rate_init
    pace = 1.0 if own is None else own / float(net.lr)
    thaw_every = {"trunk": None, "none": 0, "gradual": how.epochs_per_stage}[how.freeze]
    if thaw_every != 0 or pace != 1.0:
        net.callbacks_.insert(0, ("freezing", Freezing(taken, thaw_every, pace)))


def _check_features(new: Any, source: Any) -> None:
    """Raise unless the new estimator has seen the features that the source was fitted on."""
    now, was = (getattr(e, "feature_names_in_", None) for e in (new, source))
    if now is None or was is None:
        if new.n_features_in_ != source.n_features_in_:
            raise ValueError(
                f"X must have the {source.n_features_in_} features that the source was fitted on. "
                f"Found {new.n_features_in_}."
            )
        return
    now, was = list(now), list(was)
    if now == was:
        return
    missing, unknown = [n for n in was if n not in now], [n for n in now if n not in was]
    what = f"missing {missing}, unknown {unknown}" if missing or unknown else "another order"
    raise ValueError(
        f"X must have the features that the source was fitted on, {was}. Found {what}: pass "
        "X[source.feature_names_in_]."
    )


def check_architecture(
    module: MultiTaskModule, fitted: MultiTaskModule, *, heads_too: bool = False
) -> None:
    """Raise unless the network was asked for as the source's was; the parts of tasks may differ."""
    (now, scheme), (was, old_scheme) = module.built_for, fitted.built_for
    changed = [
        f"{name} (was {getattr(was, name)!r}, now {getattr(now, name)!r})"
        for name in (*MUST_MATCH, *["head_layer_sizes"] * heads_too)
        if getattr(was, name) != getattr(now, name)
    ]
    if not (same_scheme(scheme, old_scheme) if heads_too else type(scheme) is type(old_scheme)):
        changed.append(f"sharing (was {old_scheme!r}, now {scheme!r})")
    if changed:
        raise ValueError(
            f"Transfer starts from the source's network, which does not fit: {', '.join(changed)}. Set "
            "the parameters to what they were when the source was fitted."
        )


def _take_over(net: MultiTaskNet, source: MultiTaskNet, n_layers: int | None) -> list[list[str]]:
    """Take over the shared part; return the names of what was taken, by block."""
    network = net.module_.network
    kinds = kinds_of(net, source)
    return inherit(
        network,
        _members_of(source.module_.network, net.module_.n_members),
        Lineage([None] * len(net.task_names), kinds),
        n_layers,
    )


def kinds_of(net: MultiTaskNet, source: MultiTaskNet) -> list[int | None]:
    """For each kind of task in a net the number of the source's equal kind, or None."""
    theirs = [group.task.key for group in source.criterion_.groups]
    return [
        theirs.index(group.task.key) if group.task.key in theirs else None
        for group in net.criterion_.groups
    ]


def _members_of(network: Network, n_members: int) -> Network:
    """A network of so many members: the first, or all of them over and over."""
    now = len(next(iter(network.parameters())))
    if now == n_members:
        return network
    network = copy.deepcopy(network)
    for p in network.parameters():
        p.data = p.detach()[torch.arange(n_members, device=p.device) % now]
    return network
