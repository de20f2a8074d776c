"""Word splitters: named ways to cut texts into tokens, punctuation included.

unicode     own scanner, near what English tokenizers do: between white space, each visible
            character around the letters, numbers and marks is a token (runs of dots, hyphens or
            slashes are one); what is left is one word, in any script, cut at it|'s, do|n't,
            well|-|known, and|/|or, end|.|Next, and not in 1,000 3.5 U.S. a_b covid-19, addresses
whitespace  what white space (``str.isspace``) separates: ``str.split()``
spacy       spaCy's English tokenizer, as datatrove uses it (extra ``spacy``)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels import spacy_words
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.text_column import text_buffers
from corpusforge.kernels.words import (
    LETTER,
    NUMBER,
    SPACE,
    UPPER,
    WORD,
    code_point,
    text_classes,
)


@dataclass(frozen=True)
class Tokens:
    """Tokens of a string column: those of row i are ``spans[starts[i] : starts[i + 1]]``.

    ``starts`` is (rows + 1,) int64, ``spans`` (tokens, 2) int32: first and end byte in the column's
    data buffer. A token holds no white space; between two tokens there may be nothing.
    """

    starts: np.ndarray
    spans: np.ndarray


_QUOTE, _APOSTROPHE, _ELLIPSIS = 0x27, 0x2019, 0x2026
_HYPHEN, _DOT, _SLASH, _COLON = 0x2D, 0x2E, 0x2F, 0x3A


def split(text: pa.StringArray, splitter: str) -> Tokens:
    """Cut every text; a null has no tokens.

    Raises SpecError for an unknown splitter, ExtraMissing where its package is not installed.
    """
    if splitter not in SPLITTERS:
        raise SpecError(
            f"no word splitter is called '{splitter}'", remedy=nearest(splitter, SPLITTERS)
        )
    return SPLITTERS[splitter](text)


def _unicode(text: pa.StringArray) -> Tokens:
    return _scan(text, whole=False)


def _whitespace(text: pa.StringArray) -> Tokens:
    return _scan(text, whole=True)


def _scan(text: pa.StringArray, whole: bool) -> Tokens:
    data, bounds, valid = text_buffers(text)
    starts = np.zeros(len(valid) + 1, np.int64)
    spans = np.empty((int(bounds[-1] - bounds[0]), 2), np.int32)
    count = _cut(data, bounds, valid, text_classes(), whole, starts, spans)
    return Tokens(starts, spans[:count])


def _spacy(text: pa.StringArray) -> Tokens:
    chunks = _whitespace(text)
    return Tokens(*spacy_words.cut(text_buffers(text)[0], chunks.starts, chunks.spans))


SPLITTERS: dict[str, Callable[[pa.StringArray], Tokens]] = {
    "unicode": _unicode,
    "whitespace": _whitespace,
    "spacy": _spacy,
}


@kernel
def _cut(
    data: np.ndarray,
    bounds: np.ndarray,
    valid: np.ndarray,
    classes: np.ndarray,
    whole: bool,
    starts: np.ndarray,
    spans: np.ndarray,
) -> int:
    """Fill ``starts`` and ``spans``; returns the tokens in all. ``whole``: at white space only."""
    count = 0
    for row in range(len(valid)):
        starts[row] = count
        if not valid[row]:
            continue
        index, stop = int(bounds[row]), int(bounds[row + 1])
        first, left, right = -1, -1, -1  # of the open chunk; of its letters, numbers and marks
        while index <= stop:
            kind, size = SPACE, 1
            if index < stop:
                point, size = code_point(data, index, stop)
                kind = int(classes[point])
            if kind & SPACE == 0:
                if first < 0:
                    first = index
                if kind & WORD:
                    left = index if left < 0 else left
                    right = index + size
            elif first >= 0:
                if whole:
                    spans[count, 0], spans[count, 1] = first, index
                    count += 1
                elif left < 0:
                    count = _marks(data, first, index, spans, count)
                else:
                    if right < index and right - left > 2 and data[right] == _DOT:
                        right += data[right - 2] == _DOT  # U.S.
                    count = _marks(data, first, left, spans, count)
                    count = _words(data, left, right, classes, spans, count)
                    count = _marks(data, right, index, spans, count)
                first, left, right = -1, -1, -1
            index += size
    starts[len(valid)] = count
    return count


@kernel
def _marks(data: np.ndarray, index: int, stop: int, spans: np.ndarray, count: int) -> int:
    """Append a token a character of data[index:stop], one for equal . - / in a row."""
    last = 0
    while index < stop:
        point, size = code_point(data, index, stop)
        if point == last and point in (_DOT, _HYPHEN, _SLASH):
            spans[count - 1, 1] = index + size
        else:
            spans[count, 0], spans[count, 1] = index, index + size
            count += 1
        last = point
        index += size
    return count


@kernel
def _words(
    data: np.ndarray, first: int, stop: int, classes: np.ndarray, spans: np.ndarray, count: int
) -> int:
    """Append the words of data[first:stop], which holds no white space, and what cuts them."""
    before, index = 0, first
    while index < stop:
        point, size = code_point(data, index, stop)
        kind = int(classes[point])
        behind = index + size
        if kind & WORD == 0 and behind < stop:
            if point == _COLON and data[behind] == _SLASH:  # an address: nothing cuts it
                break
            if point in (_QUOTE, _APOSTROPHE):
                if index > first and _is_ending(data, behind, stop):  # it|'s, do|n't
                    end = index
                    if data[behind] | 0x20 == 0x74 and data[index - 1] | 0x20 == 0x6E:
                        end -= 1
                    if end > first:
                        spans[count, 0], spans[count, 1] = first, end
                        count, first = count + 1, end
            else:
                end = behind
                while point == _DOT and data[end] == _DOT:  # stop[-1] is no dot
                    end += 1
                after = int(classes[code_point(data, end, stop)[0]])
                if end > behind or point == _ELLIPSIS or _cuts(before, point, after):
                    if index > first:
                        spans[count, 0], spans[count, 1] = first, index
                        count += 1
                    spans[count, 0], spans[count, 1] = index, end
                    count, first, behind = count + 1, end, end
        before = kind
        index = behind
    if stop > first:
        spans[count, 0], spans[count, 1] = first, stop
        count += 1
    return count


@kernel
def _is_ending(data: np.ndarray, index: int, stop: int) -> bool:
    """Whether data[index:stop] is what stands behind an apostrophe: s t d m ll re ve."""
    one = int(data[index]) | 0x20
    if stop - index == 1:
        return one in (0x73, 0x74, 0x64, 0x6D)
    if stop - index != 2:
        return False
    two = int(data[index + 1]) | 0x20
    return (one == 0x6C and two == 0x6C) or (two == 0x65 and (one == 0x72 or one == 0x76))


@kernel
def _cuts(before: int, point: int, after: int) -> bool:
    """Whether ``point`` between characters of two kinds is a token of its own.

    As the infixes of spaCy's English, for letters of any script.
    """
    letters = before & after & LETTER != 0
    numbers = before & after & NUMBER != 0
    if point == _DOT:
        return letters and before & UPPER == 0 and after & UPPER != 0
    if point == 0x2C:  # ,
        return letters
    if point == _HYPHEN or point == 0x2013 or point == 0x2014 or point == 0x7E:  # – — ~
        return (before & WORD != 0 and after & LETTER != 0) or (numbers and point == _HYPHEN)
    if point in (_COLON, _SLASH, 0x3C, 0x3D, 0x3E):  # < = >
        return before & WORD != 0 and after & LETTER != 0
    return numbers and (point == 0x2A or point == 0x2B or point == 0x5E)  # * + ^
