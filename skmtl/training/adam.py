"""Adam for a stack: one fused call a step, an L2 factor per parameter, members that leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class StackAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015) with the L2 gradient added first, as in `MLPRegressor`.

    The arithmetic is torch's own, the kernel behind ``Adam(fused=True)``; left out is what
    `torch.optim.Adam.step` does around it at every step, on small networks longer than the
    arithmetic.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        All of one dtype, on one device.
    decay : mapping of str to float or Tensor
        L2 gradient factor by parameter name; a tensor broadcasts to the parameter.
    lr : float
        Step size.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        decay: Mapping[str, float | Tensor],
        *,
        lr: float,
    ):
        super().__init__(list(parameters.values()), lr=lr, fused=True)
        self.set_decay(parameters, decay)

    def set_decay(
        self, parameters: Mapping[str, nn.Parameter], decay: Mapping[str, float | Tensor]
    ) -> None:
        """Decay the parameters by these factors from now on."""
        self._even: dict[float, list[nn.Parameter]] = {}
        self._uneven: list[tuple[nn.Parameter, Tensor]] = []
        for name, p in parameters.items():
            factor = decay[name]
            if isinstance(factor, Tensor):
                self._uneven.append((p, factor.to(p)))
            elif factor:
                self._even.setdefault(factor, []).append(p)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_even": self._even, "_uneven": self._uneven}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the parameters that have a gradient."""
        for factor, ps in self._even.items():
            tensors, gradients = _moving(ps)
            torch._foreach_add_(gradients, tensors, alpha=factor)
        for p, factors in self._uneven:
            if p.grad is not None:
                p.grad.addcmul_(p, factors)
        [group] = self.param_groups
        tensors, gradients = _moving(group["params"])
        states = [self.state[p] or self._start(p) for p in tensors]
        beta1, beta2 = group["betas"]
        steps = [s["step"] for s in states]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            tensors,
            gradients,
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    step.hooked = True  # type: ignore[attr-defined]  # spares torch's profiler around every step

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """Half the decayed squares of each member, (K,): what `step` adds the gradient of."""
        terms = [factor * p.square() for factor, ps in self._even.items() for p in ps]
        terms += [factors * p.square() for p, factors in self._uneven]
        n_members = len(self.param_groups[0]["params"][0])
        if not terms:
            return torch.zeros(n_members)
        return 0.5 * torch.stack([term.flatten(1).sum(1) for term in terms]).sum(0)

    def keep(self, members: Tensor) -> None:
        """Let the other members leave; their parameters and moments go with them."""
        for p in self.param_groups[0]["params"]:
            index = members.to(p.device)
            state = self.state[p]
            for key in ("exp_avg", "exp_avg_sq") if state else ():
                state[key] = state[key][index]
            p.grad = None
            p.data = p.detach()[index]

    def forget(self) -> None:
        """Start anew, as if no step had been made; parameters may have changed their shape."""
        self.state.clear()

    def _start(self, p: Tensor) -> dict[str, Tensor]:
        self.state[p] = {
            "step": torch.zeros((), dtype=torch.float32, device=p.device),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
        return self.state[p]


def _moving(parameters: list[nn.Parameter]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters that have a gradient, and their gradients."""
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    return [p for p, _ in pairs], [g for _, g in pairs]
