"""One work, done by skmtl and by its peers: a network trained by Adam on a table of regressions.

All get the same rows, layers, batch size, learning rate, L2 penalty and number of epochs, and none
stops early. A contestant is a function of (work, X, Y) that trains and returns what predicts.
"""

import functools
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNet
from torch import nn

from skmtl import MultiTaskRegressor
from skmtl.sharing import HardSharing

RATE, ALPHA = 1e-3, 1e-4


@dataclass(frozen=True)
class Work:
    """The shape of a table and of a network, and how long it is trained."""

    n: int = 20_000
    d: int = 50
    n_tasks: int = 4
    sizes: tuple[int, ...] = (64, 64)
    batch_size: int = 256
    epochs: int = 10
    linear_skip: bool = False  # which MLPRegressor has not, and our default has
    device: str = "cpu"

    def table(self):
        return data(self.n, self.d, self.n_tasks)


def data(n=20_000, d=50, n_tasks=4, *, spread=5, noise=0.1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    Y = np.tanh(X @ rng.normal(size=(d, n_tasks)) / spread) + noise * rng.normal(size=(n, n_tasks))
    return X, Y.astype(np.float32)


def estimator(work, **changes):
    """Our estimator for a work, but for these parameters."""
    params = {
        "sharing": HardSharing(linear_skip=work.linear_skip),
        "hidden_layer_sizes": work.sizes,
        "batch_size": work.batch_size,
        "learning_rate_init": RATE,
        "alpha": ALPHA,
        "max_iter": work.epochs,
        "n_iter_no_change": work.epochs,
        "early_stopping": False,
        "n_members": 1,
        "random_state": 0,
        "device": work.device,
    }
    return MultiTaskRegressor(**params | changes)


def ours(work, X, Y, n_members=1):
    return estimator(work, n_members=n_members).fit(X, Y).predict


def trunk(work, d):
    layers = ((nn.Linear(*size), nn.ReLU()) for size in pairwise((d, *work.sizes)))
    return nn.Sequential(*chain.from_iterable(layers))


class Net(nn.Module):
    """Trunk, heads in one matrix product, linear skip: what our network computes."""

    def __init__(self, work, d, n_out):
        super().__init__()
        self.trunk = trunk(work, d)
        self.heads = nn.Linear(work.sizes[-1], n_out)
        self.skip = nn.Linear(d, n_out) if work.linear_skip else None

    def forward(self, x):
        out = self.heads(self.trunk(x))
        return out if self.skip is None else out + self.skip(x)


def hand_written(work, X, Y):
    """Train the loop one would write: standardised targets, masked losses, fused Adam."""
    there = ~np.isnan(Y)
    center, scale = np.nanmean(Y, axis=0), np.nanstd(Y, axis=0)
    x = torch.from_numpy(X)
    y = torch.from_numpy(np.where(there, (Y - center) / scale, 0).astype(np.float32))
    mask = torch.from_numpy(there.astype(np.float32))
    net = Net(work, X.shape[1], Y.shape[1])
    decays = [p for name, p in net.named_parameters() if "bias" not in name]
    biases = [p for name, p in net.named_parameters() if "bias" in name]
    groups = [{"params": decays, "weight_decay": ALPHA / len(X)}, {"params": biases}]
    adam = torch.optim.Adam(groups, lr=RATE, fused=True)
    for _ in range(work.epochs):
        for rows in torch.randperm(len(x)).split(work.batch_size):
            m = mask[rows]
            losses = (0.5 * (net(x[rows]) - y[rows]).square() * m).sum(0) / m.sum(0)
            adam.zero_grad()
            losses.sum().backward()
            adam.step()
    return lambda X: net(torch.from_numpy(X)).detach().numpy() * scale + center


def on_one_thread(contestant):
    """Have torch held to one thread meanwhile, as a fit of ours has for networks of this size."""

    @functools.wraps(contestant)
    def held(*args):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return contestant(*args)
        finally:
            torch.set_num_threads(threads)

    return held


def plain_skorch(work, X, Y):
    net = NeuralNet(
        Net,
        nn.MSELoss,
        module__work=work,
        module__d=X.shape[1],
        module__n_out=Y.shape[1],
        optimizer=torch.optim.Adam,
        optimizer__weight_decay=ALPHA / len(X),
        lr=RATE,
        max_epochs=work.epochs,
        batch_size=work.batch_size,
        train_split=None,
        verbose=0,
    )
    return net.fit(X, Y).predict


def sklearn_mlp(work, X, Y):
    est = MLPRegressor(
        hidden_layer_sizes=work.sizes,
        batch_size=work.batch_size,
        learning_rate_init=RATE,
        alpha=ALPHA * work.batch_size / len(X),  # it divides by the rows of a batch
        max_iter=work.epochs,
        n_iter_no_change=work.epochs,
    )
    return est.fit(X, Y).predict
