"""Tables that many tests share."""

import numpy as np
import pandas as pd
import pytest


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
