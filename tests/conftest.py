"""What many tests share: a table, generators, figures; and how many cases properties are tried on."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, settings

# HYPOTHESIS_PROFILE: "ci" tries the same cases every time, "nightly" others, and ten times as many
SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=10, derandomize=True, database=None, **SHARED)
settings.register_profile("nightly", max_examples=100, print_blob=True, **SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _seeded():
    """What a test draws of torch does not hang on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture
def rng():
    """Numbers for one test, other ones than those that modules make their tables of."""
    return np.random.default_rng(1)


@pytest.fixture
def mixed():
    """Sixty rows, five features; a three-class, a binary and a real task, labels missing in each."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 5)), columns=list("abcde"))
    Y = pd.DataFrame(
        {
            "colour": np.array(["blue", "green", "red"])[pd.qcut(X["a"], 3, labels=False)],
            "sick": X["b"] > 0,
            "cost": 100 + 20 * X["c"] + rng.normal(size=60),
        }
    )
    Y["sick"] = Y["sick"].astype("boolean")
    for t in range(3):
        Y.iloc[rng.choice(60, 6, replace=False), t] = pd.NA if t == 1 else np.nan
    return X, Y


@pytest.fixture
def plt():
    """pyplot without a window; what is drawn is closed again."""
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    yield pyplot
    pyplot.close("all")
