"""A fit that was killed goes on where it was, to the result it would have had.

skorch's `Checkpoint` keeps parameters and history; a stack's fit is also its generators, the members
that left, what `MemberStopping` and the weighting remember. All that is in the net, so the net is
what is kept.
"""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import re
import tempfile
from typing import Any

import torch
from skorch.callbacks import Callback

MAGIC = b"skmtl fit 1\n"
DIGEST = hashlib.sha256().digest_size


class FitCheckpoint(Callback):
    """Keep the state of a fit in a file, and go on from it if it is there when a fit begins.

    The fit must be the same: data, parameters and an integer ``random_state``. Its result is then that
    of a fit that was never interrupted, to the bit. When a fit is done its file is removed;
    after Ctrl-C, which ends it with the best weights so far, the file stays.

    The file is a pickle: load only what you wrote yourself.

    Parameters
    ----------
    path : str or path-like
        The file. It is replaced as a whole: whatever happens, there is an old one or a new one.
    every : int, default=10
        Epochs between two writings.

    Raises
    ------
    OSError
        From a fit, if the file cannot be written; the old one is as it was.
    ValueError
        From a fit, if the file is damaged, or of another fit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import make_regression
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.training import FitCheckpoint
    >>> X, y = make_regression(n_targets=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "fit.ckpt"
    ...     est = MultiTaskRegressor(callbacks=[FitCheckpoint(path)], random_state=0).fit(X, y)
    ...     path.exists()  # done
    False
    """

    def __init__(self, path: Any, every: int = 10):
        self.path = path
        self.every = every

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Look for the file."""
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(
                f"Parameter every of FitCheckpoint must be an int >= 1. Found {self.every!r}."
            )
        self.mark_ = fingerprint(net, X)
        self.saved_: Any = None
        if os.path.exists(self.path):
            self.saved_ = self._read()
            # the loop is told its length before its first epoch, in which it is put back
            net.max_epochs -= len(self.saved_["net"].history) - 1

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Go on from the file, or write it."""
        n_done = len(net.history) - 1
        if self.saved_ is not None:
            resume(net, self.saved_["net"], self.saved_["callbacks"])
            self.saved_ = None
        elif n_done and n_done % self.every == 0:
            self._write(net)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Remove the file of a fit that is done."""
        if not net.interrupted_ and os.path.exists(self.path):
            os.remove(self.path)

    def _write(self, net: Any) -> None:
        state = copy.copy(net)
        state.batches_, state.callbacks, state.callbacks_ = (
            [],
            None,
            [],
        )  # a table; classes of all kinds
        callbacks = {
            name: (type(callback).__qualname__, vars(callback))
            for name, callback in net.callbacks_
            if callback is not self
        }
        body = pickle.dumps({"mark": self.mark_, "net": state, "callbacks": callbacks})
        try:
            replace_file(self.path, MAGIC + hashlib.sha256(body).digest() + body)
        except OSError as error:
            there = "The file that was there is as it was" if os.path.exists(self.path) else ""
            raise OSError(
                error.errno,
                f"FitCheckpoint could not write epoch {len(net.history) - 1} ({error.strerror}). "
                f"{there or 'There is no file of an earlier epoch'}. Make room or choose another path",
                str(self.path),
            ) from error

    def _read(self) -> dict[str, Any]:
        with open(self.path, "rb") as file:
            content = file.read()
        start = len(MAGIC) + DIGEST
        body = content[start:]
        digest = content[len(MAGIC) : start]
        if not content.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
            raise ValueError(
                f"{str(self.path)!r} is no file of FitCheckpoint, or damaged. Delete it to start anew."
            )
        state = pickle.loads(body)
        differ = [name for name, mark in self.mark_.items() if state["mark"].get(name) != mark]
        if differ:
            raise ValueError(
                f"{str(self.path)!r} is of another fit: {differ} differ. Delete it to start anew, or "
                "fit with the same data and parameters, random_state an int."
            )
        return state


def replace_file(path: Any, content: bytes) -> None:
    """Write a file beside ``path`` and put it in its place, or leave all as it was."""
    path = os.path.abspath(os.fspath(path))
    handle, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=os.path.basename(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.remove(name)
        raise


def resume(net: Any, saved: Any, callbacks: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """Make a net, in the first epoch of its loop, the one that was saved in another epoch's."""
    ours = {"batches_", "callbacks", "callbacks_"}  # others hold them
    vars(net).update({name: value for name, value in vars(saved).items() if name not in ours})
    for name, callback in net.callbacks_:
        kind, state = callbacks.get(name, (None, {}))
        if kind == type(callback).__qualname__:
            vars(callback).update(state)
    for part in net.batches_:
        part.keep(torch.tensor(net._stack))
    net.batches_[0].generators = [net.generators[k] for k in net._stack]
    net._reseed()


def fingerprint(net: Any, X: Any) -> dict[str, str]:
    """What makes a fit the same, hashed part by part."""
    data, rows = X
    stopping = net.stopping
    limits = None if stopping is None else (stopping.tol, stopping.patience, stopping.max_epochs)
    parameters = {
        "network": net.module_.built_for,
        "tasks": net.task_names,
        "seeds": [g.initial_seed() for g in net.generators],
        "optimizer": (net.lr, net.decay, net.batch_size),
        "limits": limits,
        "loss_weights": net.weighting,
        "schedule": [type(net.schedule), vars(net.schedule)],
    }
    start = [p.detach().cpu().numpy() for p in net.module_.parameters()]
    marks = {
        name: _hash(re.sub(" at 0x[0-9a-f]+", "", repr(value)).encode())
        for name, value in parameters.items()
    }
    tables = (data.x, data.values, data.weight, data.where, rows.train, rows.valid)
    arrays = [t.cpu().numpy() for t in tables if t is not None]
    return {"data": _hash(*map(_bytes, arrays)), "start": _hash(*map(_bytes, start)), **marks}


def _bytes(array: Any) -> memoryview:
    return memoryview(array.reshape(-1)).cast("B")  # copied only where it is not contiguous


def _hash(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
