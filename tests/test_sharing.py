"""Sharing schemes: what each must do, generated over `__all__`, and each one's limits and formulas."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from networks import architecture, spread
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import block_diag
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from torch import Generator

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, sharing
from skmtl._resolve import known_names
from skmtl.sharing import (
    CGC,
    LTB,
    PLE,
    SHARED,
    CrossStitch,
    DSelectK,
    HardSharing,
    LowRank,
    MMoE,
    RelatedSharing,
    SoftSharing,
    layers,
)
from skmtl.sharing.extraction import gated
from skmtl.sharing.related import correlation
from skmtl.sharing.selection import smooth_step
from skmtl.sharing.soft import trace_norm

NAMES = known_names(sharing, sharing.Sharing)
SCHEMES = {name: scheme() for name, scheme in NAMES.items()} | {
    "soft l1": SoftSharing(penalty="l1"),
    "soft trace norm": SoftSharing(penalty="trace_norm"),
    "soft, all layers": SoftSharing(layers="all"),
    "soft, trace norm, all layers": SoftSharing(penalty="trace_norm", layers="all"),
    "soft, last hidden layer": SoftSharing(layers=[-1]),
    "related, hidden layers": RelatedSharing(layers="hidden"),
    "cgc without shared experts": CGC(n_shared_experts=0, n_task_experts=2),
    "ple without task experts": PLE(n_task_experts=0),
    "ple without shared experts": PLE(n_shared_experts=0),
    "dselectk of three": DSelectK(n_experts=3, entropy=0.0),
    "low rank 0": LowRank(rank=0),
}
LINEAR = {"hard", "none", "related", "soft, all layers", "soft, trace norm, all layers"}  # take ()
QUICK = {"hidden_layer_sizes": (6, 5), "n_members": 2, "max_iter": 3, "random_state": 0}


def build(scheme, seeds=(0, 1), **kwargs):
    scheme = SCHEMES[scheme] if isinstance(scheme, str) else scheme
    return scheme.build(architecture(**kwargs), [Generator().manual_seed(s) for s in seeds]).eval()


def copied(source, target):
    """Target with the parameters of source, where names and shapes agree, or a leading part of both."""
    theirs = dict(source.named_parameters())
    for name, p in target.named_parameters():
        if name in theirs:
            p.data = theirs[name].detach().expand(p.shape).clone()
    return target


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


# Every scheme


SHAPES = list(itertools.product(SCHEMES, [(5,), (6, 5)], [(), (3,)], [(1,), (1, 3, 1), (2,) * 100]))


@pytest.mark.parametrize(("scheme", "hidden", "heads", "outputs"), SHAPES)
def test_outputs_have_their_shape_and_every_parameter_an_owner(scheme, hidden, heads, outputs):
    network = build(scheme, hidden=hidden, heads=heads, task_outputs=outputs)
    assert network(torch.randn(2, 7, 4)).shape == (2, 7, sum(outputs))
    owners = network.owners()
    assert set(owners) == {name for name, _ in network.named_parameters()}
    for name, p in network.named_parameters():
        assert len(p) == 2
        assert torch.broadcast_shapes(p.shape, owners[name].shape) == p.shape
        assert owners[name].min() >= SHARED
        assert owners[name].max() < len(outputs)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_hidden_layers_a_scheme_is_linear_or_says_what_it_lacks(scheme):
    if scheme in LINEAR:
        network = spread(build(scheme, hidden=()))
        x = torch.randn(2, 7, 4)
        assert network.skip is None
        assert_allclose(
            (network(3 * x) - network(0 * x)).detach(),
            3 * (network(x) - network(0 * x)).detach(),
            rtol=1e-4,
            atol=1e-5,
        )
    else:
        with pytest.raises(ValueError, match=r"needs hidden layers: .* hidden_layer_sizes=\(\)"):
            build(scheme, hidden=())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("heads", [(), (3,)])
def test_only_its_owner_and_the_shared_parts_move_with_a_task(scheme, heads):
    network = spread(build(scheme, heads=heads))
    columns = [slice(0, 1), slice(1, 4), slice(4, 5)]
    for task, own in enumerate(columns):
        network.zero_grad()
        network(torch.randn(2, 20, 4, generator=Generator()))[..., own].square().sum().backward()
        for name, p in network.named_parameters():
            owner = network.owners()[name].expand(p.shape)
            strangers = (owner != task) & (owner != SHARED)
            assert p.grad is None or (p.grad[strangers] == 0).all(), name


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("heads", [(), (3,)])
def test_products_of_few_columns_are_the_same_transposed(scheme, heads, monkeypatch):
    x = torch.randn(2, 20, 4, generator=Generator().manual_seed(0)).double()
    found = []
    for least_rows in (0, 10**9):
        monkeypatch.setattr(layers, "MANY", least_rows)
        network = spread(build(scheme, heads=heads).double())
        outputs = network(x)
        assert ("ThinProduct" in str(nodes(outputs))) == (least_rows == 0)
        outputs.square().sum().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        found.append([outputs.detach(), *gradients])
    torch.testing.assert_close(*found)


def nodes(tensor):
    """Names of the steps of its computation."""
    todo, names = [tensor.grad_fn], []
    while todo:
        node = todo.pop()
        names.append(node.name())
        todo += [before for before, _ in node.next_functions if before is not None]
    return names


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_member_of_a_stack_starts_as_the_member_alone(scheme):
    stack, alone = build(scheme, seeds=(3, 4, 5)), build(scheme, seeds=(4,))
    for (name, p), q in zip(stack.named_parameters(), alone.parameters(), strict=True):
        assert_array_equal(p[1].detach(), q[0].detach(), err_msg=name)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_penalties_are_per_member(scheme):
    stack = spread(build(scheme, seeds=(3, 4, 5)))
    if stack.penalty() is None:
        return
    alone = build(scheme, seeds=(4,))
    for p, q in zip(stack.parameters(), alone.parameters(), strict=True):
        q.data = p.detach()[1:2]
    assert stack.penalty().shape == (3,)
    assert_allclose(stack.penalty()[1:2].detach(), alone.penalty().detach(), rtol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("before", [None, 2.0])
def test_what_penalties_add_to_gradients_is_their_slope(scheme, before):
    network = spread(build(scheme, seeds=(3, 4))).double()
    penalty = network.penalty()
    trained = [p for p in network.parameters() if p.requires_grad]
    slopes = [None] * len(trained)
    if penalty is not None:
        slopes = torch.autograd.grad(penalty.sum(), trained, allow_unused=True)
    for p in trained:
        p.grad = None if before is None else torch.full_like(p, before)
    network.penalise()
    for p, slope in zip(trained, slopes, strict=True):
        added = 0.0 if p.grad is None else p.grad - (before or 0.0)
        assert_allclose(added, 0.0 if slope is None else slope, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_network_is_exported(scheme):
    network = spread(build(scheme))
    x = torch.randn(2, 7, 4)
    traced = torch.export.export(network, (x,), strict=False).module()
    assert_allclose(traced(x).detach(), network(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_fits_mixed_tasks_with_gaps_reproduces_and_pickles(mixed, scheme):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(sharing=SCHEMES[scheme], dropout=0.1, **QUICK).fit(X, Y)
    before = MultiTaskClassifierRegressor(sharing=SCHEMES[scheme], dropout=0.1, **QUICK)
    assert repr(est.sharing) == repr(SCHEMES[scheme])
    loaded, again = pickle.loads(pickle.dumps(est)), before.fit(X, Y)
    for other in (loaded, again):
        for task, p in est.predict_proba(X).items():
            assert np.isfinite(p).all()
            assert_array_equal(other.predict_proba(X)[task], p)
        assert_array_equal(other.predict(X)["cost"], est.predict(X)["cost"])
    loaded.set_params(warm_start=True).fit(X, Y)
    est.partial_fit(X, Y)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_network_without_validation_learns(scheme, rng):
    X = rng.normal(size=(200, 4))
    Y = np.tanh(X @ rng.normal(size=(4, 3)))
    est = MultiTaskRegressor(
        sharing=SCHEMES[scheme],
        hidden_layer_sizes=(16, 16),
        n_members=1,
        early_stopping=False,
        learning_rate_init=1e-2,
        max_iter=40,
        random_state=0,
    ).fit(X, Y)
    assert est.score(X, Y) > 0.8


def test_schemes_can_be_searched_by_name_and_by_parameter(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK)
    search = GridSearchCV(est, {"sharing": list(NAMES)}, cv=KFold(2)).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    est.set_params(sharing=SoftSharing())
    grid = {"sharing__strength": [1e-3, 1.0], "sharing__penalty": ["l2", "l1"]}
    search = GridSearchCV(est, grid, cv=KFold(2)).fit(X, Y)
    assert set(search.best_params_) == set(grid)
    assert est.sharing.strength == SoftSharing().strength


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s != "ltb"])  # whose noise is by task
def test_the_order_of_the_tasks_does_not_matter(mixed, scheme):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(sharing=SCHEMES[scheme], **QUICK)
    Z = Y[["cost", "colour", "sick"]]
    one, other = est.fit(X, Y).predict(X)["cost"], clone(est).fit(X, Z).predict(X)["cost"]
    assert_allclose(one, other, rtol=1e-6)


BAD = [
    (SoftSharing(strength=-1), "strength of SoftSharing must be a float in the range [0, inf)"),
    (SoftSharing(strength="1"), "strength of SoftSharing must be a float"),
    (SoftSharing(penalty="l3"), "penalty of SoftSharing must be one of ['l2', 'l1', 'trace_norm']"),
    (SoftSharing(layers=[2]), "layers of SoftSharing must be 'hidden', 'all' or a list of indices"),
    (SoftSharing(layers="heads"), "Found 'heads'"),
    (CrossStitch(same_task=1.5), "same_task of CrossStitch must be a float in the range [0, 1]"),
    (MMoE(n_experts=0), "n_experts of MMoE must be an int in the range [1, inf)"),
    (CGC(n_shared_experts=0, n_task_experts=0), "CGC needs an expert"),
    (PLE(n_task_experts=1.5), "n_task_experts of PLE must be an int"),
    (DSelectK(k=5), "k of DSelectK must be an int in the range [1, 4]"),
    (DSelectK(entropy=-1.0), "entropy of DSelectK must be a float"),
    (DSelectK(anneal_epochs=0), "anneal_epochs of DSelectK must be an int"),
    (LTB(n_branches=0), "n_branches of LTB must be an int"),
    (LTB(temperature=0.0), "temperature of LTB must be a float in the range [0.1, inf)"),
    (LowRank(rank=-1), "rank of LowRank must be an int in the range [0, inf)"),
    (RelatedSharing(relation="given"), "relation must be 'learned' or a symmetric array"),
    (RelatedSharing(relation=np.eye(2)), "Found shape (2, 2)"),
    (RelatedSharing(relation=np.diag([1.0, 1, -1])), "Found an eigenvalue of -1"),
    (RelatedSharing(relation=[[1, 0, 0], [1, 1, 0], [0, 0, 1]]), "symmetric array"),
    (RelatedSharing(relation=[["a"]]), "relation must be"),
    (RelatedSharing(relation=None), "relation must be"),
    (RelatedSharing(relation=1e300 * np.eye(3)), "entries of a usual size"),
    (RelatedSharing(relation=pd.DataFrame(np.eye(3))), "Found a DataFrame"),
    (SoftSharing(layers=[True]), "layers of SoftSharing"),
    (HardSharing(linear_skip="no"), "linear_skip must be True or False"),
]


@pytest.mark.parametrize(("scheme", "message"), BAD, ids=[repr(s) for s, _ in BAD])
def test_parameters_out_of_range_are_named(mixed, scheme, message):
    with pytest.raises((ValueError, TypeError)) as raised:
        MultiTaskClassifierRegressor(sharing=scheme, **QUICK).fit(*mixed)
    assert message in str(raised.value)


# Limits


rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
Y = np.tanh(X @ rng.normal(size=(4, 3))) + 0.1 * rng.normal(size=(120, 3))
Y[rng.random(Y.shape) < 0.2] = np.nan


def fitted(scheme, **kwargs):
    params = {**QUICK, "max_iter": 20, "learning_rate_init": 1e-2} | kwargs
    return MultiTaskRegressor(sharing=scheme, **params).fit(X, Y)


@pytest.mark.parametrize("penalty", ["l2", "l1", "trace_norm"])
@pytest.mark.parametrize("layers", ["hidden", "all"])
def test_soft_sharing_of_strength_zero_is_no_sharing(penalty, layers):
    scheme = SoftSharing(strength=0, penalty=penalty, layers=layers)
    assert_allclose(fitted(scheme).predict(X), fitted("none").predict(X), rtol=1e-9)


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_under_a_very_strong_penalty_all_towers_are_one(penalty):
    network = fitted(SoftSharing(strength=1e12, penalty=penalty, layers="all")).module_.network
    x = torch.from_numpy(X).expand(2, -1, -1)
    for by_task in (network.body(x), network(x).transpose(1, 2)):
        spread_out = (by_task - by_task.mean(1, keepdim=True)).abs().max()
        assert spread_out <= 1e-4 * by_task.abs().max()


def test_what_is_tied_moves_together_and_the_rest_does_not():
    network = fitted(SoftSharing(strength=1e12, layers=[0])).module_.network
    first, second = network.body.layers
    x = torch.from_numpy(X).expand(2, 3, -1, -1)
    one = first(x)
    assert_allclose(one[:, 0].detach(), one[:, 2].detach(), rtol=1e-4, atol=1e-5)
    two = second(one)
    assert (two[:, 0] - two[:, 2]).abs().max() > 1e-2


def ridge_problem():
    rng = np.random.default_rng(0)
    n, d, n_tasks = 60, 3, 4
    x = rng.normal(size=(n, d))
    x -= x.mean(0)
    y = x @ rng.normal(size=(d, n_tasks)) + 0.3 * rng.normal(size=(n, n_tasks))
    return x, (y - y.mean(0)) / y.std(0)


def linear_fit(scheme, x, y, learning_rate_init=0.05, max_iter=500):
    est = MultiTaskRegressor(
        sharing=scheme,
        hidden_layer_sizes=(),
        alpha=0.0,
        early_stopping=False,
        n_members=1,
        batch_size=len(x),
        learning_rate_init=learning_rate_init,
        max_iter=max_iter,
        tol=0.0,
        n_iter_no_change=max_iter,
        random_state=0,
    ).fit(x, y)
    return (est.predict(np.eye(x.shape[1])) - est.predict(np.zeros_like(np.eye(x.shape[1])))).T


@pytest.mark.parametrize("strength", [0.05, 1.0, 50.0])
def test_linear_soft_sharing_is_mean_regularised_ridge(strength):
    """Evgeniou & Pontil (2004): a closed form, with the matrix I - 11'/T between the tasks."""
    x, y = ridge_problem()
    n_tasks, d = y.shape[1], x.shape[1]
    between = np.eye(n_tasks) - 1 / n_tasks
    within = block_diag(*[x.T @ x / len(x)] * n_tasks)
    expected = np.linalg.solve(
        within + strength * np.kron(between, np.eye(d)), (x.T @ y / len(x)).T.ravel()
    ).reshape(n_tasks, d)
    assert_allclose(linear_fit(SoftSharing(strength, layers="all"), x, y), expected, atol=1e-5)


def test_a_given_relation_is_the_ridge_of_its_covariance(rng):
    x, y = ridge_problem()
    n_tasks, d = y.shape[1], x.shape[1]
    root = rng.normal(size=(n_tasks, n_tasks))
    relation = root @ root.T + 0.3 * np.eye(n_tasks)
    within = block_diag(*[x.T @ x / len(x)] * n_tasks)
    expected = np.linalg.solve(
        within + 0.7 * np.kron(np.linalg.inv(relation), np.eye(d)), (x.T @ y / len(x)).T.ravel()
    ).reshape(n_tasks, d)
    found = linear_fit(RelatedSharing(0.7, relation), x, y)
    assert_allclose(found, expected, atol=1e-5)


def test_the_trace_norm_is_the_sum_of_singular_values():
    matrix = torch.randn(3, 5, 40, dtype=torch.float64, generator=Generator())
    expected = torch.linalg.svdvals(matrix).sum(-1)
    assert_allclose(trace_norm(matrix @ matrix.mT), expected, rtol=1e-5)
    matrix.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: trace_norm(m @ m.mT), matrix)


def test_a_trace_norm_thresholds_singular_values(rng):
    """The closed form where inputs are orthonormal: each singular value, less the strength."""
    x = np.linalg.qr(ridge_problem()[0])[0] * np.sqrt(60)
    y = x @ rng.normal(size=(3, 4)) + 0.3 * rng.normal(size=(60, 4))
    y = (y - y.mean(0)) / y.std(0)
    left, values, right = np.linalg.svd((x.T @ y / 60).T, full_matrices=False)
    strength = (values[1] + values[2]) / 2
    expected = left * np.maximum(values - strength, 0) @ right
    scheme = SoftSharing(strength, "trace_norm", "all")  # not smooth where it is zero: small steps
    found = linear_fit(scheme, x, y, learning_rate_init=0.01, max_iter=1000)
    assert_allclose(found, expected, atol=2e-3)


def test_the_relation_of_towers_is_the_correlation_of_their_weights(rng):
    w = rng.normal(size=(1, 4, 7))
    parts = [torch.from_numpy(w[..., :3]), torch.from_numpy(w[..., 3:])]
    rows = w[0] / np.linalg.norm(w[0], axis=1, keepdims=True)
    assert_allclose(correlation(parts, None)[0], rows @ rows.T, atol=1e-12)
    kinds = torch.tensor([0, 0, 1, 1])
    found = correlation(parts, kinds.unsqueeze(1) == kinds)[0]
    assert_allclose(found, rows @ rows.T * np.kron(np.eye(2), np.ones((2, 2))), atol=1e-12)
    assert_array_equal(correlation([torch.zeros(2, 3, 5)], None)[1], np.eye(3))


def test_related_by_the_identity_is_no_sharing():
    scheme = RelatedSharing(strength=0, relation=np.eye(3), layers="hidden")
    expected = fitted("none", alpha=0.0).predict(X)
    assert_allclose(fitted(scheme, alpha=0.0).predict(X), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("relation", [np.diag([1, 1, 0]), np.outer([1, -1, 0], [1, -1, 0])])
def test_a_relation_may_be_singular(relation):
    """A task without variance stays at its mean."""
    predictions = fitted(RelatedSharing(relation=relation)).predict(X)
    assert_allclose(predictions[:, 2], np.nanmean(Y[:, 2]), atol=1e-9)
    assert predictions[:, 0].std() > 0.1


def test_training_goes_on_only_with_the_same_scheme():
    large = np.eye(33)
    scheme = RelatedSharing(relation=large, layers="hidden")
    Z = np.tile(np.nan_to_num(Y), (1, 11))
    est = MultiTaskRegressor(sharing=scheme, warm_start=True, **QUICK).fit(X, Z)
    est.set_params(sharing=RelatedSharing(np.float64(0.01), large.tolist(), "hidden")).fit(X, Z)
    changed = large.copy()
    changed[15, 16] = changed[16, 15] = 0.9
    with pytest.raises(ValueError, match="sharing"):
        est.set_params(sharing=RelatedSharing(relation=changed, layers="hidden")).fit(X, Z)


def test_fully_related_tasks_are_one():
    scheme = RelatedSharing(strength=0.01, relation=np.ones((3, 3)))
    predictions = fitted(scheme).module_.network(torch.from_numpy(X).expand(2, -1, -1))
    assert_allclose(predictions[..., 0].detach(), predictions[..., 2].detach(), atol=1e-9)


def test_a_new_relation_leaves_the_towers_as_they_are():
    network = spread(build("related"))
    x = torch.randn(2, 7, 4)
    before = network(x)
    network.anneal()
    assert_allclose(network(x).detach(), before.detach(), rtol=1e-4, atol=1e-4)
    mixing = [m.mixing for m in network.modules() if hasattr(m, "mixing")]
    assert all((m != torch.eye(3)).any() for m in mixing)


def test_cross_stitch_at_identity_is_no_sharing():
    none = spread(build("none"))
    stitched = copied(none, build(CrossStitch(same_task=1.0)))
    x = torch.randn(2, 7, 4)
    assert_allclose(stitched(x).detach(), none(x).detach(), rtol=1e-5, atol=1e-6)
    unit = build("cross_stitch").body.layers[0].stitch[0].detach()
    assert_allclose(unit, 0.85 * np.eye(3) + 0.05, rtol=1e-6)
    alone = build("cross_stitch", task_outputs=(1,)).body.layers[0].stitch
    assert_array_equal(alone[0].detach(), [[1]])


@pytest.mark.parametrize(
    ("scheme", "limit"),
    [
        (MMoE(n_experts=1), "hard"),
        (CGC(n_shared_experts=1, n_task_experts=0), "hard"),
        (PLE(n_shared_experts=1, n_task_experts=0), "hard"),
        (DSelectK(n_experts=1, k=1, entropy=0.0), "hard"),
        (LTB(n_branches=1), "hard"),
        (LowRank(rank=0), "hard"),
        (CGC(n_shared_experts=0, n_task_experts=1), "none"),
        (PLE(n_shared_experts=0, n_task_experts=1), "none"),
    ],
    ids=repr,
)
def test_a_scheme_at_its_limit_is_the_simpler_one(scheme, limit):
    """Trained with the same seed, not only built: the gradients are those of the limit too."""
    whole = {"batch_size": 200, "early_stopping": False}  # no random order, which noise would shift
    expected = fitted(limit, **whole).predict(X)
    assert_allclose(fitted(scheme, **whole).predict(X), expected, rtol=1e-5, atol=1e-7)


def test_one_level_of_ple_is_cgc():
    one = fitted(PLE(), hidden_layer_sizes=(6,)).predict(X)
    assert_allclose(one, fitted(CGC(), hidden_layer_sizes=(6,)).predict(X), rtol=1e-6)


def test_mtan_with_open_masks_is_hard_sharing():
    hard, mtan = spread(build("hard", task_outputs=(1, 1))), build("mtan", task_outputs=(1, 1))
    for mine, theirs in zip(mtan.body.trunk, hard.body, strict=True):
        mine[0].load_state_dict(theirs.state_dict())
    for mask in mtan.body.masks:
        mask.bias.data.fill_(50.0)
    mtan.skip.load_state_dict(hard.skip.state_dict())
    mtan.heads.last.weight.data = hard.heads.last.weight.detach().mT.unsqueeze(-1).clone()
    x = torch.randn(2, 7, 4)
    assert_allclose(mtan(x).detach(), hard(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scheme", ["mmoe", "cgc", "ple", "dselectk", "dselectk of three"])
def test_gates_sum_to_one(scheme):
    """Experts that all answer with ones: so does then every mixture."""
    body = spread(build(scheme)).body
    experts = (
        [body.experts]
        if hasattr(body, "experts")
        else [
            part for level in body.levels for part in (level.own, level.common) if part is not None
        ]
    )
    for own in experts:
        for p in own[-1].parameters():
            p.data.zero_()
        own[-1].bias.data.fill_(1.0)
    x = torch.randn(2, 7, 4, generator=Generator())
    assert_allclose(body(x).detach(), np.ones((2, 3, 7, 5)), rtol=1e-5)
    if hasattr(body, "gate"):
        assert (body.train().gate() >= 0).all()


def test_gated_mixes_as_the_sum_says():
    shares = torch.randn(2, 3, 7, 5, generator=Generator()).softmax(-1)
    own, pool = torch.randn(2, 3, 2, 7, 4), torch.randn(2, 3, 7, 4)
    expected = torch.einsum("ktbe,ktebh->ktbh", shares[..., :2], own)
    expected = expected + torch.einsum("ktbe,kebh->ktbh", shares[..., 2:], pool)
    assert_allclose(gated(shares, own, pool), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_experts", [3, 4, 8])
def test_dselectk_uses_at_most_k_experts_after_annealing(n_experts):
    scheme = DSelectK(n_experts=n_experts, k=2, anneal_epochs=10)
    network = fitted(scheme, early_stopping=False, max_iter=15).module_.network
    used = (network.body.gate() > 0).sum(-1)
    assert network.body.gate.width.max() == 0
    assert used.max() <= 2
    early = fitted(scheme, early_stopping=False, max_iter=3).module_.network
    assert float(early.body.gate.width.max()) == pytest.approx(0.8)
    assert (early.body.gate() > 0).sum(-1).max() <= 2  # predicting, always
    assert (early.train().body.gate() > 0).sum(-1).max() == n_experts


def test_the_smooth_step_is_that_of_the_paper():
    t = torch.linspace(-1, 1, 201, dtype=torch.float64)
    width = torch.tensor(1.0, dtype=torch.float64)
    step = smooth_step(t, width)
    # of Hazimeh et al., gamma = 1
    expected = np.clip(np.where(abs(t) <= 0.5, -2 * t**3 + 1.5 * t + 0.5, t > 0), 0, 1)
    assert_allclose(step, expected, atol=1e-12)
    assert_array_equal(smooth_step(t, 0 * width)[t.abs() > 1e-6], (t > 0)[t.abs() > 1e-6])


def test_learned_branches_are_a_tree_when_predicting():
    est = fitted(LTB(n_branches=3, anneal_epochs=5), max_iter=30, early_stopping=False)
    for choice in est.module_.network.body.choices:
        shares = choice.eval().shares()
        assert_array_equal(shares.sum(-1).detach(), np.ones(shares.shape[:2]))
        assert set(shares.unique().tolist()) == {0.0, 1.0}
        assert float(choice.temperature.max()) == pytest.approx(0.1)
        noisy = choice.train()
        noisy.generators = [Generator(), Generator()]
        assert_allclose(noisy.shares().sum(-1).detach(), np.ones(shares.shape[:2]))


# Parameter counts, by the papers' formulas


D, H, OUT, T = 4, (6, 5), 5, 3  # features, hidden layers, all outputs, tasks
MLP = (D + 1) * H[0] + (H[0] + 1) * H[1]
SKIP = (D + 1) * OUT
HEADS, PADDED = H[1] * OUT, T * H[1] * 3  # stacked heads are padded to the widest task
COUNTS = {
    "hard": MLP + HEADS,
    "none": T * MLP + PADDED,
    "soft": (T + 1) * MLP + PADDED,  # and a centre
    "soft trace norm": T * MLP + PADDED,
    "cross_stitch": T * MLP + 2 * T**2 + PADDED,  # a T x T unit a layer
    "mmoe": 4 * MLP + T * D * 4 + PADDED,  # a gate: d x E (Ma et al.)
    "cgc": (2 + T) * MLP + T * D * 3 + PADDED,  # (m_k + m_s) x d a gate (Tang et al.)
    "ple": (2 + T) * MLP + T * D * 3 + D * 5 + T * H[0] * 3 + PADDED,  # and a shared gate between
    "dselectk": 4 * MLP + T * (2 * 2 + 2) + PADDED,  # k log2(E) bits and k weights a task
    "low_rank": MLP
    + T * 4 * (D + H[0] + H[0] + H[1])
    + PADDED,  # r (n_in + n_out) a task and layer
    "mtan": MLP
    + T * ((D + 1) * H[0] + (H[0] + 1) * H[0] + (2 * H[0] + 1) * H[1] + (H[1] + 1) * H[1])
    + PADDED,
    "ltb": 4 * MLP + 4 * 4 + T * 4 + PADDED,  # a logit for each pair of copies, of task and copy
}


@pytest.mark.parametrize("scheme", COUNTS)
def test_a_scheme_has_the_parameters_that_its_formula_counts(scheme):
    assert count(build(scheme, seeds=(0,))) == COUNTS[scheme] + SKIP


def test_every_scheme_of_a_paper_is_counted():
    assert set(NAMES) - {"related"} <= set(COUNTS)
