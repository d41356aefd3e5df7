"""Where labels are missing: from the table through batches into the losses, against dropped rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from kinds import NUMBERS, PREPARED
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch import Generator

from skmtl.targets import encode, read_columns, read_weight, stratify, weigh_columns
from skmtl.tasks import ClassificationTask, GroupedLosses, RegressionTask, TaskLosses
from skmtl.training import TrainingData, with_empty_row
from skmtl.training.batches import TrainBatches, ValidRows

N = 40
KINDS = ["squared_error", "three classes", "counts", "ranknet", "two classes", "huber", "quantiles"]


def all_kinds(names=KINDS):
    return [clone(PREPARED[n][0]).prepare(PREPARED[n][1], np.ones(N), name=n) for n in names]


def tables(losses, names=KINDS, n_members=2):
    """Outputs (K, n, C), values (K, n, V) and weight (K, n, T), a third of it zero."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(n_members, N, sum(losses.task_outputs)))
    labels = [PREPARED[names[t]][1] for t in losses.order]
    values = [t.encode(y, name="y") for t, y in zip(losses.tasks, labels, strict=True)]
    weight = rng.integers(0, 3, size=(n_members, N, len(labels))).astype(float)
    values = torch.from_numpy(np.hstack(values)).expand(n_members, -1, -1)
    return torch.from_numpy(outputs), values, torch.from_numpy(weight)


# The table


def test_a_missing_label_is_a_value_and_a_weight_of_zero():
    Y = pd.DataFrame({"a": [1.0, None, 3.0, 5.0], "b": ["x", "y", None, "x"]})
    columns, _ = read_columns(Y)
    given = np.array([[1, 2], [1, 2], [1, 2], [0, 3.0]])
    columns, weights = weigh_columns(columns, given)
    assert [c.labels.tolist() for c in columns] == [[1.0, 3.0], ["x", "y", "x"]]
    assert [c.mask.tolist() for c in columns] == [
        [True, False, True, False],
        [True, True, False, True],
    ]
    assert [w.tolist() for w in weights] == [[1.0, 1.0], [2.0, 2.0, 3.0]]
    tasks = [RegressionTask(), ClassificationTask({"y": 0.5})]
    for task, column, w in zip(tasks, columns, weights, strict=True):
        task.prepare(column.labels, w, name=column.name)
    table = encode(columns, tasks, weights, dtype=np.float32)
    assert table.values.tolist() == [[-1, 0], [0, 1], [1, 0], [0, 0]]
    assert table.values.dtype == np.float32
    assert table.weight.tolist() == [[1, 2], [0, 1], [1, 0], [0, 3]]
    assert table.n_tasks == 2
    strange = [columns[0], replace(columns[1], labels=np.array(["x", "y", "z"]))]
    with pytest.raises(ValueError, match=r"Task 'b': labels \['z'\] were not among"):
        encode(strange, tasks, weights, dtype=float)
    strata = stratify(table, tasks)
    assert (strata[:, 0] >= 0).tolist() == [True, False, True, False]
    assert strata[:, 1].tolist() == [0, 1, -1, 0]


def test_a_table_without_gaps_needs_no_weights():
    columns, _ = read_columns(np.column_stack([NUMBERS, NUMBERS > 5, NUMBERS < 4]))
    columns, weights = weigh_columns(columns, None)
    assert [w.tolist() for w in weights] == [[1] * N] * 3
    tasks = [RegressionTask(), ClassificationTask(), ClassificationTask()]
    for task, column, w in zip(tasks, columns, weights, strict=True):
        task.prepare(column.labels, w, name=column.name)
    table = encode(columns, tasks, weights, dtype=float)
    assert table.weight is None
    assert_array_equal(table.values[:, 1:], np.column_stack([NUMBERS > 5, NUMBERS < 4]))
    assert (stratify(table, tasks) >= 0).all()
    assert_array_equal(stratify(table, tasks)[:, 1:], table.values[:, 1:])
    weighted = ClassificationTask({0.0: 2.0}).prepare(columns[1].labels, weights[1], name="b")
    table = encode(columns, [tasks[0], weighted, tasks[2]], weights, dtype=float)
    assert_array_equal(table.weight[:, [0, 2]], 1)
    assert_array_equal(table.weight[:, 1], np.where(NUMBERS > 5, 1, 2))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (2, [[2.0, 2.0]] * 3),
        ([1, 0, 2], [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]),
        ([[1, 0], [2, 3], [4, 5]], [[1.0, 0.0], [2.0, 3.0], [4.0, 5.0]]),
        (np.array([1, True, 0.5], dtype=object), [[1.0, 1.0], [1.0, 1.0], [0.5, 0.5]]),
        (pd.DataFrame({"b": [1, 2, 3], "a": [4, 5, 6]}), [[4.0, 1.0], [5.0, 2.0], [6.0, 3.0]]),
    ],
)
def test_weights_are_read_by_row_by_label_and_by_name(given, expected):
    found = read_weight(given, 3, ["a", "b"])
    assert (found if found is None else found.tolist()) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2], r"shape \(3,\) or \(3, 2\).*Found \(2,\)"),
        (np.ones((3, 3)), r"Found \(3, 3\)"),
        ([1, -2, 3], r"finite and not negative. Found -2.0 at \(1,\)"),
        ([[1, 1], [1, np.nan], [1, 1]], r"Found nan at \(1, 1\)"),
        ([1, 2, np.inf], r"Found inf at \(2,\)"),
        (["1", "2", "3"], r"must hold numbers. Found \['1'"),
        (np.array([1, "2", 3], dtype=object), "must hold numbers"),
        (pd.DataFrame({"a": [1, 2, 3]}), r"each of the tasks \['a', 'b'\]. Found \['a'\]"),
    ],
    ids=["rows", "columns", "negative", "nan", "infinite", "strings", "mixed", "names"],
)
def test_weights_that_are_none_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        read_weight(given, 3, ["a", "b"])


# Batches


def data(where=None, n_tasks=2):
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(6, n_tasks)), rng.integers(0, 3, size=(6, n_tasks))
    x = rng.normal(size=(6, 3))
    return TrainingData(
        torch.from_numpy(x), torch.from_numpy(values), torch.from_numpy(weight).double(), where
    )


@pytest.mark.parametrize("where", [None, torch.tensor([5, 0, 0, 1, 2, 3])])
def test_a_batch_holds_the_inputs_and_labels_of_its_rows(where):
    table, rows = data(where), torch.tensor([[0, 2, 5], [1, 1, 3]])
    batch = table.take(rows)
    of_x = rows if where is None else where[rows]
    assert torch.equal(batch.x, table.x[of_x])
    assert torch.equal(batch.values, table.values[rows])
    assert torch.equal(batch.weight, table.weight[rows])
    assert torch.equal(table.rows_of_inputs(), torch.arange(6) if where is None else where)
    assert table._replace(weight=None).take(rows).weight is None
    assert torch.equal(table._replace(weight=None).label_weight(2), torch.ones(6, 2).double())
    assert torch.equal(table.label_weight(2), table.weight)
    parts = list(batch.split(2))
    assert [p.x.shape[1] for p in parts] == [2, 1]
    for name in ("x", "values", "weight"):
        joined = torch.cat([getattr(p, name) for p in parts], 1)
        assert torch.equal(joined, getattr(batch, name))
    whole = table._replace(weight=None).take(rows).split(2)
    assert [p.weight for p in whole] == [None, None]
    assert not any(p.clipped for p in (batch, *parts))


def test_inputs_are_clipped_as_they_are_gathered_where_the_table_has_a_clip():
    table, rows = data(), torch.tensor([[0, 2, 5], [1, 1, 3]])
    batch = table._replace(clip=lambda x, at: x * 0 + at.unsqueeze(-1)).take(rows)
    assert torch.equal(batch.x, rows.unsqueeze(-1).expand(2, 3, 3).double())
    assert torch.equal(batch.values, table.values[rows])
    assert all(p.clipped for p in (batch, *batch.split(2)))


@pytest.mark.parametrize("where", [None, torch.tensor([5, 0, 0, 1, 2, 3])])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_empty_row_weighs_nothing(where, weighted):
    table = data(where) if weighted else data(where)._replace(weight=None)
    longer = with_empty_row(table, 2)
    assert torch.equal(longer.weight[:6], table.label_weight(2))
    assert torch.equal(longer.values[:6], table.values)
    assert (longer.weight[6:] == 0).all()
    assert (longer.values[6:] == 0).all()
    assert longer.x is table.x
    assert longer.weight.shape == longer.values.shape == (7, 2)
    assert longer.where.shape == (7,)
    rows = torch.tensor([[0, 6]])
    assert torch.equal(longer.inputs(rows)[0, 0], longer.inputs(rows)[0, 1])


@pytest.mark.parametrize("batch_size", [2, 4, 6, 100])
def test_every_row_is_in_one_batch_of_an_epoch_in_an_order_of_its_members(batch_size, monkeypatch):
    table, rows = data(), torch.tensor([[0, 1, 2, 3, 4], [5, 4, 3, 2, 1]])
    for gathered in (2**20, 8):
        monkeypatch.setattr("skmtl.training.batches.GATHERED_NUMBERS", gathered)
        batches = TrainBatches(
            table, rows, batch_size, [Generator().manual_seed(k) for k in (1, 2)]
        )
        epochs = [list(batches) for _ in range(2)]
        for epoch in epochs:
            sizes = [b.x.shape[1] for b in epoch]
            assert sizes == {2: [2, 2, 1], 4: [4, 1]}.get(batch_size, [5])
            together = torch.cat([b.values for b in epoch], 1)
            for k in range(2):
                found = sorted(together[k].tolist())
                assert found == sorted(table.values[rows[k]].tolist())
        if batch_size < 5:
            assert not torch.equal(epochs[0][0].x, epochs[1][0].x)
            alone = TrainBatches(table, rows[1:], batch_size, [Generator().manual_seed(2)])
            for one, both in zip(alone, epochs[0], strict=True):
                assert torch.equal(one.x[0], both.x[1])
        else:
            assert epochs[0][0] is epochs[1][0]  # gathered once
            assert torch.equal(epochs[0][0].values, table.values[rows])


def test_rows_that_fill_up_stay_behind_those_of_the_member_and_members_leave():
    table = with_empty_row(data(), 2)
    rows = torch.tensor([[0, 1, 2, 3, 4], [4, 3, 6, 6, 6], [0, 2, 4, 5, 6]])
    generators = [Generator().manual_seed(k) for k in range(3)]
    batches = TrainBatches(table, rows, 2, generators, counts=[5, 2, 4])
    first = torch.cat([b.weight for b in batches], 1)
    assert (first[1, 2:] == 0).all()
    assert (first[2, 4:] == 0).all()
    batches.keep(torch.tensor([1, 2]))
    assert batches.counts == [2, 4]
    assert batches.generators == generators[1:]
    assert torch.equal(batches.rows, rows[1:])
    assert (torch.cat([b.weight for b in batches], 1)[0, 2:] == 0).all()
    whole = TrainBatches(table, rows, 5, generators)
    before = next(iter(whole))
    whole.keep(torch.tensor([2]))
    assert torch.equal(next(iter(whole)).values[0], before.values[2])


def test_validation_rows_come_in_order_in_chunks_and_members_leave(monkeypatch):
    table, rows = data(), torch.tensor([[3, 1, 0, 2], [5, 5, 1, 4]])
    monkeypatch.setattr("skmtl.training.batches.FORWARD_ROWS", 2)
    monkeypatch.setattr("skmtl.training.batches.LEAST_ROWS", 3)
    valid = ValidRows(table, rows)
    chunks = list(valid.inputs())
    assert [c.shape for c in chunks] == [(2, 3, 3), (2, 1, 3)]
    assert torch.equal(torch.cat(chunks, 1), table.x[rows])
    values, weight = valid.labels()
    assert torch.equal(values, table.values[rows])
    assert torch.equal(weight, table.weight[rows])
    assert valid.labels()[0] is values
    monkeypatch.setattr("skmtl.training.batches.FORWARD_ROWS", 8)
    assert [c.shape[1] for c in valid.inputs()] == [4]
    valid.keep(torch.tensor([1]))
    assert torch.equal(valid.labels()[0], table.values[rows[1:]])
    assert ValidRows(table._replace(weight=None), rows).labels()[1] is None


# Losses of all tasks


def test_kinds_stand_side_by_side_and_are_found_again():
    losses = TaskLosses(all_kinds(["squared_error", "three classes", "squared_error", "counts"]))
    assert losses.order == [0, 2, 1, 3]
    assert losses.task_outputs == [1, 1, 3, 1]
    assert [(type(g.task).__name__, g.size) for g in losses.groups] == [
        ("RegressionTask", 2),
        ("ClassificationTask", 1),
        ("CountTask", 1),
    ]
    ordinal = TaskLosses(all_kinds(["squared_error", "ordinal"]))
    assert ordinal.task_constants == [0, 1]
    same = TaskLosses(all_kinds(["squared_error", "three classes", "squared_error", "counts"]))
    assert losses.signature == same.signature
    hash(losses.signature)
    for other in (["squared_error", "squared_error", "three classes", "counts"], ["counts"]):
        assert losses.signature != TaskLosses(all_kinds(other)).signature
    arrays = [np.arange(4).reshape(2, 2, 1), np.ones((2, 1, 3)), np.full((2, 1, 1), 9)]
    by_task = losses.by_task(arrays)
    assert [a.tolist() for a in by_task] == [[[0], [2]], [[1] * 3] * 2, [[1], [3]], [[9], [9]]]


TOGETHER = {
    "every kind": [*PREPARED],
    "some": KINDS,
    "one": ["three classes"],
    "two": ["ranknet", "huber"],
}


@pytest.mark.parametrize("names", TOGETHER.values(), ids=TOGETHER)
def test_masking_labels_is_dropping_rows(names):
    """Loss, score and gradient of each member and task are those of its labelled rows alone."""
    losses = TaskLosses(all_kinds(names))
    outputs, values, weight = tables(losses, names)
    outputs.requires_grad_()
    found, total = losses(outputs, values, weight)
    assert_allclose(total, weight.sum(1))
    scores = losses.score(outputs.detach(), values, weight)
    found.sum().backward()
    columns = torch.tensor(losses.task_outputs).cumsum(0).tolist()
    ends = torch.tensor([t.n_values for t in losses.tasks]).cumsum(0).tolist()
    for t, task in enumerate(losses.tasks):
        own = slice(columns[t] - task.n_outputs, columns[t])
        labels = slice(ends[t] - task.n_values, ends[t])
        alone = TaskLosses([task])
        for k in range(2):
            there = weight[k, :, t] > 0
            leaf = outputs[k : k + 1, there, own].detach().requires_grad_()
            kept = values[k : k + 1, there, labels]
            w = weight[k : k + 1, there, t : t + 1]
            [[expected]], _ = alone(leaf, kept, w)
            expected.backward()
            assert_allclose(found[k, t].detach(), expected.detach())
            assert_allclose(scores[k, t], alone.score(leaf.detach(), kept, w)[0, 0])
            assert_allclose(outputs.grad[k, there, own], leaf.grad[0])
            assert (outputs.grad[k, ~there, own] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_task_without_a_label_has_no_loss_no_gradient_and_no_score(dtype):
    losses = TaskLosses(all_kinds())
    outputs, values, weight = (t.to(dtype) for t in tables(losses))
    weight[1, :, 3] = weight[0, :, 0] = 0
    outputs.requires_grad_()
    found, total = losses(outputs, values, weight)
    scores = losses.score(outputs.detach(), values, weight)
    found.sum().backward()
    none = total == 0
    assert none.sum() == 2
    assert (found[none] == 0).all()
    assert (found[~none] > 0).all()
    assert torch.isfinite(outputs.grad).all()
    assert_array_equal(scores.isnan(), none)


def test_weights_of_one_may_be_left_out_and_only_their_proportions_count():
    losses = TaskLosses(all_kinds())
    outputs, values, weight = tables(losses)
    plain, total = losses(outputs, values, None)
    ones, counted = losses(outputs, values, torch.ones_like(weight))
    assert total is None
    assert (counted == N).all()
    assert_allclose(plain, ones)
    scores = losses.score(outputs, values, None)
    assert_allclose(scores, losses.score(outputs, values, torch.ones_like(weight)))
    for factor in (1e-200, 1e200):
        scaled, _ = losses(outputs, values, factor * weight)
        assert_allclose(scaled, losses(outputs, values, weight)[0])


def test_activated_outputs_are_averaged_over_members():
    losses = TaskLosses(all_kinds())
    outputs, _, _ = tables(losses, n_members=3)
    each = losses.activate_members(outputs)
    assert [a.shape[:3] for a in each] == [(3, N, g.size) for g in losses.groups]
    for of_group, members in zip(losses.activate(outputs), each, strict=True):
        assert_allclose(of_group, members.numpy().mean(0))
    for of_group, members in zip(losses.activate(outputs[1:2]), each, strict=True):
        assert_allclose(of_group, members[1])


# One column of many tasks


def many(seed=0, weighted=True):
    """Four tasks, a row of one each, the last without rows; of two members."""
    rng = np.random.default_rng(seed)
    number = torch.from_numpy(rng.integers(3, size=(2, 12)))
    outputs, values = (torch.from_numpy(rng.normal(size=(2, 12, 1))) for _ in range(2))
    weight = torch.from_numpy(rng.integers(0, 3, size=(2, 12, 1)).astype(float))
    return outputs, torch.cat([values, number.unsqueeze(-1)], -1), weight if weighted else None


@pytest.mark.parametrize("weighted", [True, False])
def test_the_loss_of_many_tasks_is_the_weighed_sum_of_their_means(weighted):
    outputs, values, weight = many(weighted=weighted)
    task = RegressionTask(standardize=False).prepare(np.zeros(2), np.ones(2), name="y")
    given = torch.tensor([1.0, 2.0, 0.5, 3.0]).double()
    totals = torch.tensor([5.0, 8.0, 3.0, 0.0]).double()
    losses = GroupedLosses(task, given, totals)
    assert losses.n_labels == 16
    assert losses.share.tolist() == [0.2, 0.25, 0.5 / 3, 0]
    counts = np.ones((2, 12)) if weight is None else weight[..., 0].numpy()
    squares = 0.5 * (outputs - values[..., :1])[..., 0].numpy() ** 2
    number = values[..., 1].numpy().astype(int)
    expected, of_epoch, slope = np.zeros(2), np.zeros(2), np.zeros((2, 12))
    for k in range(2):
        for t in range(3):
            rows = number[k] == t
            if counts[k, rows].sum():
                share = given[t].item() * counts[k, rows] / counts[k, rows].sum()
                expected[k] += (share * squares[k, rows]).sum()
                slope[k, rows] = share * (outputs - values[..., :1])[k, rows, 0].numpy()
        of_epoch[k] = (squares[k] * counts[k] * losses.share.numpy()[number[k]]).sum()
        of_epoch[k] *= 16 / counts[k].sum()
    with torch.no_grad():
        found, total = losses(outputs, values, weight)
    assert_allclose(found[:, 0], expected)
    assert total is None if weight is None else torch.equal(total, weight.sum(1))
    leaf = outputs.clone().requires_grad_()
    training, _ = losses(leaf, values, weight)
    training.sum().backward()
    assert_allclose(training.detach()[:, 0], of_epoch)
    assert_allclose(leaf.grad[..., 0], slope)
    losses.set_totals(torch.tensor([1.0, 0.0, 1.0, 1.0]).double())
    assert losses.n_labels == 3
    assert losses.share.tolist() == [1, 0, 0.5, 3]
    assert set(dict(losses.named_buffers())) == {"weights", "share"}
    one = TaskLosses([task])
    scores = losses.score(outputs, values, weight)
    assert_allclose(scores, one.score(outputs, values[..., :1], weight))


def test_the_number_of_a_rows_task_stands_behind_all_that_encodes_its_label():
    task, labels = PREPARED["counts and exposure"]
    task = clone(task).prepare(labels, np.ones(N), name="y")
    values = torch.from_numpy(task.encode(labels, name="y")).unsqueeze(0)
    outputs = torch.from_numpy(np.random.default_rng(0).normal(size=(1, N, 1)))
    weight = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (1, N, 1)).astype(float))
    grouped = GroupedLosses(task, torch.ones(1).double(), torch.tensor([float(N)]).double())
    numbered = torch.cat([values, torch.zeros(1, N, 1)], -1)
    plain = TaskLosses([task])
    with torch.no_grad():
        found, _ = grouped(outputs, numbered, weight)
        assert_allclose(found, plain(outputs, values, weight)[0])
    found = grouped.score(outputs, numbered, weight)
    assert_allclose(found, plain.score(outputs, values, weight))
