"""The order of priority: tiers, then quality, then length; ties by what the record says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.kernels import priority

scores = st.sampled_from([None, -2.5, -0.0, 0.0, 0.001, 0.5, 0.501, 7e30, float("inf")])
documents = st.tuples(st.booleans(), scores, st.integers(0, 1 << 33))


@given(st.lists(documents, min_size=2, max_size=8))
def test_ranks_order_as_their_parts(drawn: list[tuple[bool, float | None, int]]) -> None:
    """Protected first, then the higher score (none is the lowest), then more tokens."""
    protected, quality, tokens = zip(*drawn, strict=True)
    column = np.array([np.nan if score is None else score for score in quality])
    found = priority.ranks(np.array(protected), column, np.array(tokens, np.int64))

    def key(row: int) -> tuple[bool, float, int]:
        score = quality[row]
        low = float("-inf") if score is None else score
        return not protected[row], -low, -min(tokens[row], (1 << 32) - 1)

    for one in range(len(drawn)):
        for other in range(len(drawn)):
            assert (found[one] < found[other]) == (key(one) < key(other))


def test_earlier_corpora_come_first_in_their_order() -> None:
    """Before protected documents of the run; inside a corpus the order stays."""
    tokens = np.array([5, 9, 5, 9], np.int64)
    own = priority.ranks(np.array([True, True, False, False]), None, tokens)
    first, second = priority.of_corpus(own, 0), priority.of_corpus(own, 1)
    last = priority.of_corpus(own, priority.MOST_CORPORA - 1)
    assert first.max() < second.min() and last.max() < own.min()
    for ranks in (own, first, last):
        assert np.argsort(ranks).tolist() == [1, 0, 3, 2]
    with pytest.raises(ValueError, match="at most"):
        priority.of_corpus(own, priority.MOST_CORPORA)


def test_ties_are_of_the_record_not_of_its_place() -> None:
    """Own id, URL and text decide, and where one ends and the next begins."""
    names = pa.array(["a", "a", "ab", "a", None, ""])
    urls = pa.array(["b", "b", "", "", "ab", "ab"])
    texts = pa.array(["t", "u", "t", "bt", "t", "t"])
    found = priority.ties(names, urls, texts).tolist()
    assert len(set(found[:5])) == 5 and found[4] == found[5]
    assert priority.ties(names[2:], urls[2:], texts[2:]).tolist() == found[2:]
    assert (
        len(
            set(
                priority.ties(
                    pa.nulls(2, pa.string()), pa.nulls(2, pa.string()), pa.array(["", None])
                )
            )
        )
        >= 1
    )
