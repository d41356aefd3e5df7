"""The sinusoid experiment of Meta-SGD (Li et al. 2017, table 1), and a step against a loop over tasks.

`python benchmarks/sinusoid.py` runs six cells of 15,000 meta-batches of 16 tasks and the timing, and
writes docs/benchmarks/sinusoid.md: half a minute a cell on an idle core. A cell by itself, also
with the paper's 60,000 meta-batches of 4: `python benchmarks/sinusoid.py maml 5 4`. Figures are kept in
output/sinusoid.json, and what is there is not run again.
"""

import json
import pathlib
import sys
import time

import numpy as np
import pandas as pd
import torch
from pages import path_of
from timing import interleave

from skmtl.meta import MetaLearner
from skmtl.meta.algorithms import MAML, Rows
from skmtl.meta.network import Network, squared_error
from skmtl.meta.training import traced

PAPER = {  # shots: (MAML, Meta-SGD), mean and half the 95 % interval over 100 curves
    5: ("1.13 ± .18", "0.90 ± .16"),
    10: ("0.77 ± .11", "0.53 ± .09"),
    20: ("0.48 ± .08", "0.31 ± .05"),
}
ALGORITHMS = ("maml", "meta_sgd")
N_VISITS = 240_000  # 60,000 meta-batches of 4
N_TASKS, N_TEST, N_POINTS = 40_000, 2_000, 100
OUTPUT = pathlib.Path("output")


def sinusoids(n_tasks, n_rows, rng):
    """Rows of tasks y = A sin(w x + b), and the task of each."""
    amplitude = rng.uniform(0.1, 5, size=(n_tasks, 1))
    frequency = rng.uniform(0.8, 1.2, size=(n_tasks, 1))
    phase = rng.uniform(0, np.pi, size=(n_tasks, 1))
    x = rng.uniform(-5, 5, size=(n_tasks, n_rows))
    y = amplitude * np.sin(frequency * x + phase)
    return x.reshape(-1, 1), y.ravel(), np.repeat(np.arange(n_tasks), n_rows)


def cell(algorithm, shots, n_tasks, seed=0):
    """Mean squared error on new tasks, and half its 95 % interval."""
    rng = np.random.default_rng(seed)
    learner = MetaLearner(
        algorithm,
        kind="regression",
        n_support=shots,
        n_query=shots,
        inner_lr=0.01,
        meta_batch_size=n_tasks,
        max_iter=N_VISITS // n_tasks,
        standardize=False,
        random_state=seed,
    )
    learner.fit(*sinusoids(N_TASKS, 2 * shots, rng))
    test = np.random.default_rng(12345)  # the same curves for all
    errors = learner.score_tasks(*sinusoids(N_TEST, shots + N_POINTS, test))["mse"]
    return errors.mean(), 1.96 * errors.std() / np.sqrt(N_TEST)


def loop(network, optimizer, support, query, rate):
    """A step of MAML as it is written by hand: a task after the other, by autograd."""
    parameters = list(network.parameters())
    names = [name for name, _ in network.named_parameters()]

    def forward(values, x):
        named = dict(zip(names, values, strict=True))
        for i in range(len(network)):
            x = x @ named[f"{i}.weight"] + named[f"{i}.bias"]
            x = x.relu() if i + 1 < len(network) else x
        return x

    total = 0.0
    for t in range(len(support.x)):
        loss = torch.nn.functional.mse_loss(forward(parameters, support.x[t]), support.values[t])
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        fast = [p - rate * g for p, g in zip(parameters, gradients, strict=True)]
        total = total + torch.nn.functional.mse_loss(forward(fast, query.x[t]), query.values[t])
    optimizer.zero_grad()
    (total / len(support.x)).backward()
    optimizer.step()


def cpu(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def times(n_tasks=16, shots=10, repeats=100):
    """Median CPU milliseconds of a step of MAML, 1-40-40-1: a loop, batched, and batched and traced."""
    generator = torch.Generator().manual_seed(0)
    network = Network((1, 40, 40, 1), "relu", generator)
    algorithm = MAML(network, squared_error, 1)

    def rows():
        x = torch.rand(n_tasks, shots, 1, generator=generator) * 10 - 5
        return Rows(x, x.sin(), torch.ones(n_tasks, shots), torch.zeros(n_tasks, 1))

    support, query = rows(), rows()
    theta, rates = network.flatten(), torch.tensor(0.01)
    step = traced(algorithm, theta, rates, support, query)
    by_hand = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    batched = torch.optim.Adam([theta], lr=1e-3, fused=True)

    def run(step):
        with torch.no_grad():
            [theta.grad], _ = step(theta, rates, support, query)
            batched.step()

    seconds = interleave(
        {
            "a loop over tasks": lambda: loop(network, by_hand, support, query, 0.01),
            "vmap": lambda: run(algorithm.meta_gradient),
            "vmap, traced (`MetaLearner`)": lambda: run(step),
        },
        repeats,
        measure=cpu,
    )
    table = pd.DataFrame({"ms a step": pd.Series(seconds) * 1e3})
    table["times faster"] = table["ms a step"].iloc[0] / table["ms a step"]
    return table


def entry(figures):
    return "-" if figures is None else "{:.2f} ± {:.2f}".format(*figures)


def write_page(found, speed):
    rows = []
    for shots, paper in PAPER.items():
        row = {"shots": shots}
        for algorithm, name, theirs in zip(ALGORITHMS, ("MAML", "Meta-SGD"), paper, strict=True):
            row[name] = entry(found.get(f"{algorithm} {shots} 16"))
            row[f"{name}, batches of 4"] = entry(found.get(f"{algorithm} {shots} 4"))
            row[f"{name}, paper"] = theirs
        rows.append(row)
    errors = pd.DataFrame(rows).to_markdown(index=False)
    timing = speed.to_markdown(floatfmt=("", ".2f", ".1f"))
    template = pathlib.Path(__file__).with_suffix(".md").read_text()
    path_of(__file__).write_text(template.format(errors=errors, timing=timing))


def main():
    torch.set_num_threads(1)
    OUTPUT.mkdir(exist_ok=True)
    store = OUTPUT / "sinusoid.json"
    found = json.loads(store.read_text()) if store.exists() else {}
    every = [f"{algorithm} {shots} 16" for shots in PAPER for algorithm in ALGORITHMS]
    for name in [" ".join(sys.argv[1:])] if len(sys.argv) > 1 else every:
        if name not in found:
            algorithm, shots, n_tasks = name.split()
            found[name] = cell(algorithm, int(shots), int(n_tasks))
            store.write_text(json.dumps(found))
        print(name, entry(found[name]), flush=True)
    if len(sys.argv) == 1:
        write_page(found, times())


if __name__ == "__main__":
    main()
