"""The diagonal of the Fisher information against closed forms, and row by row by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from skmtl import MultiTaskClassifierRegressor, sharing
from skmtl._resolve import known_names
from skmtl.consolidation.fisher import fisher_diagonal
from skmtl.tasks import RegressionTask

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.column_stack([X[:, 0], np.tanh(2 * X[:, 1]), X[:, 2] ** 2])


def linear(loss="squared_error", weight=None, y=Y, **options):
    est = MultiTaskClassifierRegressor(
        options.pop("tasks", RegressionTask(loss)),
        hidden_layer_sizes=(),
        n_members=2,
        device="cpu",
        random_state=0,
        **options,
    )
    return est.partial_fit(X, y, weight)


def fisher_of(est, weight):
    module, loss = est.module_, est.net_.criterion_
    x = torch.from_numpy(X).expand(2, -1, -1)
    counts = torch.as_tensor(weight, dtype=torch.float64).expand(2, len(X), -1)
    return fisher_diagonal(module, loss, x, x.new_zeros(2, len(X), len(loss.tasks)), counts)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_fisher_of_linear_gaussian_tasks(loss, rng):
    """Of weights the weighted mean of squares of the inputs, of the bias one, whatever the labels."""
    est = linear(loss)
    share = rng.random((60, 3))
    share /= share.sum(0)
    found = fisher_of(est, share)
    inputs = est.module_.clip(torch.from_numpy(X)).numpy()
    expected = np.square(inputs).T @ share
    for member in range(2):
        assert_allclose(found["heads.last.weight"][member], expected)
        assert_allclose(found["heads.last.bias"][member].squeeze(), np.ones(3))


def test_fisher_of_logistic_and_softmax_tasks():
    two, three = X[:, 0] > 0, np.digitize(X[:, 1], [-0.5, 0.5])
    y = pd.DataFrame({"two": two, "three": three})
    est = linear(y=y, tasks="classification", learning_rate_init=0.5)
    found = fisher_of(est, np.full((60, 2), 1 / 60))["heads.last.weight"][0]
    inputs = est.module_.clip(torch.from_numpy(X)).numpy()
    member = est.members_[0]
    p = np.column_stack([member.predict_proba(X)["two"][:, :1], member.predict_proba(X)["three"]])
    assert p.std(0).min() > 0.05
    assert_allclose(found, np.square(inputs).T @ (p * (1 - p)) / 60)


@pytest.mark.parametrize("scheme", sorted(known_names(sharing, sharing.Sharing)))
def test_fisher_of_any_scheme_is_the_mean_of_squares_of_a_rows_derivatives(scheme, mixed):
    """By a backward pass per row, output and member, on a network of two mixed tasks."""
    inputs, table = mixed
    est = MultiTaskClassifierRegressor(
        sharing=scheme, hidden_layer_sizes=(5, 4), n_members=2, device="cpu", random_state=0
    ).partial_fit(inputs, table[["colour", "cost"]])
    module, loss = est.module_.eval(), est.net_.criterion_
    x = module.clip(torch.from_numpy(inputs.to_numpy()[:4]))
    weight = torch.rand(2, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = fisher_diagonal(module, loss, x.expand(2, -1, -1), x.new_zeros(2, 4, 2), weight)
    trained = [(n, p) for n, p in module.network.named_parameters() if p.requires_grad]
    expected = {name: torch.zeros_like(p) for name, p in trained}
    for row in range(4):
        outputs = module(x[row].expand(2, 1, -1))[:, 0]
        at = 0
        for t, m in enumerate(loss.task_outputs):
            for k in range(2):
                own = outputs[k, at : at + m]
                p = own.softmax(-1)
                H = torch.diag(p) - torch.outer(p, p) if m > 1 else torch.ones(1, 1).double()
                J = [
                    torch.autograd.grad(
                        o,
                        [q for _, q in trained],
                        retain_graph=True,
                        materialize_grads=True,
                        allow_unused=True,
                    )
                    for o in own
                ]
                for i, (name, _) in enumerate(trained):
                    rows = torch.stack([j[i] for j in J])
                    diagonal = torch.einsum("i...,ij,j...->...", rows, H.detach(), rows)
                    expected[name] += weight[k, row, t] * diagonal.detach()
            at += m
    for name, value in expected.items():
        assert_allclose(found[name], value, atol=1e-10)
