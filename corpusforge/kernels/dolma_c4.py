"""C4's rules as dolma 1.2.1 tags them (``python/dolma/taggers/c4.py``, c4_v1 and c4_v2).

Lines are what a newline separates, blank ones too. Bad words are the English list of LDNOOBW (CC BY
4.0) that dolma ships. Letters are compared in ASCII lower case, which differs from dolma only in
words that hold U+212A, the Kelvin sign.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np
import pyarrow as pa

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.signals import Signal
from corpusforge.kernels.text_column import named_columns, text_buffers
from corpusforge.kernels.words import SPACE, code_point, text_classes

LINES, UNENDED, SHORT, BRACES, LOREM, SCRIPT_WORDS, SCRIPTS, BAD = range(8)
COUNTS = 8

MIN_WORDS = 3  # of a line

SIGNALS = (
    Signal("dolma_c4_lines", LINES, None, "lines, split at newlines"),
    Signal(
        *("dolma_c4_unended_lines", UNENDED, None),
        'lines that end in none of . ? ! " but for white space, blank ones too',
    ),
    Signal("dolma_c4_short_lines", SHORT, None, "lines of fewer than 3 words, blank ones too"),
    Signal("dolma_c4_curly_braces", BRACES, None, "characters {"),
    Signal("dolma_c4_lorem_ipsum", LOREM, None, "occurrences of lorem ipsum, in any case"),
    Signal("dolma_c4_javascript_v1", SCRIPT_WORDS, None, "words that are javascript, in any case"),
    Signal("dolma_c4_javascript_v2", SCRIPTS, None, "occurrences of javascript, in any case"),
    Signal("dolma_c4_naughty_words", BAD, None, "words and phrases of the list of bad words"),
)


def measure(text: pa.StringArray) -> dict[str, np.ndarray]:
    """Return every signal of every text by name, in the order of SIGNALS: (rows,) int64."""
    data, bounds, valid = text_buffers(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    _count(data, bounds, valid, text_classes(), *_bad_words(), counts)
    return named_columns(SIGNALS, counts, valid)


def line_spans(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the lines of one text as dolma spans them, for comparison with its attributes.

    Returns
    -------
    spans : (lines, 2) int64
        First and end character; the end is behind the newline.
    unended, short : (lines,) bool
        Whether dolma marks it as without end mark, or as of too few words.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    data.flags.writeable = False
    lines = text.count("\n") + 1
    spans = np.zeros((lines, 2), np.int64)
    flags = np.zeros((lines, 2), np.bool_)
    counts = np.zeros(COUNTS, np.int64)
    _scan_lines(data, 0, len(data), text_classes(), counts, spans, flags)
    return spans, flags[:, 0], flags[:, 1]


@cache
def _bad_words() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the list for the kernel: bytes, starts (n + 1), first in each bucket, next, offsets.

    A word is found by its first two bytes, a phrase by the bytes around its first space; phrases
    have an offset, the place of that space, and words -1.
    """
    source = resources.files(__package__) / "bad_words_en.json"
    listed = [word.encode() for word in json.loads(source.read_text(encoding="utf-8"))["words"]]
    starts = np.cumsum([0, *map(len, listed)]).astype(np.int64)
    buckets = np.full(1 << 16, -1, np.int64)
    following = np.full(len(listed), -1, np.int64)
    offsets = np.array([word.find(b" ") for word in listed], np.int64)
    for index, word in enumerate(listed):
        at = word.find(b" ")
        key = word[0] << 8 | word[1] if at < 0 else word[at - 1] << 8 | word[at + 1]
        following[index], buckets[key] = buckets[key], index
    return np.frombuffer(b"".join(listed), np.uint8), starts, buckets, following, offsets


@kernel
def _count(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    listed: np.ndarray,
    starts: np.ndarray,
    buckets: np.ndarray,
    following: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
) -> None:
    no_spans, no_flags = np.empty((0, 2), np.int64), np.empty((0, 2), np.bool_)
    for row in range(len(valid)):
        if valid[row]:
            start, stop = int(bounds[row]), int(bounds[row + 1])
            _scan_lines(data, start, stop, classes, counts[row], no_spans, no_flags)
            _scan_bad_words(
                data, start, stop, classes, listed, starts, buckets, following, offsets, counts[row]
            )


@kernel
def lower(byte: int) -> int:
    """ASCII lower case of a byte."""
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


@kernel
def _holds(data: np.ndarray, at: int, stop: int, listed: np.ndarray, begin: int, end: int) -> bool:
    """Whether data[at:stop] begins with listed[begin:end], in any case of ASCII letters."""
    if at + end - begin > stop:
        return False
    for step in range(end - begin):  # noqa: SIM110, a kernel has no generators
        if lower(int(data[at + step])) != listed[begin + step]:
            return False
    return True


_LOREM = np.frombuffer(b"lorem ipsum", np.uint8)
_JAVASCRIPT = np.frombuffer(b"javascript", np.uint8)


@kernel
def _scan_lines(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    counts: np.ndarray,
    spans: np.ndarray,
    flags: np.ndarray,
) -> None:
    line, begin, chars, words, inside, last = 0, 0, 0, 0, False, 0
    index = start
    while index <= stop:
        point, size, kind = 0x0A, 1, SPACE
        if index < stop:
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            chars += 1
        if kind & SPACE:
            inside = False
        else:
            words += not inside
            last = point
            if point == 0x7B:
                counts[BRACES] += 1
            elif point == 0x4A or point == 0x6A:
                if _holds(data, index, stop, _JAVASCRIPT, 0, len(_JAVASCRIPT)):
                    counts[SCRIPTS] += 1
                    after = index + len(_JAVASCRIPT)
                    ends = after == stop
                    if not ends:
                        ends = classes[code_point(data, after, stop)[0]] & SPACE != 0
                    counts[SCRIPT_WORDS] += ends and not inside
            elif point == 0x4C or point == 0x6C:
                counts[LOREM] += _holds(data, index, stop, _LOREM, 0, len(_LOREM))
            inside = True
        if point == 0x0A:
            unended = last not in (0x2E, 0x3F, 0x21, 0x22)
            counts[UNENDED] += unended
            counts[SHORT] += words < MIN_WORDS
            if line < len(spans):
                spans[line, 0], spans[line, 1] = begin, chars
                flags[line, 0], flags[line, 1] = unended, words < MIN_WORDS
            line += 1
            begin, words, last = chars, 0, 0
        index += size
    counts[LINES] = line


@kernel
def _scan_bad_words(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    listed: np.ndarray,
    starts: np.ndarray,
    buckets: np.ndarray,
    following: np.ndarray,
    offsets: np.ndarray,
    counts: np.ndarray,
) -> None:
    inside = False
    index = start
    while index + 1 < stop:
        byte = int(data[index])
        size = 1
        if byte >= 0x80:
            point, size = code_point(data, index, stop)
            space = classes[point] & SPACE != 0
        else:
            space = classes[byte] & SPACE != 0
        entry = -1
        if byte == 0x20 and index > start:
            entry = buckets[lower(int(data[index - 1])) << 8 | lower(int(data[index + 1]))]
        elif not space and not inside:
            entry = buckets[lower(byte) << 8 | lower(int(data[index + 1]))]
        while entry >= 0:
            if (offsets[entry] >= 0) == space:
                at = index - max(offsets[entry], 0)
                if at >= start and _holds(data, at, stop, listed, starts[entry], starts[entry + 1]):
                    end = at + starts[entry + 1] - starts[entry]
                    counts[BAD] += (
                        space or end == stop or classes[code_point(data, end, stop)[0]] & SPACE != 0
                    )
            entry = following[entry]
        inside = not space
        index += size
