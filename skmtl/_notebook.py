"""How a fitted estimator shows itself in a notebook: scikit-learn's diagram, and below it its tasks.

In: a fitted estimator. Out: what `_html` makes a table of. Shapes: T tasks, K members.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from skmtl import _html
from skmtl.sharing import SHARED, Network
from skmtl.tasks import Task

MAX_LAYERS = 3  # drawn of the body, and of a head
METRICS = {"r2": "R²", "d2_absolute_error_score": "D²", "d2_poisson": "D²"}
# Scheme -> parts of the picture: of every hidden layer, and once between them and the heads
PICTURES: dict[str, tuple[list[str], list[str]]] = {
    "HardSharing": (["shared"], []),
    "NoSharing": (["own"], []),
    "SoftSharing": (["tied"], []),
    "RelatedSharing": (["tied"], []),
    "CrossStitch": (["own", "stitch"], []),
    "CGC": (["both"], ["gate"]),
    "PLE": (["both", "gate"], []),
    "MMoE": (["experts"], ["gate"]),
    "DSelectK": (["experts"], ["gate"]),
    "MTAN": (["shared", "gate"], []),
    "LowRank": (["adapted"], []),
    "LTB": (["experts", "gate"], []),
}


class NotebookRepr:
    """Adds the table of tasks to scikit-learn's diagram of an estimator, once it is fitted."""

    def _repr_html_inner(self) -> str:
        return super()._repr_html_inner() + tasks_html(self)  # type: ignore[misc]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:  # not where sklearn.set_config(display="text")
            bundle["text/html"] += tasks_html(self)
        return bundle


def tasks_html(estimator: Any) -> str:
    """Return the table of the tasks of an estimator; nothing before it is fitted."""
    if not hasattr(estimator, "net_"):
        return ""
    scores, labels = validation_scores(estimator), getattr(estimator, "_n_labels", {})
    rows = [
        _html.TaskRow(
            name=str(name),
            kind=_kind(task),
            settings=repr(task),
            about=_about(task),
            n_labels=labels.get(name),
            metric=METRICS.get(task.metric, task.metric),
            score=scores.get(name, math.nan),
        )
        for name, task in estimator.tasks_.items()
    ]
    module = estimator.module_
    architecture, scheme = module.built_for
    picture = picture_of(scheme, module.network, architecture)
    shared, own = n_parameters(module.network)
    n_networks, n_epochs = module.n_members, estimator.n_iter_
    said = [
        f"{len(rows)} task{'s' * (len(rows) != 1)}: {type(scheme).__name__}",
        f"{n_networks} network{'s' * (n_networks != 1)}",
        f"{n_epochs} epoch{'s' * (n_epochs != 1)}",
        f"{shared + own:,} parameters, {100 * shared / (shared + own):.0f} % shared",
    ]
    notes = "No rows were held back for validation."
    if scores:
        notes = "Validation: at the epoch that is kept"
        notes += ", mean over the networks." if n_networks > 1 else "."
    return _html.task_table(
        rows, picture, caption=" · ".join(said), scheme=f"sharing={scheme!r}", notes=notes
    )


def _kind(task: Task) -> str:
    """The kind of a task in words, by the name of its class: "heteroscedastic regression"."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(task).__name__.removesuffix("Task"))
    return words.lower()


def _about(task: Task) -> tuple[str, str]:
    """What a task learned from its labels, in short and in full."""
    classes: Any = getattr(task, "order_", getattr(task, "classes_", None))
    if classes is not None:
        return _html.classes(classes.tolist())
    if hasattr(task, "mean_"):
        mean = _html.quantity(task.mean_)
        return f"mean {mean}", f"mean {mean} of the labels"
    if not hasattr(task, "center_"):
        return "", ""
    if not getattr(task, "standardize", True):
        return "as it is", "learned in the target's own unit"
    return _html.spread(task.center_, task.scale_)


def validation_scores(estimator: Any) -> dict[Any, float]:
    """Score of each task on the held-back rows at the epochs that are kept, mean over members.

    Empty without validation, or where no epoch was better than the start.
    """
    stopping, history = estimator.net_.stopping, estimator.history_
    kept = [] if stopping is None else [epoch - 1 for epoch in stopping.best_epochs_ if epoch]
    columns = {task: f"valid_score_{task}" for task in estimator.tasks_}
    if not kept or not set(columns.values()) <= set(history):
        return {}
    return {task: float(history[c].iloc[kept].mean()) for task, c in columns.items()}


def n_parameters(network: Network) -> tuple[int, int]:
    """Trained parameters of one member that serve several tasks, and that serve one."""
    shared = own = 0
    owners = network.owners()
    for name, p in network.named_parameters():
        if p.requires_grad:
            of_one = p[0]
            several = torch.broadcast_to(owners[name] == SHARED, of_one.shape).sum().item()
            shared, own = shared + int(several), own + of_one.numel() - int(several)
    return shared, own


def picture_of(scheme: Any, network: Network, architecture: Any) -> list[str]:
    """Parts of the picture (`_html.PARTS`) from inputs to tasks, by what serves whom in the network.

    A scheme that is not ours is drawn by its owners alone.
    """
    served = {"body": set(), "heads": set()}  # type: dict[str, set[bool]]
    for name, owner in network.owners().items():
        part = "heads" if name.startswith("heads") else "body"
        if not name.startswith(("skip", "constants")):
            served[part] |= set((owner == SHARED).flatten().tolist())
    by_owner = {(True,): "shared", (False,): "own", (False, True): "both"}
    found = by_owner.get(tuple(sorted(served["body"])), "own")
    layer, between = PICTURES.get(type(scheme).__name__, ([found], []))
    if found == "shared" and {"adapted", "both"} & set(layer):  # of rank 0, without own experts
        layer = ["shared" if part in ("adapted", "both") else part for part in layer]
    n_hidden = min(len(architecture.hidden_layer_sizes), MAX_LAYERS)
    n_head = min(len(architecture.head_layer_sizes) + 1, MAX_LAYERS)
    head = "tied" if True in served["heads"] else "own"
    body: Sequence[str] = [*layer * n_hidden, *between] if n_hidden else []
    return [*body, *[head] * n_head]
