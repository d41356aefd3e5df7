"""The work of `contestants.py` by LibMTL's trainer: hard sharing, equal weights, no metric but losses.

`pip install --no-deps libmtl==1.1.5`. Its package imports a module that torchvision has no longer, its
trainer asks for a CUDA device, and it calls `next()` of iterators that torch no longer has: these
three are seen to here, the rest is as it comes.
"""

import contextlib
import functools
import io
import sys
import types

import torch
from contestants import ALPHA, RATE, trunk
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

stub = types.ModuleType("torchvision.models.utils")
stub.load_state_dict_from_url = None
sys.modules.setdefault(stub.__name__, stub)

from LibMTL import Trainer  # noqa: E402
from LibMTL.architecture import HPS  # noqa: E402
from LibMTL.loss import AbsLoss  # noqa: E402
from LibMTL.metrics import AbsMetric  # noqa: E402
from LibMTL.weighting import EW  # noqa: E402


class TrainerOnCPU(Trainer):
    @property
    def device(self):
        return torch.device("cpu")

    @device.setter
    def device(self, asked):
        pass  # which is "cuda:0" whatever the machine has


class Loader(DataLoader):
    def __iter__(self):
        batches = super().__iter__()
        batches.next = batches.__next__
        return batches


class Rows(Dataset):
    """Rows as the trainer takes them: inputs, and a label per name of a task; one index or many."""

    def __init__(self, X, Y):
        self.X = torch.from_numpy(X)
        self.columns = {f"y{t}": torch.from_numpy(Y[:, [t]]) for t in range(Y.shape[1])}

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], {task: column[i] for task, column in self.columns.items()}


class SquaredError(AbsLoss):
    def compute_loss(self, pred, gt):
        return nn.functional.mse_loss(pred, gt)


class NoMetric(AbsMetric):
    def update_fun(self, pred, gt):
        pass

    def score_fun(self):
        return [1.0]


def task():
    parts = {"loss_fn": SquaredError(), "metrics_fn": NoMetric()}
    return parts | {"metrics": ["none"], "weight": [1]}


def collated(work, X, Y):
    """Train on batches collated row by row, as in the library's examples."""
    return train(work, X, Y, {"batch_size": work.batch_size, "shuffle": True})


def sliced(work, X, Y):
    """Train on batches indexed from tensors: what is left is the trainer's own."""
    rows = BatchSampler(RandomSampler(X), work.batch_size, drop_last=False)
    return train(work, X, Y, {"batch_size": None, "sampler": rows})


def train(work, X, Y, batches):
    rows = Rows(X, Y)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints every epoch
        trainer = TrainerOnCPU(
            task_dict={name: task() for name in rows.columns},
            weighting=EW,
            architecture=HPS,
            encoder_class=functools.partial(trunk, work, X.shape[1]),
            decoders=nn.ModuleDict({name: nn.Linear(work.sizes[-1], 1) for name in rows.columns}),
            rep_grad=False,
            multi_input=False,
            optim_param={"optim": "adam", "lr": RATE, "weight_decay": ALPHA / len(X)},
            scheduler_param=None,
            weight_args={},
            arch_args={},
        )
        one_row = Loader(Rows(X[:1], Y[:1]))  # it tests after every epoch
        trainer.train(Loader(rows, **batches), one_row, epochs=work.epochs)
    outputs = trainer.model.eval()
    return lambda X: torch.cat([*outputs(torch.from_numpy(X)).values()], 1).detach().numpy()
