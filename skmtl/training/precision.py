"""Mixed precision: matrix products of training in bfloat16, everything else as it was."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor


class MixedPrecision(Callback):
    """Train with `torch.autocast`: products in bfloat16; parameters, losses and steps in float32.

    For float32 networks: tables of more than 1000 rows, or a GPU. Forward passes of training and
    validation are cast, predictions after it are not. bfloat16 has float32's range, so gradients need
    no scaling; float16, which does, is not offered. skorch's `AccelerateMixin` is no way to this
    end: it works on skorch's `train_step`, which a stack's loop does not call.

    Weightings that look at gradients where tasks part call the parts of a network one by one, and are
    refused.

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

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Wrap the module's forward pass."""
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
        self.cast_ = torch.autocast(net.module_.low.device.type, dtype=torch.bfloat16)
        self.handles_ = [
            net.module_.register_forward_pre_hook(self._enter),
            net.module_.register_forward_hook(self._leave, always_call=True),
        ]

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave the module as it was."""
        for handle in self.handles_:
            handle.remove()
        del self.handles_, self.cast_

    def _enter(self, module: Any, args: Any) -> None:
        self.cast_.__enter__()

    def _leave(self, module: Any, args: Any, outputs: Tensor | None) -> Tensor | None:
        self.cast_.__exit__(None, None, None)
        return None if outputs is None else outputs.float()
