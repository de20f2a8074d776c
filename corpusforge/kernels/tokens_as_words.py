"""Words of a text whose tokens a splitter cut: the same counts as ``words.scan_words``."""

from __future__ import annotations

from functools import cache

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span
from corpusforge.kernels.words import (
    ALPHA_WORDS,
    CHARS,
    HASHES,
    LETTER,
    LETTERS,
    NUMBER,
    NUMBERS,
    STOP,
    STOP_WORDS,
    TOKENS,
    UPPER,
    UPPERS,
    WORD,
    WORD_CHARS,
    WORDS,
    code_point,
)


@cache
def span_hashes() -> np.ndarray:
    """Return the hash of each stop word, as ``token_words`` gives it: (8,) uint64."""
    words = [np.frombuffer(word.encode(), np.uint8) for word in STOP]
    return np.array([hash_span(word, 0, len(word)) for word in words], np.uint64)


@kernel
def token_words(
    data: np.ndarray,
    start: int,
    stop: int,
    spans: np.ndarray,
    classes: np.ndarray,
    stop_words: np.ndarray,
    counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill counts[:WORD_COUNTS] (int64) from the tokens ``spans`` (n, 2) int32 of one text.

    A word is a token with a letter, number or mark. Returns per word: its hash (uint64), its
    characters (int32), and whether something that is no word stands before it (uint8).
    ``stop_words`` are hashes by ``hash_span``.
    """
    hashes = np.empty(len(spans), np.uint64)
    lengths = np.empty(len(spans), np.int32)
    gaps = np.empty(len(spans), np.uint8)
    words, seen_stop, index, end = 0, 0, start, start
    for token in range(len(spans) + 1):
        first = int(spans[token, 0]) if token < len(spans) else stop
        last = int(spans[token, 1]) if token < len(spans) else stop
        length, seen = 0, 0
        while index < last:
            point, size = code_point(data, index, last)
            kind = int(classes[point])
            counts[CHARS] += 1
            counts[HASHES] += point == 0x23
            counts[NUMBERS] += kind & NUMBER != 0
            counts[LETTERS] += kind & LETTER != 0
            counts[UPPERS] += kind & UPPER != 0
            if index >= first:
                length += 1
                seen |= kind
            index += size
        if seen & WORD:
            hashes[words], lengths[words] = hash_span(data, first, last), length
            gaps[words] = words == 0 or first > end
            counts[WORD_CHARS] += length
            counts[ALPHA_WORDS] += seen & LETTER != 0
            for which in range(len(stop_words)):
                if hashes[words] == stop_words[which]:
                    seen_stop |= 1 << which
            words += 1
            end = last
    counts[WORDS], counts[TOKENS] = words, len(spans)
    for which in range(len(stop_words)):
        counts[STOP_WORDS] += (seen_stop >> which) & 1
    return hashes[:words], lengths[:words], gaps[:words]
