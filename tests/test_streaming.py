"""Rows from torch Datasets and iterators are those of arrays."""

import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)

import skmtl._engine.lesson
from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor
from skmtl.streaming import chunks
from skmtl.trunks import ConvTrunk

QUICK = {"n_members": 1, "max_iter": 2, "hidden_layer_sizes": (4,), "random_state": 0}
rng = np.random.default_rng(0)
X = rng.normal(size=(1200, 3)).astype(np.float32)
Y = X[:, :2] + 0.1 * rng.normal(size=(1200, 2)).astype(np.float32)
Y[::5, 1] = np.nan
TABLE = pd.DataFrame({"size": Y[:, 0], "kind": np.where(X[:, 2] > 0, "big", "small")})
TABLE["kind"] = TABLE["kind"].astype(object).where(np.arange(1200) % 7 > 0, None)


class Rows(Dataset):
    """One row after another, counted."""

    def __init__(self, labels):
        self.labels = labels
        self.asked = 0

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        self.asked += 1
        return X[i], self.labels(i)


class ManyRows(Rows):
    """Rows by the list."""

    def __getitem__(self, i):
        raise AssertionError("one row was asked for")

    def __getitems__(self, rows):
        self.asked += 1
        return [(X[i], self.labels(i)) for i in rows]


class Stream(IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter([self.rows[i] for i in range(len(self.rows))])


def by_name(i):
    row = TABLE.iloc[i]
    found = {"size": torch.tensor(row["size"]), "kind": row["kind"]}
    return {name: label for name, label in found.items() if label is not None}


TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
SOURCES = {
    "tensors": TENSORS,
    "subset": Subset(Subset(TENSORS, range(1200)), np.arange(1200)),
    "joined": ConcatDataset([Subset(TENSORS, range(700)), Subset(TENSORS, range(700, 1200))]),
    "arrays": Rows(lambda i: Y[i]),
    "tuples": Rows(lambda i: tuple(Y[i].tolist())),
    "with None": Rows(lambda i: [None if np.isnan(v) else float(v) for v in Y[i]]),
    "many": ManyRows(lambda i: torch.from_numpy(Y[i])),
}
STREAMS = {
    "stream": Stream(Rows(lambda i: Y[i])),
    "loader": DataLoader(TENSORS, batch_size=37),
    "loader of tuples": DataLoader(Rows(lambda i: tuple(Y[i].tolist())), batch_size=37),
    "large chunks": ((X[i : i + 500], Y[i : i + 500]) for i in range(0, 1200, 500)),
    "frames": [(pd.DataFrame(X[:700]), pd.DataFrame(Y[:700])), (X[700:], Y[700:].tolist())],
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_dataset_is_fitted_as_the_arrays_it_holds(name):
    expected = MultiTaskRegressor(**QUICK).fit(X, Y)
    est = MultiTaskRegressor(**QUICK).fit(SOURCES[name])
    assert_array_equal(est.predict(X), expected.predict(X))
    assert_array_equal(est.predict(SOURCES[name]), expected.predict(X))
    first = MultiTaskRegressor(**QUICK).partial_fit(SOURCES[name])
    assert_array_equal(first.predict(X), clone(expected).partial_fit(X, Y).predict(X))


@pytest.mark.parametrize("name", [*SOURCES, *STREAMS])
def test_chunks_are_all_rows_in_order(name):
    source = {**SOURCES, **STREAMS}[name]
    parts = list(chunks(source, 500)) if name != "large chunks" else list(chunks(source, 450))
    lengths = [len(part) for part, _ in parts]
    assert lengths == ([450, 450, 300] if name == "large chunks" else [500, 500, 200])
    assert_array_equal(np.concatenate([np.asarray(part) for part, _ in parts]), X)
    assert_array_equal(np.concatenate([np.asarray(part, dtype=np.float32) for _, part in parts]), Y)


def test_labels_by_name_are_a_table_with_gaps():
    for source in (Rows(by_name), ManyRows(by_name), Stream(Rows(by_name))):
        tables = [y for _, y in chunks(source, 500)]
        table = pd.concat(tables, ignore_index=True)
        assert_array_equal(table["size"].to_numpy(), TABLE["size"])
        assert_array_equal(table["kind"].isna(), TABLE["kind"].isna())
        assert (table["kind"] == TABLE["kind"])[TABLE["kind"].notna()].all()
    expected = MultiTaskClassifierRegressor(**QUICK).fit(X, TABLE).predict(X)
    found = MultiTaskClassifierRegressor(**QUICK).fit(Rows(by_name)).predict(X)
    assert_allclose(found["size"], expected["size"], rtol=1e-5)
    assert (found["kind"] == expected["kind"]).all()
    whole = Subset(Rows(lambda i: {"size": Y[i, 0], "sign": X[i, 0] > 0}), range(60))
    [(_, named)] = chunks(DataLoader(whole, batch_size=20), 100)
    assert_array_equal(named["size"], Y[:60, 0])
    assert_array_equal(named["sign"].to_numpy(dtype=bool), X[:60, 0] > 0)


def test_one_label_a_row_is_a_vector():
    for labels in (lambda i: float(Y[i, 0]), lambda i: torch.tensor(Y[i, 0])):
        est = MultiTaskRegressor(**QUICK).fit(Rows(labels))
        assert est.predict(X).shape == (1200,)
    [(_, words)] = chunks(Rows(lambda i: TABLE["kind"][i]), 1200)
    assert words.shape == (1200,)
    assert pd.isna(words).sum() == TABLE["kind"].isna().sum()


def test_tensors_are_neither_copied_nor_taken_row_by_row(monkeypatch):
    seen, make = [], skmtl._engine.lesson.TrainingData
    monkeypatch.setattr(
        skmtl._engine.lesson,
        "TrainingData",
        lambda *tensors: seen.append(make(*tensors)) or seen[-1],
    )
    MultiTaskRegressor(**QUICK).fit(TENSORS)
    assert seen[0].x.data_ptr() == TENSORS.tensors[0].data_ptr()
    part, _ = next(iter(chunks(TENSORS, 100)))
    assert np.shares_memory(part, X)
    monkeypatch.setattr(TensorDataset, "__getitem__", None)
    train, _ = random_split(TENSORS, [1100, 100], generator=torch.Generator().manual_seed(0))
    part, labels = next(iter(chunks(train, 50)))
    assert_array_equal(part, X[train.indices[:50]])
    assert_array_equal(labels, Y[train.indices[:50]])
    source = ManyRows(lambda i: Y[i])
    assert len(list(chunks(source, 300))) == source.asked == 4


def test_a_subclass_of_tensors_may_change_its_rows():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            return 2 * x, y

    [(doubled, _)] = chunks(Doubled(*TENSORS.tensors), 2000)
    assert_array_equal(doubled, 2 * X)


def test_images_and_tasks_of_rows_come_from_datasets_too():
    images = torch.rand(1100, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    ink = images.sum((1, 2, 3))
    est = MultiTaskRegressor(trunk=ConvTrunk((3,)), **QUICK)
    expected = est.fit(images.numpy(), ink.numpy()).predict(images.numpy())
    found = clone(est).fit(TensorDataset(images, ink))
    assert_array_equal(found.predict(images.numpy()), expected)
    task = np.arange(1100) % 3
    rows = clone(est).fit(TensorDataset(images, ink), sample_task=task)
    expected = clone(est).fit(images.numpy(), ink.numpy(), sample_task=task)
    one, two = (e.predict(images.numpy(), sample_task=task) for e in (rows, expected))
    assert_array_equal(one, two)
    assert_array_equal(rows.predict(TensorDataset(images, ink), sample_task=task), two)


def test_memory_is_bounded_by_a_chunk():
    made, most = [], []

    def days():
        for _ in range(40):
            day = np.zeros((50, 3))
            made.append(weakref.ref(day))
            most.append(sum(ref() is not None for ref in made))
            yield day, np.zeros(50)
            del day

    assert sum(len(part) for part, _ in chunks(days(), 100)) == 2000
    assert max(most) <= 4  # a chunk is two days


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (5, TypeError, "source must be a torch Dataset.*Found a int"),
        ({"X": X}, TypeError, "Found a dict"),
        ([], ValueError, "no rows"),
        (TensorDataset(torch.zeros(0, 3), torch.zeros(0)), ValueError, "no rows"),
        (TensorDataset(torch.zeros(4, 3)), TypeError, "TensorDataset of 1 tensors"),
        (Stream([torch.zeros(3)] * 4), TypeError, "Found a Tensor for row 0"),
        ([(X, Y, Y)], TypeError, "Found a tuple of 3 for number 0"),
        ([(X, Y), (X, Y[:7])], ValueError, r"\(1200, 3\) and \(7, 2\), number 1"),
        (
            Stream([(X[0], 1.0), (X[0, :2], 1.0)]),
            ValueError,
            r"\(3,\) for row 0, and \(2,\) for row 1",
        ),
        (Stream([(X[0], Y[0]), (X[0], Y[0, :1])]), ValueError, "2 for row 0, and 1 for row 1"),
    ],
    ids=["int", "dict", "list", "none", "alone", "x", "three", "lengths", "shapes", "labels"],
)
def test_what_is_no_source_is_refused_by_name(source, error, words):
    with pytest.raises(error, match=words):
        list(chunks(source, 2000))


def test_fit_says_what_it_takes():
    est = MultiTaskRegressor(**QUICK)
    with pytest.raises(TypeError, match="IterableDataset, Stream: take it part by part"):
        est.fit(Stream(Rows(lambda i: Y[i])))
    with pytest.raises(ValueError, match="y must be left out where X is a Dataset"):
        est.fit(TENSORS, Y)
    with pytest.raises(TypeError, match="by __len__"):
        est.fit(Dataset())
    with pytest.raises(ValueError, match="requires y to be passed"):
        est.fit(X)
    with pytest.raises(ValueError, match="n_rows must be an int"):
        chunks(TENSORS, 0)
    assert not hasattr(est, "net_")
