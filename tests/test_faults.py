"""What goes wrong outside of a fit: it is killed, disks are full, files damaged, memory short."""

import multiprocessing
import os
import pickle
import resource
import signal
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback
from torch import nn

from skmtl import (
    MinimaxDeviationClassifier,
    MultiTaskClassifier,
    MultiTaskRegressor,
    SoftSharingEnsemble,
)
from skmtl.meta import MetaLearner
from skmtl.training import FitCheckpoint
from skmtl.training.step import train_step
from skmtl.training.threads import torch_threads
from skmtl.transfer import TransferRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
Y = np.column_stack([X @ rng.normal(size=4) + rng.normal(size=120), np.sin(X[:, 0])])
Y[::3, 0] = np.nan
QUICK = {
    "n_members": 2,
    "max_iter": 12,
    "hidden_layer_sizes": (6,),
    "batch_size": 40,
    "learning_rate_init": 0.01,
    "dropout": 0.1,
    "random_state": 0,
}


TRUNK = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3))


class Killed(BaseException):
    pass


class KillAt(Callback):
    """End a fit after an epoch: by an exception that nobody catches, or as the kernel does."""

    def __init__(self, epoch, by_signal=False):
        self.epoch = epoch
        self.by_signal = by_signal

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            if self.by_signal:
                signal.raise_signal(signal.SIGKILL)
            raise Killed


def fit(callbacks=None, y=Y, x=X, kind=MultiTaskRegressor, **params):
    return kind(callbacks=callbacks, **{**QUICK, **params}).fit(x, y)


def kill(path, epoch=8, every=3, **params):
    with pytest.raises(Killed):
        fit([FitCheckpoint(path, every), ("kill", KillAt(epoch))], **params)
    return path.read_bytes()


# A fit that is killed


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_members": 3, "n_iter_no_change": 2, "learning_rate_init": 0.05},  # some have left
        {"loss_weights": "uw"},
        {"loss_weights": "famo"},
        {"loss_weights": "dwa"},
        {"loss_weights": "pcgrad"},
        {"loss_weights": "gradnorm"},
        {"sharing": "ltb"},
        {"sharing": "related"},
        {"schedule": "alternating"},
        {"early_stopping": False},
        {"trunk": TRUNK},
        {"kind": SoftSharingEnsemble},
        {"kind": MultiTaskClassifier, "y": np.sign(X)},
        {"task_column": 3, "x": np.column_stack([X[:, :3], np.arange(120) % 5]), "y": Y[:, 1]},
        {"x": np.tile(X, (10, 1)).astype(np.float32), "y": np.tile(Y, (10, 1))},  # in float32
    ],
    ids=lambda params: "-".join(params) or "default",
)
def test_a_killed_fit_ends_as_if_it_had_not_been_killed(tmp_path, params):
    whole, path = fit(**params), tmp_path / "fit"
    kill(path, epoch=min(8, whole.n_iter_ - 1), **params)
    resumed, x = fit([FitCheckpoint(path, 3)], **params), params.get("x", X)
    assert_array_equal(resumed.predict(x), whole.predict(x))
    assert resumed.history_.equals(whole.history_)
    assert resumed.net_.max_epochs == whole.net_.max_epochs
    assert resumed.net_.stopped_early_ == whole.net_.stopped_early_
    assert list(tmp_path.iterdir()) == []  # done


def predict_of(seed, params=None):
    return fit(random_state=seed, n_members=1 + seed % 3, **(params or {})).predict(X)


def predict_and_be_killed(folder):
    np.save(folder / "predicted.npy", [predict_of(seed) for seed in range(3)])
    fit([FitCheckpoint(folder / "fit", 3), ("kill", KillAt(8, by_signal=True))])


@pytest.fixture(scope="module")
def spawned(tmp_path_factory):
    """What a new process left that was killed in its fourth fit."""
    folder = tmp_path_factory.mktemp("spawned")
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=predict_and_be_killed, args=(folder,))
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    return folder


def test_a_process_killed_by_the_kernel_goes_on_in_another(spawned):
    path = spawned / "fit"
    assert path.exists()
    assert_array_equal(fit([FitCheckpoint(path, 3)]).predict(X), fit().predict(X))
    assert not path.exists()


def test_ctrl_c_keeps_the_file(tmp_path, monkeypatch):
    steps = iter(range(1000))

    def interrupted(*args, **kwargs):
        if next(steps) == 23:  # of three an epoch
            raise KeyboardInterrupt
        return train_step(*args, **kwargs)

    path = tmp_path / "fit"
    monkeypatch.setattr("skmtl.training.net.train_step", interrupted)
    with pytest.warns(UserWarning, match="interrupted after epoch 7"):
        fit([FitCheckpoint(path, 3)])
    assert_array_equal(fit([FitCheckpoint(path, 3)]).predict(X), fit().predict(X))
    assert next(steps) == 24 + 18 + 36  # six epochs were there already


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"y": Y + 1}, "data"),
        ({"random_state": 1}, "seeds"),
        ({"random_state": None}, "seeds"),
        ({"alpha": 1.0}, "optimizer"),
        ({"sharing": "none"}, "network"),
        ({"max_iter": 20}, "limits"),
        ({"loss_weights": "dwa"}, "loss_weights"),
        ({"schedule": "alternating"}, "schedule"),
    ],
    ids=str,
)
def test_the_file_of_another_fit_is_refused(tmp_path, params, named):
    before = kill(tmp_path / "fit")
    with pytest.raises(ValueError, match=rf"of another fit: \[.*{named}"):
        fit([FitCheckpoint(tmp_path / "fit")], **params)
    assert (tmp_path / "fit").read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "fit"
    whole = kill(path)
    for at in np.linspace(0, len(whole) - 1, 40).astype(int):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        for content in (bytes(flipped), whole[:at]):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"no file of FitCheckpoint, or damaged"):
                fit([FitCheckpoint(path)])
    with pytest.raises(ValueError, match=r"every of FitCheckpoint must be an int >= 1"):
        fit([FitCheckpoint(path, every=0)])


@contextmanager
def disk_of(n_bytes):
    """A disk on which no file gets larger."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "fit"
    before = kill(path, epoch=5)
    with (
        disk_of(len(before) // 2),
        pytest.raises(OSError, match=r"epoch 6 \(File too large\). The file that was there is"),
    ):
        fit([FitCheckpoint(path, 3)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert_array_equal(fit([FitCheckpoint(path, 3)]).predict(X), fit().predict(X))


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"epoch 3 \(No such file.*There is no file of an earlier"):
        fit([FitCheckpoint(tmp_path / "none" / "fit", 3)])


@contextmanager
def nobody():
    """Somebody who may not write to folders of ours; only root must become somebody else."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_written_to_is_an_error_and_leaves_the_old_file():
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / "fit"
        before = kill(path, epoch=5)
        path.chmod(0o444)
        folder.chmod(0o555)
        with nobody(), pytest.raises(OSError, match=r"epoch 6 \(Permission.*that was there is"):
            fit([FitCheckpoint(path, 3)])
        folder.chmod(0o700)
        assert path.read_bytes() == before
        assert list(folder.iterdir()) == [path]
        assert_array_equal(fit([FitCheckpoint(path, 3)]).predict(X), fit().predict(X))


# Files of fitted estimators


def dump_pickle(est, path):
    with open(path, "wb") as file:
        pickle.dump(est, file)


def load_pickle(path):
    with open(path, "rb") as file:
        return pickle.load(file)


@pytest.mark.parametrize(
    ("dump", "load"),
    [(dump_pickle, load_pickle), (joblib.dump, joblib.load), (skops.io.dump, skops.io.load)],
    ids=["pickle", "joblib", "skops"],
)
def test_a_disk_that_is_full_on_saving_is_an_error(tmp_path, dump, load):
    est = MultiTaskClassifier(**QUICK).fit(X, Y[:, 1] > 0)
    before, path = est.predict(X), tmp_path / "model"
    with disk_of(4096), pytest.raises(OSError, match="File too large"):
        dump(est.to_torch() if load is skops.io.load else est, path)
    assert_array_equal(est.predict(X), before)
    if path.exists():  # what came to lie there does not pass for a model
        with pytest.raises((EOFError, pickle.UnpicklingError, zipfile.BadZipFile)):
            load(path)


def test_a_pickle_of_another_version_loads_and_says_so(monkeypatch):
    est = fit()
    monkeypatch.setattr("skmtl.__version__", "0.0.1")
    old = pickle.dumps(est)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"pickled by skmtl 0\.0\.1 and is loaded by"):
        again = pickle.loads(old)
    assert_array_equal(again.predict(X), est.predict(X))
    state = est.__getstate__()
    del state["_skmtl_version"]
    with pytest.warns(UserWarning, match="or before"):
        MultiTaskRegressor().__setstate__(state)


def fitted(kind):
    if kind is MetaLearner:
        params = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
        learner = kind(**params).fit(X, Y[:, 1], sample_task=np.arange(120) % 6)
        return learner.adapt(X[:5], Y[:5, 1])
    if kind is MinimaxDeviationClassifier:
        return kind(n_simulations=50, random_state=0).fit(X, Y[:, 1] > 0)
    if kind is TransferRegressor:
        return kind(fit(), n_members=2, max_iter=2, random_state=0).fit(X, Y)
    return fit(kind=kind)


@pytest.mark.parametrize(
    "kind", [SoftSharingEnsemble, TransferRegressor, MetaLearner, MinimaxDeviationClassifier]
)
def test_every_estimator_says_which_version_pickled_it(kind, monkeypatch):
    est = fitted(kind)
    monkeypatch.setattr("skmtl.__version__", "0.0.1")
    old = pickle.dumps(est)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"by skmtl 0\.0\.1 and is loaded by") as told:
        again = pickle.loads(old)  # what it was learned from has something to say, too
    assert any(f"This {type(est).__name__} " in str(warning.message) for warning in told)
    assert_array_equal(again.predict(X), est.predict(X))


def test_a_pickle_that_is_cut_off_does_not_load():
    whole = pickle.dumps(fit())
    for at in np.linspace(0, len(whole) - 1, 100).astype(int):
        with pytest.raises((EOFError, pickle.UnpicklingError)):
            pickle.loads(whole[:at])


def test_a_damaged_skops_file_raises_or_predicts_the_same():
    module = MultiTaskClassifier(**QUICK).fit(X, Y[:, 1] > 0).to_torch()
    whole, x = skops.io.dumps(module), torch.tensor(X)
    types = skops.io.get_untrusted_types(data=whole)
    expected, n_refused = module(x), 0
    for at in np.random.default_rng(0).integers(0, len(whole), 100):
        flipped = bytearray(whole)
        flipped[at] ^= 255
        try:
            outputs = skops.io.loads(bytes(flipped), trusted=types)(x)
        except Exception:  # noqa: BLE001 - zip has many
            n_refused += 1
            continue
        for name, value in expected.items():
            assert_array_equal(outputs[name], value)
    assert n_refused > 50


# Memory, threads, processes


def test_too_large_a_network_says_what_takes_memory():
    est = fit()
    before = est.predict(X)
    est.set_params(hidden_layer_sizes=(10**7, 10**7), warm_start=False)
    with pytest.raises(MemoryError, match=r"Lower n_members \(now 2.*batch_size \(now 40\)"):
        est.fit(X, Y)
    assert_array_equal(est.predict(X), before)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "2 GiB"),
        (MemoryError("Unable to allocate 9 TiB for an array"), "9 TiB"),
    ],
    ids=["on a GPU", "numpy"],
)
def test_memory_that_ends_during_a_fit_says_what_takes_it(monkeypatch, error, hint):
    est = fit()
    before = est.predict(X)

    def short(*args, **kwargs):
        raise error

    monkeypatch.setattr("skmtl.training.net.train_step", short)
    with pytest.raises(MemoryError, match=rf"device='auto'. Lower n_members.*{hint}"):
        est.fit(X, Y)
    assert_array_equal(est.predict(X), before)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss_weights": "random"},  # these draw from torch's global generator
        {"loss_weights": "graddrop"},
        {"trunk": TRUNK},
        {"trunk": TRUNK, "loss_weights": "random"},
    ],
    ids=lambda params: "-".join(map(str, params)) or "default",
)
def test_fits_in_threads_are_fits_alone(params):
    n_threads, alone = torch.get_num_threads(), [predict_of(seed, params) for seed in range(8)]
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(predict_of, range(8), [params] * 8))
    for one, other in zip(alone, together, strict=True):
        assert_array_equal(one, other)
    assert torch.get_num_threads() == n_threads
    assert torch.equal(torch.get_rng_state(), state)


def test_predictions_in_threads_are_predictions_alone():
    est = fit(trunk=TRUNK)
    alone = [est.predict(X[at : at + 5]) for at in range(0, 120, 5)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda at: est.predict(X[at : at + 5]), range(0, 120, 5)))
    assert_array_equal(together, alone)


def test_torchs_threads_are_as_before_when_the_last_fit_ends():
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # as on a machine of two cores
    try:
        with ThreadPoolExecutor(1) as pool:
            with torch_threads(1):
                other = torch_threads(1)
                pool.submit(other.__enter__).result()
            pool.submit(other.__exit__, None, None, None).result()
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as fresh:
            assert fresh.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_fits_in_a_new_process_are_fits_here(spawned):
    assert_array_equal(np.load(spawned / "predicted.npy"), [predict_of(s) for s in range(3)])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # what fork is said to risk
def test_fits_in_a_forked_process_are_fits_here():
    # a forked process has no threads: torch must not wait for those its parent had
    with ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("fork"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as pool:
        futures = [pool.submit(predict_of, seed) for seed in range(3)]
        for seed, future in enumerate(futures):
            assert_array_equal(future.result(timeout=300), predict_of(seed))
