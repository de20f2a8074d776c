"""Signals of datatrove's filters: Gopher quality and repetition, FineWeb, mC4 paragraphs.

Only what differs from the general signals; the words are tokens of a splitter, punctuation
included. With the splitter ``spacy`` the values are datatrove's, from its version 0.10.1:
``gopher_quality_filter.py`` [Q], ``gopher_repetition_filter.py`` [R],
``fineweb_quality_filter.py`` [F], ``c4_filters.py`` [C].
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from corpusforge.kernels.family import Signal
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import DUP_GRAMS, TOP_GRAMS, tally
from corpusforge.kernels.splitters import Tokens
from corpusforge.kernels.text_column import text_buffers
from corpusforge.kernels.unicode_classes import is_category
from corpusforge.kernels.words import STOP, TERMINAL, code_point, mix, text_classes

_ALPHA, _MARK = 1, 2
# ``PUNCTUATION`` of datatrove.utils.text, beside the marks that end a sentence
_PUNCTUATION = (
    "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
)
_CONTROLS = ((0, 9), (11, 13), (13, 32), (127, 160))

CHARS, TOKENS, WORDS, WORD_CHARS, ALPHA, STOPS, HASHES, ELLIPSES, NEWLINES, THIRD = range(10)
GRAMS = 10 - 2  # column GRAMS + n holds the characters of repeated n-grams
COUNTS = GRAMS + 11

_PARTS: dict[str, tuple[int, int | None, str]] = {
    "tokens": (TOKENS, None, "tokens of the splitter"),
    "words": (WORDS, None, "tokens with a character that is no punctuation mark [Q]"),
    "mean_word_length": (WORD_CHARS, WORDS, "characters of words / words [Q]"),
    "hash_ratio": (HASHES, TOKENS, "characters # / tokens [Q]"),
    "ellipsis_ratio": (ELLIPSES, TOKENS, "... (not overlapping) and U+2026 / tokens [Q]"),
    "alpha_ratio": (ALPHA, TOKENS, "tokens with a letter / tokens, punctuation included [Q]"),
    "stop_words": (STOPS, None, "how many of the eight stop words are tokens, in lower case [Q]"),
    **{
        f"top_{n}_gram": (
            *(GRAMS + n, CHARS),
            f"characters of the most frequent {n} tokens in a row, joined by one space, times its"
            " occurrences / characters; ties go to the first [R]",
        )
        for n in TOP_GRAMS
    },
    **{
        f"dup_{n}_gram": (
            *(GRAMS + n, CHARS),
            f"characters of every {n} tokens in a row that spell what such a row spelled before,"
            " each token counted once / characters [R]",
        )
        for n in DUP_GRAMS
    },
    "newline_ratio": (NEWLINES, TOKENS, "newlines / tokens [F]"),
    "third_line": (THIRD, None, "characters of the third longest line between newlines [C]"),
}
SIGNALS = tuple(
    Signal(f"datatrove_{name}", meaning, "count" if whole is None else "share")
    for name, (_, whole, meaning) in _PARTS.items()
)

_BASE, _ODD = np.uint64(0x1F3D5B79A2C4E685), np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_LAST_TOP, _LAST_DUP = 4, 10


@cache
def _classes() -> np.ndarray:
    """Bits of every code point: (0x110000,) uint8; a letter, a punctuation mark of datatrove."""
    classes = np.zeros(0x110000, np.uint8)
    classes[is_category("L")] |= _ALPHA
    classes[text_classes() & TERMINAL != 0] |= _MARK
    classes[[ord(character) for character in _PUNCTUATION]] |= _MARK
    for first, stop in _CONTROLS:
        classes[first:stop] |= _MARK
    classes.setflags(write=False)
    return classes


@cache
def _stop_words() -> np.ndarray:
    """Hash of each stop word: (8,) uint64."""
    none = np.empty(0, np.uint64)
    hashes = np.empty((1, 2), np.uint64)
    found = []
    for word in STOP:
        data = np.frombuffer(word.encode(), np.uint8)
        spans = np.array([[0, len(data)]], np.int32)
        lengths, counts = np.empty(1, np.int32), np.zeros(COUNTS, np.int64)
        _tokens(data, spans, _classes(), none, hashes, lengths, counts)
        found.append(hashes[0, 0])
    return np.array(found, np.uint64)


def measure(text: pa.StringArray, tokens: Tokens) -> dict[str, np.ndarray]:
    """Return the SIGNALS of every text: (rows,) int64 for counts, float64 for shares.

    A null text has 0 or NaN.
    """
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(valid), COUNTS), np.int64)
    starts, spans = tokens.starts, tokens.spans
    _count(data, bounds, valid, starts, spans, _classes(), _stop_words(), counts)
    signals: dict[str, np.ndarray] = {}
    for name, (part, whole, _) in _PARTS.items():
        values = counts[:, part]
        if whole is None:
            signals[f"datatrove_{name}"] = values.copy()
        else:
            shares = values / np.maximum(counts[:, whole], 1)
            shares[~valid] = np.nan
            signals[f"datatrove_{name}"] = shares
    return signals


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    starts: np.ndarray,
    spans: np.ndarray,
    classes: np.ndarray,
    stop_words: np.ndarray,
    counts: np.ndarray,
) -> None:
    most = 0
    for row in range(len(valid)):
        most = max(most, starts[row + 1] - starts[row])
    slots = 16
    while 4 * slots < 5 * most:
        slots *= 2
    table = np.zeros((slots, 2), np.uint64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        own = spans[starts[row] : starts[row + 1]]
        _lines(data, int(bounds[row]), int(bounds[row + 1]), counts[row])
        hashes = np.empty((len(own), 2), np.uint64)
        lengths = np.empty(len(own), np.int32)
        _tokens(data, own, classes, stop_words, hashes, lengths, counts[row])
        _top_grams(hashes[:, 0], lengths, counts[row])
        _dup_grams(hashes, lengths, table, (row + 1) * 16, counts[row])


@kernel
def _lines(data: np.ndarray, start: int, stop: int, counts: np.ndarray) -> None:
    """Fill CHARS, HASHES, ELLIPSES, NEWLINES and THIRD from data[start:stop]."""
    first, second, third, length, dots = 0, 0, 0, 0, 0
    for index in range(start, stop + 1):
        byte = int(data[index]) if index < stop else 0x0A
        if byte == 0x0A:
            if length > first:
                first, second, third = length, first, second
            elif length > second:
                second, third = length, second
            elif length > third:
                third = length
            length = 0
            if index == stop:
                break
            counts[NEWLINES] += 1
            counts[CHARS] += 1
        elif byte & 0xC0 != 0x80:
            length += 1
            counts[CHARS] += 1
            counts[HASHES] += byte == 0x23
            if byte == 0xE2 and index + 2 < stop:
                counts[ELLIPSES] += data[index + 1] == 0x80 and data[index + 2] == 0xA6
        dots = dots + 1 if byte == 0x2E else 0
        counts[ELLIPSES] += dots > 0 and dots % 3 == 0
    counts[THIRD] = third


@kernel
def _tokens(
    data: np.ndarray,
    spans: np.ndarray,
    classes: np.ndarray,
    stop_words: np.ndarray,
    hashes: np.ndarray,
    lengths: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Fill TOKENS to STOPS, and of every token its characters (int32) and hashes (n, 2) uint64.

    The hash is a polynomial in its bytes; beside it the power of the base that moves another hash
    in front of it, so that the hash of joined tokens follows from theirs.
    """
    seen_stop = 0
    for token in range(len(spans)):
        state, shift = np.uint64(0), np.uint64(1)
        length, seen, only_marks = 0, 0, True
        index, stop = int(spans[token, 0]), int(spans[token, 1])
        while index < stop:
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            seen |= kind
            only_marks = only_marks and kind & _MARK != 0
            length += 1
            for step in range(size):
                state = state * _BASE + np.uint64(data[index + step]) + _ONE
                shift *= _BASE
            index += size
        hashes[token, 0], hashes[token, 1] = state, shift
        lengths[token] = length
        counts[ALPHA] += seen & _ALPHA != 0
        if not only_marks:
            counts[WORDS] += 1
            counts[WORD_CHARS] += length
        if length <= 4:
            for which in range(len(stop_words)):
                if state == stop_words[which]:
                    seen_stop |= 1 << which
    counts[TOKENS] = len(spans)
    for which in range(len(stop_words)):
        counts[STOPS] += (seen_stop >> which) & 1


@kernel
def _top_grams(words: np.ndarray, lengths: np.ndarray, counts: np.ndarray) -> None:
    """Fill GRAMS + 2..4; n-grams that do not repeat drop out as n grows."""
    places = np.arange(len(words), dtype=np.int32)
    keys = words.copy()
    slots = np.empty(len(words), np.int32)
    left = len(words)
    for n in range(2, _LAST_TOP + 1):
        if len(words) < n:
            return
        kept = 0
        for index in range(left):
            place = places[index]
            if place + n <= len(words):
                keys[kept] = mix(keys[index] * _ODD + words[place + n - 1])
                places[kept] = place
                kept += 1
        occurrences = tally(keys[:kept], slots)
        best, where = 1, 0
        for index in range(kept):
            if occurrences[slots[index]] > best:
                best, where = int(occurrences[slots[index]]), int(places[index])
        chars = n - 1
        for word in range(where, where + n):
            chars += lengths[word]
        counts[GRAMS + n] = best * chars
        left = 0
        for index in range(kept):
            keys[left], places[left] = keys[index], places[index]
            left += occurrences[slots[index]] > 1


@kernel
def _dup_grams(
    hashes: np.ndarray, lengths: np.ndarray, table: np.ndarray, stamp: int, counts: np.ndarray
) -> None:
    """Fill GRAMS + 5..10; n-grams are equal where they spell the same, whatever their words.

    ``table`` (slots, 2) uint64 holds n-grams and the stamp they were met with; stamps from
    ``stamp`` on, one an n, are new, so that it needs no clearing.
    """
    keys = hashes[:, 0].copy()
    size = 16
    while size < 2 * len(hashes) and size < len(table):
        size *= 2
    for n in range(2, _LAST_DUP + 1):
        left = len(hashes) - n + 1
        if left <= 0:
            return
        for place in range(left):
            last = place + n - 1
            keys[place] = keys[place] * hashes[last, 1] + hashes[last, 0]
        if n <= _LAST_TOP:
            continue
        now = np.uint64(stamp + n)
        chars, place = 0, 0
        while place < left:
            key = mix(keys[place])
            slot = np.int64(key >> _ONE) & (size - 1)
            while table[slot, 1] == now and table[slot, 0] != key:
                slot = (slot + 1) & (size - 1)
            if table[slot, 1] == now:
                for word in range(place, place + n):
                    chars += lengths[word]
                place += n
            else:
                table[slot, 0], table[slot, 1] = key, now
                place += 1
        counts[GRAMS + n] = chars
