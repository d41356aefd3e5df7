"""Each member of a stack finishes on its own, and what is kept of it is its best epoch."""

from __future__ import annotations

import math
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor


class MemberStopping(Callback):
    """Watch every member's loss; a member that stops improving leaves the stack.

    The loss watched is the net's `watched_losses`. A member is finished when it has not improved
    by ``tol`` for ``patience`` epochs in a row, of those that the schedule counts, at its last epoch,
    or when it has failed. When training ends, for whatever reason (Ctrl-C too), every member gets the
    parameters of its best epoch back; without validation rows, those of its last.

    Parameters
    ----------
    tol, patience, max_epochs : list of shape (n_members,)
        What each member is allowed.

    Attributes
    ----------
    best_losses_, best_epochs_ : list of shape (n_members,)
        Lowest loss watched, and the epoch (from 1) whose parameters are kept; 0: the start.
    last_epochs_ : list of shape (n_members,)
        The epoch after which each left.
    settled_ : list of shape (n_members,)
        Whether each stopped improving, in place of being stopped.
    """

    def __init__(self, tol: list[float], patience: list[int], max_epochs: list[int]):
        self.tol = tol
        self.patience = patience
        self.max_epochs = max_epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start with every member in the stack."""
        n_members = net.module_.n_members
        self.members_ = list(range(n_members))
        self.best_losses_ = [math.inf] * n_members
        self.best_epochs_ = [0] * n_members
        self.last_epochs_ = [0] * n_members
        self.settled_ = [False] * n_members
        self.waited_ = [0] * n_members
        self.best_: dict[str, Tensor] = {
            name: p.detach().clone() for name, p in net.module_.named_parameters()
        }

    @property
    def converged_(self) -> bool:
        """Whether every member stopped improving."""
        return all(self.settled_)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Judge the start too: a fit that never improves on it ends where it began."""
        if len(net.history) == 1 and net.has_validation:
            self.best_losses_ = net.start_losses()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights of members that improved, release those that are done."""
        epoch = len(net.history) - 1
        losses = net.watched_losses()
        improved = [
            at for at, m in enumerate(self.members_) if self._judge(net, epoch, m, losses[at])
        ]
        self._remember(net.module_, improved)
        for m in self.members_:
            self.last_epochs_[m] = epoch + 1
            self.settled_[m] = self.waited_[m] >= self.patience[m]
        staying = [
            at
            for at, m in enumerate(self.members_)
            if not (self.settled_[m] or m in net.failed or epoch + 1 >= self.max_epochs[m])
        ]
        if not staying:
            if epoch + 1 < net.max_epochs:
                raise KeyboardInterrupt  # skorch's own way to end training from a callback
        elif len(staying) < len(self.members_):
            self.members_ = [self.members_[at] for at in staying]
            net.keep_members(torch.tensor(staying))

    def _judge(self, net: Any, epoch: int, member: int, loss: float) -> bool:
        """Note how a member did; whether this epoch's parameters are those to keep."""
        if not net.schedule.complete(epoch, member):  # what is kept must have trained every task
            self.best_losses_[member], self.best_epochs_[member] = math.inf, epoch + 1
            return True
        enough = loss < self.best_losses_[member] - self.tol[member]
        counts = int(net.schedule.counts(epoch, member))
        self.waited_[member] = 0 if enough else self.waited_[member] + counts
        if loss < self.best_losses_[member] or not net.has_validation:
            self.best_losses_[member] = min(loss, self.best_losses_[member])
            self.best_epochs_[member] = epoch + 1
            return True
        return False

    def restore(self, net: Any) -> None:
        """Put the stack together again, every member at its best."""
        net.restore_members(self.best_)
        self.best_ = {}

    def _remember(self, module: torch.nn.Module, at: list[int]) -> None:
        if not at:
            return
        whole = len(at) == len(next(iter(self.best_.values())))
        members = torch.tensor([self.members_[i] for i in at])
        for name, p in module.named_parameters():
            if whole:
                self.best_[name].copy_(p.detach())
            else:
                now = p.detach()[torch.tensor(at, device=p.device)]
                self.best_[name][members.to(p.device)] = now


class LowestLosses(Callback):
    """Keep the lowest loss that each task ever had in each member.

    Attributes
    ----------
    losses_ : Tensor of shape (n_members, n_tasks)
        On the validation rows; without them, on the training rows.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Know of no loss yet."""
        self.losses_ = torch.full((net.module_.n_members, len(net.task_names)), math.inf)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare."""
        now = torch.from_numpy(net.task_losses())
        self.losses_ = torch.fmin(self.losses_.to(now), now)
