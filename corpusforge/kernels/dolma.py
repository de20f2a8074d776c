"""Signals of dolma's taggers ``gopher_v1``, ``gopher_v2``, ``c4_v1`` and ``c4_v2``.

Source: dolma 1.2.1, ``python/dolma/taggers/gopher.py`` and ``c4.py``; ``dolma_c4`` holds the
latter. Words are what white space separates. Version 1 of the Gopher tagger splits lines at every
newline, so that blank lines are duplicates of each other; version 2 at runs of newlines.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusforge.kernels import dolma_c4
from corpusforge.kernels.gram_counts import (
    ALL,
    GRAM_COUNTS,
    REPEATED,
    TOP_FIRST,
    count_gram_chars,
)
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span, tally
from corpusforge.kernels.signals import Signal
from corpusforge.kernels.text_column import named_columns, text_buffers
from corpusforge.kernels.white_words import HAS_LETTER, HAS_SYMBOL, IS_STOP, scan_white_words
from corpusforge.kernels.words import text_classes

CHARS, WORDS, WORD_CHARS, MEDIAN_TWICE, TWO = range(GRAM_COUNTS, GRAM_COUNTS + 5)
SYMBOL_WORDS, ALPHA_WORDS, REQUIRED, BULLETS, ELLIPSES = range(GRAM_COUNTS + 5, GRAM_COUNTS + 10)
LINES, DUP_LINES, LINES_2, DUP_LINES_2, DUP_CHARS = range(GRAM_COUNTS + 10, GRAM_COUNTS + 15)
COUNTS = GRAM_COUNTS + 15

SIGNALS = (
    Signal("dolma_character_count", CHARS, None, "code points"),
    Signal("dolma_word_count", WORDS, None, "words between white space"),
    Signal("dolma_median_word_length", MEDIAN_TWICE, TWO, "median of the words' characters"),
    Signal(
        "dolma_symbol_to_word_ratio", SYMBOL_WORDS, WORDS, "words that hold # or U+2026 / words"
    ),
    Signal("dolma_alpha_word_ratio", ALPHA_WORDS, WORDS, "words with a letter / words"),
    Signal(
        *("dolma_required_word_count", REQUIRED, None),
        "how often the, be, to, of, and, that, have, with occur, in lower case",
    ),
    *(
        Signal(
            *(f"dolma_top_{n}_gram_char_fraction", TOP_FIRST + n - 2, WORD_CHARS),
            f"characters of the most frequent {n} words in a row, the first of equals, times its"
            " occurrences, even if one / characters of words",
        )
        for n in (2, 3, 4)
    ),
    *(
        Signal(
            *(f"dolma_dup_{n}_gram_char_fraction", REPEATED + n - 5, ALL + n - 5),
            f"characters of each {n} words in a row that occur twice / of each {n} words in a row",
        )
        for n in (5, 6, 7, 8, 9, 10)
    ),
    Signal("dolma_bullet_line_ratio_v1", BULLETS, LINES, "lines that start with * or - / lines"),
    Signal("dolma_bullet_line_ratio_v2", BULLETS, LINES_2, "the same, split at runs of newlines"),
    Signal("dolma_ellipsis_line_ratio_v1", ELLIPSES, LINES, "lines that end in U+2026 / lines"),
    Signal(
        "dolma_ellipsis_line_ratio_v2", ELLIPSES, LINES_2, "the same, split at runs of newlines"
    ),
    Signal(
        *("dolma_dup_line_fraction_v1", DUP_LINES, LINES),
        "lines that occur twice, blank ones as well, every copy / lines",
    ),
    Signal(
        "dolma_dup_line_fraction_v2", DUP_LINES_2, LINES_2, "the same, split at runs of newlines"
    ),
    Signal(
        *("dolma_dup_line_char_fraction", DUP_CHARS, WORD_CHARS),
        "characters, spaces too, of lines that occur twice / characters of words: may exceed 1",
    ),
    *dolma_c4.SIGNALS,
)


def measure(text: pa.StringArray) -> dict[str, np.ndarray]:
    """Return every signal of every text by name, in the order of SIGNALS.

    Each is (rows,): int64 for a count, float64 for a share. A null text has 0 or NaN. dolma leaves
    out the n-gram shares of a text of fewer than n words; here they are 0.
    """
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    _count(data, bounds, valid, text_classes(), counts)
    gopher = [signal for signal in SIGNALS if signal not in dolma_c4.SIGNALS]
    return named_columns(gopher, counts, valid) | dolma_c4.measure(text)


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    counts: np.ndarray,
) -> None:
    for row in range(len(valid)):
        start, stop = int(bounds[row]), int(bounds[row + 1])
        counts[row, TWO] = 2
        if not valid[row] or start == stop:
            continue
        hashes, _, lengths, holds = scan_white_words(data, start, stop, classes)
        counts[row, :GRAM_COUNTS] = count_gram_chars(hashes, lengths)
        counts[row, WORDS] = len(hashes)
        counts[row, WORD_CHARS] = lengths.sum()
        counts[row, MEDIAN_TWICE] = median_twice(lengths)
        for word in range(len(holds)):
            held = holds[word]
            counts[row, SYMBOL_WORDS] += held & HAS_SYMBOL != 0
            counts[row, ALPHA_WORDS] += held & HAS_LETTER != 0
            counts[row, REQUIRED] += held & IS_STOP != 0
        _count_lines(data, start, stop, counts[row])


@kernel
def median_twice(lengths: np.ndarray) -> int:
    """Return two times the median of ``lengths`` (n,) int32, 0 if there is none; linear."""
    if len(lengths) == 0:
        return 0
    histogram = np.zeros(lengths.max() + 1, np.int64)
    for length in lengths:
        histogram[length] += 1
    low, high = (len(lengths) - 1) // 2, len(lengths) // 2
    total, passed, below = 0, 0, False
    for length in range(len(histogram)):
        passed += histogram[length]
        if not below and passed > low:
            total += length
            below = True
        if passed > high:
            return total + length
    return total


@kernel
def _count_lines(data: np.ndarray, start: int, stop: int, counts: np.ndarray) -> None:
    lines = 1
    for index in range(start, stop):
        lines += data[index] == 0x0A
    keys = np.empty(lines, np.uint64)
    chars = np.empty(lines, np.int32)
    filled, blank, runs = 0, 0, 0
    begin, length, total = start, 0, 0
    for index in range(start, stop + 1):
        if index < stop and data[index] != 0x0A:
            length += data[index] & 0xC0 != 0x80
            continue
        if index > begin:
            keys[filled], chars[filled] = hash_span(data, begin, index), length
            filled += 1
            counts[BULLETS] += data[begin] == 0x2A or data[begin] == 0x2D
            counts[ELLIPSES] += (
                index - begin >= 3
                and data[index - 3] == 0xE2
                and data[index - 2] == 0x80
                and data[index - 1] == 0xA6
            )
        else:
            blank += 1
            # a run of newlines at either end leaves one empty line there
            runs += index in (start, stop)
        total += length + (index < stop)
        begin, length = index + 1, 0
    slots = np.empty(filled, np.int32)
    occurrences = tally(keys[:filled], slots)
    for line in range(filled):
        if occurrences[slots[line]] > 1:
            counts[DUP_LINES] += 1
            counts[DUP_CHARS] += chars[line]
    counts[CHARS], counts[LINES], counts[LINES_2] = total, lines, filled + runs
    counts[DUP_LINES_2] = counts[DUP_LINES] + (2 if runs > 1 else 0)
    counts[DUP_LINES] += blank if blank > 1 else 0
