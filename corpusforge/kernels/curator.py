"""Signals of NeMo Curator's heuristic filters for English.

Source: NeMo Curator 1.4.0, ``stages/text/filters/heuristic/string.py``, ``repetition.py`` and
``stages/text/utils``, with ``heuristic_filter_english_pipeline.yaml``. Words are what white space
separates, lines what a newline separates, not blank, paragraphs what two newlines separate, empty
ones too. A text without characters, words or lines has the worst score, where Curator does so or
fails.

Of equally frequent n-grams Curator takes the first of a Python set, which depends on PYTHONHASHSEED
and differs between two processes; here it is the first in the text, so scores at ties need not be
equal. Letters are compared in ASCII lower case.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from corpusforge.kernels.boilerplate import PIECE_COUNTS, phrase_tables, scan_pieces
from corpusforge.kernels.gram_counts import AGAIN, TOP_PLACE, count_gram_chars
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.signals import Signal
from corpusforge.kernels.text_column import named_columns, text_buffers
from corpusforge.kernels.text_tables import ALPHABETIC, properties
from corpusforge.kernels.white_words import IS_STOP, scan_white_words
from corpusforge.kernels.words import code_point, text_classes

CHARS, OTHERS, DIGITS, URL_CHARS, WHITE, BRACKETS = range(PIECE_COUNTS, PIECE_COUNTS + 6)
WORDS, SYMBOL_WORDS, ALPHA_WORDS, STOP_WORDS, WORD_CHARS, LONGEST, WORD_TOTAL = range(
    PIECE_COUNTS + 6, PIECE_COUNTS + 13
)
TOP = PIECE_COUNTS + 13  # three columns: characters that go with the most frequent n-gram
AGAINST = TOP + 3  # six: characters of repeated n-grams
COUNTS = AGAINST + 6

NO_WORD = 1_000_000  # longest word of a text that has none: no limit lets it pass

_OTHER, _DIGIT, _WHITE, _BRACKET = (1 << bit for bit in range(4))
_ELLIPSES = ("...", "[...]", "…", "(...)", "[…]", "-»")

SIGNALS = (
    Signal(
        *("curator_non_alpha_numeric_ratio", OTHERS, CHARS),
        "characters but a-z, A-Z, 0-9, newline and ? ! , . / characters",
    ),
    Signal(
        *("curator_symbol_word_ratio", SYMBOL_WORDS, WORD_TOTAL),
        "words that are an ellipsis, or have runs of # for more than half their characters / words",
    ),
    Signal("curator_digit_ratio", DIGITS, CHARS, "digits 0-9 / characters"),
    Signal(
        *("curator_url_ratio", URL_CHARS, CHARS),
        "characters of http:// and https:// addresses / characters",
    ),
    Signal(
        *("curator_white_space_ratio", WHITE, CHARS),
        "space, tab, newline, return and backspace / characters",
    ),
    Signal("curator_bracket_ratio", BRACKETS, CHARS, "( ) [ ] { } U+27E8 U+27E9 / characters"),
    Signal(
        *("curator_boilerplate_ratio", 0, 1),
        "paragraphs that hold a phrase of terms or cookies / paragraphs; lorem ipsum makes it 1",
    ),
    Signal("curator_unique_line_ratio", 4, 3, "distinct lines / lines"),
    Signal("curator_unique_paragraph_ratio", 2, 1, "distinct paragraphs / paragraphs"),
    Signal(*("curator_unique_line_char_ratio", 6, 5), "characters of distinct lines / of lines"),
    Signal(
        *("curator_unique_paragraph_char_ratio", 8, 7),
        "characters of distinct paragraphs / of paragraphs",
    ),
    Signal("curator_word_count", WORDS, None, "words between white space"),
    Signal(
        *("curator_unended_line_ratio", 9, 12),
        "lines that end in none of . ? ! \" ' / lines",
    ),
    Signal("curator_alpha_word_ratio", ALPHA_WORDS, WORDS, "words with an alphabetic character"),
    Signal(
        *("curator_common_words", STOP_WORDS, None),
        "how often the, be, to, of, and, that, have, with occur; Curator stops at two",
    ),
    Signal("curator_mean_word_length", WORD_CHARS, WORDS, "characters of words / words"),
    Signal("curator_longest_word", LONGEST, None, "characters; a million if there is no word"),
    Signal(
        *("curator_ellipsis_line_ratio", 10, 12),
        "lines that end in ... or U+2026 or -U+00BB or read more or read more.. / lines",
    ),
    *(
        Signal(
            *(f"curator_top_{n}_gram_char_ratio", TOP + n - 2, CHARS),
            f"characters that go if the most frequent {n} words in a row, joined by one space, are"
            " cut out of the text / characters; the first of equals, where Curator's choice hangs"
            " on PYTHONHASHSEED; 1 for fewer words",
        )
        for n in (2, 3, 4)
    ),
    *(
        Signal(
            *(f"curator_dup_{n}_gram_char_ratio", AGAINST + n - 5, CHARS),
            f"characters of every {n} words in a row that occurred before, spaces between them"
            " too, each once / characters; 1 for fewer words",
        )
        for n in (5, 6, 7, 8, 9, 10)
    ),
    Signal("curator_bullet_line_ratio", 11, 12, "lines that begin with one of 12 bullets / lines"),
)


@cache
def _points() -> np.ndarray:
    """Bits of every code point: (0x110000,) uint8."""
    bits = np.full(0x110000, _OTHER, np.uint8)
    plain = [*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B), *map(ord, "\n?!,.")]
    bits[plain] = 0
    bits[0x30:0x3A] |= _DIGIT
    bits[[ord(mark) for mark in "\t\n\r\b "]] |= _WHITE
    bits[[ord(mark) for mark in "{}[]()⟨⟩"]] |= _BRACKET
    bits.setflags(write=False)
    return bits


@cache
def _url_bytes() -> np.ndarray:
    """Whether a byte may stand in an address: (256,) bool; % needs two digits behind it."""
    allowed = np.zeros(256, np.bool_)
    signs = b"$-_@.&+/:=?#~!*(),"
    allowed[[*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B), *signs]] = True
    allowed.setflags(write=False)
    return allowed


@cache
def _ellipsis_marks() -> tuple[np.ndarray, np.ndarray]:
    encoded = [mark.encode() for mark in _ELLIPSES]
    marks = np.frombuffer(b"".join(encoded), np.uint8)
    return marks, np.cumsum([0, *map(len, encoded)]).astype(np.int64)


def measure(text: pa.StringArray) -> dict[str, np.ndarray]:
    """Return every signal of every text by name, in the order of SIGNALS.

    Each is (rows,): int64 for a count, float64 for a share. A null text has 0 or NaN.
    """
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    tables = (text_classes(), properties(), _points(), _url_bytes())
    _count(data, bounds, valid, *tables, *_ellipsis_marks(), *phrase_tables(), counts)
    return named_columns(SIGNALS, counts, valid)


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    properties: np.ndarray,
    points: np.ndarray,
    url_bytes: np.ndarray,
    marks: np.ndarray,
    mark_ends: np.ndarray,
    phrases: np.ndarray,
    phrase_ends: np.ndarray,
    pairs: np.ndarray,
    counts: np.ndarray,
) -> None:
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, stop = int(bounds[row]), int(bounds[row + 1])
        here = counts[row]
        scan_pieces(data, start, stop, classes, phrases, phrase_ends, pairs, here)
        _count_points(data, start, stop, points, url_bytes, here)
        hashes, spans, lengths, holds = scan_white_words(data, start, stop, classes)
        _count_words(data, spans, lengths, holds, properties, marks, mark_ends, here)
        grams = count_gram_chars(hashes, lengths)
        words = len(lengths)
        for n in range(2, 11):
            column = TOP + n - 2 if n < 5 else AGAINST + n - 5
            if words < n:
                here[column] = max(here[CHARS], 1)
            elif n < 5:
                first = grams[TOP_PLACE + n - 2]
                own = spans[first : first + n]
                chars = lengths[first : first + n].sum() + n - 1
                here[column] = chars * _hits(data, start, stop, own)
            else:
                here[column] = grams[AGAIN + n - 5]
        if start == stop:
            here[OTHERS : BRACKETS + 1] = 1


@kernel
def _count_points(
    data: np.ndarray,
    start: int,
    stop: int,
    points: np.ndarray,
    url_bytes: np.ndarray,
    counts: np.ndarray,
) -> None:
    index, url_end = start, start
    while index < stop:
        point, size = code_point(data, index, stop)
        bits = points[point]
        counts[CHARS] += 1
        counts[OTHERS] += bits & _OTHER != 0
        counts[DIGITS] += bits & _DIGIT != 0
        counts[WHITE] += bits & _WHITE != 0
        counts[BRACKETS] += bits & _BRACKET != 0
        if point == 0x68 and index >= url_end:
            url_end = _address(data, index, stop, url_bytes)
            counts[URL_CHARS] += max(url_end - index, 0)
        index += size


@kernel
def _address(data: np.ndarray, index: int, stop: int, url_bytes: np.ndarray) -> int:
    """Return the end of the address that begins at ``index``, or ``index``."""
    if index + 7 > stop or data[index + 1] != 0x74 or data[index + 2] != 0x74:
        return index
    if data[index + 3] != 0x70:
        return index
    at = index + 4 + (data[index + 4] == 0x73)
    if at + 3 > stop or data[at] != 0x3A or data[at + 1] != 0x2F or data[at + 2] != 0x2F:
        return index
    first = at + 3
    at = first
    while at < stop:
        if url_bytes[data[at]]:
            at += 1
        elif data[at] == 0x25 and at + 2 < stop and _hex(data[at + 1]) and _hex(data[at + 2]):
            at += 3
        else:
            break
    return at if at > first else index


@kernel
def _hex(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66


@kernel
def _count_words(
    data: np.ndarray,
    spans: np.ndarray,
    lengths: np.ndarray,
    holds: np.ndarray,
    properties: np.ndarray,
    marks: np.ndarray,
    mark_ends: np.ndarray,
    counts: np.ndarray,
) -> None:
    words = len(lengths)
    for word in range(words):
        begin, end = int(spans[word, 0]), int(spans[word, 1])
        runs, index, alphabetic = 0, begin, False
        while index < end:
            point, size = code_point(data, index, end)
            alphabetic = alphabetic or properties[point] & ALPHABETIC != 0
            runs += point == 0x23 and (index == begin or data[index - 1] != 0x23)
            index += size
        is_symbol = 2 * runs > lengths[word]
        for mark in range(len(mark_ends) - 1):
            size = mark_ends[mark + 1] - mark_ends[mark]
            if size == end - begin and not is_symbol:
                is_symbol = True
                for step in range(size):
                    is_symbol = is_symbol and data[begin + step] == marks[mark_ends[mark] + step]
        counts[SYMBOL_WORDS] += is_symbol
        counts[ALPHA_WORDS] += alphabetic
        counts[STOP_WORDS] += holds[word] & IS_STOP != 0
        counts[WORD_CHARS] += lengths[word]
        counts[LONGEST] = max(counts[LONGEST], lengths[word])
    counts[WORDS], counts[WORD_TOTAL] = words, words
    if words == 0:
        counts[SYMBOL_WORDS], counts[WORD_TOTAL], counts[LONGEST] = 1, 1, NO_WORD


@kernel
def _hits(data: np.ndarray, start: int, stop: int, words: np.ndarray) -> int:
    """Count what ``str.count`` does of the ``words`` (n, 2), joined by spaces; Knuth et al. 1977"""
    size = 0
    for word in range(len(words)):
        size += words[word, 1] - words[word, 0] + 1
    size -= 1
    sought = np.full(size, 0x20, np.uint8)
    at = 0
    for word in range(len(words)):
        length = words[word, 1] - words[word, 0]
        sought[at : at + length] = data[words[word, 0] : words[word, 1]]
        at += length + 1
    borders = np.zeros(size, np.int32)
    border = 0
    for index in range(1, size):
        while border > 0 and sought[index] != sought[border]:
            border = borders[border - 1]
        border += sought[index] == sought[border]
        borders[index] = border
    hits, matched = 0, 0
    for index in range(start, stop):
        while matched > 0 and data[index] != sought[matched]:
            matched = borders[matched - 1]
        matched += data[index] == sought[matched]
        if matched == size:
            hits, matched = hits + 1, 0
    return hits
