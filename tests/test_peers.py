"""Sharing schemes beside other people's: from the same weights, the same features or outputs.

LibMTL asks for an old torchvision, so it is not among what tests need; without it some are skipped.
To run them all: `pip install --no-deps libmtl==1.1.5`.

Where a peer departs from the paper, its test says so and compares what is left.
"""

import sys
from dataclasses import replace
from itertools import pairwise
from types import ModuleType

import loralib
import pytest
import torch
from networks import architecture, spread
from sklearn.neural_network import MLPRegressor
from torch import Generator, nn
from torch_rechub.basic.features import DenseFeature
from torch_rechub.models import multi_task

from skmtl import sharing
from skmtl.sharing import CGC, PLE, HardSharing, MMoE, NoSharing

D, HIDDEN, DEEP, TASKS = 4, (6, 5), (6, 5, 4, 3), ["a", "b", "c"]
T = len(TASKS)
X = torch.randn(7, D, generator=Generator().manual_seed(1))


def build(scheme, hidden=HIDDEN):
    smooth = replace(architecture((1,) * T, hidden), activation="tanh")  # no unit is dead
    return spread(scheme.build(smooth, [Generator().manual_seed(0)]).eval())


def check(network, theirs):
    """Compare the features of every task, theirs one after the other."""
    ours = network.body(X.unsqueeze(0))[0]
    assert ours.std(1).min() > 1e-3  # nothing is compared that is constant
    torch.testing.assert_close(ours, torch.stack(list(theirs)), rtol=1e-4, atol=1e-5)


def fill(module, weight, bias=None):
    """Give a layer of theirs, dense or a convolution of size one, weights (n_in, n_out) of ours."""
    module.weight.data = weight.detach().mT.reshape(module.weight.shape)
    module.bias.data = torch.zeros(weight.shape[-1]) if bias is None else bias.detach().flatten()


def fill_all(module, layers, *copy):
    """Give all layers in a module of theirs the weights of one copy of ours."""
    theirs = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for their, our in zip(theirs, layers, strict=True):
        fill(their, our.weight[(0, *copy)], our.bias[(0, *copy)])


def fill_experts(modules, layers, *copy):
    for e, module in enumerate(modules):
        fill_all(module, layers, *copy, e)


def gates(level):
    """Weights (T, n_in, E) of the tasks' gates."""
    weight = level.gate.weight[0]
    return weight if weight.dim() == 3 else weight.unflatten(1, (T, -1)).transpose(0, 1)


def plain(module):
    """Let the batch normalisation in a module of theirs, which is new, do nothing."""
    for m in module.modules():
        m.eps = 0.0
    return module.eval()


@pytest.mark.parametrize("scheme", [HardSharing(linear_skip=False), NoSharing(linear_skip=False)])
def test_hard_and_no_sharing_are_scikit_learns_networks(scheme):
    network, hard = build(scheme), isinstance(scheme, HardSharing)
    layers = [*(network.body if hard else network.body.layers), network.heads.last]
    outputs, x = [], X.numpy()
    for copy in [(0,)] if hard else [(0, t) for t in range(T)]:
        peer = MLPRegressor(hidden_layer_sizes=HIDDEN, activation="tanh")
        peer.partial_fit(x, x[:, :T] if hard else x[:, 0])
        peer.coefs_ = [m.weight[copy].detach().numpy() for m in layers]
        peer.intercepts_ = [m.bias[copy].detach().flatten().numpy() for m in layers]
        outputs.append(torch.from_numpy(peer.predict(x).reshape(len(x), -1)))
    ours = network(X.unsqueeze(0))[0]
    torch.testing.assert_close(ours, torch.cat(outputs, 1), rtol=1e-4, atol=1e-5)


def rechub(name, hidden, **params):
    """Build a model of torch-rechub without its towers."""
    x = DenseFeature("x", embed_dim=D)
    params |= {"expert_params": {"dims": hidden, "activation": nn.Tanh}}
    params |= {"tower_params_list": [{"dims": []}] * T}
    peer = plain(getattr(multi_task, name)([x], ["regression"] * T, **params))
    peer.towers = nn.ModuleList(nn.Identity() for _ in TASKS)
    return peer


def test_mmoe_is_rechubs():
    network, peer = build(MMoE(4)), rechub("MMOE", HIDDEN, n_expert=4)
    level = network.body.levels[0]
    fill_experts(peer.experts, level.common)
    for gate, weight in zip(peer.gates, gates(level), strict=True):
        fill(gate.mlp[0], weight)
    check(network, peer({"x": X}).chunk(T, 1))


@pytest.mark.parametrize(("n_shared", "n_own"), [(2, 1), (1, 2), (2, 0)])
@pytest.mark.parametrize(("scheme", "hidden"), [(CGC, HIDDEN), (PLE, (5, 5)), (PLE, (5, 5, 5))])
def test_cgc_and_ple_are_rechubs(scheme, hidden, n_shared, n_own):
    network = build(scheme(n_shared, n_own), hidden)
    levels, counts = network.body.levels, {"n_expert_shared": n_shared, "n_expert_specific": n_own}
    expert = hidden if scheme is CGC else hidden[:1]
    peer = rechub("PLE", expert, n_level=len(levels), **counts)
    for level, theirs in zip(levels, peer.cgc_layers, strict=True):
        fill_experts(theirs.experts_shared, level.common)
        for t, gate in enumerate(theirs.gates_specific):
            fill_experts(theirs.experts_specific[t * n_own : (t + 1) * n_own], level.own, t)
            fill(gate.mlp[0], gates(level)[t])
        if level.common_gate is not None:
            fill(theirs.gate_shared.mlp[0], level.common_gate.weight[0])
    check(network, peer({"x": X}).chunk(T, 1))


def test_low_rank_is_loralibs():
    network = build(sharing.LowRank(rank=2))
    towers = [nn.Sequential() for _ in TASKS]
    for layer, sizes in zip(network.body.layers, pairwise((D, *HIDDEN)), strict=True):
        for t, tower in enumerate(towers):
            adapted = loralib.Linear(*sizes, r=2, lora_alpha=2)
            fill(adapted, layer.weight[0], layer.bias[0])
            adapted.lora_A.data, adapted.lora_B.data = layer.down[0, t].mT, layer.up[0, t].mT
            tower.extend([adapted, nn.Tanh()])
    check(network, [tower(X) for tower in towers])


@pytest.fixture
def libmtl(monkeypatch):
    """Builds an architecture of LibMTL around an encoder, without its decoders."""
    stub = ModuleType("torchvision.models.utils")  # which torchvision has no longer
    stub.load_state_dict_from_url = None
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    peers = pytest.importorskip("LibMTL.architecture")
    fixed = {"rep_grad": False, "multi_input": False, "device": "cpu", "img_size": [D]}
    fixed["decoders"] = nn.ModuleDict({task: nn.Flatten() for task in TASKS})
    return lambda name, encoder, **params: getattr(peers, name)(TASKS, encoder, **fixed, **params)


def resnet(layers):
    """Four layers under the names by which LibMTL takes a ResNet apart."""
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    parts = nn.ModuleDict(zip(names, [nn.Identity()] * 4 + list(layers), strict=True))
    parts.feature_dim = 512
    return parts


def test_dselectk_is_libmtls(libmtl):
    """Its gates see the sample, so they get no slope here; NumPy 2.4 makes its codes all ones."""
    network = build(sharing.DSelectK(n_experts=4, k=2))
    gate = network.body.gate.train()  # when it predicts, ours selects outright
    gate.anneal()  # to a width of one, their kgamma

    def expert():
        return nn.Sequential(nn.Linear(D, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh())

    peer = libmtl("DSelect_k", expert, num_experts=[4], num_nonzeros=2, kgamma=1.0).eval()
    peer._binary_codes = torch.tensor([[[0, 0], [0, 1], [1, 0], [1, 1]]]).bool()
    fill_experts(peer.experts_shared, network.body.experts)
    for t, task in enumerate(TASKS):
        fill(peer._z_logits[task], torch.zeros(D, 4), gate.bits[0, t].flip(-1))  # high bit first
        fill(peer._w_logits[task], torch.zeros(D, 2), gate.weight[0, t])
    check(network, peer(X).values())


def test_cross_stitch_is_libmtls(libmtl):
    """Its unit has one row where the paper has one a task, and none follows the last layer."""
    network, sizes = build(sharing.CrossStitch(), DEEP), list(pairwise((D, *DEEP)))
    layers = [[nn.Sequential(nn.Linear(*s), nn.Tanh()) for s in sizes] for _ in TASKS]
    peer = libmtl("Cross_stitch", map(resnet, layers).__next__)
    for i, layer in enumerate(network.body.layers):
        fill_experts([tower[i] for tower in layers], [layer])
        peer.encoder.cross_unit.data[i] = layer.stitch[0, 0]
        layer.stitch.data[0] = layer.stitch[0, 0].clone() if i < 3 else torch.eye(T)
    check(network, peer(X).values())


def test_mtan_is_libmtls(libmtl):
    """On images of one pixel; its convolutions before a layer and between masks left out."""
    network = build(sharing.MTAN(), DEEP)
    layers = [nn.Sequential(nn.Conv2d(*s, 1), nn.Tanh()) for s in pairwise((D, *DEEP))]
    peer = libmtl("MTAN", lambda: resnet(nn.Sequential(nn.Identity(), layer) for layer in layers))
    peer.encoder.encoder_block_att = nn.ModuleList(nn.Identity() for _ in range(3))
    peer.encoder.down_sampling = nn.Identity()
    for i, n_out in enumerate(DEEP):
        fill_all(layers[i], network.body.trunk[i])
        n_seen = network.body.seen[i].weight.shape[-2]
        masks = [peer.encoder._att_layer(n_seen, n_out, n_out) for _ in TASKS]
        fill_experts(masks, [network.body.seen[i], network.body.masks[i]])
        peer.encoder.encoder_att[str(i)] = nn.ModuleList(masks)
    check(network, plain(peer)(X.view(-1, D, 1, 1)).values())
