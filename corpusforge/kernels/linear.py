"""A linear classifier of texts on hashed words and bigrams, trained and run by compiled kernels.

p = sigmoid(bias + mean of weights[bucket(f)] over the features f of a text), where the features
are its words (``words.scan_words``) and each two words in a row. One float32 a bucket: a fastText
model (Joulin et al. 2016, arXiv 1607.01759) with two classes is this as well, since its score is
linear in the mean of the features' vectors. Trained by stochastic gradient descent on the logistic
loss, one text after the other in a given order: no result depends on threads. A text moves each of
its n features by rate * error / sqrt(n), not / n as the plain gradient does, which would hardly
learn from long texts; 1 and 1/n did worse on held-out texts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.text_column import text_buffers
from corpusforge.kernels.words import WORD_COUNTS, mix, no_stop_words, scan_words, text_classes

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

_NO_STOP_WORDS = no_stop_words()
_HALF = np.uint64(32)
SPREAD = 2.0


def word_hashes(text: pa.StringArray) -> tuple[U32, I64]:
    """Return the upper 32 bits of the hash of every word, (words,), and bounds of texts, (n + 1,).

    A null text has no words.
    """
    data, bounds, _ = text_buffers(text)
    return _hashes(data, bounds, text_classes(), _NO_STOP_WORDS)


def train(
    hashes: U32, bounds: I64, labels: F32, order: I64, buckets: int, epochs: int, rate: float
) -> tuple[F32, float]:
    """Return (weights (buckets,), bias) after ``epochs`` passes over the texts in ``order``.

    ``labels`` (n,) are 0 or 1; both classes weigh the same. ``buckets`` is a power of two. The
    step falls from ``rate`` to 0 in a straight line. In the end logits are scaled down to a
    standard deviation of SPREAD over the texts, so that scores of three decimals still tell texts
    apart: they rank, and are no calibrated probabilities.
    """
    weights = np.zeros(buckets, np.float32)
    share = float(labels[order].mean()) if len(order) else 0.5
    balance = np.array([0.5 / max(1 - share, 1e-9), 0.5 / max(share, 1e-9)])
    bias = _train(hashes, bounds, labels, order, epochs, rate, balance, weights)
    logits = _logits(hashes, bounds, order, weights, bias)
    scale = SPREAD / max(float(logits.std()), SPREAD) if len(order) else 1.0
    return weights * np.float32(scale), float(bias * scale)


def score(text: pa.StringArray, weights: F32, bias: float) -> F64:
    """Return the probability (n,) of class 1 of every text; NaN for a null text.

    A text without words has the probability of the bias alone.
    """
    data, bounds, valid = text_buffers(text)
    scores = _scores(data, bounds, text_classes(), _NO_STOP_WORDS, weights, bias)
    scores[~valid] = np.nan
    return scores


def score_hashes(hashes: U32, bounds: I64, weights: F32, bias: float) -> F64:
    """Return the score (n,) of texts given by ``word_hashes``, as ``score`` gives it."""
    logits = _logits(hashes, bounds, np.arange(len(bounds) - 1), weights, bias)
    scores: F64 = 1 / (1 + np.exp(-logits))
    return scores


@kernel
def _hashes(
    data: np.ndarray, bounds: np.ndarray, classes: np.ndarray, stop_words: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    ends = np.zeros(len(bounds), np.int64)
    found = np.empty(1024, np.uint32)
    counts = np.zeros(WORD_COUNTS, np.int64)
    total = 0
    for row in range(len(bounds) - 1):
        words = scan_words(
            data, int(bounds[row]), int(bounds[row + 1]), classes, stop_words, counts
        )[0]
        if total + len(words) > len(found):
            larger = np.empty(2 * (total + len(words)), np.uint32)
            larger[:total] = found[:total]
            found = larger
        for index in range(len(words)):
            found[total + index] = np.uint32(words[index] >> _HALF)
        total += len(words)
        ends[row + 1] = total
    return found[:total].copy(), ends


@kernel
def _sum(words: np.ndarray, start: int, stop: int, weights: np.ndarray) -> float:
    """Sum the weights of the features of words[start:stop] (uint32)."""
    mask = np.uint64(len(weights) - 1)
    total, before = 0.0, np.uint64(0)
    for index in range(start, stop):
        word = np.uint64(words[index])
        total += float(weights[word & mask])
        if index > start:
            total += float(weights[mix((before << _HALF) | word) & mask])
        before = word
    return total


@kernel
def _move(words: np.ndarray, start: int, stop: int, weights: np.ndarray, step: float) -> None:
    """Add ``step`` to the weight of every feature of words[start:stop]."""
    mask, change = np.uint64(len(weights) - 1), np.float32(step)
    before = np.uint64(0)
    for index in range(start, stop):
        word = np.uint64(words[index])
        weights[word & mask] += change
        if index > start:
            weights[mix((before << _HALF) | word) & mask] += change
        before = word


@kernel
def _train(
    words: np.ndarray,
    bounds: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    epochs: int,
    rate: float,
    balance: np.ndarray,
    weights: np.ndarray,
) -> float:
    bias, done = 0.0, 0
    for _ in range(epochs):
        for row in order:
            start, stop = bounds[row], bounds[row + 1]
            features = max(2 * (stop - start) - 1, 1)
            probability = _sigmoid(bias + _sum(words, start, stop, weights) / features)
            pace = rate * (1 - done / (epochs * len(order)))
            label = 1.0 if labels[row] > 0.5 else 0.0
            step = pace * balance[int(label)] * (label - probability)
            _move(words, start, stop, weights, step / np.sqrt(features))
            bias += step
            done += 1
    return bias


@kernel
def _scores(
    data: np.ndarray,
    bounds: np.ndarray,
    classes: np.ndarray,
    stop_words: np.ndarray,
    weights: np.ndarray,
    bias: float,
) -> np.ndarray:
    scores = np.empty(len(bounds) - 1)
    counts = np.zeros(WORD_COUNTS, np.int64)
    for row in range(len(scores)):
        found = scan_words(
            data, int(bounds[row]), int(bounds[row + 1]), classes, stop_words, counts
        )[0]
        words = np.empty(len(found), np.uint32)
        for index in range(len(found)):
            words[index] = np.uint32(found[index] >> _HALF)
        features = max(2 * len(words) - 1, 1)
        scores[row] = _sigmoid(bias + _sum(words, 0, len(words), weights) / features)
    return scores


@kernel
def _logits(
    words: np.ndarray, bounds: np.ndarray, order: np.ndarray, weights: np.ndarray, bias: float
) -> np.ndarray:
    logits = np.empty(len(order))
    for place in range(len(order)):
        start, stop = bounds[order[place]], bounds[order[place] + 1]
        features = max(2 * (stop - start) - 1, 1)
        logits[place] = bias + _sum(words, start, stop, weights) / features
    return logits


@kernel
def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))
