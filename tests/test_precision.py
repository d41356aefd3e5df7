"""Mixed precision on the CPU, against the same fit in float32."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skmtl import MultiTaskRegressor
from skmtl.training import MixedPrecision

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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
