"""The set of shingles of a text, by which two texts are compared exactly.

Definition as in ``minhash``: the 32-bit hashes that the minima are taken of.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.minhash import U8, U32, U64, bytes_of, characters, mix, scan

_SEGMENT = 8192
_P = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def shingle_sets(text: pa.StringArray | pa.LargeStringArray, ngram: int) -> pa.LargeBinaryArray:
    """Return the distinct hashes of each text, ascending little-endian u32; null without tokens."""
    data, bounds = bytes_of(text)
    sets: list[bytes | None] = []
    for at, end in bounds.tolist():
        hashes = np.empty((end - at) // 2 + _SEGMENT, np.uint32)
        count = _hashes(data, at, end, characters(), ngram, hashes)
        sets.append(np.unique(hashes[:count]).astype("<u4").tobytes() if count else None)
    return pa.array(sets, pa.large_binary())


@kernel
def _hashes(data: U8, at: int, end: int, table: U32, ngram: int, hashes: U32) -> int:
    """Fill ``hashes`` with those of the shingles of data[at:end]; returns how many there are."""
    words = np.empty(_SEGMENT // 2 + 4 + ngram, dtype=np.uint64)
    carried, total, count = 0, 0, 0
    state, opened = np.uint64(0), False
    while at < end:
        at, filled, state, opened = scan(data, at, end, table, words, carried, state, opened)
        total += filled - carried
        carried = filled
        if filled >= ngram:
            for first in range(filled - ngram + 1):
                hashes[count] = _hash(words, first, ngram)
                count += 1
            for index in range(ngram - 1):
                words[index] = words[filled - ngram + 1 + index]
            carried = ngram - 1
    if 0 < total < ngram:
        hashes[0] = _hash(words, 0, total)
        count = 1
    return count


@kernel
def _hash(words: U64, first: int, length: int) -> np.uint32:
    value = words[first]
    for step in range(1, length):
        value = value * _P + words[first + step]
    return np.uint32(mix(value) >> _HALF)
