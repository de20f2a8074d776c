"""The ``uniseg`` word splitter: Unicode word boundaries, as uniseg 0.10 finds them for DCLM.

Source: UAX 29 of Unicode 16, rules WB3 to WB16, in the order and with the reading of uniseg 0.10.1
(``uniseg/wordbreak.py``). A word here is a segment whose first character is a letter or a number,
which is DCLM's ``ignore_punctuation``; the others are dropped.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span
from corpusforge.kernels.text_tables import PICTOGRAPH
from corpusforge.kernels.words import LETTER, NUMBER, code_point

# Word break classes: places in text_tables.WORD_BREAKS.
_OTHER, _CR, _LF, _NEWLINE, _EXTEND, _ZWJ, _FORMAT, _WSEG_SPACE = range(8)
_LETTER, _HEBREW, _NUMERIC, _KATAKANA, _EXTEND_NUM_LET, _REGIONAL = range(8, 14)
_SINGLE_QUOTE, _DOUBLE_QUOTE, _MID_NUM_LET, _MID_LETTER, _MID_NUM = range(14, 19)


@kernel
def scan_unicode_words(
    data: np.ndarray,
    start: int,
    stop: int,
    classes: np.ndarray,
    breaks: np.ndarray,
    properties: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Split data[start:stop] (uint8) into words: their hashes (uint64) and characters (int32).

    ``classes`` are ``words.text_classes``, ``breaks`` and ``properties`` those of ``text_tables``.
    """
    hashes = np.empty(stop - start, np.uint64)
    lengths = np.empty(stop - start, np.int32)
    words, begin, length, word = 0, start, 0, False
    raw, one, two = -1, -1, -1  # class before; the last and last but one that count for WB5-WB16
    regional = 0  # regional indicators in a row
    index = start
    while index < stop:
        point, size = code_point(data, index, stop)
        kind = int(breaks[point])
        skipped = kind in (_EXTEND, _ZWJ, _FORMAT)
        if index == start:
            joined = False
        elif raw == _CR and kind == _LF:
            joined = True
        elif _CR <= raw <= _NEWLINE or _CR <= kind <= _NEWLINE:
            joined = False
        elif (
            (raw == _ZWJ and properties[point] & PICTOGRAPH != 0)
            or skipped
            or (raw == _WSEG_SPACE and kind == _WSEG_SPACE)
        ):
            joined = True
        elif kind == _REGIONAL:
            joined = one == _REGIONAL and regional % 2 == 1
        else:
            joined = _joined(two, one, kind)
            if not joined and _may_join(one, kind):
                joined = _joined(one, kind, _next_kind(data, index + size, stop, breaks))
        if not joined:
            if word:
                hashes[words], lengths[words] = hash_span(data, begin, index), length
                words += 1
            begin, length = index, 0
            word = classes[point] & (LETTER | NUMBER) != 0
        length += 1
        raw = kind
        if not skipped:
            regional = regional + 1 if kind == _REGIONAL else 0
            two, one = one, kind
        index += size
    if word:
        hashes[words], lengths[words] = hash_span(data, begin, stop), length
        words += 1
    return hashes[:words], lengths[:words]


@kernel
def _is_letter(kind: int) -> bool:
    return kind in (_LETTER, _HEBREW)


@kernel
def _may_join(one: int, kind: int) -> bool:
    """Whether the class behind decides about the boundary before ``kind`` (WB6, WB7b, WB12)."""
    if kind < _SINGLE_QUOTE:
        return False
    return _is_letter(one) or one == _NUMERIC


@kernel
def _next_kind(data: np.ndarray, index: int, stop: int, breaks: np.ndarray) -> int:
    while index < stop:
        point, size = code_point(data, index, stop)
        kind = int(breaks[point])
        if kind != _EXTEND and kind != _ZWJ and kind != _FORMAT:
            return kind
        index += size
    return -1


@kernel
def _joined(two: int, one: int, kind: int) -> bool:
    """Whether no boundary is before ``kind``, by the rules that look at two classes before it."""
    if _is_letter(kind):
        if _is_letter(one) or one in (_NUMERIC, _EXTEND_NUM_LET):  # WB5, WB10, WB13b
            return True
        if one in (_MID_LETTER, _MID_NUM_LET, _SINGLE_QUOTE):  # WB7
            return _is_letter(two)
        return one == _DOUBLE_QUOTE and kind == _HEBREW and two == _HEBREW  # WB7c
    if kind == _NUMERIC:
        if _is_letter(one) or one in (_NUMERIC, _EXTEND_NUM_LET):  # WB9, WB8, WB13b
            return True
        if one in (_MID_NUM, _MID_NUM_LET, _SINGLE_QUOTE):  # WB11
            return two == _NUMERIC
        return False
    if kind == _KATAKANA:
        return one == _KATAKANA or one == _EXTEND_NUM_LET  # WB13, WB13b
    if kind == _EXTEND_NUM_LET:  # WB13a
        return _is_letter(one) or _NUMERIC <= one <= _EXTEND_NUM_LET
    return kind == _SINGLE_QUOTE and one == _HEBREW  # WB7a
