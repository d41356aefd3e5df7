"""The shell around the engine: skorch's events, history, callbacks and pickling over our loop.

A `NeuralNet` with its data path and its epoch replaced; only here, in `stopping` and in
`reporting` is skorch known. Shapes: K members, T tasks (in the engine's order).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Generator, Tensor, nn

from .adam import StackAdam
from .batches import Rows, TrainBatches, TrainingData, ValidRows
from .drawing import layer_generators, states
from .gathered import GatheredAdam
from .step import EVERYTHING, EpochLosses, EpochMean, Learner, Phase, evaluate, train_step
from .stopping import MemberStopping
from .threads import torch_threads

RECORDED = {"train": ("loss", "weight"), "valid": ("loss", "score")}  # of every task
SMALL_STEP = 3e6  # multiply-adds of a forward pass under which a second thread slows one network


class MultiTaskNet(NeuralNet):
    """A stack of K networks trained together on T tasks.

    ``fit`` and ``partial_fit`` take a ``(TrainingData, Rows)`` pair as X and no y. Each epoch
    records ``train_loss``, ``valid_loss`` and, per task, ``train_loss_<task>``,
    ``valid_loss_<task>``, ``valid_score_<task>`` and ``weight_<task>``: means over members, a
    finished member counting with its last value.

    Parameters
    ----------
    module : MultiTaskModule
    criterion : nn.Module
        Called as ``(outputs, values, weight) -> (losses (K, T), label weight)``; has ``score``.
    task_names : list of str
        In the engine's order.
    generators : list of torch.Generator
        One a member; all its randomness comes from it.
    incremental : bool
        Whether it is fed part by part, so that no callback watches over its members.
    **kwargs : dict
        skorch's own parameters.
    """

    def __init__(
        self,
        module: nn.Module,
        criterion: nn.Module,
        *,
        task_names: Sequence[str],
        generators: Sequence[Generator],
        incremental: bool = False,
        **kwargs: Any,
    ):
        super().__init__(module, criterion=criterion, optimizer=StackAdam, **kwargs)
        self.task_names = list(task_names)
        self.generators = list(generators)
        self.incremental = incremental

    def ask(
        self,
        *,
        lr: float | Tensor,
        decay: dict[str, float | Tensor],
        weighting: Any,
        schedule: Any,
        consolidation: Any = None,
    ) -> None:
        """Say how to train from now on.

        Parameters
        ----------
        lr : float or Tensor of shape (K,)
            Step size.
        decay : dict
            L2 gradient factor by parameter name: a float, or a tensor that broadcasts to it.
        weighting : Weighting
            Weights on the losses, or on gradients; it has been started.
        schedule : Timetable
            Says what trains at an epoch.
        consolidation : Consolidation or None
            Keeps what was learned before; it has been started.
        """
        self.lr, self.decay, self.weighting, self.schedule = lr, decay, weighting, schedule
        self.consolidation = consolidation
        if self.initialized_:
            self.optimizer_.set_decay(dict(self.module_.network.named_parameters()), decay)
            self.optimizer_.set_lr(lr)
        else:
            self.initialize()
        self.optimizer_.adopt(weighting.parameters())

    def get_default_callbacks(self) -> list[tuple[str, Callback]]:
        """None of skorch's: they time, score and print per batch."""
        return []

    def initialize_criterion(self) -> MultiTaskNet:
        """Take the loss as it is."""
        self.criterion_: Any = self.criterion
        return self

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> MultiTaskNet:
        """Adam over the network's parameters, with their decay."""
        named = dict(self.module_.network.named_parameters())
        owners = self.module_.network.owners()
        kind = GatheredAdam if self.module_.network.gathers else StackAdam
        self.optimizer_ = kind(named, self.decay, owners, lr=self.lr)
        return self

    def get_split_datasets(self, X: tuple[TrainingData, Rows], y: None = None, **fit_params: Any):
        """Pair the table with the training and with the validation rows."""
        data, rows = X
        self._counts, self._draw = rows.counts, rows.draw or TrainBatches
        train, valid = rows.on(data.values.device)
        return (data, train), None if valid is None else (data, valid)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Batches over gathered rows in place of a DataLoader."""
        data, rows = dataset
        if training:
            if self.consolidation is None:  # which mixes rows in that it remembers as they were
                data = self.module_.clipped(data)._replace(read=self.criterion_.read)
            self.batches_: list[Any] = [
                self._draw(data, rows, self.batch_size, self.generators, self._counts)
            ]
            self._draw = TrainBatches  # what drew knows the table
            self._stack = list(range(len(rows)))
            self._epoch_values: dict[str, np.ndarray] = {}
            self._best: dict[str, float] = {}
            self.failed: dict[int, ValueError] = {}
            self._reseed()
            return self.batches_[0]
        self.batches_.append(ValidRows(data, rows))
        return self.batches_[1]

    @property
    def stopping(self) -> MemberStopping | None:
        """The callback that watches over the members; None if the net is incremental."""
        found = [cb for _, cb in self.callbacks_ if isinstance(cb, MemberStopping)]
        return found[0] if found else None

    def fit_loop(self, X: Any, y: None = None, epochs: int | None = None, **fit_params: Any):
        """Run the epochs, then let go of the data: a fitted net holds no table."""
        self._in_callbacks = self.interrupted_ = self.stopped_early_ = False
        self._complete = len(self.history)
        try:
            with torch_threads(1 if self._steps_are_small() else torch.get_num_threads()):
                return super().fit_loop(X, y, epochs, **fit_params)
        except KeyboardInterrupt:
            self.stopped_early_ = self._in_callbacks
            self.interrupted_ = not self._in_callbacks
            del self.history[self._complete :]  # an epoch that was not finished
            raise  # to skorch, which ends the training in good order
        finally:
            self.batches_ = []
            self._set_training(False)
            self.module_.reseed([])  # nor what it drew from
            if not self.incremental:
                self.weighting.finish()

    def _steps_are_small(self) -> bool:
        return self.module_.n_members == 1 and self.step_size < SMALL_STEP

    @property
    def step_size(self) -> int:
        """Multiply-adds of a forward pass over a batch."""
        return sum(p.numel() for p in self.module_.parameters()) * self.batch_size

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Tell the callbacks; a KeyboardInterrupt of theirs is a wish to stop, not Ctrl-C."""
        self._in_callbacks = True
        if method_name == "on_epoch_end":
            self._complete = len(self.history)
        super().notify(method_name, **cb_kwargs)
        self._in_callbacks = False

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """One pass over all batches, training or validating."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            losses, weights = self._train_epoch(iterator)
            self.weighting.after_epoch(losses.losses)
            self._record(prefix, losses, {"weight": weights})
        else:
            losses, scores = evaluate(self.module_, self.criterion_, iterator)
            self._record(prefix, losses, {"score": scores})

    def _phase(self) -> Phase:
        """What trains in the epoch that runs."""
        schedule = self.schedule
        if schedule.joint:
            return EVERYTHING
        active = torch.tensor([schedule.active(len(self.history) - 1, k) for k in self._stack])
        return Phase(
            None if active.all() else active.to(self.device), schedule.freezes, schedule.shared
        )

    def _train_epoch(self, iterator: TrainBatches) -> tuple[EpochLosses, Tensor]:
        phase = self._phase()
        self.module_.network.anneal()
        per_batch = self._listens("on_batch_begin") or self._listens("on_batch_end")
        on_gradients = self._notify_gradients if self._listens("on_grad_computed") else None
        if not per_batch:
            self.history.new_batch()  # stock callbacks look for the last batch of an epoch
        mean = EpochMean()
        for batch in iterator:
            if per_batch:
                self.notify("on_batch_begin", batch=batch, training=True)
            step = train_step(
                self.module_,
                self.criterion_,
                batch,
                self.weighting,
                self.optimizer_,
                phase=phase,
                on_gradients=on_gradients,
                consolidation=self.consolidation,
            )
            mean.add(step, batch.x.shape[1])
            if per_batch:
                self.history.record_batch("train_loss", float(step.losses.sum(-1).mean()))
                self.notify("on_batch_end", batch=batch, training=True, loss=step.losses)
        return mean.result()

    def _listens(self, event: str) -> bool:
        return any(
            getattr(type(cb), event) is not getattr(Callback, event) for _, cb in self.callbacks_
        )

    def _notify_gradients(self, batch: Any) -> None:
        named = list(self.module_.named_parameters())
        self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)

    def _record(self, prefix: str, epoch: EpochLosses, by_task: dict[str, Tensor]) -> None:
        total = self.weighting.objective(epoch.losses, epoch.labelled)
        by_task = {"loss": epoch.losses, **by_task}
        for key, value in {"total": total.unsqueeze(-1), **by_task}.items():
            self._update(f"{prefix}_{key}", value)
        if prefix == "train":
            self._stop_if_diverged(epoch)
        self.record(prefix, self._epoch_values)

    def record(self, prefix: str, values: Mapping[str, np.ndarray]) -> None:
        """Write an epoch's values (K, T), by what they are, into the history as means over members.

        Their names begin with ``prefix``, "train" or "valid".
        """
        row = self.history[-1]
        loss = float(values[f"{prefix}_total"].mean())
        # stock callbacks (Checkpoint) look for what skorch records by default
        row[f"{prefix}_loss_best"] = loss < self._best.get(prefix, math.inf)
        self._best[prefix] = min(loss, self._best.get(prefix, math.inf))
        row[f"{prefix}_loss"] = loss
        means = {key: _means(values[f"{prefix}_{key}"], key) for key in RECORDED[prefix]}
        for t, task in enumerate(self.task_names):
            for key, mean in means.items():
                row[f"weight_{task}" if key == "weight" else f"{prefix}_{key}_{task}"] = mean[t]

    def _update(self, key: str, value: Tensor) -> None:
        now = value.double().cpu().numpy()
        if key not in self._epoch_values:
            self._epoch_values[key] = now.copy()
        else:
            self._epoch_values[key][self._stack] = now

    def _stop_if_diverged(self, epoch: EpochLosses) -> None:
        """Raise if a loss is no number."""
        for error in self.diverged(epoch).values():
            raise error

    def diverged(self, epoch: EpochLosses) -> dict[int, ValueError]:
        """Positions in the stack of the members that have a loss that is no number, and an error."""
        broken = ~torch.isfinite(epoch.losses) & epoch.labelled
        errors = {}
        for k in broken.any(1).nonzero()[:, 0].tolist():
            t = int(broken[k].nonzero()[0])
            lr = float(self.lr[self._stack[k]]) if isinstance(self.lr, Tensor) else self.lr
            errors[k] = ValueError(
                f"Task {self.name_of(k, t)!r}: the training loss became "
                f"{float(epoch.losses[k, t])} at epoch {len(self.history)}. Standardise the inputs, "
                f"lower learning_rate_init (now {lr}), or look for extreme values in the target."
            )
        return errors

    def name_of(self, position: int, task: int) -> str:
        """Name of a task of the member at a position in the stack."""
        return self.task_names[task]

    @property
    def has_validation(self) -> bool:
        """Whether there are validation rows."""
        return len(self.batches_) > 1

    def start_losses(self) -> list[float]:
        """Validation loss of every member before the first step."""
        self._set_training(False)
        epoch, _ = evaluate(self.module_, self.criterion_, self.batches_[1])
        return self.weighting.objective(epoch.losses, epoch.labelled).tolist()

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: None = None, **kwargs: Any) -> None:
        """Show the rows to what remembers earlier ones."""
        if self.consolidation is not None:
            self.consolidation.begin(self._learner, X[0])

    def on_train_end(self, net: NeuralNet, X: Any = None, y: None = None, **kwargs: Any) -> None:
        """Restore the stack before any callback sees the end of training."""
        if self.stopping is not None:
            self.stopping.restore(self)
        if self.consolidation is not None:
            self.consolidation.end(self._learner, X[0])

    @property
    def _learner(self) -> Learner:
        return Learner(self.module_, self.criterion_, self.weighting)

    def watched_losses(self) -> list[float]:
        """Loss by which every member still in the stack is judged.

        On validation rows the weighting's objective; without them what is minimised: that objective on
        the training rows, the L2 penalty and that of the sharing scheme.
        """
        if self.has_validation:
            return self._epoch_values["valid_total"][self._stack, 0].tolist()
        penalty = self.optimizer_.penalty()
        with torch.no_grad():
            of_scheme = self.module_.penalty()
        penalty = penalty if of_scheme is None else penalty + of_scheme
        total = self._epoch_values["train_total"][self._stack, 0]
        return (total + penalty.double().cpu().numpy()).tolist()

    def task_losses(self) -> np.ndarray:
        """Losses (n_members, T) of this epoch on the validation rows, else on the training rows."""
        return self._epoch_values["valid_loss" if self.has_validation else "train_loss"]

    def keep_members(self, staying: Tensor) -> None:
        """Let the members not in ``staying`` (positions in the stack) leave it."""
        self._stack = [self._stack[k] for k in staying.tolist()]
        self.optimizer_.keep(staying)
        self.weighting.keep(staying.tolist())
        self.optimizer_.adopt(self.weighting.parameters())
        self.module_.keep(staying)
        if self.consolidation is not None:
            self.consolidation.attend(self._stack)
        for batches in self.batches_:
            batches.keep(staying)
        self._reseed()

    def restore_members(self, parameters: dict[str, Tensor]) -> None:
        """Give the module a full stack of parameters, by name."""
        for name, p in self.module_.named_parameters():
            p.grad = None
            p.data = parameters[name]
        self.optimizer_.forget()  # moments of other weights, perhaps of fewer members

    def _reseed(self) -> None:
        """Give the layers that draw the generators of the members still in the stack."""
        kept = self.__dict__.get("_on_device")
        self._on_device = layer_generators(self.generators, self.device, kept)
        self.module_.reseed([self._on_device[k] for k in self._stack])

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "_on_device" in state:
            state["_on_device"] = states(state["_on_device"])
        if "module_" in self.__dict__:  # once is enough
            state["module"] = state["criterion"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "module_" in self.__dict__:
            self.module = self.module_
            self.criterion = self.criterion_
            self.optimizer_.reconnect(self.weighting.parameters())


def _means(values: np.ndarray, key: str) -> list[float]:
    """Mean over the members (K, T) of each task; of scores, over those that have one."""
    if len(values) == 1:
        return values[0].tolist()
    if key != "score":
        return values.mean(0).tolist()
    there = ~np.isnan(values)
    n = there.sum(0)
    total = values.sum(0, where=there)
    return np.divide(total, n, out=np.full(len(n), math.nan), where=n > 0).tolist()
