"""Mixed precision: matrix products of training in bfloat16, everything else as it was."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor


class MixedPrecision(Callback):
    """Train with `torch.autocast`: products in bfloat16; parameters, losses and steps in float32.

    For float32 networks: tables of more than 1000 rows, or a GPU. Forward passes of training and
    validation are cast, predictions after it are not. bfloat16 has float32's range, so gradients need
    no scaling; float16, which does, is not offered.

    An ``accelerator`` is the way to what the package accelerate was configured for: its context casts,
    by its ``mixed_precision``, and the estimator trains on its device, ``device=accelerator.device``.
    skorch's `AccelerateMixin` is no way to this end: it works on skorch's `train_step`, which a stack's
    loop does not call.

    Weightings that look at gradients where tasks part call the parts of a network one by one, and are
    refused.

    Parameters
    ----------
    accelerator : accelerate.Accelerator or None, default=None
        Of one process, whose ``mixed_precision`` is "bf16", or "no", with which nothing is cast. None:
        bfloat16 on the estimator's device.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.training import MixedPrecision
    >>> X = np.random.default_rng(0).normal(size=(1500, 8)).astype(np.float32)
    >>> y = np.column_stack([X[:, 0], X[:, 1] * X[:, 2]])
    >>> est = MultiTaskRegressor(callbacks=[MixedPrecision()], max_iter=20, tol=0.1, random_state=0)
    >>> est.fit(X, y).predict(X).dtype
    dtype('float64')
    """

    def __init__(self, accelerator=None):
        self.accelerator = accelerator

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Wrap the module's forward pass."""
        self.device_ = net.module_.low.device
        if self.accelerator is not None:
            self._check_accelerator()
            if self.accelerator.mixed_precision == "no":
                self.handles_ = []
                return
        if net.module_.low.dtype != torch.float32:
            raise ValueError(
                "MixedPrecision needs a float32 network. Found float64, in which tables of up to 1000 "
                "rows are trained: leave it out there."
            )
        if net.weighting.level == "features":
            raise ValueError(
                f"MixedPrecision does not go with loss_weights={net.weighting!r}, which looks at "
                "gradients where tasks part. Use weights on losses, or leave it out."
            )
        self.handles_ = [
            net.module_.register_forward_pre_hook(self._enter),
            net.module_.register_forward_hook(self._leave, always_call=True),
        ]

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave the module as it was."""
        for handle in self.handles_:
            handle.remove()
        del self.handles_, self.device_

    def _check_accelerator(self) -> None:
        """Raise if it asks for what a stack's loop does not do, or for another device."""
        ours = self.accelerator
        needed = ("autocast", "mixed_precision", "device", "num_processes")
        missing = [name for name in needed if not hasattr(ours, name)]
        if missing:
            raise TypeError(
                "Parameter accelerator must be an accelerate.Accelerator or None. Found "
                f"{ours!r}, which has no {missing[0]}."
            )
        if ours.mixed_precision not in ("no", "bf16"):
            raise ValueError(
                "Parameter accelerator must have mixed_precision 'bf16' or 'no': gradients are not "
                f"scaled, which others need. Found {ours.mixed_precision!r}."
            )
        if ours.num_processes > 1:
            raise ValueError(
                "Parameter accelerator must be of one process: a fit is not spread over several. Found "
                f"{ours.num_processes}. Give each process fits of its own."
            )
        there, wanted = self.device_, torch.device(ours.device)
        if there.type != wanted.type or (wanted.index or 0) != (there.index or 0):
            raise ValueError(
                f"Parameter accelerator is for device {str(wanted)!r}, and the estimator trains on "
                f"{str(there)!r}. Pass device=accelerator.device."
            )

    def _context(self) -> AbstractContextManager:
        """What casts, once."""
        if self.accelerator is not None:
            return self.accelerator.autocast()
        return torch.autocast(self.device_.type, dtype=torch.bfloat16)

    def _enter(self, module: Any, args: Any) -> None:
        self.cast_ = self._context()
        self.cast_.__enter__()

    def _leave(self, module: Any, args: Any, outputs: Tensor | None) -> Tensor | None:
        self.cast_.__exit__(None, None, None)
        del self.cast_
        return None if outputs is None else outputs.float()
