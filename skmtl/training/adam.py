"""Adam for a stack: an L2 factor per parameter, tasks that rest, members that leave.

Shapes: K members, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

ONE = torch.ones(())  # with a number, or without alpha, each sum would make a tensor of it anew


class StackAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015) with the L2 gradient added first, as in `MLPRegressor`.

    The arithmetic is torch's own, the kernel behind ``Adam(fused=True)``; left out is what
    `torch.optim.Adam.step` does around it at every step, on small networks longer than the
    arithmetic.

    A parameter of which some entries rest while others move counts its steps entry by entry from
    then on: a task that trains later starts as it would have started alone.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        All of one dtype, on one device.
    decay : mapping of str to float or Tensor
        L2 gradient factor by parameter name; a tensor broadcasts to the parameter.
    owners : mapping of str to Tensor
        Task that each entry serves, by parameter name: integers that broadcast to a member's part of
        the parameter; -1 for all tasks.
    lr : float or Tensor of shape (K,)
        Step size, or that of each member.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        decay: Mapping[str, float | Tensor],
        owners: Mapping[str, Tensor],
        *,
        lr: float | Tensor,
    ):
        super().__init__(list(parameters.values()), lr=1.0)
        # not asked of Adam itself: torch 2.4 then refuses the counters among what is at rest
        self.param_groups[0]["fused"] = True
        self.set_lr(lr)
        self.set_decay(parameters, decay)
        self._owners = [owners[name].to(p.device) for name, p in parameters.items()]
        self._counts_apart = False
        self._paces: dict[Tensor, float] = {}
        self.also: list[nn.Parameter] = []  # parameters of no network
        self._also_lr: list[float] = []

    def set_lr(self, lr: float | Tensor) -> None:
        """Step so far from now on."""
        self.param_groups[0]["lr"] = lr
        self._moved: dict[Tensor, tuple[Tensor, Tensor]] = {}

    def set_pace(self, parameters: Iterable[nn.Parameter], pace: float) -> None:
        """Let these step ``pace`` times as far as the others from now on; 1 ends it."""
        for p in parameters:
            self._paces.pop(p, None)
            if pace != 1:
                self._paces[p] = pace

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
        own = "_even _uneven _owners _counts_apart _paces also _also_lr _moved"
        return {**super().__getstate__(), **{name: getattr(self, name) for name in own.split()}}

    def adopt(self, parameters: list[list[nn.Parameter]]) -> None:
        """Step these, of each member, with the others; forget those there were before."""
        lr = self.param_groups[0]["lr"]
        rates = lr.tolist() if isinstance(lr, Tensor) else [lr] * len(parameters)
        flat = [p for own in parameters for p in own]
        for p in self.also:
            if not any(p is q for q in flat):
                self.state.pop(p, None)
        self.also = flat
        self._also_lr = [r for own, r in zip(parameters, rates, strict=False) for _ in own]

    def reconnect(self, parameters: list[list[nn.Parameter]]) -> None:
        """Take these for the parameters adopted, of which a copy or a pickle made two."""
        flat = [p for own in parameters for p in own]
        for old, new in zip(self.also, flat, strict=True):
            if old is not new and old in self.state:
                self.state[new] = self.state.pop(old)
        self.also = flat

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: None = None, *, moving: Tensor | None = None, shared: bool = True
    ) -> None:
        """Move the parameters that have a gradient.

        ``moving`` (K, T) says whose parameters move, None: everybody's; ``shared``: whether those
        that serve all tasks do, in members where any task moves. What rests keeps its moments and
        its steps, to the bit.
        """
        for factor, ps in self._even.items():
            tensors, gradients = _with_gradient(ps)
            if tensors:
                torch._foreach_add_(gradients, tensors, alpha=factor)
        uneven = [(p.grad, p, factors) for p, factors in self._uneven if p.grad is not None]
        if uneven:
            torch._foreach_addcmul_(*map(list, zip(*uneven, strict=True)))
        [group] = self.param_groups
        also = self.also
        if isinstance(group["lr"], Tensor):  # each of them steps as far as its member
            for p, lr in zip(also, self._also_lr, strict=True):
                if p.grad is not None:
                    self._fused([p], [p.grad], lr)
            also = []
        if moving is None and shared and not self._counts_apart:
            self._step_together(*_with_gradient([*group["params"], *also]))
            return
        together = list(also)
        for p, owner in zip(group["params"], self._owners, strict=True):
            if p.grad is None:
                continue
            moves = _moves(p, owner, moving, shared)
            if "steps" not in self._state_of(p) and moves.all():
                together.append(p)
            elif moves.any():
                self._step_apart(p, moves)
                self._counts_apart = True
        tensors, gradients = _with_gradient(together)
        if tensors:
            self._step_together(tensors, gradients)

    def _step_together(self, tensors: list[Tensor], gradients: list[Tensor]) -> None:
        lr = self.param_groups[0]["lr"]
        if not isinstance(lr, Tensor):
            if not self._paces:
                self._fused(tensors, gradients, lr)
                return
            paces = [self._paces.get(p, 1.0) for p in tensors]
            for pace in set(paces):
                some = [i for i, own in enumerate(paces) if own == pace]
                self._fused([tensors[i] for i in some], [gradients[i] for i in some], lr * pace)
            return
        # a step of one, scaled member by member
        moves, rates = map(list, zip(*(self._move_of(p, lr) for p in tensors), strict=True))
        torch._foreach_zero_(moves)
        self._fused(tensors, gradients, 1.0, moves)
        torch._foreach_addcmul_(tensors, moves, rates)

    def _fused(
        self,
        tensors: list[Tensor],
        gradients: list[Tensor],
        lr: float,
        moved: list[Tensor] | None = None,
    ) -> None:
        """Step by torch's kernel; ``moved`` in place of the tensors, if given."""
        [group] = self.param_groups
        states = [self._state_of(p) for p in tensors]
        beta1, beta2 = group["betas"]
        steps = [s["step"] for s in states]
        if steps[0].is_cpu:
            torch._foreach_add_(steps, ONE, alpha=1.0)
        else:
            torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            tensors if moved is None else moved,
            gradients,
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            steps,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _step_apart(self, p: Tensor, moves: Tensor) -> None:
        """Step the entries that ``moves``, broadcast to p, says; each by its own count of steps."""
        [group] = self.param_groups
        state, gradient = self._state_of(p), p.grad
        assert gradient is not None, "only what has a gradient steps"
        if "steps" not in state:
            state["steps"] = torch.full_like(moves, float(state["step"]), dtype=p.dtype)
        beta1, beta2 = group["betas"]
        lr = group["lr"]
        rate = moves.to(p)
        steps = state["steps"].add_(rate)
        state["exp_avg"].lerp_(gradient, (1 - beta1) * rate)
        state["exp_avg_sq"].lerp_(gradient.square(), (1 - beta2) * rate)
        seen = steps.clamp(min=1)
        root = (state["exp_avg_sq"] / (1 - beta2**seen)).sqrt_().add_(group["eps"])
        lr = _by_member(lr, p) if isinstance(lr, Tensor) else lr * self._paces.get(p, 1.0)
        p.sub_(state["exp_avg"] / root * (lr / (1 - beta1**seen) * rate))

    step.hooked = True  # type: ignore[attr-defined]  # spares torch's profiler around every step

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """Half the decayed squares of each member, (K,): what `step` adds the gradient of."""
        terms = [factor * p.square() for factor, ps in self._even.items() for p in ps]
        terms += [factors * p.square() for p, factors in self._uneven]
        n_members = len(self.param_groups[0]["params"][0])
        if not terms:
            return self.param_groups[0]["params"][0].new_zeros(n_members)
        return 0.5 * torch.stack([term.flatten(1).sum(1) for term in terms]).sum(0)

    def keep(self, members: Tensor) -> None:
        """Let the other members leave; their parameters and moments go with them."""
        [group] = self.param_groups
        n_members = len(group["params"][0])
        if isinstance(group["lr"], Tensor):
            self.set_lr(group["lr"][members.to(group["lr"].device)])
        self._uneven = [
            (p, f[members.to(f.device)] if f.dim() == p.dim() and len(f) == n_members else f)
            for p, f in self._uneven
        ]
        for p in group["params"]:
            index = members.to(p.device)
            state = self.state[p]
            for key in state.keys() - {"step"}:
                state[key] = state[key][index]
            p.grad = None
            p.data = p.detach()[index]

    def forget(self) -> None:
        """Start anew, as if no step had been made; parameters may have changed their shape."""
        self.state.clear()
        self._counts_apart = False

    def _move_of(self, p: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Where the step of p is made, and by what it is scaled."""
        if p not in self._moved:
            self._moved[p] = torch.empty_like(p), _by_member(lr, p)
        return self._moved[p]

    def _state_of(self, p: Tensor) -> dict[str, Tensor]:
        if not self.state[p]:
            self.state[p] = {
                "step": torch.zeros((), dtype=torch.float32, device=p.device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
        return self.state[p]


def _by_member(values: Tensor, p: Tensor) -> Tensor:
    """Values (K,) so that they broadcast to a parameter (K, ...)."""
    return values.view(-1, *[1] * (p.dim() - 1))


def _with_gradient(parameters: list[nn.Parameter]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters that have a gradient, and their gradients."""
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    return [p for p, _ in pairs], [g for _, g in pairs]


def _moves(p: Tensor, owner: Tensor, moving: Tensor | None, shared: bool) -> Tensor:
    """Entries of p (K, ...) that move, as booleans that broadcast to it."""
    if moving is None:
        each = (owner >= 0) | shared
        return each.expand(len(p), *[1] * (p.dim() - 1 - owner.dim()), *owner.shape)
    common = moving.any(1, keepdim=True) & shared
    each = torch.cat([moving, common], 1)[:, owner]  # owner -1 is the last
    return each.view(len(p), *[1] * (p.dim() - 1 - owner.dim()), *owner.shape)
