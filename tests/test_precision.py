"""Mixed precision on the CPU, against the same fit in float32."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from numpy.testing import assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.hf import AccelerateMixin

from skmtl import MultiTaskRegressor
from skmtl.training import MixedPrecision, MultiTaskNet

rng = np.random.default_rng(0)
X = rng.normal(size=(1500, 6)).astype(np.float32)
Y = np.column_stack([X @ rng.normal(size=6), np.sin(X[:, 0]) + X[:, 1] ** 2])
QUICK = {
    "n_members": 2,
    "max_iter": 8,
    "hidden_layer_sizes": (16,),
    "learning_rate_init": 0.01,
    "random_state": 0,
}


class Dtypes(Callback):
    """Keep which types losses and products were made in."""

    def on_train_begin(self, net, **kwargs):
        def look(network, args, outputs):
            seen.add((outputs.dtype, next(network.parameters()).dtype))

        seen = net.seen_dtypes = set()
        self.handle = net.module_.network.register_forward_hook(look)

    def on_train_end(self, net, **kwargs):
        self.handle.remove()
        del self.handle


@pytest.mark.parametrize("params", [{}, {"sharing": "ple"}, {"sharing": "related"}], ids=str)
def test_products_in_bfloat16_give_nearly_the_same_fit(params):
    plain = MultiTaskRegressor(**QUICK, **params).fit(X, Y)
    mixed = MultiTaskRegressor(**QUICK, **params, callbacks=[Dtypes(), MixedPrecision()]).fit(X, Y)
    assert mixed.net_.seen_dtypes == {(torch.bfloat16, torch.float32)}
    difference = np.sqrt(np.mean((mixed.predict(X) - plain.predict(X)) ** 2, axis=0)) / Y.std(0)
    assert (difference > 0).all()
    assert (difference < 0.05).all()
    assert mixed.score(X, Y) == pytest.approx(plain.score(X, Y), abs=0.01)
    assert not mixed.module_._forward_hooks
    assert not mixed.module_._forward_pre_hooks


def test_where_it_makes_no_sense_it_is_refused():
    with pytest.raises(ValueError, match="needs a float32 network"):
        MultiTaskRegressor(**QUICK, callbacks=[MixedPrecision()]).fit(X[:100], Y[:100])
    with pytest.raises(ValueError, match=r"does not go with loss_weights=.*'pcgrad'"):
        MultiTaskRegressor(**QUICK, loss_weights="pcgrad", callbacks=[MixedPrecision()]).fit(X, Y)


@pytest.fixture
def accelerator():
    """Make an accelerator; the package keeps one configuration a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield lambda precision: Accelerator(cpu=True, mixed_precision=precision)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_an_accelerator_that_casts_nothing_changes_nothing(accelerator):
    ours = accelerator("no")
    plain = MultiTaskRegressor(**QUICK).fit(X, Y)
    est = MultiTaskRegressor(**QUICK, device=ours.device, callbacks=[MixedPrecision(ours)])
    assert_array_equal(est.fit(X, Y).predict(X), plain.predict(X))
    small = MultiTaskRegressor(**QUICK, loss_weights="pcgrad", callbacks=[MixedPrecision(ours)])
    expected = MultiTaskRegressor(**QUICK, loss_weights="pcgrad").fit(X[:100], Y[:100])
    assert_array_equal(small.fit(X[:100], Y[:100]).predict(X), expected.predict(X))


def test_an_accelerator_casts_as_torch_does(accelerator):
    ours = accelerator("bf16")
    expected = MultiTaskRegressor(**QUICK, callbacks=[MixedPrecision()]).fit(X, Y)
    est = MultiTaskRegressor(
        **QUICK, device=ours.device, callbacks=[Dtypes(), MixedPrecision(ours)]
    )
    assert_array_equal(clone(est).fit(X, Y).predict(X), expected.predict(X))
    assert est.fit(X, Y).net_.seen_dtypes == {(torch.bfloat16, torch.float32)}
    plain = MultiTaskRegressor(**QUICK).fit(X, Y)
    difference = np.sqrt(np.mean((est.predict(X) - plain.predict(X)) ** 2, axis=0)) / Y.std(0)
    assert (difference < 0.05).all()
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"mixed_precision": "fp16"}, ValueError, "'bf16' or 'no'.*Found 'fp16'"),
        ({"num_processes": 4}, ValueError, "of one process.*Found 4"),
        ({"device": torch.device("cuda:1")}, ValueError, "device=accelerator.device"),
    ],
    ids=["fp16", "processes", "device"],
)
def test_what_an_accelerator_may_ask_for_in_vain_is_refused(change, error, words):
    asked = {"mixed_precision": "bf16", "num_processes": 1, "device": torch.device("cpu")}
    other = SimpleNamespace(**{**asked, **change}, autocast=None)
    with pytest.raises(error, match=words):
        MultiTaskRegressor(**QUICK, callbacks=[MixedPrecision(other)]).fit(X, Y)
    with pytest.raises(TypeError, match="must be an accelerate"):
        MultiTaskRegressor(**QUICK, callbacks=[MixedPrecision("bf16")]).fit(X, Y)


def test_skorchs_mixin_works_on_a_step_that_is_never_taken(monkeypatch):
    """Why it is not the way: should this change, docs/shipping.md has to."""
    taken = []
    own = {"train_step", "train_step_single", "get_iterator"} & set(vars(AccelerateMixin))
    assert {"train_step", "train_step_single"} <= own
    for name in ("train_step", "train_step_single"):
        monkeypatch.setattr(MultiTaskNet, name, lambda *args: taken.append(1), raising=False)
    MultiTaskRegressor(**QUICK).fit(X, Y)
    assert not taken
