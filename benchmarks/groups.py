"""What a step costs where a row has one task of many. Writes docs/benchmarks/groups.md.

50,000 rows of 20 features, a trunk of two layers of 128, batches of 256, one network, on one core:
processor time of a training step, measured over the second epoch, with all that happens once an epoch.
*Gathered* is `task_column`; *wide* is the same network on a column per task.
"""

import time
import warnings

import numpy as np
import pandas as pd
import torch
from pages import how, write
from skorch.callbacks import Callback

from skmtl import MultiTaskRegressor

N_ROWS, BATCH = 50_000, 256
TASKS, WIDE_TASKS = (10, 100, 1_000, 10_000), 1_000


class Clock(Callback):
    """Processor time at the end of each epoch."""

    times = []

    def on_epoch_end(self, net, **kwargs):
        """Look at the clock."""
        self.times.append(time.process_time())


def step(X, y, **params):
    """Milliseconds of a step."""
    Clock.times.clear()
    est = MultiTaskRegressor(
        batch_size=BATCH,
        n_members=1,
        max_iter=2,
        early_stopping=False,
        callbacks=[Clock()],
        random_state=0,
        **params,
    )
    est.fit(X, y)
    return 1e3 * (Clock.times[1] - Clock.times[0]) / -(-len(X) // BATCH)


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, 20), dtype=np.float32)
    rows = {}
    for n_tasks in TASKS:
        task = rng.permutation(np.arange(N_ROWS) % n_tasks)
        y = X[:, 0] + rng.normal(size=n_tasks)[task] * X[:, 1]
        long = np.column_stack([X, task]).astype(np.float32)
        rows[n_tasks] = {"gathered, ms": step(long, y, task_column=-1), "wide, ms": np.nan}
        if n_tasks <= WIDE_TASKS:
            wide = np.full((N_ROWS, n_tasks), np.nan, np.float32)
            wide[np.arange(N_ROWS), task] = y
            rows[n_tasks]["wide, ms"] = step(X, wide)
        print(n_tasks, rows[n_tasks], flush=True)
    table = pd.DataFrame(rows).T.rename_axis("tasks").to_markdown(floatfmt=("d", ".1f", ".1f"))
    write(__file__, "Tasks by group", how(__doc__), table)


if __name__ == "__main__":
    main()
