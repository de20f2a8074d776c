"""Which keys more than one document has, found in two passes in bounded memory.

A blocked Bloom filter (Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom
filters", 2007): the four bits of a key lie in one 64-bit word. The first pass sets them in ``once``
and, where all four were set, in ``twice``; the second asks ``twice``. No shared key is missed;
about one key in a hundred, or fewer, is told to be shared and is not.

``join`` finds which rows belong together through them: a union-find forest (Tarjan, "Efficiency of
a good but not linear set union algorithm", 1975) over a table with open addresses.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.minhash import I64, U64

Mask = npt.NDArray[np.bool_]


def table(keys: int) -> U64:
    """Return an empty table for so many keys: 16 to 32 bits a key, at most 256 MiB."""
    words = 1 << 10
    while words < keys // 4 and words < 1 << 25:
        words *= 2
    return np.zeros(words, np.uint64)


@kernel
def note(keys: U64, once: U64, twice: U64) -> None:
    """Set the bits of ``keys`` (n,), which are hashes, in the tables; both have one length."""
    low, top = np.uint64(63), np.uint64(len(once) - 1)
    one, six, many = np.uint64(1), np.uint64(6), np.uint64(24)
    for key in keys:
        bits, rest = np.uint64(0), key
        for _ in range(4):
            bits |= one << (rest & low)
            rest >>= six
        word = (key >> many) & top
        if once[word] & bits == bits:
            twice[word] |= bits
        once[word] |= bits


@kernel
def shared(keys: U64, rows: I64, twice: U64, found: Mask) -> None:
    """Set ``found`` (rows,) of every row of ``rows`` (n,) whose key in ``keys`` (n,) is shared."""
    low, top = np.uint64(63), np.uint64(len(twice) - 1)
    one, six, many = np.uint64(1), np.uint64(6), np.uint64(24)
    for place in range(len(keys)):
        key = keys[place]
        bits, rest = np.uint64(0), key
        for _ in range(4):
            bits |= one << (rest & low)
            rest >>= six
        if twice[(key >> many) & top] & bits == bits:
            found[rows[place]] = True


def slots(keys: int) -> npt.NDArray[np.int32]:
    """Return an empty table of places for so many keys, at most half full."""
    return np.full(1 << max(4, (2 * keys - 1).bit_length()), -1, np.int32)


@kernel
def join(keys: U64, rows: I64, slots: npt.NDArray[np.int32], labels: I64) -> None:
    """Join the rows (n,) that have a key of ``keys`` (n,), which are hashes, in common.

    ``labels`` (rows,) holds the least row of the group of each row, before and after: at first a
    row is a group of its own.
    """
    top, half = np.uint64(len(slots) - 1), np.uint64(32)
    for place in range(len(keys)):
        key = keys[place]
        slot = (key ^ (key >> half)) & top
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + np.uint64(1)) & top
        if slots[slot] < 0:
            slots[slot] = place
            continue
        one, other = rows[slots[slot]], rows[place]
        while labels[one] != one:
            labels[one] = labels[labels[one]]
            one = labels[one]
        while labels[other] != other:
            labels[other] = labels[labels[other]]
            other = labels[other]
        labels[max(one, other)] = min(one, other)
    for row in range(len(labels)):
        labels[row] = labels[labels[row]]  # that of a row before it is settled
