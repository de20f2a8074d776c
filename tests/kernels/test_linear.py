"""Scores of the linear model against a plain sum; training repels and attracts."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.kernels import linear

WORDS = st.lists(st.sampled_from(["a", "b", "Cat", "dög", "我", "9", ". ", "\n"]), max_size=12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | WORDS.map(" ".join), max_size=5), st.integers(0, 99))
def test_scores_are_the_mean_weight_of_the_features(rows, seed):
    """By a plain sum over words and pairs; from text and from hashes alike."""
    weights = np.random.default_rng(seed).normal(size=64).astype(np.float32)
    text = pa.array(rows, pa.string())
    hashes, bounds = linear.word_hashes(text)
    found = linear.score(text, weights, 0.5)
    np.testing.assert_allclose(
        linear.score_hashes(hashes, bounds, weights, 0.5)[text.is_valid()], found[text.is_valid()]
    )
    for row, value in enumerate(rows):
        words = hashes[bounds[row] : bounds[row + 1]].tolist()
        pairs = [mixed((a << 32) | b) for a, b in pairwise(words)]
        features = [int(f) & 63 for f in (*words, *pairs)]
        mean = float(weights[features].astype(float).mean()) if features else 0.0
        if value is None:
            assert np.isnan(found[row])
        else:
            assert found[row] == pytest.approx(1 / (1 + np.exp(-0.5 - mean)))


def mixed(state):
    """The finisher of ``words.mix``, in Python's integers."""
    for _ in range(2):
        state = ((state ^ (state >> 32)) * 0xD6E8FEB86659FD93) & (2**64 - 1)
    return state ^ (state >> 32)


def test_training_moves_the_weights_of_the_words_that_differ():
    """Words of both classes end near 0, those of one class on its side; the same bits again."""
    text = pa.array(["a b", "a c"] * 20)
    hashes, bounds = linear.word_hashes(text)
    labels, order = np.tile(np.array([1, 0], np.float32), 20), np.arange(40)
    weights, bias = linear.train(hashes, bounds, labels, order, 1 << 12, 5, 1.0)
    again, _ = linear.train(hashes, bounds, labels, order, 1 << 12, 5, 1.0)
    assert again.tobytes() == weights.tobytes()
    one, two = (linear.score(pa.array([word]), weights, bias)[0] for word in ("b", "c"))
    assert one > 0.6
    assert two < 0.4
    assert abs(linear.score(pa.array(["a"]), weights, 0.0)[0] - 0.5) < 0.1
