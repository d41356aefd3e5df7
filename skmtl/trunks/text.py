"""A trunk for texts that are rows of token numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from skmtl._checks import check_float, check_int, check_word

from .base import Trunk

if TYPE_CHECKING:
    from typing_extensions import Self

PAD = 0  # the token that fills up short rows


class TextTrunk(Trunk):
    """Embeddings of tokens, and what a text makes of them: their mean, a recurrent net, a convolution.

    X is (n, length): whole numbers, a token each, short rows filled up with 0 at the end. Filling
    up changes nothing.

    Parameters
    ----------
    n_tokens : int or None, default=None
        Tokens there are, 0 among them. None: one more than the largest in `fit`; a larger one is then
        an error in `predict`.
    embedding_dim : int, default=64
        Width of the embedding of a token.
    reading : {"mean", "gru", "conv"}, default="mean"
        "mean": order does not count (Joulin et al. 2017). "gru": the last state of a gated recurrent
        net (Cho et al. 2014). "conv": the largest response to each filter of three tokens
        (Kim 2014).
    n_units : int, default=64
        Units of the recurrent net, or filters. Not used by "mean".
    dropout : float in [0, 1), default=0.0
        Probability that a number of an embedding is left out of a training step.

    References
    ----------
    A. Joulin, E. Grave, P. Bojanowski, T. Mikolov (2017). Bag of tricks for efficient text
    classification. EACL.
    K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical
    machine translation. EMNLP.
    Y. Kim (2014). Convolutional neural networks for sentence classification. EMNLP.

    Examples
    --------
    >>> import torch
    >>> from skmtl.trunks import TextTrunk
    >>> module = TextTrunk(n_tokens=9, embedding_dim=4).build((5,))
    >>> module(torch.tensor([[3, 8, 0, 0, 0]])).shape
    torch.Size([1, 4])
    """

    integers_ = True

    def __init__(self, n_tokens=None, embedding_dim=64, reading="mean", n_units=64, dropout=0.0):
        self.n_tokens = n_tokens
        self.embedding_dim = embedding_dim
        self.reading = reading
        self.n_units = n_units
        self.dropout = dropout

    def prepare(self, X: np.ndarray) -> Self:
        """Count the tokens."""
        if X.ndim != 2:
            raise ValueError(
                f"TextTrunk takes X of shape (n, length), a token number each. Found {X.shape}."
            )
        if self.n_tokens is not None:
            check_int(self.n_tokens, "n_tokens", self, low=2)
        self.n_tokens_ = int(X.max()) + 1 if self.n_tokens is None else int(self.n_tokens)
        return super().prepare(X)

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Check the tokens."""
        X = super().encode(X)
        low, high = X.min(), X.max()
        whole = X.dtype.kind in "iu" or bool((np.rint(X) == X).all())
        if not whole or low < 0 or high >= self.n_tokens_:
            found = f"numbers from {low:g} to {high:g}" if whole else "fractions"
            raise ValueError(
                f"TextTrunk takes token numbers from 0 to {self.n_tokens_ - 1}. Found {found} in X. "
                "Say n_tokens if more can come."
            )
        return X

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the module; see `Trunk.build`."""
        check_int(self.embedding_dim, "embedding_dim", self, low=1)
        check_int(self.n_units, "n_units", self, low=1)
        check_float(self.dropout, "dropout", self, low=0, high=0.999)
        check_word(self.reading, "reading", self, READERS)
        n_tokens = getattr(self, "n_tokens_", self.n_tokens)
        reader = READERS[self.reading](self.embedding_dim, self.n_units)
        return TokenReader(n_tokens, self.embedding_dim, reader, self.dropout)


class TokenReader(nn.Module):
    """Tokens (b, length) to features (b, h): embeddings, and what a reader makes of them."""

    def __init__(self, n_tokens: int, width: int, reader: nn.Module, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.reader = reader

    def forward(self, tokens: Tensor) -> Tensor:
        """Features of the texts."""
        there = (tokens != PAD).unsqueeze(-1)
        return self.reader(self.dropout(self.embedding(tokens)) * there, there)


class MeanReader(nn.Module):
    """Mean over the tokens that are there, of embeddings (b, length, width); zero without any."""

    def __init__(self, width: int, n_units: int):
        super().__init__()

    def forward(self, embedded: Tensor, there: Tensor) -> Tensor:
        """Mean (b, width)."""
        return embedded.sum(1) / there.sum(1).clamp(min=1)


class RecurrentReader(nn.Module):
    """State of a gated recurrent net after the last token that is there."""

    def __init__(self, width: int, n_units: int):
        super().__init__()
        self.net = nn.GRU(width, n_units, batch_first=True)

    def forward(self, embedded: Tensor, there: Tensor) -> Tensor:
        """State (b, n_units)."""
        states, _ = self.net(embedded)
        n_read = there[..., 0].long().cumsum(1)
        last = n_read.argmax(1)  # the first place where all have been read
        return states[torch.arange(len(states), device=states.device), last]


class ConvolutionalReader(nn.Module):
    """Largest response to each filter over three tokens, and zero."""

    def __init__(self, width: int, n_units: int):
        super().__init__()
        self.filters = nn.Conv1d(width, n_units, 3, padding=1)

    def forward(self, embedded: Tensor, there: Tensor) -> Tensor:
        """Responses (b, n_units)."""
        responses = self.filters(embedded.mT).relu() * there.mT
        return responses.amax(2)


READERS = {"mean": MeanReader, "gru": RecurrentReader, "conv": ConvolutionalReader}
