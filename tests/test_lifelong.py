"""Measures of what is kept of a stream, by the formulas of the papers, and their display."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from counting import calls_of
from numpy.testing import assert_allclose
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skmtl import MultiTaskRegressor
from skmtl.consolidation import AGEM, EWC, Replay
from skmtl.inspection import StageScoresDisplay
from skmtl.metrics import average_accuracy, backward_transfer, forgetting, forward_transfer

R = np.random.default_rng(0).random((4, 4))  # a row a task, a column a stage


def test_the_measures_are_those_of_the_papers():
    """Eqs. 2 to 4 of Lopez-Paz & Ranzato (2017), whose R is the transpose; 3 of Chaudhry (2018)."""
    T, chance = 4, np.array([0.1, 0.2, 0.3, 0.4])
    assert average_accuracy(R) == pytest.approx(sum(R[i, T - 1] for i in range(T)) / T)
    expected = sum(R[i, T - 1] - R[i, i] for i in range(T - 1)) / (T - 1)
    assert backward_transfer(R) == pytest.approx(expected)
    expected = sum(R[i, i - 1] - chance[i] for i in range(1, T)) / (T - 1)
    assert forward_transfer(R, chance) == pytest.approx(expected)
    best = sum(max(R[j, k] for k in range(j, T - 1)) - R[j, T - 1] for j in range(T - 1))
    assert forgetting(R) == pytest.approx(best / (T - 1))


def test_tasks_learned_in_any_order_and_together():
    order = np.array([2, 0, 3, 1])
    frame = pd.DataFrame(R[np.argsort(order)[[0, 1, 2, 3]]])
    learned = np.argsort(order)
    for measure in (forgetting, backward_transfer, lambda s, at=None: forward_transfer(s, 0.5, at)):
        assert measure(frame, learned.tolist()) == pytest.approx(measure(R))
    two = np.array([[0.9, 0.7, 0.8], [0.8, 0.8, 0.6]])
    assert forgetting(two, [0, 0]) == pytest.approx((0.1 + 0.2) / 2)
    assert backward_transfer(two, [0, 0]) == pytest.approx((-0.1 - 0.2) / 2)


def test_nothing_changes_nothing_is_forgotten():
    same = np.full((3, 3), 0.7)
    assert forgetting(same) == backward_transfer(same) == 0
    assert forward_transfer(same, 0.7) == 0
    early = np.where(np.tri(3, k=-1, dtype=bool), np.nan, same)  # not scored before it is learned
    assert forgetting(early) == 0
    with pytest.raises(ValueError, match="lacks the score of a task before its own stage"):
        forward_transfer(early, 0.5)


@pytest.mark.parametrize(
    ("scores", "learned_at", "text"),
    [
        ([0.5, 0.6], None, "a row a task and a column a stage"),
        (np.empty((0, 2)), None, "Found shape"),
        (R, [0, 1, 2], "for each of the 4 tasks"),
        (R, [0, 1, 2, 4], "name a stage, 0 to 3"),
        (R, [0, 1, 2, 0.5], "name a stage"),
        ([[0.5]], None, "no forgetting of a single stage"),
        ([[0.5, np.nan], [0.5, 0.5]], None, "after the last stage"),
    ],
)
def test_scores_that_say_nothing_are_refused(scores, learned_at, text):
    with pytest.raises(ValueError, match=text):
        forgetting(scores, learned_at)
    with pytest.raises(ValueError, match="baseline must be a number"):
        forward_transfer(R, [0.5, 0.5])


@pytest.mark.parametrize(
    ("measure", "cell", "when"),
    [
        (average_accuracy, (1, 3), "after the last stage"),
        (forgetting, (1, 2), "between its stage and the last"),
        (forgetting, (1, 3), "after the last stage"),
        (backward_transfer, (1, 1), "after its own stage"),
        (backward_transfer, (1, 3), "after the last stage"),
        (lambda scores: forward_transfer(scores, 0.5), (1, 0), "before its own stage"),
    ],
    ids=["mean", "best", "last", "own", "after", "before"],
)
def test_a_score_that_is_missing_is_said_by_its_stage(measure, cell, when):
    gappy = R.copy()
    gappy[cell] = np.nan
    with pytest.raises(ValueError, match=f"scores lacks the score of a task {when}. Found .*nan"):
        measure(gappy)


def test_a_single_stage_has_no_transfer():
    for measure, name in [(forgetting, "forgetting"), (backward_transfer, "backward transfer")]:
        with pytest.raises(ValueError, match=f"There is no {name} of a single stage"):
            measure([[0.5]])
    with pytest.raises(ValueError, match="There is no forward transfer of a single stage"):
        forward_transfer([[0.5]], 0.5)
    with pytest.raises(ValueError, match=r"one for each of the 4 tasks. Found \[0.5, inf"):
        forward_transfer(R, [0.5, np.inf, 0, 0])
    with pytest.raises(ValueError, match=r"there are 3 tasks and 2 stages"):
        forgetting(np.ones((3, 2)))
    for strange in ([True, 0, 0, 0], [-1, 0, 0, 0]):
        with pytest.raises(ValueError, match=rf"Found \[{strange[0]}, 0, 0, 0\]"):
            forgetting(R, strange)


def test_more_tasks_than_stages_need_to_be_told():
    with pytest.raises(ValueError, match="learned_at"):
        backward_transfer(np.ones((3, 2)))


def test_the_display_draws_what_it_is_given(plt):
    frame = pd.DataFrame(R, ["a", "b", "c", "d"], ["spring", "summer", "autumn", "winter"])
    display = StageScoresDisplay(frame).plot()
    assert [line.get_label() for line in display.lines_] == ["a", "b", "c", "d"]
    for t, line in enumerate(display.lines_):
        assert_allclose(line.get_ydata(), R[t, t:])
    expected = [R[: s + 1, s].mean() for s in range(4)]
    assert_allclose(display.mean_line_.get_ydata(), expected)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(frame.columns)
    other = StageScoresDisplay(np.array([[0.1, np.nan], [np.nan, 0.2]]), [0, 1]).plot(display.ax_)
    assert_allclose(other.mean_line_.get_ydata(), [0.1, 0.2])


# Work and memory of a chunk


class Numbers(TorchDispatchMode):
    """Counts the numbers that torch's operations give back."""

    made = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.made += sum(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor))
        return out


def work_of(call):
    """Python's calls, and the numbers that torch computed."""
    with Numbers() as numbers:
        n_calls = calls_of(call)
    return n_calls, numbers.made


CONSOLIDATIONS = {
    "replay": Replay(memory_size=20),
    "agem": AGEM(memory_size=20),
    "ewc": EWC(strength=1.0, memory_size=20, stage=3),
}


@pytest.mark.parametrize("name", CONSOLIDATIONS)
def test_the_thousandth_chunk_costs_what_the_hundredth_does(name):
    """Counted, not timed: the rows gone through, the Fisher information, what is remembered."""
    rng = np.random.default_rng(0)
    est = MultiTaskRegressor(
        consolidation=CONSOLIDATIONS[name],
        hidden_layer_sizes=(4,),
        n_members=1,
        batch_size=4,
        random_state=0,
    )
    watched, work, sizes = [*range(90, 102), *range(987, 999)], [], []  # four stages each
    for chunk in range(1000):
        X, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 3))
        if chunk:
            y[:, chunk % 3] = np.nan
        if chunk in watched:
            work.append(work_of(lambda X=X, y=y: est.partial_fit(X, y)))
            sizes.append(len(pickle.dumps(est.net_.consolidation)))
        else:
            est.partial_fit(X, y)
    early, late = np.reshape(work, (2, 12, 2)).sum(1)
    assert np.abs(late / early - 1).max() < 0.01  # which rows are remembered is a matter of chance
    assert np.ptp(np.reshape(sizes, (2, 12)).max(1)) <= 16  # counters take a byte more
