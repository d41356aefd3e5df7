"""`to_torch`: one module that says what the estimator says, and the formats it goes into."""

import io
import json
import pickle
import zipfile

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skmtl import (
    MultiTaskClassifier,
    MultiTaskClassifierRegressor,
    MultiTaskRegressor,
    SoftSharingEnsemble,
    sharing,
    tasks,
)
from skmtl._resolve import known_names
from skmtl.sharing import ACTIVATIONS, HardSharing
from skmtl.tasks import (
    BinaryTask,
    CountTask,
    HeteroscedasticRegressionTask,
    MultilabelTask,
    OrdinalTask,
    QuantileTask,
    RankingTask,
    RegressionTask,
    Task,
)

QUICK = {
    "n_members": 2,
    "max_iter": 3,
    "hidden_layer_sizes": (5, 4),
    "learning_rate_init": 0.05,
    "random_state": 0,
}
SCHEMES = sorted(known_names(sharing, sharing.Sharing))
TRUSTED = {  # what a file of skops names; docs/shipping.md explains each
    "skmtl._export.InferenceModule",
    "skmtl.sharing.base.Architecture",
    "skmtl.tasks.classification.ClassificationTask",
    "skmtl.tasks.regression.RegressionTask",
}
pytestmark = pytest.mark.filterwarnings("ignore:The inputs are far from standardised")


def rows_of(X, n=9):
    """Rows to predict, two of them outside the bounds of clipping."""
    x = np.resize(np.asarray(X, dtype=float), (n, np.shape(X)[1]))
    x[: n // 4] *= 40
    return x


def assert_predicts(module, est, X, x=None, rtol=1e-9):
    """The module's outputs for x are the estimator's predictions for X."""
    x = np.asarray(X, dtype=float) if x is None else x
    outputs = {k: v.cpu().numpy() for k, v in module(torch.tensor(x)).items()}
    assert list(outputs) == module.output_names
    shown = set(module.shown)
    for name, task in est.tasks_.items():
        if str(name) not in shown:
            continue
        view = est.for_task(name)
        if task.kind == "regression":
            assert_allclose(outputs[str(name)], view.predict(X), rtol=rtol)
        else:
            assert_array_equal(module.classes_[str(name)][outputs[str(name)]], view.predict(X))
            assert_allclose(
                outputs[f"{name}_proba"], view.predict_proba(X), rtol=rtol, atol=1e-2 * rtol
            )


def exported(module, x):
    rows = torch.export.Dim("rows")
    shapes = {"x": {0: rows}}
    return torch.export.export(module, (torch.tensor(x),), dynamic_shapes=shapes, strict=False)


def onnx_session(module, program):
    """Convert an exported program, and load what came out."""
    program = torch.onnx.export(
        program, output_names=module.output_names, dynamo=True, verbose=False
    )
    file = io.BytesIO()
    program.save(file)
    return onnxruntime.InferenceSession(file.getvalue())


def assert_same_outputs(got, module, x, tol):
    expected = module(torch.tensor(x))
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert got[name].dtype == value.numpy().dtype
        assert_allclose(got[name], value.numpy(), rtol=tol, atol=tol, err_msg=name)


def run(session, x):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x}), strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_predicts_alike_as_module_exported_program_onnx_and_skops_file(mixed, scheme):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(sharing=scheme, dropout=0.1, **QUICK).fit(X, Y)
    rows = pd.DataFrame(rows_of(X), columns=X.columns)
    module = est.to_torch()
    x = rows.to_numpy()
    assert_predicts(module, est, rows)
    graph = exported(module, x)
    program, session = graph.module(), onnx_session(module, graph)
    for n in (1, 2, 9, 70):
        some = rows_of(x, n)
        ours = {k: v.numpy() for k, v in program(torch.tensor(some)).items()}
        assert_same_outputs(ours, module, some, 1e-12)
        assert_same_outputs(run(session, some), module, some, 1e-5)
    data = skops.io.dumps(module)
    unknown = set(skops.io.get_untrusted_types(data=data))
    own = f"{type(est.module_.built_for[1]).__module__}.{type(est.module_.built_for[1]).__name__}"
    assert unknown == TRUSTED | {own}
    loaded = skops.io.loads(data, trusted=sorted(unknown))
    for again in (loaded, pickle.loads(pickle.dumps(module))):
        for name, value in module(torch.tensor(x)).items():
            assert_array_equal(again(torch.tensor(x))[name], value)


def test_a_skops_file_holds_configuration_and_arrays_and_no_pickle(mixed):
    X, Y = mixed
    module = MultiTaskClassifierRegressor(**QUICK).fit(X, Y).to_torch()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(module))) as file:
        json.loads(file.read("schema.json"))
        arrays = [name for name in file.namelist() if name != "schema.json"]
        assert len(arrays) > 10
        for name in arrays:
            np.load(io.BytesIO(file.read(name)), allow_pickle=False)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu", "identity", "logistic"}))
def test_an_activation_in_float32_agrees_in_onnxruntime(mixed, activation):
    X, Y = mixed
    params = {**QUICK, "head_layer_sizes": (3,), "activation": activation}
    module = MultiTaskRegressor(**params).fit(X, Y[["cost"]]).to_torch().float()
    x = rows_of(X).astype(np.float32)
    assert module(torch.tensor(x))["cost"].dtype == torch.float32
    assert_same_outputs(run(onnx_session(module, exported(module, x)), x), module, x, 1e-5)


@pytest.mark.parametrize(
    "params",
    [
        {"sharing": HardSharing(linear_skip=False)},
        {"hidden_layer_sizes": ()},
        {"n_members": 1},
        {"tasks": {"cost": RegressionTask(standardize=False)}},
        {"tasks": {"cost": RegressionTask("huber")}},
    ],
    ids=str,
)
def test_what_is_left_out_of_a_network_is_left_out_of_the_module(mixed, params):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**{**QUICK, **params}).fit(X, Y)
    module = est.to_torch()
    assert_predicts(module, est, X)
    x = rows_of(X)
    ours = exported(module, x).module()(torch.tensor(x))
    assert_same_outputs({k: v.numpy() for k, v in ours.items()}, module, x, 1e-12)


def test_other_estimators_containers_and_names(mixed):
    X, Y = mixed
    numbers = Y[["cost"]].assign(gain=X["a"] * 1e6 + 1e9)
    X, whole = X.to_numpy(), Y.dropna()
    for est, y in [
        (SoftSharingEnsemble(**QUICK), Y),
        (MultiTaskRegressor(**QUICK), numbers.to_numpy()),
        (MultiTaskRegressor(**QUICK), numbers["gain"].to_numpy()),
        (MultiTaskClassifier(**QUICK), Y[["colour", "sick"]].set_axis([7, "sick"], axis=1)),
        (MultiTaskClassifier(**QUICK), np.array(["no", "yes"] * 30)),
    ]:
        est.fit(X, y)
        assert_predicts(est.to_torch(), est, X)
    with pytest.warns(UserWarning, match="one class only"):
        est = MultiTaskClassifier(**QUICK).fit(X[: len(whole)], np.zeros(len(whole)))
    assert_predicts(est.to_torch(), est, X)


def test_a_float32_network_far_from_zero_keeps_its_digits():
    """A target of 1e9 plus or minus one: seven digits would not show it at all."""
    X = np.random.default_rng(0).normal(size=(1100, 3)).astype(np.float32)
    est = MultiTaskRegressor(**{**QUICK, "n_members": 1}).fit(X, 1e9 + X[:, 0].astype(float))
    module, x = est.to_torch(), X[:20]
    assert module.body.low.dtype == torch.float32
    predicted = run(onnx_session(module, exported(module, x)), x)["y"]
    assert_allclose(predicted, est.predict(x), rtol=0, atol=1e-4)
    assert np.std(predicted) > 0.1


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        RobustScaler(),
        RobustScaler(with_centering=False),
        MaxAbsScaler(),
        MinMaxScaler((-1, 2)),
        MinMaxScaler(clip=True),
        make_pipeline(MinMaxScaler(), "passthrough", StandardScaler()),
    ],
    ids=str,
)
def test_a_scaler_goes_into_the_module(mixed, scaler):
    X, Y = mixed
    raw = X.to_numpy() * [1e-3, 1, 10, 1e3, 1e5] + [0, 5, -100, 1e4, 1e6]
    model = make_pipeline(scaler, MultiTaskClassifierRegressor(**QUICK)).fit(raw, Y)
    raw[0] += 1e7
    module = model[-1].to_torch(model[:-1] if scaler.__class__.__name__ != "Pipeline" else scaler)
    assert_predicts(module, model[-1], model[:-1].transform(raw), raw, rtol=1e-6)
    data = skops.io.dumps(module)
    loaded = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert_array_equal(loaded(torch.tensor(raw))["cost"], module(torch.tensor(raw))["cost"])
    ours = exported(module, raw).module()(torch.tensor(raw))
    assert_array_equal(ours["cost"], module(torch.tensor(raw))["cost"])


def test_other_preprocessing_is_refused(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    with pytest.raises(TypeError, match=r"Found QuantileTransformer.*before they come"):
        est.to_torch(QuantileTransformer(n_quantiles=10).fit(X))
    with pytest.raises(ValueError, match="must give the 5 columns"):
        est.to_torch(StandardScaler().fit(X[["a"]]))
    with pytest.raises(ValueError, match="not fitted"):
        est.to_torch(StandardScaler())
    with pytest.raises(ValueError, match="not fitted"):
        MultiTaskClassifierRegressor().to_torch()


def test_a_task_alone_is_exported_alone(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    for task, names in {"colour": ["colour", "colour_proba"], "cost": ["cost"]}.items():
        module = est.for_task(task).to_torch()
        assert module.output_names == names
        assert_predicts(module, est, X)


def test_training_on_leaves_the_module_as_it_was(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(**QUICK).fit(X, Y)
    module = est.to_torch()
    before, predicted = module(torch.tensor(X.to_numpy()))["cost"], est.predict(X)["cost"]
    est.partial_fit(X, Y)
    assert (est.predict(X)["cost"] != predicted).any()
    assert_array_equal(module(torch.tensor(X.to_numpy()))["cost"], before)
    assert not any(p.requires_grad for p in module.parameters())


class Squared(RegressionTask):
    """Decodes by arithmetic, as a task of a user's own would."""

    def decode(self, activated):
        return (activated[:, 0] * self.scale_ + self.center_) ** 2


class ByNumpy(RegressionTask):
    def decode(self, activated):
        return np.exp(activated[:, 0])


class Other(RegressionTask):
    def decode_tensor(self, activated):
        return {"": activated[:, 0]}


class Interval(RegressionTask):
    def decode_tensor(self, activated):
        return {**super().decode_tensor(activated), "range": activated.expand(-1, 2)}


def test_a_task_of_ones_own(mixed):
    X, Y = mixed
    x = X.to_numpy()

    def fit(kind):
        return MultiTaskClassifierRegressor({"cost": kind}, **QUICK).fit(X, Y)

    est = fit(Squared())
    assert_allclose(est.to_torch()(torch.tensor(x))["cost"], est.predict(X)["cost"], rtol=1e-9)
    with pytest.raises(TypeError, match=r"'cost': ByNumpy.*Give it a method decode_tensor"):
        fit(ByNumpy()).to_torch()
    with pytest.raises(TypeError, match=r"'cost': Other decodes arrays to \["):
        fit(Other()).to_torch()
    assert fit(Interval()).to_torch().output_names[-2:] == ["cost", "cost_range"]
    est = MultiTaskClassifierRegressor(**QUICK)
    est.fit(X, Y.assign(colour_proba=Y["cost"]))
    with pytest.raises(ValueError, match="'colour_proba': rename"):
        est.to_torch()


KINDS = {
    "classification": "classification",
    "regression": RegressionTask("huber"),
    "binary": BinaryTask(threshold=0.3),
    "ordinal": OrdinalTask(["small", "middle", "large"]),
    "multilabel": MultilabelTask(["red", "green"]),
    "count": CountTask(),
    "quantile": QuantileTask([0.1, 0.5, 0.9]),
    "heteroscedastic_regression": HeteroscedasticRegressionTask(),
    "ranking": RankingTask(),
}


def test_every_kind_of_task_goes_into_onnx():
    assert set(known_names(tasks, Task)) == set(KINDS)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    z = X @ rng.normal(size=(3, 9)) + 0.5 * rng.normal(size=(120, 9))
    Y = pd.DataFrame(z, columns=[*(k for k in KINDS if k != "multilabel"), "red"])
    Y["green"], Y["red"], Y["binary"] = z[:, 6] > 0.3, z[:, 8] > 0, z[:, 2] > 0.8
    Y["classification"] = pd.cut(z[:, 0], 3, labels=["c", "a", "b"]).astype(object)
    Y["ordinal"] = pd.cut(z[:, 3], 3, labels=["small", "middle", "large"]).astype(object)
    Y["count"] = rng.poisson(np.exp(z[:, 4].clip(max=2)))
    Y["ranking"] = z[:, 7].clip(0, 3).round()
    est = MultiTaskClassifierRegressor(KINDS, **{**QUICK, "max_iter": 20})
    est.fit(X, Y, qid=np.arange(120) // 6)
    module, x = est.to_torch().float(), X.astype(np.float32)  # no softplus of float64 there
    outputs = run(onnx_session(module, exported(module, x)), x)
    assert_same_outputs(outputs, module, x, 1e-5)
    labels = module.classes_["ordinal"][outputs["ordinal"]]
    assert_array_equal(labels, est.predict(X)["ordinal"])
    assert len(np.unique(labels)) == 3
