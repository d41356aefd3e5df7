"""Adam for heads of which a step sees a few: the others cost nothing and stay as they are.

Shapes: K members, T tasks, U heads with a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .adam import StackAdam


class GatheredAdam(StackAdam):
    """`StackAdam` that steps a parameter with a sparse gradient head by head.

    A head without a row in the batch rests, as a task without a label does: it keeps its moments and
    its count of steps, to the bit. The arithmetic is that of `StackAdam` for tasks that rest, so a
    step is the same whether gradients are sparse or not.
    """

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: None = None, *, moving: Tensor | None = None, shared: bool = True
    ) -> None:
        """Move the parameters that have a gradient; see `StackAdam.step`."""
        [group] = self.param_groups
        dense = False
        for p in group["params"]:
            if p.grad is not None and p.grad.is_sparse:
                self._step_heads(p)
                p.grad = None
            dense = dense or p.grad is not None
        if dense:
            super().step(moving=moving, shared=shared)

    step.hooked = True  # type: ignore[attr-defined]  # as in StackAdam

    def set_decay(self, parameters, decay):  # type: ignore[no-untyped-def]
        """Decay the parameters by these factors from now on."""
        super().set_decay(parameters, decay)
        self._factors = {
            parameters[name]: factor.to(parameters[name]) if isinstance(factor, Tensor) else factor
            for name, factor in decay.items()
        }

    def __getstate__(self):  # type: ignore[no-untyped-def]
        return {**super().__getstate__(), "_factors": self._factors}

    def _step_heads(self, p: nn.Parameter) -> None:
        """Step the heads of p (K, T, ...) that its gradient holds."""
        [group] = self.param_groups
        sparse = p.grad
        assert sparse is not None, "only what has a gradient steps"
        k, t = sparse._indices()  # each head once: it is coalesced
        gradient = sparse._values()
        heads = k * p.shape[1] + t
        state, own = self._state_of(p), p.view(-1, *p.shape[2:])
        if "steps" not in state:
            state["steps"] = p.new_zeros(*p.shape[:2], *[1] * (p.dim() - 2))
        mean, square, steps = (
            state[key].view(-1, *state[key].shape[2:]) for key in ("exp_avg", "exp_avg_sq", "steps")
        )
        now = own.index_select(0, heads)
        factor = self._factors[p]
        if isinstance(factor, Tensor):
            factor = factor.index_select(0, t)
        if isinstance(factor, Tensor) or factor:
            gradient = gradient + factor * now
        beta1, beta2 = group["betas"]
        seen = steps.index_select(0, heads) + 1
        first = mean.index_select(0, heads).lerp_(gradient, 1 - beta1)
        second = square.index_select(0, heads).lerp_(gradient.square(), 1 - beta2)
        root = (second / (1 - beta2**seen)).sqrt_().add_(group["eps"])
        lr = group["lr"]
        lr = lr[k].view(-1, *[1] * (p.dim() - 2)) if isinstance(lr, Tensor) else lr
        now.sub_(first / root * (lr / (1 - beta1**seen)))
        for table, rows in ((own, now), (mean, first), (square, second), (steps, seen)):
            table.index_copy_(0, heads, rows)
