"""Digits as images, and what a network says of them."""

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits


def digits(n):
    """Images (n, 1, 8, 8) and three tasks: which digit, how much ink, whether it is odd."""
    bunch = load_digits()
    X = (bunch.data[:n] / 16).astype(np.float32)
    y = pd.DataFrame({"digit": bunch.target[:n].astype(str), "ink": X.sum(axis=1)})
    y["odd"] = (bunch.target[:n] % 2).astype(bool)
    return X.reshape(-1, 1, 8, 8), y


def outputs(estimator, X):
    """Outputs (K, n, C) of all members."""
    module = estimator.module_
    x = torch.as_tensor(X).reshape(len(X), -1)
    with torch.no_grad():
        return module(x.expand(module.n_members, *x.shape))
