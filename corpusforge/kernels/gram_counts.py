"""Characters of repeated word n-grams in the ways that dolma, DCLM and NeMo Curator count them.

Linear in the words, as ``repetition.count_grams``, whose tables and bounds on false matches it
shares; the words are the caller's. Spaces between words count only where it is said.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import likely_repeated, tally
from corpusforge.kernels.words import mix

# Columns: add n - 2 to one of the first three, n - 5 to one of the others.
TOP_FIRST = 0  # occurrences times characters of the most frequent n-gram, the first of equals
TOP_LONGEST = 3  # the same of the longest of equals; 0 if none occurs twice
TOP_PLACE = 6  # word at which the first of the most frequent n-grams begins
ALL = 9  # characters of every n-gram
REPEATED = 15  # characters of every n-gram that occurs twice
COVERED = 21  # characters of the words inside such n-grams, each word once
AGAIN = 27  # characters of words inside n-grams met before, each once, and spaces as Curator's
GRAM_COUNTS = 33

_LAST_TOP, _FIRST_DUP, _LAST_DUP = 4, 5, 10
_BASE = np.uint64(0x9E3779B97F4A7C15)


@kernel
def count_gram_chars(hashes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the columns above, (GRAM_COUNTS,) int64, of words (hashes uint64, lengths int32)."""
    words = len(hashes)
    counts = np.zeros(GRAM_COUNTS, np.int64)
    ends = np.zeros(words + 1, np.int64)  # characters before each word
    for word in range(words):
        ends[word + 1] = ends[word] + lengths[word]
    for n in range(2, _LAST_DUP + 1):
        if words >= n and n <= _LAST_TOP:
            counts[TOP_FIRST + n - 2] = ends[n]
        elif words >= n:
            for place in range(words - n + 1):
                counts[ALL + n - 5] += ends[place + n] - ends[place]
    places = np.arange(words, dtype=np.int32)
    keys = hashes.copy()
    slots = np.empty(words, np.int32)
    left = words
    for n in range(2, _LAST_DUP + 1):
        kept = 0
        for index in range(left):
            place = places[index]
            if place + n <= words:
                keys[kept] = mix(keys[index] * _BASE + hashes[place + n - 1])
                places[kept] = place
                kept += 1
        kept = likely_repeated(keys, places, kept)
        occurrences = tally(keys[:kept], slots)
        if n < _FIRST_DUP:
            _count_top(n, places[:kept], slots, occurrences, ends, counts)
        else:
            _count_repeated(n, places[:kept], slots, occurrences, ends, counts)
        left = 0
        for index in range(kept):  # only a repeated n-gram begins a repeated (n+1)-gram
            keys[left], places[left] = keys[index], places[index]
            left += abs(occurrences[slots[index]]) > 1
        if left == 0:
            break
    return counts


@kernel
def _count_top(
    n: int,
    places: np.ndarray,
    slots: np.ndarray,
    occurrences: np.ndarray,
    ends: np.ndarray,
    counts: np.ndarray,
) -> None:
    best, first, longest = 1, 0, 0
    for index in range(len(places)):
        place, times = places[index], occurrences[slots[index]]
        chars = ends[place + n] - ends[place]
        if times > best:
            best, first, longest = times, place, chars
        elif times == best:
            longest = max(longest, chars)
    if best > 1:
        counts[TOP_FIRST + n - 2] = best * (ends[first + n] - ends[first])
        counts[TOP_LONGEST + n - 2] = best * longest
        counts[TOP_PLACE + n - 2] = first


@kernel
def _count_repeated(
    n: int,
    places: np.ndarray,
    slots: np.ndarray,
    occurrences: np.ndarray,
    ends: np.ndarray,
    counts: np.ndarray,
) -> None:
    covered, free = 0, 0  # words behind the last repeated n-gram, and behind the last met before
    for index in range(len(places)):
        place, slot = places[index], slots[index]
        times = occurrences[slot]
        if abs(times) < 2:
            continue
        counts[REPEATED + n - 5] += ends[place + n] - ends[place]
        counts[COVERED + n - 5] += ends[place + n] - ends[max(place, covered)]
        covered = place + n
        if times > 0:
            occurrences[slot] = -times
            continue
        fresh = max(place, free)
        counts[AGAIN + n - 5] += ends[place + n] - ends[fresh] + min(place + n - fresh, n - 1)
        free = place + n
