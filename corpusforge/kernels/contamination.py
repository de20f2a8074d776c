"""Contamination: word n-grams of evaluation items that a text shares.

The words are those of the splitter ``unicode`` (``words``) in simple lower case, so case, white
space and punctuation do not matter; a script without spaces gives one word a character. An n-gram
is looked up by a 64-bit hash and each hit is verified, character by character, on both texts.
Overlap of 13 words: Brown et al. 2020, arXiv 2005.14165, appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.unicode_classes import simple_lower
from corpusforge.kernels.words import ALONE, MARK, WORD, code_point, mix, text_classes

_P = np.uint64(0x9E3779B97F4A7C15)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_EMPTY = np.int64(-1)


@dataclass(frozen=True)
class Index:
    """The n-grams of evaluation items: an open-addressed table of their hashes and places.

    Of equal n-grams the first item counts. ``short`` holds the items (int64) of fewer than
    ``ngram`` words, which no text can hit.
    """

    ngram: int
    slots: np.ndarray  # (2^k,) int64: place in ``hashes``, or -1
    hashes: np.ndarray  # (n-grams,) uint64
    items: np.ndarray  # (n-grams,) int64: item
    starts: np.ndarray  # (n-grams,) int64: first byte in ``data``
    data: np.ndarray  # (bytes,) uint8: texts of the items
    short: np.ndarray


@dataclass(frozen=True)
class Matches:
    """What each text shares with an Index, by row; ``item`` is -1 where ``count`` is 0."""

    count: np.ndarray  # (rows,) int64: n-grams of the text that an item has
    item: np.ndarray  # (rows,) int64: item of the first of them
    ngram: list[str | None]  # its text


def index(texts: pa.StringArray, ngram: int) -> Index:
    """Index the word ``ngram``-grams of the items ``texts``."""
    # A line end after each item: where a word is read again, it ends with its item.
    data, bounds = _buffers(pc.binary_join_element_wise(pc.fill_null(texts, ""), "", "\n"))
    most = len(data) + 1
    hashes, starts = np.empty(most, np.uint64), np.empty(most, np.int64)
    items, words = np.empty(most, np.int64), np.zeros(len(texts), np.int64)
    count = _list(data, bounds, text_classes(), simple_lower(), ngram, hashes, starts, items, words)
    size = 16
    while size < 2 * count:
        size *= 2
    slots = np.full(size, _EMPTY)
    hashes, starts, items = hashes[:count].copy(), starts[:count].copy(), items[:count].copy()
    _fill(slots, hashes, starts, data, ngram, text_classes(), simple_lower())
    short = np.flatnonzero(words < ngram)
    return Index(ngram, slots, hashes, items, starts, data, short)


def match(text: pa.StringArray, known: Index) -> Matches:
    """Look up the n-grams of every text; a null text, or one of fewer words, shares none."""
    data, bounds = _buffers(text)
    count = np.zeros(len(text), np.int64)
    item, spans = np.full(len(text), -1, np.int64), np.zeros((len(text), 2), np.int64)
    _match(
        *(data, bounds, text_classes(), simple_lower(), known.ngram),
        *(known.slots, known.hashes, known.items, known.starts, known.data),
        *(count, item, spans),
    )
    view, shown = data.data, list[str | None]([None] * len(text))
    for row in np.flatnonzero(count).tolist():
        start, stop = spans[row].tolist()
        shown[row] = bytes(view[start:stop]).decode("utf-8", "replace")
    return Matches(count, item, shown)


def _buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes and (rows, 2) int64 bounds in them; a null has none."""
    _, offsets, values = text.buffers()
    ends = np.frombuffer(offsets or bytes(4), np.int32)[text.offset :][: len(text) + 1]
    bounds = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
    null = text.is_null().to_numpy(zero_copy_only=False)
    bounds[null, 1] = bounds[null, 0]
    data = np.frombuffer(values or b"", np.uint8)
    data.flags.writeable = False
    return data, bounds


@kernel
def _next_word(
    data: np.ndarray, at: int, stop: int, classes: np.ndarray, lower: np.ndarray
) -> tuple[int, int, np.uint64]:
    """The next word from ``at``: first byte, end, hash of its folded characters; (stop, stop, 0)"""
    first, state, seen = -1, _ONE, 0
    while at < stop:
        point, size = code_point(data, at, stop)
        kind = int(classes[point])
        if kind & WORD == 0:
            if first >= 0:
                break
            at += size
            continue
        if first >= 0 and (kind | seen) & ALONE and kind & MARK == 0:
            break
        if first < 0:
            first = at
        state = state * _P + np.uint64(lower[point])
        seen |= kind
        at += size
    if first < 0:
        return stop, stop, _ZERO
    return first, at, mix(state)


@kernel
def _list(
    data: np.ndarray,
    bounds: np.ndarray,
    classes: np.ndarray,
    lower: np.ndarray,
    ngram: int,
    hashes: np.ndarray,
    starts: np.ndarray,
    items: np.ndarray,
    words: np.ndarray,
) -> int:
    """List the n-grams of every item; returns how many."""
    count = 0
    ring, firsts = np.zeros(ngram, np.uint64), np.zeros(ngram, np.int64)
    power = _ONE
    for _ in range(ngram):
        power *= _P
    for row in range(len(bounds)):
        at, stop = int(bounds[row, 0]), int(bounds[row, 1])
        total, state = 0, _ZERO
        ring[:] = _ZERO
        while True:
            first, at, word = _next_word(data, at, stop, classes, lower)
            if first == stop:
                break
            place = total % ngram
            state = state * _P + word - ring[place] * power
            ring[place], firsts[place] = word, first
            total += 1
            if total >= ngram:
                hashes[count] = mix(state)
                starts[count] = firsts[total % ngram]
                items[count] = row
                count += 1
        words[row] = total
    return count


@kernel
def _same(
    left: np.ndarray,
    at: int,
    stop: int,
    right: np.ndarray,
    other: int,
    ngram: int,
    classes: np.ndarray,
    lower: np.ndarray,
) -> bool:
    """Whether ``ngram`` words from left[at:stop] and right[other:] have the same characters."""
    for _ in range(ngram):
        first, at, _word = _next_word(left, at, stop, classes, lower)
        second, other, _word = _next_word(right, other, len(right), classes, lower)
        while first < at and second < other:
            point, size = code_point(left, first, at)
            point2, size2 = code_point(right, second, other)
            if lower[point] != lower[point2]:
                return False
            first += size
            second += size2
        if first != at or second != other:
            return False
    return True


@kernel
def _fill(
    slots: np.ndarray,
    hashes: np.ndarray,
    starts: np.ndarray,
    data: np.ndarray,
    ngram: int,
    classes: np.ndarray,
    lower: np.ndarray,
) -> None:
    """Enter every n-gram once, the first of equal ones; two of one hash both."""
    mask = np.uint64(len(slots) - 1)
    for place in range(len(hashes)):
        slot = hashes[place] & mask
        known = False
        while slots[np.int64(slot)] >= 0 and not known:
            other = slots[np.int64(slot)]
            known = hashes[other] == hashes[place] and _same(
                data, starts[other], len(data), data, starts[place], ngram, classes, lower
            )
            slot = (slot + _ONE) & mask
        if not known:
            slots[np.int64(slot)] = place


@kernel
def _match(
    data: np.ndarray,
    bounds: np.ndarray,
    classes: np.ndarray,
    lower: np.ndarray,
    ngram: int,
    slots: np.ndarray,
    hashes: np.ndarray,
    items: np.ndarray,
    starts: np.ndarray,
    known: np.ndarray,
    count: np.ndarray,
    item: np.ndarray,
    spans: np.ndarray,
) -> None:
    ring, firsts = np.zeros(ngram, np.uint64), np.zeros(ngram, np.int64)
    mask = np.uint64(len(slots) - 1)
    power = _ONE
    for _ in range(ngram):
        power *= _P
    for row in range(len(bounds)):
        at, stop = int(bounds[row, 0]), int(bounds[row, 1])
        total, state = 0, _ZERO
        ring[:] = _ZERO
        while True:
            first, at, word = _next_word(data, at, stop, classes, lower)
            if first == stop:
                break
            oldest = total % ngram
            state = state * _P + word - ring[oldest] * power
            ring[oldest], firsts[oldest] = word, first
            total += 1
            if total < ngram:
                continue
            value = mix(state)
            slot = value & mask
            while slots[np.int64(slot)] >= 0:
                place = slots[np.int64(slot)]
                begin = firsts[total % ngram]
                if hashes[place] == value and _same(
                    data, begin, at, known, starts[place], ngram, classes, lower
                ):
                    if count[row] == 0:
                        item[row] = items[place]
                        spans[row, 0], spans[row, 1] = begin, at
                    count[row] += 1
                    break
                slot = (slot + _ONE) & mask
