"""Experts that have a copy of the trunk each."""

import pickle

import images
import numpy as np
import pandas as pd
import pytest
import torch
from images import outputs
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skmtl import MultiTaskClassifierRegressor
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import CGC, PLE, DSelectK, MMoE
from skmtl.trunks import ConvTrunk

FAST = {"n_members": 2, "max_iter": 3, "hidden_layer_sizes": (8,), "random_state": 0}
FAST |= {"early_stopping": False, "learning_rate_init": 3e-3}
# with the number of trunks for three tasks
EVERY = {
    "mmoe": (MMoE(3, own_trunks=True), 3),
    "cgc": (CGC(2, 1, own_trunks=True), 2 + 3),
    "ple": (PLE(1, 2, own_trunks=True), 1 + 3 * 2),
    "d_select_k": (DSelectK(3, own_trunks=True), 3),
}


def layer(shape):
    """A trunk that forgets the shape of an image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU())


@pytest.fixture(scope="module")
def digits():
    return images.digits(200)


def fitted(digits, sharing, trunk=layer, **params):
    est = MultiTaskClassifierRegressor(sharing=sharing, trunk=trunk, **{**FAST, **params})
    return est.fit(*digits)


def weight_of(est, name="1-weight"):
    """This weight (K, E, ...) of all copies of the trunk."""
    named = est.module_.network.trunk.named_parameters()
    return torch.cat([p for path, p in named if path.split(".")[-1] == name], 1)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("hidden", [(), (8,), (8, 5)], ids=str)
def test_experts_have_as_many_parameters_as_trunks(digits, name, hidden):
    scheme, n_trunks = EVERY[name]
    module = ConvTrunk((3,)).build((1, 8, 8))
    est = fitted(digits, scheme, ConvTrunk((3,)), hidden_layer_sizes=hidden, max_iter=1)
    trained = [p for p in est.module_.network.trunk.parameters() if p.requires_grad]
    of_one = sum(p.numel() for p in module.parameters())
    assert sum(p[0].numel() for p in trained) == n_trunks * of_one
    assert weight_of(est, "0-weight").shape == (2, n_trunks, 3, 1, 3, 3)


@pytest.mark.parametrize("name", EVERY)
def test_copies_and_members_start_different_and_a_member_is_the_member_alone(digits, name):
    scheme, _ = EVERY[name]
    start = fitted(digits, scheme, learning_rate_init=1e-9)
    weight = weight_of(start).flatten(2)
    distances = torch.cdist(weight.flatten(0, 1), weight.flatten(0, 1))
    assert distances.fill_diagonal_(1.0).min() > 0.1
    both = fitted(digits, scheme)
    one = clone(both).set_params(n_members=1).fit(*digits)
    X = digits[0]
    torch.testing.assert_close(outputs(both, X)[:1], outputs(one, X), rtol=1e-4, atol=1e-5)
    again = pickle.loads(pickle.dumps(both))
    pd.testing.assert_frame_equal(again.predict(X), both.predict(X))
    assert torch.equal(outputs(clone(both).fit(*digits), X), outputs(both, X))


@pytest.mark.parametrize(
    "scheme",
    [
        MMoE(1, own_trunks=True),
        CGC(1, 0, own_trunks=True),
        PLE(1, 0, own_trunks=True),
        DSelectK(1, k=1, entropy=0.0, own_trunks=True),
    ],
    ids=repr,
)
@pytest.mark.parametrize("hidden", [(), (8,), (8, 5)], ids=str)
def test_one_expert_is_hard_sharing(digits, scheme, hidden):
    params = {"hidden_layer_sizes": hidden, "batch_size": 200, "max_iter": 10}
    X, trunk = digits[0], ConvTrunk((3,)).build((1, 8, 8))  # where both start
    hard = outputs(fitted(digits, "hard", trunk, **params), X)
    one = outputs(fitted(digits, scheme, trunk, **params), X)
    assert hard.std() > 0.01
    torch.testing.assert_close(one, hard, rtol=1e-3, atol=1e-4)


def test_an_expert_of_each_task_alone_is_no_sharing(digits):
    """But for where training starts: towers of a network start equal, experts do not."""
    est = fitted(digits, CGC(0, 1, own_trunks=True), hidden_layer_sizes=())
    assert gradients_by_task(est, digits[0]).bool().tolist() == np.eye(3, dtype=bool).tolist()


def test_a_tasks_loss_reaches_the_trunks_of_its_experts_and_the_shared_ones(digits):
    est = fitted(digits, CGC(2, 1, own_trunks=True))
    reached = gradients_by_task(est, digits[0]).bool()
    assert reached[:, :3].tolist() == np.eye(3, dtype=bool).tolist()
    assert reached[:, 3:].all()
    owners = est.module_.network.owners()
    assert owners["trunk.trunks.0.1-weight"].flatten().tolist() == [0, 1, 2]
    assert owners["trunk.trunks.1.1-weight"] == -1
    several = fitted(digits, PLE(1, 1, own_trunks=True), hidden_layer_sizes=(8, 5))
    assert several.module_.network.owners()["trunk.trunks.0.1-weight"] == -1


def gradients_by_task(est, X):
    """Size of the gradient that each task's outputs (rows) have at each copy of the trunk."""
    network = est.module_.network.train(False)
    weights = [p for path, p in network.trunk.named_parameters() if path.endswith("1-weight")]
    x = torch.as_tensor(X[:50]).reshape(1, 50, -1).expand(2, -1, -1)
    architecture, _ = est.module_.built_for
    sizes, rows = [], network(x).split(list(architecture.task_outputs), dim=-1)
    for part in rows:
        gradients = torch.autograd.grad(part.sum(), weights, retain_graph=True)
        sizes.append(torch.cat(gradients, 1).abs().sum((0, 2, 3)))
    return torch.stack(sizes)


def test_features_of_a_task_are_the_gated_mean_of_its_trunks(digits):
    """The formula of MMoE, written out, where an expert is a trunk and nothing else."""
    est = fitted(digits, MMoE(3, own_trunks=True), hidden_layer_sizes=())
    X, network = digits[0], est.module_.network
    x = torch.as_tensor(X).reshape(1, 200, -1).expand(2, -1, -1)
    weights = dict(network.trunk.named_parameters())
    [level] = network.inner.body.levels
    with torch.no_grad():
        found = network.inner.body(network.trunk(x))
        for k in range(2):
            each = [
                torch.relu(x[k] @ weights["1-weight"][k, e].T + weights["1-bias"][k, e])
                for e in range(3)
            ]
            for t in range(3):
                shares = (torch.cat(each, -1) @ level.gate.weight[k, t]).softmax(-1)
                expected = sum(shares[:, e : e + 1] * each[e] for e in range(3))
                torch.testing.assert_close(found[k, t], expected, rtol=1e-4, atol=1e-5)


def test_a_module_is_where_all_experts_start_and_hidden_layers_part_them(digits):
    module = layer(None)
    start = fitted(digits, MMoE(3, own_trunks=True), module, learning_rate_init=1e-9)
    weight = weight_of(start)
    assert (weight - module[1].weight).abs().max() < 1e-6
    later = fitted(digits, MMoE(3, own_trunks=True), module)
    weight = weight_of(later)
    assert (weight[:, 0] - weight[:, 1]).abs().max() > 1e-3


def test_trunks_are_told_in_searches_in_batches_or_one_by_one(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(sharing=MMoE(2, own_trunks=True), trunk=layer, **FAST)
    grid = {"sharing__own_trunks": [False, True], "learning_rate_init": [1e-3, 3e-3]}
    each = GridSearchCV(est, grid, cv=2).fit(X, y)
    both = BatchedGridSearchCV(est, grid, cv=2).fit(X, y)
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(both.cv_results_[key], each.cv_results_[key], atol=1e-3)


def test_training_goes_on_and_a_new_task_starts_from_the_trunks(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(sharing=CGC(2, 1, own_trunks=True), trunk=layer, **FAST)
    for _ in range(2):
        est.partial_fit(X, y[["ink", "odd"]])
    new = est.adapt(X, y["digit"], freeze="trunk")
    assert torch.equal(weight_of(new)[:, 1:], weight_of(est)[:, 2:])  # the shared ones, at rest
    assert (weight_of(new)[:, :1] - weight_of(est)[:, :2]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("scheme", "params", "error", "words"),
    [
        (MMoE(own_trunks=True), {"trunk": None}, ValueError, "Found trunk=None"),
        (CGC(own_trunks=1), {}, TypeError, "own_trunks must be True or False. Found 1"),
        (DSelectK(), {"hidden_layer_sizes": ()}, ValueError, "own_trunks=True"),
        (PLE(), {"hidden_layer_sizes": ()}, ValueError, "needs hidden layers"),
        (
            MMoE(own_trunks=True),
            {"trunk": layer(None), "hidden_layer_sizes": ()},
            ValueError,
            "start equal.*Pass a function",
        ),
    ],
    ids=["no trunk", "number", "select", "levels", "equal"],
)
def test_what_makes_no_sense_is_refused(digits, scheme, params, error, words):
    with pytest.raises(error, match=words):
        fitted((digits[0].reshape(200, -1), digits[1]), scheme, **params)
