"""Stacks on other processes: the same results, and nothing left behind."""

import contextlib
import signal
import subprocess
import sys
import textwrap

import distributed
import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import KFold

from skmtl import MultiTaskClassifierRegressor
from skmtl.metrics import multitask_scorer
from skmtl.model_selection import BatchedGridSearchCV

GRID = {"learning_rate_init": [1e-3, 1e-2], "sharing": ["none", "hard"]}


def test_a_dask_cluster_gives_the_same():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    Y = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "yes", "no")})
    est = MultiTaskClassifierRegressor(
        hidden_layer_sizes=(6,), max_iter=8, n_members=1, random_state=0
    )
    search = BatchedGridSearchCV(
        est, GRID, scoring=multitask_scorer(), refit="mean", cv=KFold(3), return_train_score=True
    )
    here = search.fit(X, Y).cv_results_
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        there = search.fit(X, Y).cv_results_
    assert there["params"] == here["params"]
    scores = [key for key in here if "_test_" in key or "_train_" in key]
    assert len(scores) > 30
    for key in scores:
        assert_allclose(there[key], here[key], atol=1e-9, err_msg=key)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_an_interrupted_search_leaves_no_processes():
    script = textwrap.dedent(
        """
        import signal

        import numpy as np
        from sklearn.model_selection import KFold
        from skmtl import MultiTaskRegressor
        from skmtl.model_selection import BatchedGridSearchCV

        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in background
        X = np.random.default_rng(0).normal(size=(500, 4))
        est = MultiTaskRegressor(max_iter=10**6, tol=0.0, n_iter_no_change=10**6, n_members=1)
        grid = {"alpha": [0.1, 1.0]}
        BatchedGridSearchCV(est, grid, cv=KFold(2), n_jobs=2).fit(X, X[:, :2])
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    family = psutil.Process(process.pid)
    busy: list[psutil.Process] = []
    everyone: list[psutil.Process] = []
    try:
        while len(busy) < 2:  # both workers train, for ever
            assert process.poll() is None, process.stderr.read()
            everyone = family.children(recursive=True)
            busy = [p for p in everyone if p.cpu_times().user > 4]
            psutil.wait_procs([family], timeout=0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert "KeyboardInterrupt" in errors
        _, alive = psutil.wait_procs(everyone, timeout=60)
        assert not alive
    finally:
        for p in [family, *everyone]:
            with contextlib.suppress(psutil.NoSuchProcess):
                p.kill()
        process.communicate()
