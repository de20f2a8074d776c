"""Lines and paragraphs as NeMo Curator's filters see them: phrases, ends, copies.

Source: NeMo Curator 1.4.0, ``stages/text/utils/constants.py`` (end_marks, ellipsis_marks,
bullet_list, policy_substrings; phrases that hold another one are left out) and
``text_utils.get_sentences`` and ``get_paragraphs``.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span, tally
from corpusforge.kernels.words import SPACE, code_point

# Columns that scan_pieces fills.
BOILERPLATE, PARAGRAPHS, OTHER_PARAGRAPHS, LINES, OTHER_LINES = range(5)
LINE_CHARS, OTHER_LINE_CHARS, PARAGRAPH_CHARS, OTHER_PARAGRAPH_CHARS = range(5, 9)
UNENDED, ELLIPSES, BULLETS, ALL_LINES = range(9, 13)
PIECE_COUNTS = 13

PHRASES = (
    "lorem ipsum",
    *("terms of use", "privacy policy", "cookie policy", "uses cookies", "privacy overview"),
    *("use of cookies", "use cookies", "privacy & cookies policy", "privacy and cookies policy"),
    "necessary cookies are absolutely essential for the website to function properly. this"
    " category only includes cookies that ensures basic functionalities and security features of"
    " the website. these cookies do not store any personal information.",
    "any cookies that may not be particularly necessary for the website to function and is used"
    " specifically to collect user personal data via analytics, ads, other embedded contents are"
    " termed as non-necessary cookies. it is mandatory to procure user consent prior to running"
    " these cookies on your website.",
    "if you continue to browse this site without changing your cookie settings, you agree to this"
    " use. acceptread more",
)

_BULLETS = np.array([ord(mark) for mark in "•‣⁃⁌⁍∙○●◘◦⦾⦿"], np.int64)
_READ_MORE = np.frombuffer(b"read more", np.uint8)


@cache
def phrase_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return PHRASES joined (uint8), their bounds (int64), and which two bytes begin one.

    The last is (65536,) bool, indexed by first byte * 256 + second byte.
    """
    encoded = [phrase.encode() for phrase in PHRASES]
    pairs = np.zeros(1 << 16, np.bool_)
    pairs[[phrase[0] << 8 | phrase[1] for phrase in encoded]] = True
    bounds = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), bounds, pairs


@kernel
def scan_pieces(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    phrases: np.ndarray,
    bounds: np.ndarray,
    pairs: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Fill counts[:PIECE_COUNTS] (int64) from the text data[start:stop] (uint8).

    ``classes`` are ``words.text_classes``, then come ``phrase_tables``. A text without lines has
    the worst shares.
    """
    newlines = 0
    for index in range(start, stop):
        newlines += data[index] == 0x0A
    lines = np.empty((newlines + 1, 3), np.int64)  # begin, end, characters
    parts = np.empty((newlines // 2 + 1, 3), np.int64)
    line_count, part_count = 0, 0
    part, line, chars, line_chars = start, start, 0, 0
    first, last, first_point = -1, -1, 0  # visible bytes of the line
    held, lorem = False, False
    index = start
    while index <= stop:
        point, size = 0x0A, 1
        if index < stop:
            point, size = code_point(data, index, stop)
        if point == 0x0A:
            if first >= 0:
                lines[line_count] = line, index, line_chars
                line_count += 1
                _count_ends(data, first, last, counts)
                for bullet in _BULLETS:
                    counts[BULLETS] += first_point == bullet
            chars += line_chars
            paired = index + 1 < stop and data[index + 1] == 0x0A
            if index == stop or paired:
                parts[part_count] = part, index, chars
                part_count += 1
                counts[BOILERPLATE] += held
                held, chars = False, 0
                index += paired
                part = index + 1
            else:
                chars += 1
            line, line_chars, first, last = index + 1, 0, -1, -1
        else:
            line_chars += 1
            if classes[point] & SPACE == 0:
                if first < 0:
                    first, first_point = index, point
                last = index + size
                if index + 1 < stop and point < 0x80:
                    key = int(_lower(data[index])) << 8 | int(_lower(data[index + 1]))
                    if pairs[key]:
                        found = _phrase(data, index, stop, phrases, bounds)
                        held = held or found >= 0
                        lorem = lorem or found == 0
        index += size
    if lorem:
        counts[BOILERPLATE] = part_count
    counts[PARAGRAPHS], counts[LINES] = part_count, line_count
    _count_others(data, lines[:line_count], counts, OTHER_LINES, LINE_CHARS)
    _count_others(data, parts[:part_count], counts, OTHER_PARAGRAPHS, PARAGRAPH_CHARS)
    counts[ALL_LINES] = line_count
    if line_count == 0:
        counts[UNENDED], counts[ELLIPSES], counts[BULLETS], counts[ALL_LINES] = 1, 1, 1, 1


@kernel
def _lower(byte: int) -> int:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


@kernel
def _phrase(data: np.ndarray, at: int, stop: int, phrases: np.ndarray, bounds: np.ndarray) -> int:
    """Return which phrase data[at:stop] begins with, in any case of ASCII letters, or -1."""
    for which in range(len(bounds) - 1):
        size = bounds[which + 1] - bounds[which]
        if at + size > stop:
            continue
        step = 0
        while step < size and _lower(data[at + step]) == phrases[bounds[which] + step]:
            step += 1
        if step == size:
            return which
    return -1


@kernel
def _count_ends(data: np.ndarray, first: int, last: int, counts: np.ndarray) -> None:
    """Count the line data[first:last], which begins and ends visibly."""
    end = data[last - 1]
    counts[UNENDED] += end not in (0x2E, 0x3F, 0x21, 0x22, 0x27)
    at = last - (end in (0x5D, 0x29))  # [...] and (...), (…) is none
    opened = at == last
    dots = at - first >= 3
    for step in range(1, 4):
        dots = dots and data[at - step] == 0x2E
    wide = at - first >= 3 and data[at - 3] == 0xE2 and data[at - 2] == 0x80
    wide = wide and data[at - 1] == 0xA6
    if not opened:
        before = at - 4
        square = end == 0x5D
        opener = before >= first and data[before] == (0x5B if square else 0x28)
        dots, wide = dots and opener, wide and opener and square
    arrow = last - first >= 3 and data[last - 3] == 0x2D
    arrow = arrow and data[last - 2] == 0xC2 and data[last - 1] == 0xBB
    at = last
    for _ in range(2):  # read more, read more..
        more = at - first >= len(_READ_MORE)
        for step in range(len(_READ_MORE)):
            more = more and _lower(data[at - len(_READ_MORE) + step]) == _READ_MORE[step]
        if more or last - first < 2 or data[last - 1] != 0x2E or data[last - 2] != 0x2E:
            break
        at = last - 2
    counts[ELLIPSES] += dots or wide or arrow or more


@kernel
def _count_others(
    data: np.ndarray, pieces: np.ndarray, counts: np.ndarray, others: int, chars: int
) -> None:
    """Count the different ``pieces`` (n, 3), their characters and those of all."""
    keys = np.empty(len(pieces), np.uint64)
    for index in range(len(pieces)):
        keys[index] = hash_span(data, pieces[index, 0], pieces[index, 1])
    slots = np.empty(len(pieces), np.int32)
    occurrences = tally(keys, slots)
    for index in range(len(pieces)):
        counts[chars] += pieces[index, 2]
        if occurrences[slots[index]] > 0:
            counts[others] += 1
            counts[chars + 1] += pieces[index, 2]
            occurrences[slots[index]] = 0
