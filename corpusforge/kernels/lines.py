"""Lines and paragraphs of a text: one pass over the UTF-8 bytes.

Three notions of a line, as the rules that use them: *lines* end at any line boundary of
``str.splitlines`` (Gopher quality); *pieces* are what ``\\n`` separates (FineWeb looks at the ones
that are not blank, Gopher repetition at the ones that are not empty); *paragraphs* are what two or
more ``\\n`` separate in the stripped text.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.words import (
    BLOCK,
    BREAK,
    SPACE,
    TERMINAL,
    WORD_COUNTS,
    byte_set,
    code_point,
    find_bytes,
)

LINES, BULLET_LINES, ELLIPSIS_LINES, ELLIPSES, NEWLINES, SPACES = range(
    WORD_COUNTS, WORD_COUNTS + 6
)
VISIBLE_PIECES, TERMINAL_PIECES, SHORT_PIECES = range(WORD_COUNTS + 6, WORD_COUNTS + 9)
LINE_COUNTS = WORD_COUNTS + 9  # columns filled so far

SHORT = 30  # characters of a short line, FineWeb

_BULLET, _HYPHEN, _ELLIPSIS, _DOT = 0x2022, 0x2D, 0x2026, 0x2E

_SEEN = byte_set(_DOT)


@kernel
def scan_lines(
    data: np.ndarray, start: int, stop: int, classes: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure the lines of data[start:stop] (uint8); fill counts[WORD_COUNTS:LINE_COUNTS] (int64).

    Returns
    -------
    spans : (pieces, 4) int32
        Pieces that are not empty: first byte, end byte, first character, end character.
    visible : (pieces,) bool
        Whether a piece holds more than white space.
    trim : (4,) int32
        The same four numbers of the stripped text; all 0 if nothing is left.
    """
    spans = np.empty(((stop - start + 1) // 2 + 1, 4), np.int32)
    visible = np.empty(len(spans), np.bool_)
    trim = np.zeros(4, np.int32)
    pieces, chars = 0, 0
    piece_byte, piece_char, piece_visible, ends_sentence = start, 0, False, False
    first, last, dots, joined = -1, -1, 0, False  # visible characters of the line; dots at its end
    line_chars, after_return = 0, False
    seen_end, seen_chars = 0, 0  # behind the last visible character of the text
    places = np.empty(BLOCK + 1, np.int32)
    index = start
    for block in range(start, stop + 1, BLOCK):
        for place in places[: find_bytes(data, block, stop, _SEEN, places)]:
            if place < index:
                continue  # inside of a character
            if place > index:  # visible, no dot
                if seen_end == 0:
                    trim[0], trim[2] = index, chars
                if first < 0:
                    first = int(data[index])
                last, dots, joined = int(data[place - 1]), 0, False
                piece_visible, after_return = True, False
                ends_sentence = classes[last] & TERMINAL != 0
                chars += place - index
                line_chars += place - index
                seen_end, seen_chars, index = place, chars, place
            point, size = 0x0A, 1
            if index < stop:
                point, size = code_point(data, index, stop)
            kind = classes[point]
            boundary = kind & BREAK != 0
            if (
                boundary
                and (line_chars > 0 or index < stop)
                and not (after_return and point == 0x0A)
            ):
                counts[LINES] += 1
                counts[BULLET_LINES] += first in (_BULLET, _HYPHEN)
                counts[ELLIPSIS_LINES] += dots >= 3 or last == _ELLIPSIS
                first, last, dots, line_chars = -1, -1, 0, 0
            elif not boundary:
                line_chars += 1
            if point == 0x0A:
                if index > piece_byte:
                    spans[pieces, 0], spans[pieces, 1] = piece_byte, index
                    spans[pieces, 2], spans[pieces, 3] = piece_char, chars
                    visible[pieces] = piece_visible
                    pieces += 1
                if piece_visible:
                    counts[VISIBLE_PIECES] += 1
                    counts[TERMINAL_PIECES] += ends_sentence
                    counts[SHORT_PIECES] += chars - piece_char <= SHORT
                piece_byte, piece_char, piece_visible = index + 1, chars + 1, False
            if index == stop:
                break
            counts[NEWLINES] += point == 0x0A
            ends_sentence = kind & TERMINAL != 0
            if kind & SPACE:
                counts[SPACES] += 1
                joined = False
            else:
                if seen_end == 0:
                    trim[0], trim[2] = index, chars
                seen_end, seen_chars = index + size, chars + 1
                if first < 0:
                    first = point
                last = point
                dots = 0 if point != _DOT else dots + 1 if joined else 1
                joined = point == _DOT
                counts[ELLIPSES] += point == _ELLIPSIS or (joined and dots % 3 == 0)
                piece_visible = True
            after_return = point == 0x0D
            chars += 1
            index += size
    trim[1], trim[3] = seen_end, seen_chars
    return spans[:pieces], visible[:pieces], trim


@kernel
def paragraph_spans(spans: np.ndarray, trim: np.ndarray) -> np.ndarray:
    """Join the pieces of the stripped text into paragraphs: (paragraphs, 4) int32 as ``spans``."""
    joined = np.empty((len(spans), 4), np.int32)
    count = 0
    for piece in range(len(spans)):
        if spans[piece, 1] <= trim[0] or spans[piece, 0] >= trim[1]:
            continue
        if count == 0 or spans[piece, 0] - joined[count - 1, 1] > 1:
            joined[count, 0] = max(spans[piece, 0], trim[0])
            joined[count, 2] = max(spans[piece, 2], trim[2])
            count += 1
        joined[count - 1, 1] = min(spans[piece, 1], trim[1])
        joined[count - 1, 3] = min(spans[piece, 3], trim[3])
    return joined[:count]
