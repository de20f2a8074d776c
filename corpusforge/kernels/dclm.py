"""Signals of DCLM's heuristic filters, which follow RefinedWeb and Gopher.

Source: DCLM, Li et al. 2024, arXiv 2406.11794, repository mlfoundations/dclm at 361714b,
``baselines/mappers/filters/content_filters.py`` with the settings of
``dclm_baseline_refinedweb.yaml``. Three kinds of words: of white space (length, symbols, letters,
stop words), of fastText's tokenizer (count), and of Unicode word boundaries (n-grams). Every copy
of a line, paragraph or n-gram counts as duplicated, the first as well.

A text that DCLM drops for having no words or no lines has 1 for the share concerned.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusforge.kernels.gram_counts import COVERED, GRAM_COUNTS, TOP_LONGEST, count_gram_chars
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span, tally
from corpusforge.kernels.signals import Signal
from corpusforge.kernels.text_column import named_columns, text_buffers
from corpusforge.kernels.text_tables import properties, word_breaks
from corpusforge.kernels.white_words import HAS_LETTER, LIKE_STOP, scan_white_words
from corpusforge.kernels.word_break import scan_unicode_words
from corpusforge.kernels.words import LETTER, NUMBER, SPACE, code_point, text_classes

WORDS, SPLIT_WORDS, WORD_CHARS, SYMBOLS, PLAIN_WORDS, STOP_WORDS = range(
    GRAM_COUNTS, GRAM_COUNTS + 6
)
LINES, BULLETS, ELLIPSES, GRAM_CHARS = range(GRAM_COUNTS + 6, GRAM_COUNTS + 10)
DUP = GRAM_COUNTS + 10  # lines: pieces, copies, their characters, characters; then paragraphs
COUNTS = DUP + 8

SIGNALS = (
    Signal(
        *("dclm_word_count", WORDS, None),
        "words of fastText's tokenizer whose first character is a letter or a number",
    ),
    Signal(
        *("dclm_mean_word_length", WORD_CHARS, SPLIT_WORDS),
        "characters of words between white space / such words",
    ),
    Signal(
        *("dclm_symbol_ratio", SYMBOLS, SPLIT_WORDS),
        "# and ... and . . . and U+2026 / words between white space",
    ),
    Signal("dclm_bullet_line_ratio", BULLETS, LINES, "lines that start with ● • * or - / lines"),
    Signal(
        *("dclm_ellipsis_line_ratio", ELLIPSES, LINES),
        "lines that end in ... or . . . or U+2026 / lines",
    ),
    Signal(
        *("dclm_plain_word_ratio", PLAIN_WORDS, SPLIT_WORDS),
        "words without a letter / words between white space",
    ),
    Signal(
        *("dclm_stop_words", STOP_WORDS, None),
        "how often the, be, to, of, and, that, have, with occur, in any case",
    ),
    Signal("dclm_dup_line_fraction", DUP + 1, DUP, "lines that occur twice / lines"),
    Signal("dclm_dup_paragraph_fraction", DUP + 5, DUP + 4, "paragraphs that occur twice / all"),
    Signal("dclm_dup_line_char_fraction", DUP + 2, DUP + 3, "the same in characters"),
    Signal("dclm_dup_paragraph_char_fraction", DUP + 6, DUP + 7, "the same in characters"),
    *(
        Signal(
            *(f"dclm_top_{n}_gram_char_fraction", TOP_LONGEST + n - 2, GRAM_CHARS),
            f"characters of the most frequent {n} words in a row, the longest of equals, if they"
            " occur twice, times the occurrences / characters of words",
        )
        for n in (2, 3, 4)
    ),
    *(
        Signal(
            *(f"dclm_dup_{n}_gram_char_fraction", COVERED + n - 5, GRAM_CHARS),
            f"characters of words inside {n} words in a row that occur twice / of words",
        )
        for n in (5, 6, 7, 8, 9, 10)
    ),
)

DECISIONS = {
    "length": (("dclm_word_count", ">=", 50), ("dclm_word_count", "<=", 100_000)),
    "word_length": (("dclm_mean_word_length", ">=", 3), ("dclm_mean_word_length", "<=", 10)),
    "symbol_ratio": (("dclm_symbol_ratio", "<=", 0.1),),
    "bullets": (("dclm_bullet_line_ratio", "<=", 0.9),),
    "ellipsis": (("dclm_ellipsis_line_ratio", "<=", 0.3),),
    "alphabetic": (("dclm_plain_word_ratio", "<=", 0.2),),
    "stop_words": (("dclm_stop_words", ">=", 2),),
    "repetition": (
        ("dclm_dup_line_fraction", "<=", 0.3),
        ("dclm_dup_paragraph_fraction", "<=", 0.3),
        ("dclm_dup_line_char_fraction", "<=", 0.2),
        ("dclm_dup_paragraph_char_fraction", "<=", 0.2),
        *(
            (f"dclm_top_{n}_gram_char_fraction", "<=", limit)
            for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))
        ),
        *(
            (f"dclm_dup_{n}_gram_char_fraction", "<=", limit)
            for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
        ),
    ),
}


def measure(text: pa.StringArray) -> dict[str, np.ndarray]:
    """Return every signal of every text by name, in the order of SIGNALS.

    Each is (rows,): int64 for a count, float64 for a share. A null text has 0 or NaN.
    """
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    _count(data, bounds, valid, text_classes(), word_breaks(), properties(), counts)
    return named_columns(SIGNALS, counts, valid)


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    breaks: np.ndarray,
    properties: np.ndarray,
    counts: np.ndarray,
) -> None:
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, stop = int(bounds[row]), int(bounds[row + 1])
        hashes, lengths = scan_unicode_words(data, start, stop, classes, breaks, properties)
        counts[row, :GRAM_COUNTS] = count_gram_chars(hashes, lengths)
        counts[row, GRAM_CHARS] = lengths.sum()
        _, _, lengths, holds = scan_white_words(data, start, stop, classes)
        counts[row, SPLIT_WORDS] = len(lengths)
        counts[row, WORD_CHARS] = lengths.sum()
        for word in range(len(holds)):
            counts[row, PLAIN_WORDS] += holds[word] & HAS_LETTER == 0
            counts[row, STOP_WORDS] += holds[word] & LIKE_STOP != 0
        counts[row, WORDS] = count_tokens(data, start, stop, classes)
        counts[row, SYMBOLS] = _count_symbols(data, start, stop)
        if len(lengths) == 0:  # no share passes
            counts[row, SYMBOLS] = counts[row, PLAIN_WORDS] = 1
        _count_segments(data, start, stop, classes, counts[row])


@kernel
def count_tokens(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> int:
    """Count the tokens of data[start:stop] (uint8) that begin with a letter or a number.

    Tokens are as fastText's ``Dictionary::readWord`` splits: at space, tab, newline, vertical tab,
    form feed, carriage return and 0. ``classes`` are ``words.text_classes``.
    """
    tokens, inside = 0, False
    for index in range(start, stop):
        byte = data[index]
        if byte == 0x20 or 0x09 <= byte <= 0x0D or byte == 0:
            inside = False
        elif not inside:
            inside = True
            point, _ = code_point(data, index, stop)
            tokens += classes[point] & (LETTER | NUMBER) != 0
    return tokens


@kernel
def _count_symbols(data: np.ndarray, start: int, stop: int) -> int:
    symbols, dots_free, spaced_free = 0, start, start  # behind the last of each kind
    for index in range(start, stop):
        byte = data[index]
        if byte == 0x23:
            symbols += 1
        elif byte == 0x2E:
            if index >= dots_free and _ends_in_dots(data, index, index + 3, stop):
                symbols += 1
                dots_free = index + 3
            if index >= spaced_free and _ends_in_spaced_dots(data, index, index + 5, stop):
                symbols += 1
                spaced_free = index + 5
        elif byte == 0xE2 and index + 3 <= stop:
            symbols += data[index + 1] == 0x80 and data[index + 2] == 0xA6
    return symbols


@kernel
def _ends_in_dots(data: np.ndarray, begin: int, end: int, stop: int) -> bool:
    if end > stop or end - begin < 3:
        return False
    return bool(data[end - 1] == 0x2E and data[end - 2] == 0x2E and data[end - 3] == 0x2E)


@kernel
def _ends_in_spaced_dots(data: np.ndarray, begin: int, end: int, stop: int) -> bool:
    if end > stop or end - begin < 5:
        return False
    dots = data[end - 1] == 0x2E and data[end - 3] == 0x2E and data[end - 5] == 0x2E
    return bool(dots and data[end - 2] == 0x20 and data[end - 4] == 0x20)


@kernel
def _count_segments(
    data: np.ndarray, start: int, stop: int, classes: np.ndarray, counts: np.ndarray
) -> None:
    most = (stop - start + 1) // 2 + 1
    keys, chars = np.empty((2, most), np.uint64), np.empty((2, most), np.int32)
    found = np.zeros(2, np.int64)  # of lines, of paragraphs
    # first byte and end byte, first character and end character of what is visible so far
    line, paragraph = np.full(4, -1, np.int64), np.full(4, -1, np.int64)
    position, newlines = 0, 0
    index = start
    while index <= stop:
        point, size = 0x0A, 1
        if index < stop:
            point, size = code_point(data, index, stop)
        newlines = newlines + 1 if point == 0x0A else 0
        if point == 0x0A and line[0] >= 0:
            counts[LINES] += 1
            counts[BULLETS] += _is_bullet(data, line[0], stop)
            counts[ELLIPSES] += (
                _ends_in_dots(data, line[0], line[1], stop)
                or _ends_in_spaced_dots(data, line[0], line[1], stop)
                or _ends_in_ellipsis(data, line[0], line[1])
            )
            keys[0, found[0]] = hash_span(data, line[0], line[1])
            chars[0, found[0]] = line[3] - line[2]
            found[0] += 1
            line[0] = -1
        if (newlines == 2 or index == stop) and paragraph[0] >= 0:
            keys[1, found[1]] = hash_span(data, paragraph[0], paragraph[1])
            chars[1, found[1]] = paragraph[3] - paragraph[2]
            found[1] += 1
            paragraph[0] = -1
        if classes[point] & SPACE == 0:
            if line[0] < 0:
                line[0], line[2] = index, position
            if paragraph[0] < 0:
                paragraph[0], paragraph[2] = index, position
            line[1] = paragraph[1] = index + size
            line[3] = paragraph[3] = position + 1
        position += 1
        index += size
    for kind in range(2):
        _count_copies(keys[kind, : found[kind]], chars[kind], counts[DUP + 4 * kind :])


@kernel
def _is_bullet(data: np.ndarray, index: int, stop: int) -> bool:
    if data[index] == 0x2A or data[index] == 0x2D:
        return True
    point, _ = code_point(data, index, stop)
    return point == 0x25CF or point == 0x2022


@kernel
def _ends_in_ellipsis(data: np.ndarray, begin: int, end: int) -> bool:
    if end - begin < 3:
        return False
    return bool(data[end - 3] == 0xE2 and data[end - 2] == 0x80 and data[end - 1] == 0xA6)


@kernel
def _count_copies(keys: np.ndarray, chars: np.ndarray, counts: np.ndarray) -> None:
    """Fill counts[:4] (int64): pieces, those that occur twice, their characters, characters."""
    if len(keys) == 0:
        counts[:4] = 1  # no share passes
        return
    slots = np.empty(len(keys), np.int32)
    occurrences = tally(keys, slots)
    counts[0] = len(keys)
    for index in range(len(keys)):
        counts[3] += chars[index]
        if occurrences[slots[index]] > 1:
            counts[1] += 1
            counts[2] += chars[index]
