"""Repetition inside a text: duplicate lines and paragraphs, repeated word n-grams.

Everything is linear in the text. Spans and n-grams are compared by 64-bit hashes; the chance that
two of m different ones meet is about m^2 / 2^65.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.lines import LINE_COUNTS, paragraph_spans
from corpusforge.kernels.words import mix

PIECES, DUP_PIECES, DUP_PIECE_CHARS, DUP_VISIBLE_CHARS = range(LINE_COUNTS, LINE_COUNTS + 4)
PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS = range(LINE_COUNTS + 4, LINE_COUNTS + 7)
GRAMS = LINE_COUNTS + 7 - 2  # column GRAMS + n holds the characters of repeated n-grams
COUNTS = GRAMS + 11  # columns in all

TOP_GRAMS = (2, 3, 4)
DUP_GRAMS = (5, 6, 7, 8, 9, 10)
_LAST_TOP, _LAST_DUP = 4, 10
_ONE, _EMPTY = np.uint64(1), np.uint64(0)
_BASE = np.uint64(0x9E3779B97F4A7C15)


@kernel
def tally(keys: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Count equal ``keys`` (n,) uint64: slots[i] becomes the place of keys[i] in the result.

    Returns the occurrences of each slot (int32), 0 where none. Open addressing, at most half full.
    """
    capacity = 16
    while capacity < 2 * len(keys):
        capacity *= 2
    table = np.zeros(capacity, np.uint64)
    counts = np.zeros(capacity, np.int32)
    mask = capacity - 1
    for index in range(len(keys)):
        key = keys[index] | _ONE  # 0 marks an empty slot
        slot = np.int64(key >> _ONE) & mask
        while table[slot] != key:
            if table[slot] == _EMPTY:
                table[slot] = key
                break
            slot = (slot + 1) & mask
        counts[slot] += 1
        slots[index] = slot
    return counts


@kernel
def likely_repeated(keys: np.ndarray, places: np.ndarray, count: int) -> int:
    """Keep of the first ``count`` ``keys`` (uint64) and ``places`` those that may occur twice.

    Returns how many. Every key that does is kept, and few others: two bits of a key's own, nearly,
    say that it was met, and met again. A pass without branches, where ``tally`` guesses.
    """
    bits = 10
    while bits < 40 and 1 << bits < 16 * count:
        bits += 1
    shift, met = np.uint64(64 - bits), np.zeros((1 << bits) // 64, np.uint64)
    again = np.zeros(len(met), np.uint64)
    for index in range(count):
        slot = keys[index] >> shift
        bit = _ONE << (slot & np.uint64(63))
        word = np.int64(slot >> np.uint64(6))
        again[word] |= met[word] & bit
        met[word] |= bit
    left = 0
    for index in range(count):
        slot = keys[index] >> shift
        keys[left], places[left] = keys[index], places[index]
        left += int(again[np.int64(slot >> np.uint64(6))] >> (slot & np.uint64(63)) & _ONE)
    return left


@kernel
def hash_span(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """64-bit hash of the bytes data[start:stop], eight at a time."""
    state = np.uint64(stop - start)
    index = start
    while index + 8 <= stop:
        block = np.uint64(0)
        for step in range(8):  # becomes one load
            block |= np.uint64(data[index + step]) << np.uint64(8 * step)
        state = (state ^ block) * _BASE
        state ^= state >> np.uint64(32)
        index += 8
    while index < stop:
        state = (state ^ np.uint64(data[index])) * _BASE
        index += 1
    return mix(state)


@kernel
def repeats(data: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Mark the ``spans`` (n, 4) int32 of ``data`` whose bytes occurred before: (n,) bool."""
    keys = np.empty(len(spans), np.uint64)
    for index in range(len(spans)):
        keys[index] = hash_span(data, spans[index, 0], spans[index, 1])
    slots = np.empty(len(spans), np.int32)
    occurrences = tally(keys, slots)
    again = np.empty(len(spans), np.bool_)
    for index in range(len(spans)):
        again[index] = occurrences[slots[index]] < 0
        occurrences[slots[index]] = -1
    return again


@kernel
def count_duplicates(
    data: np.ndarray,
    start: int,
    stop: int,
    spans: np.ndarray,
    visible: np.ndarray,
    trim: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Fill counts[PIECES : PARAGRAPHS + 3] (int64) from the pieces that ``scan_lines`` found."""
    again = repeats(data, spans)
    for piece in range(len(spans)):
        if again[piece]:
            chars = spans[piece, 3] - spans[piece, 2]
            counts[DUP_PIECES] += 1
            counts[DUP_PIECE_CHARS] += chars
            counts[DUP_VISIBLE_CHARS] += chars * visible[piece]
    counts[PIECES] = len(spans)
    if stop > start:  # a newline at either end leaves an empty line there, as a split at \n+ does
        empty = np.int64(data[start] == 0x0A) + np.int64(data[stop - 1] == 0x0A)
        counts[PIECES] += empty
        counts[DUP_PIECES] += empty == 2
    paragraphs = paragraph_spans(spans, trim)
    again = repeats(data, paragraphs)
    for index in range(len(paragraphs)):
        if again[index]:
            counts[DUP_PARAGRAPHS] += 1
            counts[DUP_PARAGRAPH_CHARS] += paragraphs[index, 3] - paragraphs[index, 2]
    counts[PARAGRAPHS] = len(paragraphs)


@kernel
def count_grams(
    hashes: np.ndarray, lengths: np.ndarray, gaps: np.ndarray, counts: np.ndarray
) -> None:
    """Fill counts[GRAMS + 2 : GRAMS + 11] (int64) from the words that ``scan_words`` found.

    n = 2..4: characters of the most frequent n-gram (the first of equals) times its occurrences,
    if it occurs twice; words are joined by one space where something stands between them.
    n = 5..10: from left to right, the characters of each n-gram that was met before, after which
    the scan goes on behind it; otherwise it steps one word.

    Only places whose n-gram repeats can hold a repeated (n+1)-gram, so the rest drops out as n
    grows; the values do not change by it.
    """
    places = np.arange(len(hashes), dtype=np.int32)
    keys = hashes.copy()  # of the n-gram at each place; boundaries count: powers of an odd base
    slots = np.empty(len(hashes), np.int32)
    left = len(hashes)
    for n in range(2, _LAST_DUP + 1):
        kept = 0
        for index in range(left):
            place = places[index]
            if place + n <= len(hashes):
                keys[kept] = mix(keys[index] * _BASE + hashes[place + n - 1])
                places[kept] = place
                kept += 1
        kept = likely_repeated(keys, places, kept)
        occurrences = tally(keys[:kept], slots)
        if n <= _LAST_TOP:
            counts[GRAMS + n] = _top_chars(n, places[:kept], slots, occurrences, lengths, gaps)
        else:
            counts[GRAMS + n] = _repeated_chars(n, places[:kept], slots, occurrences, lengths)
        left = 0
        for index in range(kept):
            keys[left], places[left] = keys[index], places[index]
            left += abs(occurrences[slots[index]]) > 1
        if left == 0:
            return


@kernel
def _top_chars(
    n: int,
    places: np.ndarray,
    slots: np.ndarray,
    occurrences: np.ndarray,
    lengths: np.ndarray,
    gaps: np.ndarray,
) -> int:
    best, where = 1, 0
    for index in range(len(places)):
        if occurrences[slots[index]] > best:
            best, where = occurrences[slots[index]], places[index]
    if best == 1:
        return 0
    chars = int(lengths[where])
    for word in range(where + 1, where + n):
        chars += lengths[word] + gaps[word]
    return best * chars


@kernel
def _repeated_chars(
    n: int, places: np.ndarray, slots: np.ndarray, occurrences: np.ndarray, lengths: np.ndarray
) -> int:
    chars, free = 0, 0
    for index in range(len(places)):
        place, slot = places[index], slots[index]
        if place < free:
            continue
        if occurrences[slot] < 0:  # met before
            for word in range(place, place + n):
                chars += lengths[word]
            free = place + n
        else:
            occurrences[slot] = -occurrences[slot]
    return chars
