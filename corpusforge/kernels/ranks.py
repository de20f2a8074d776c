"""The merges of a byte-level BPE by rank: their table, and how they are applied to one pre-token.

Of all adjacent pairs the one of the lowest rank is merged, the leftmost of equals, until none is
known. That is the order of Hugging Face's and of every other encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from corpusforge.kernels.bpe import byte_characters
from corpusforge.kernels.jit import inlined, kernel
from corpusforge.kernels.pretokens import wide

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_NO_MERGE = (1 << 63) - 1
ROWS = 7  # of the room that merging needs
_SCAN = 48  # symbols up to which scanning for the lowest rank beats a heap


class Tables(NamedTuple):
    """What the kernel knows of a tokenizer."""

    byte_ids: np.ndarray  # (256,) int64, the id of each byte
    first: np.ndarray  # (65536,) int64, rank << 32 | new id of each two bytes
    pairs: np.ndarray  # (2**n, 2) int64 open addressing: left << 32 | right, rank << 32 | new id


def tables(vocab: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> Tables:
    """Prepare a byte-level vocabulary; of a pair that occurs twice the later rank holds.

    Raises KeyError where a byte or a merged token has no id.
    """
    byte_ids = np.array([vocab[character] for character in byte_characters()], dtype=np.int64)
    rows = np.array(
        [(vocab[left], vocab[right], vocab[left + right]) for left, right in merges],
        dtype=np.int64,
    ).reshape(-1, 3)
    size = 1024
    while size < 4 * len(rows):
        size *= 2
    pairs = np.full((size, 2), -1, dtype=np.int64)
    _insert(pairs, rows)
    first = np.empty(1 << 16, dtype=np.int64)
    _fill(first, byte_ids, pairs)
    return Tables(byte_ids, first, pairs)


@inlined
def _place(pairs: np.ndarray, key: int) -> int:
    last = len(pairs) - 1
    slot = wide(np.uint64(key) * _MIX >> np.uint64(32)) & last
    while pairs[slot, 0] != key and pairs[slot, 0] >= 0:
        slot = (slot + 1) & last
    return slot


@kernel
def _insert(pairs: np.ndarray, rows: np.ndarray) -> None:
    for rank in range(len(rows)):
        key = rows[rank, 0] << 32 | rows[rank, 1]
        slot = _place(pairs, key)
        pairs[slot, 0] = key
        pairs[slot, 1] = rank << 32 | rows[rank, 2]


@inlined
def _merge_of(pairs: np.ndarray, left: int, right: int) -> int:
    """rank << 32 | new id of a pair, else _NO_MERGE."""
    slot = _place(pairs, left << 32 | right)
    return pairs[slot, 1] if pairs[slot, 0] >= 0 else _NO_MERGE


@kernel
def _fill(first: np.ndarray, byte_ids: np.ndarray, pairs: np.ndarray) -> None:
    for two in range(len(first)):
        first[two] = _merge_of(pairs, byte_ids[two >> 8], byte_ids[two & 255])


@inlined
def _merge_by_scan(pairs: np.ndarray, ids: np.ndarray, merges: np.ndarray, length: int) -> int:
    """Merge ``ids`` (length,) int64 in place and return the new length.

    ``merges`` (length - 1,) int64 holds ``_merge_of`` each symbol and the next.
    """
    while length > 1:
        best = 0
        for index in range(1, length - 1):
            if merges[index] < merges[best]:
                best = index
        if merges[best] == _NO_MERGE:
            break
        ids[best] = merges[best] & 0xFFFFFFFF
        length -= 1
        for index in range(best + 1, length):
            ids[index] = ids[index + 1]
            merges[index - 1] = merges[index]
        if best > 0:
            merges[best - 1] = _merge_of(pairs, ids[best - 1], ids[best])
        if best + 1 < length:
            merges[best] = _merge_of(pairs, ids[best], ids[best + 1])
    return length


@inlined
def _lift(heap: np.ndarray, used: int, item: int) -> None:
    """Put ``item`` into a binary heap of ``used`` items, the smallest first."""
    place = used
    while place > 0 and heap[(place - 1) >> 1] > item:
        heap[place] = heap[(place - 1) >> 1]
        place = (place - 1) >> 1
    heap[place] = item


@inlined
def _sink(heap: np.ndarray, used: int, item: int) -> None:
    """Put ``item`` in the place of the first of ``used`` items."""
    place = 0
    while 2 * place + 1 < used:
        child = 2 * place + 1
        if child + 1 < used and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= item:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = item


@inlined
def _merge_by_heap(pairs: np.ndarray, room: np.ndarray, length: int) -> int:
    """As ``_merge_by_scan``, in O(n log n); ``room`` is that of ``merge_bytes``."""
    ids, merges, before, after = room[0], room[1], room[2], room[3]
    heap = room[4]  # rank << 32 | position, some of them outdated; goes on in rows 5 and 6
    used = 0
    for index in range(length):
        before[index], after[index] = index - 1, index + 1
        if merges[index] != _NO_MERGE:
            _lift(heap, used, merges[index] >> 32 << 32 | index)
            used += 1
    while used > 0:
        rank, here = heap[0] >> 32, heap[0] & 0xFFFFFFFF
        used -= 1
        _sink(heap, used, heap[used])
        if merges[here] >> 32 != rank or merges[here] == _NO_MERGE:
            continue
        ids[here] = merges[here] & 0xFFFFFFFF
        gone = after[here]
        merges[gone] = _NO_MERGE
        ids[gone] = -1
        after[here] = after[gone]
        merges[here] = _NO_MERGE
        if after[here] < length:
            before[after[here]] = here
            merges[here] = _merge_of(pairs, ids[here], ids[after[here]])
            if merges[here] != _NO_MERGE:
                _lift(heap, used, merges[here] >> 32 << 32 | here)
                used += 1
        left = before[here]
        if left >= 0:
            merges[left] = _merge_of(pairs, ids[left], ids[here])
            if merges[left] != _NO_MERGE:
                _lift(heap, used, merges[left] >> 32 << 32 | left)
                used += 1
    kept = 0
    for index in range(length):
        if ids[index] >= 0:
            ids[kept] = ids[index]
            kept += 1
    return kept


@inlined
def merge_bytes(
    data: np.ndarray,
    start: int,
    length: int,
    byte_ids: np.ndarray,
    first: np.ndarray,
    pairs: np.ndarray,
    room: np.ndarray,
    out: np.ndarray,
    used: int,
) -> int:
    """Encode one pre-token into ``out`` from ``used`` on; return the ids' end.

    ``room`` is (ROWS, at least ``length``) int64, where the work is done.
    """
    ids, merges = room[0], room[1]
    for index in range(length - 1):
        here, following = wide(data[start + index]), wide(data[start + index + 1])
        ids[index] = byte_ids[here]
        merges[index] = first[here << 8 | following]
    ids[length - 1] = byte_ids[data[start + length - 1]]
    merges[length - 1] = _NO_MERGE
    if length <= _SCAN:
        length = _merge_by_scan(pairs, ids, merges, length)
    else:
        length = _merge_by_heap(pairs, room, length)
    for index in range(length):
        out[used + index] = ids[index]
    return used + length
