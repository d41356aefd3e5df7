"""The diagonal of the Fisher information, of every member of a stack and exactly.

Shapes: K members, n rows, T tasks, C outputs, m outputs of one task, R = K b rows of a part.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

NUMBERS = 4_000_000  # of the copies of the parameters, and of their gradients, of a part


def fisher_diagonal(
    module: Any, loss: Any, x: Tensor, values: Tensor, weight: Tensor
) -> dict[str, Tensor]:
    """Mean over rows of ``J^T H J``, its diagonal, by the name of a parameter of the network.

    J holds the derivatives of a row's outputs by the parameters and H the second derivatives of its
    loss by the outputs. For squared errors and log-losses that is the Fisher information, which
    depends on no label. A loss without curvature (absolute errors) has the square of its slope for H.

    Parameters
    ----------
    module : MultiTaskModule
    loss : TaskLosses
    x : Tensor of shape (K, n, d)
    values : Tensor of shape (K, n, V)
    weight : Tensor of shape (K, n, T)
        What a row counts in its tasks; zero without a label.

    Returns
    -------
    diagonal : dict from str to Tensor
        In the shape of the parameters; those that are not trained are left out.
    """
    network, k = module.network, len(x)
    trained = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    diagonal = {name: torch.zeros_like(p) for name, p in trained.items()}
    n_numbers = sum(p.numel() for p in trained.values())
    n_rows = max(1, NUMBERS // n_numbers)
    was_training = module.training
    module.eval()
    x = module.clip(x)
    for part, own, counts in zip(
        x.split(n_rows, 1), values.split(n_rows, 1), weight.split(n_rows, 1), strict=True
    ):
        b = part.shape[1]
        # a row is a member: the gradient of a copy of the parameters is that of a row
        copies = {n: p.repeat_interleave(b, 0).requires_grad_() for n, p in trained.items()}
        rest = {n: p.repeat_interleave(b, 0) for n, p in _at_rest(network).items()}
        rows = part.reshape(k * b, 1, -1)
        outputs = functional_call(network, {**copies, **rest}, (rows,))
        factors = _factors(loss, outputs.detach(), own.reshape(k * b, 1, -1), counts.flatten(0, 1))
        for at in range(factors.shape[2]):
            by_row = torch.autograd.grad(
                outputs,
                list(copies.values()),
                factors[:, :, at].unsqueeze(1),
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            for name, g in zip(copies, by_row, strict=True):
                # torch 2.4 gives zeros with a graph for what the outputs do not depend on
                diagonal[name] += g.detach().square().unflatten(0, (k, b)).sum(1)
    module.train(was_training)
    return diagonal


def _at_rest(network: Any) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in network.named_parameters() if not p.requires_grad}


def _factors(loss: Any, outputs: Tensor, values: Tensor, counts: Tensor) -> Tensor:
    """Columns S, (R, C, at most C), with ``H = S S^T``; what all rows have nothing in is left out."""
    outputs.requires_grad_()
    losses, _ = loss(outputs, values, None)
    [slopes] = torch.autograd.grad(losses.sum(), outputs, create_graph=True)
    blocks, at = [], 0
    for t, m in enumerate(loss.task_outputs):
        columns = slice(at, at + m)
        block = _block(outputs, slopes, columns)
        share = counts[:, t].clamp(min=0).sqrt().view(-1, 1, 1)
        blocks.append(torch.nn.functional.pad(block * share, (0, 0, at, outputs.shape[2] - at - m)))
        at += m
    factors = torch.cat(blocks, 2)
    size = factors.abs().amax(1)
    order = size.argsort(dim=1, descending=True, stable=True)
    most = int((size > 0).sum(1).max())
    order = order[:, :most].unsqueeze(1).expand(-1, factors.shape[1], -1)
    return factors.gather(2, order)  # a row of one task in sixty needs one column


def _block(outputs: Tensor, slopes: Tensor, columns: slice) -> Tensor:
    """Root (R, m, m) of the second derivatives of a task's loss; its slope (R, m, 1) if all are 0."""
    own = slopes[:, 0, columns]
    rows = []
    for c in range(own.shape[1]):
        second = torch.zeros_like(outputs)
        if own.requires_grad:
            [second] = torch.autograd.grad(
                own[:, c].sum(), outputs, retain_graph=True, materialize_grads=True
            )
        rows.append(second[:, 0, columns])
    hessian = torch.stack(rows, 1).detach()
    if not hessian.any():
        return own.detach().unsqueeze(2)
    if hessian.shape[1] == 1:
        return hessian.clamp(min=0).sqrt()
    size, directions = torch.linalg.eigh(hessian)
    return directions * size.clamp(min=0).sqrt().unsqueeze(1)
