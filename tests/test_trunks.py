"""Trunks: any module below the network of any scheme."""

import copy
import pickle
from functools import partial

import images
import numpy as np
import pandas as pd
import pytest
import torch
from images import outputs
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.model_selection import BatchedGridSearchCV
from skmtl.sharing import CGC, HardSharing, MMoE, NoSharing, RelatedSharing, SoftSharing
from skmtl.tasks import RegressionTask
from skmtl.trunks import ConvTrunk, TabularTrunk, TextTrunk
from skmtl.trunks.base import as_trunk, identity_of

FAST = {"n_members": 2, "max_iter": 3, "hidden_layer_sizes": (8,), "random_state": 0}
FAST |= {"early_stopping": False, "learning_rate_init": 3e-3}
EVERY = ["hard", "none", "cross_stitch", "mmoe", "cgc", "ple", "mtan", "ltb", "low_rank"]
EVERY += ["d_select_k", "related", SoftSharing(), SoftSharing(penalty="l1")]


@pytest.fixture(scope="module")
def digits():
    return images.digits(300)


def linear_table(n=120, d=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    return X, X @ rng.normal(size=(d, 2))


@pytest.mark.parametrize("sharing", EVERY, ids=str)
def test_every_scheme_takes_a_trunk_and_a_member_is_the_member_alone(digits, sharing):
    X, y = digits
    trunk = ConvTrunk((3,))
    both = MultiTaskClassifierRegressor(sharing=sharing, trunk=trunk, **FAST).fit(X, y)
    one = clone(both).set_params(n_members=1).fit(X, y)
    np.testing.assert_allclose(outputs(both, X)[0], outputs(one, X)[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(outputs(both, X)[0], outputs(both, X)[1])
    again = pickle.loads(pickle.dumps(both))
    pd.testing.assert_frame_equal(again.predict(X), both.predict(X))
    owners = both.module_.network.owners()
    assert set(owners) == {name for name, _ in both.module_.network.named_parameters()}


def test_a_linear_trunk_below_linear_heads_learns_what_is_linear():
    X, y = linear_table()
    est = MultiTaskRegressor(
        trunk=nn.Linear(3, 16), hidden_layer_sizes=(), n_members=1, learning_rate_init=0.02
    )
    assert est.set_params(random_state=0, alpha=0).fit(X, y).score(X, y) > 0.999


def test_an_identity_as_trunk_is_no_trunk():
    X = np.random.default_rng(0).uniform(size=(1200, 3)).astype(np.float32)  # nothing to clip
    asked = {**FAST, "batch_size": 1200}  # one: a trunk draws seeds, which shuffles others anew
    plain = MultiTaskRegressor(sharing=HardSharing(linear_skip=False), **asked).fit(X, X**2)
    below = clone(plain).set_params(trunk=nn.Identity()).fit(X, X**2)
    assert torch.equal(outputs(below, X), outputs(plain, X))


def test_a_module_is_where_training_starts_and_is_left_as_it_was(digits):
    X, y = digits
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5))
    before = copy.deepcopy(module.state_dict())
    frozen = module[1].requires_grad_(False)
    est = MultiTaskClassifierRegressor(trunk=module, **FAST).fit(X, y)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    trunk = dict(est.module_.network.trunk.named_parameters())
    for k in range(2):  # what is frozen stays, what is not moves
        assert torch.equal(trunk["1-weight"][k], frozen.weight)
        assert not torch.equal(trunk["2-weight"][k], module[2].weight)


def test_running_statistics_are_each_members_own_and_those_of_its_rows(digits):
    X, y = digits
    module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, momentum=None))  # a plain mean
    est = MultiTaskClassifierRegressor(trunk=module, **{**FAST, "batch_size": 300}).fit(X, y)
    means = dict(est.module_.network.trunk.named_parameters())["1-running_mean"]
    rows = X.reshape(300, -1).mean(axis=0)
    np.testing.assert_allclose(means.numpy(), [rows, rows], atol=1e-5)


def test_a_factory_makes_other_weights_for_each_member_and_sees_the_shape(digits):
    X, y = digits
    shapes = []

    def make(shape):
        shapes.append(shape)
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(4))

    est = MultiTaskClassifierRegressor(trunk=make, **{**FAST, "learning_rate_init": 1e-9}).fit(X, y)
    weight = dict(est.module_.network.trunk.named_parameters())["1-weight"]
    assert set(shapes) == {(1, 8, 8)}
    assert (weight[0] - weight[1]).abs().max() > 0.01


def test_dropout_and_weights_leave_the_global_generator_alone_and_repeat(digits):
    X, y = digits
    trunk = partial(_with_dropout)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    fits = [MultiTaskClassifierRegressor(trunk=trunk, **FAST).fit(X, y) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(outputs(fits[0], X), outputs(fits[1], X))
    one = clone(fits[0]).set_params(n_members=1).fit(X, y)  # its masks are its own, too
    np.testing.assert_allclose(outputs(fits[0], X)[0], outputs(one, X)[0], rtol=1e-4, atol=1e-5)


def _with_dropout(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Dropout(0.5))


def test_a_recurrent_module_gets_gradients_and_whole_numbers_as_they_are():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.net = nn.Embedding(5, 4), nn.GRU(4, 6, batch_first=True)

        def forward(self, tokens):
            assert tokens.dtype == torch.int64
            return self.net(self.embedding(tokens))[1][0]

    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, size=(200, 4))
    y = X[:, -1].astype(float)  # the last token: a mean of embeddings could not tell
    est = MultiTaskRegressor(
        trunk=Reader(), n_members=1, hidden_layer_sizes=(), learning_rate_init=0.03, random_state=0
    )
    assert est.fit(X, y).score(X, y) > 0.95


def test_towers_have_a_trunk_each_and_start_alike(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(sharing="none", trunk=ConvTrunk((3,)), **FAST)
    est.set_params(learning_rate_init=1e-9).fit(X, y)
    weight = dict(est.module_.network.trunk.named_parameters())["0-weight"]
    assert weight.shape[:2] == (2, 3)
    assert torch.allclose(weight[:, 0], weight[:, 1], atol=1e-6)


def test_without_sharing_a_task_beside_others_is_the_task_alone(digits):
    X, y = digits
    asked = {**FAST, "batch_size": 64}
    together = MultiTaskClassifierRegressor(sharing="none", trunk=ConvTrunk((3,)), **asked)
    alone = clone(together).fit(X, y[["ink"]]).predict(X)["ink"]
    np.testing.assert_allclose(together.fit(X, y).predict(X)["ink"], alone, rtol=1e-4)


def test_trunks_related_by_the_identity_are_not_shared_and_fully_related_ones_are_one(digits):
    X, y = digits
    asked = {**FAST, "trunk": ConvTrunk((3,)), "alpha": 0.0}
    apart = MultiTaskClassifierRegressor(sharing="none", **asked).fit(X, y)
    scheme = RelatedSharing(strength=0, relation=np.eye(3), layers="hidden")
    free = MultiTaskClassifierRegressor(sharing=scheme, **asked).fit(X, y)
    np.testing.assert_allclose(outputs(free, X), outputs(apart, X), rtol=1e-3, atol=1e-4)
    scheme = RelatedSharing(strength=0.01, relation=np.ones((3, 3)))
    trunk = MultiTaskClassifierRegressor(sharing=scheme, **asked).fit(X, y).module_.network.trunk
    weight = trunk.effective("0-weight").detach()
    assert (weight - weight[:, :1]).abs().max() < 1e-6
    assert (weight[:, 0] - trunk.parts()["0-weight"].centre[:, 0]).abs().max() > 1e-3


def test_a_new_relation_leaves_trunks_as_they_are(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(sharing="related", trunk=ConvTrunk((3,)), **FAST).fit(X, y)
    before = outputs(est, X)
    mixing = est.module_.network.trunk.mixing.detach().clone()
    est.module_.network.anneal()
    assert (est.module_.network.trunk.mixing - mixing).abs().max() > 1e-3
    np.testing.assert_allclose(outputs(est, X), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_soft_sharing_of_trunks_reaches_from_towers_to_one(digits, penalty):
    X, y = digits
    asked = {**FAST, "trunk": ConvTrunk((3,))}
    apart = MultiTaskClassifierRegressor(sharing=NoSharing(), **asked).fit(X, y)
    free = MultiTaskClassifierRegressor(sharing=SoftSharing(0.0, penalty), **asked).fit(X, y)
    assert torch.equal(outputs(apart, X), outputs(free, X))
    tied = MultiTaskClassifierRegressor(sharing=SoftSharing(1e12, penalty), **asked).fit(X, y)
    trunk = tied.module_.network.trunk
    weight = trunk.effective("0-weight")
    assert (weight - weight.mean(1, keepdim=True)).abs().max() < 1e-5
    start = trunk.effective("0-weight") - dict(apart.module_.network.trunk.named_parameters())[
        "0-weight"
    ].mean(1, keepdim=True)
    assert start.abs().max() > 1e-4  # and it did learn


def test_the_representation_stands_on_the_trunk_and_tasks_are_not_joined_on_it(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,)), **FAST).fit(X, y[["digit", "ink"]])
    network = est.module_.network.eval()
    x = torch.as_tensor(X).reshape(1, 300, -1).expand(2, -1, -1)
    expected = network.features(x).detach().transpose(0, 1).flatten(1)
    np.testing.assert_allclose(est.transform(X), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"stand on a trunk. Found trunk=ConvTrunk.*use adapt"):
        est.add_task(X, y[["odd"]])


@pytest.mark.parametrize("sharing", ["cross_stitch", "related"])
def test_a_new_task_starts_at_the_mean_of_the_trunks(digits, sharing):
    X, y = digits
    est = MultiTaskClassifierRegressor(sharing=sharing, trunk=ConvTrunk((3,)), **FAST)
    est.fit(X, y[["digit", "ink"]])
    trunk = est.module_.network.trunk
    before = {
        name: trunk.effective(name).detach() for name in ("0-weight", "1-num_batches_tracked")
    }
    new = est.set_params(learning_rate_init=1e-9, max_iter=1).adapt(X, y["odd"], freeze="none")
    after = new.module_.network.trunk
    assert before["0-weight"].std(1).max() > 1e-3
    np.testing.assert_allclose(
        after.effective("0-weight").detach()[:, 0], before["0-weight"].mean(1), atol=1e-6
    )
    steps = after.effective("1-num_batches_tracked")
    assert (steps > before["1-num_batches_tracked"][:, :1]).all()  # and goes on counting


def test_the_gradient_level_finds_the_trunks_features(digits):
    X, y = digits
    asked = {**FAST, "trunk": ConvTrunk((3,)), "hidden_layer_sizes": ()}
    est = MultiTaskClassifierRegressor(loss_weights="upgrad", **asked).fit(X, y)
    network = est.module_.network.train(False)
    x = torch.as_tensor(X).reshape(1, 300, -1).expand(2, -1, -1)
    features = network.features(x)
    assert features.shape == (2, 300, 48)
    assert torch.equal(network.outputs(features, x), network(x))


def test_flattened_images_with_a_shape_are_the_images(digits):
    X, y = digits
    images = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,)), **FAST).fit(X, y)
    flat = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,), input_shape=(1, 8, 8)), **FAST)
    rows = X.reshape(300, -1)
    pd.testing.assert_frame_equal(images.predict(X), flat.fit(rows, y).predict(rows))
    assert (images.n_features_in_, flat.n_features_in_) == (1, 64)


def test_parameters_of_a_trunk_are_searched_one_by_one_and_in_batches(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,)), **FAST)
    grid = {"trunk__n_channels": [(3,), (4,)], "learning_rate_init": [1e-3, 3e-3]}
    each = GridSearchCV(est, grid, cv=2).fit(X, y)
    both = BatchedGridSearchCV(est, grid, cv=2).fit(X, y)
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(both.cv_results_[key], each.cv_results_[key], atol=0.01)
    assert both.best_estimator_.predict(X).shape == y.shape


def test_in_batches_modules_of_one_look_are_not_taken_for_one_another(digits):
    class Scaled(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.by, self.map = by, nn.Linear(64, 4)

        def forward(self, x):
            return self.map(x.flatten(1)) * self.by

    X, y = digits
    est = MultiTaskClassifierRegressor(**FAST)
    grid = {"trunk": [Scaled(0.0), Scaled(1.0)]}
    assert identity_of(as_trunk(grid["trunk"][0])) == identity_of(as_trunk(grid["trunk"][1]))
    scores = BatchedGridSearchCV(est, grid, cv=2).fit(X, y[["ink"]]).cv_results_
    each = GridSearchCV(est, grid, cv=2).fit(X, y[["ink"]]).cv_results_
    np.testing.assert_allclose(scores["mean_test_score"], each["mean_test_score"], atol=1e-5)


def test_training_goes_on_with_the_same_trunk_and_refuses_another(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,)), **FAST)
    for _ in range(2):
        est.partial_fit(X, y)
    before = est.predict(X)
    for other in (ConvTrunk((4,)), None, nn.Flatten()):
        with pytest.raises(ValueError, match="trunk"):
            est.set_params(trunk=other).partial_fit(X, y)
        pd.testing.assert_frame_equal(est.predict(X), before)
    plain = MultiTaskClassifierRegressor(**FAST).partial_fit(X.reshape(300, -1), y)
    with pytest.raises(ValueError, match="trunk"):
        plain.set_params(trunk=nn.Flatten()).partial_fit(X.reshape(300, -1), y)


def five(shape):
    """No factory of modules."""
    return 5


@pytest.mark.parametrize(
    ("trunk", "error", "words"),
    [
        (3, TypeError, "Parameter trunk must be"),
        (ConvTrunk, TypeError, r"ConvTrunk\(\)"),
        (nn.Conv2d(1, 3, 3), ValueError, r"\(2, n_outputs\). Found \(2, 3, 6, 6\)"),
        (nn.Linear(7, 3), ValueError, r"\(1, 8, 8\)"),
        (five, TypeError, "must make a torch nn.Module. Found 5"),
        (ConvTrunk(n_channels=()), ValueError, "n_channels of ConvTrunk"),
        (ConvTrunk(kernel_size=2), ValueError, "must be odd. Found 2"),
        (ConvTrunk(input_shape=(1, 9, 9)), ValueError, r"81 numbers a row"),
        (TextTrunk(), ValueError, r"shape \(n, length\)"),
    ],
    ids=["int", "class", "shape", "width", "factory", "none", "even", "other", "text"],
)
def test_what_is_no_trunk_is_refused_before_training(digits, trunk, error, words):
    X, y = digits
    est = MultiTaskClassifierRegressor(trunk=trunk, **FAST)
    with pytest.raises(error, match=words):
        est.fit(X, y)
    assert not hasattr(est, "trunk_")


@pytest.mark.parametrize("sharing", ["hard", "mmoe", "none"])
@pytest.mark.parametrize("weights", [None, "uw"], ids=str)
def test_tasks_of_rows_on_a_trunk_are_those_of_a_column_per_task(digits, sharing, weights):
    X, y = digits
    task, ink = np.arange(300) % 4, y["ink"].to_numpy() / 10
    wide = np.where(task[:, None] == np.arange(4), ink[:, None], np.nan)
    asked = {**FAST, "sharing": sharing, "trunk": ConvTrunk((3,)), "loss_weights": weights}
    est = MultiTaskRegressor(RegressionTask(standardize=False), **asked)
    columns = clone(est).fit(X, wide)
    rows = clone(est).fit(X, ink, sample_task=task)
    gathers = sharing == "hard" and weights is None
    assert rows.module_.network.gathers == gathers  # a step looks at the heads of its rows
    expected = columns.predict(X)[np.arange(300), task]
    assert expected.std() > 0.02
    np.testing.assert_allclose(rows.predict(X, sample_task=task), expected, atol=2e-4)


def test_tasks_of_rows_on_a_trunk_outnumber_bytes_and_go_on(digits):
    X, _ = digits
    pixels = (X * 255).astype(np.uint8)
    task = np.arange(300)  # a byte counts to 255
    target = np.where(task % 2, 3.0, -3.0)
    est = MultiTaskRegressor(RegressionTask(standardize=False), trunk=nn.Flatten(), **FAST)
    est.set_params(hidden_layer_sizes=(), n_members=1, max_iter=300, learning_rate_init=0.05)
    est.fit(pixels / np.float32(255), target, sample_task=task)
    floats = est.predict(pixels / np.float32(255), sample_task=task)
    assert np.corrcoef(floats, target)[0, 1] > 0.99  # each has the head that its number says
    est.set_params(trunk=Halved(), max_iter=3).fit(pixels, target, sample_task=task)
    same = clone(est).fit(pixels.astype(np.float32), target, sample_task=task)
    np.testing.assert_array_equal(
        est.predict(pixels, sample_task=task),
        same.predict(pixels.astype(np.float32), sample_task=task),
    )
    before = est.predict(pixels, sample_task=task)
    est.partial_fit(pixels, target, sample_task=task)
    assert (est.predict(pixels, sample_task=task) != before).any()
    new = est.predict(pixels[:1], sample_task=["another"])
    every = est.predict(np.repeat(pixels[:1], 300, axis=0), sample_task=task)
    np.testing.assert_allclose(new, every.mean(), rtol=1e-4)


class Halved(nn.Module):
    """Pixels as they are, over 128."""

    def forward(self, x):
        return x.flatten(1) / 128


def test_a_table_with_categories_may_say_the_task_of_its_rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"shop": rng.choice(["n", "s"], 400), "kind": rng.choice(list("abc"), 400)})
    X["size"] = np.where(rng.random(400) < 0.1, np.nan, 1e5 * rng.normal(size=400))
    sign = np.where(X["shop"] == "n", 1.0, -1.0)
    y = sign * (X["kind"] == "a") + X["size"].fillna(0) / 1e5
    asked = {"n_members": 1, "learning_rate_init": 0.02, "random_state": 0}
    est = MultiTaskRegressor(trunk=TabularTrunk(), task_column="shop", **asked).fit(X, y)
    assert est.score(X, y) > 0.95
    assert list(est.trunk_.categories_) == ["kind"]
    assert est.n_features_in_ == 3
    swapped = X[["size", "shop", "kind"]]
    with pytest.raises(ValueError, match="feature names"):
        est.predict(swapped)


def test_rows_of_another_shape_are_refused(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,)), **FAST).fit(X, y)
    with pytest.raises(ValueError, match=r"rows of shape \(1, 8, 7\)"):
        est.predict(X[..., :7])
    with pytest.raises(ValueError, match="dim 4"):
        MultiTaskClassifierRegressor(**FAST).fit(X, y)


@pytest.mark.parametrize("reading", ["mean", "gru", "conv"])
def test_filling_a_text_up_changes_nothing(reading):
    torch.manual_seed(0)
    trunk = TextTrunk(n_tokens=9, embedding_dim=4, n_units=5, reading=reading)
    module = trunk.build((4,)).eval()
    short, long = torch.tensor([[3, 8, 0, 0]]), torch.tensor([[3, 8, 0, 0, 0, 0, 0]])
    assert torch.allclose(module(short), module(long))
    assert not torch.allclose(module(short), module(torch.tensor([[8, 4, 0, 0]])))


def test_a_mean_of_tokens_knows_no_order_and_a_recurrent_net_does():
    modules = [TextTrunk(9, 4, reading).build((3,)).eval() for reading in ("mean", "gru")]
    one, other = torch.tensor([[1, 2, 3]]), torch.tensor([[3, 2, 1]])
    same = [torch.allclose(module(one), module(other), atol=1e-6) for module in modules]
    assert same == [True, False]


def test_tokens_never_seen_and_fractions_are_refused():
    rng = np.random.default_rng(0)
    X = rng.integers(1, 6, size=(60, 5))
    y = (X == 3).sum(axis=1).astype(float)
    est = MultiTaskRegressor(trunk=TextTrunk(), **FAST).fit(X, y)
    for broken, words in ((X + 4, "0 to 5. Found numbers from 5"), (X + 0.5, "fractions")):
        with pytest.raises(ValueError, match=words):
            est.predict(broken)


def test_convolutions_take_signals_and_volumes():
    for shape in ((2, 9), (2, 9, 9), (2, 5, 5, 5)):
        module = ConvTrunk((3, 4), grid=2).build(shape)
        assert module(torch.zeros(3, *shape)).shape == (3, 4 * 2 ** (len(shape) - 1))


@pytest.mark.parametrize("sharing", [MMoE(2), CGC()], ids=str)
def test_experts_stand_on_one_trunk(digits, sharing):
    X, y = digits
    est = MultiTaskClassifierRegressor(sharing=sharing, trunk=ConvTrunk((3,)), **FAST).fit(X, y)
    trunk = est.module_.network.trunk
    assert all((owner == -1).all() for owner in trunk.owners().values())
    assert next(trunk.parameters()).shape == (2, 3, 1, 3, 3)


def test_images_of_bytes_on_disk_are_neither_copied_nor_converted(tmp_path, digits):
    X, y = digits
    path = tmp_path / "X.npy"
    np.save(path, (X * 16).astype(np.uint8))
    there = np.load(path, mmap_mode="r")
    est = MultiTaskClassifierRegressor(trunk=ConvTrunk((3,)), **FAST).fit(there, y)
    encoded = est.trunk_.encode(there)
    assert encoded.dtype == np.uint8
    assert np.shares_memory(encoded, there)
    floats = clone(est).fit((X * 16).astype(np.float32), y)
    np.testing.assert_array_equal(outputs(est, there), outputs(floats, (X * 16).astype("f4")))


def test_chunks_through_partial_fit_are_learned_from(digits):
    X, y = digits
    est = MultiTaskClassifierRegressor(trunk=ConvTrunk((8,)), n_members=1, random_state=0)
    est.set_params(learning_rate_init=0.01, batch_size=50)
    for rows in np.array_split(np.tile(np.arange(300), 40), 120):
        classes = {"digit": [str(i) for i in range(10)], "odd": [False, True]}
        est.partial_fit(X[rows], y.iloc[rows], classes=classes)
    scores = est.score_tasks(X, y)
    assert scores.loc["digit", "accuracy"] > 0.9
    assert scores.loc["ink", "r2"] > 0.9
