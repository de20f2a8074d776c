"""Counts of batches, packed and merged, are the counts of the whole text."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from corpusforge.kernels.counts import COUNTS, count_batch, merge, pack
from corpusforge.kernels.pretokens import PATTERNS

TEXTS = st.lists(st.one_of(st.none(), st.text(alphabet="ab'sé中 \n1.", max_size=30)), max_size=12)


def as_dict(table: pa.Table) -> dict[bytes, int]:
    """Word to count; fails if a word occurs twice."""
    words = table["word"].to_pylist()
    assert len(set(words)) == len(words)
    return dict(zip(words, table["count"].to_pylist(), strict=True))


def expected(texts: list[str | None], split: str = "llama3") -> Counter[bytes]:
    """Counts by the library's regex engine."""
    cutter = pre_tokenizers.Split(Regex(PATTERNS[split]), "isolated")
    pieces = (cutter.pre_tokenize_str(text) for text in texts if text)
    return Counter(piece.encode() for row in pieces for piece, _ in row)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_counts_are_those_of_the_engine(texts: list[str | None]) -> None:
    """Each pre-token is counted once where the regex engine finds it."""
    counted = count_batch(pa.array(texts, pa.string()), "llama3", 1 << 20)
    assert as_dict(counted.table) == expected(texts)
    assert counted.dropped == 0
    assert counted.table.schema == COUNTS


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 9), st.randoms())
def test_merged_blobs_are_the_direct_count(
    first: list[str | None], second: list[str | None], ranges: int, source: object
) -> None:
    """However text is cut into batches and ranges, in any order, the sum is the same."""
    blobs: list[tuple[int, bytes]] = []
    for texts in (first, second):
        blobs += pack(count_batch(pa.array(texts, pa.string()), "llama3", 1 << 20).table, ranges)
    source.shuffle(blobs)
    assert all(0 <= number < ranges for number, _ in blobs)
    merged = merge([blob for _, blob in blobs])
    assert as_dict(merged) == expected([*first, *second])
    assert merged["word"].to_pylist() == sorted(merged["word"].to_pylist())
    by_range = [merge([blob for k, blob in blobs if k == number]) for number in range(ranges)]
    assert sum(table.num_rows for table in by_range) == merged.num_rows  # a word has one range


def test_many_words_make_the_table_grow() -> None:
    """More distinct words than the first table holds, some longer than a machine word."""
    texts = [f"w{number:x}{'y' * (number % 23)}" for number in range(120_000)] * 2
    counted = count_batch(pa.array(texts), "none", 1 << 20)
    assert as_dict(counted.table) == Counter(text.encode() for text in texts)


def test_too_long_words_are_dropped_and_counted() -> None:
    """The cap is in bytes and inclusive."""
    counted = count_batch(pa.array(["éé ééé éé"]), "whitespace", 5)
    assert as_dict(counted.table) == {"éé".encode(): 1, " éé".encode(): 1}
    assert counted.dropped == 1


def test_ranges_never_change() -> None:
    """The range of a word is fixed for good, since blobs of an earlier run are merged again."""
    words = ["", "a", " the", "中文", "twelve bytes", "more than sixteen bytes"]
    table = pa.table([pa.array(words, pa.binary()), pa.array([1] * len(words))], schema=COUNTS)
    found = {word: number for number, blob in pack(table, 1000) for word in as_dict(merge([blob]))}
    assert [found[word.encode()] for word in words] == [0, 680, 777, 435, 929, 930]


@pytest.mark.parametrize("ranges", [1, 8])
def test_nothing_gives_nothing(ranges: int) -> None:
    """An empty batch has no blobs; no blobs merge to an empty table."""
    counted = count_batch(pa.array([], pa.string()), "llama3", 512)
    assert pack(counted.table, ranges) == []
    assert merge([]).equals(COUNTS.empty_table())
