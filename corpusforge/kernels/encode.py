"""Encoding with a byte-level BPE: cut, look up, merge in one pass from Arrow buffers to ids.

A pre-token of at most 15 bytes is found in a cache by its own bytes, so the cache cannot be wrong.
Others, and what is new, are merged: of all adjacent pairs the one of the lowest rank, the leftmost
of equals, until none is known. That is the order of Hugging Face's and of every other encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from corpusforge.kernels.bpe import byte_characters
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.pretokens import MASKS, classes, end_of_pretoken, wide, windows

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_NO_MERGE = (1 << 63) - 1
_ID = np.uint64((1 << 28) - 1)  # four ids of 28 bits stand in a cache slot
_SHORT = 15  # bytes of a pre-token that the cache holds
_SCAN = 48  # symbols up to which scanning for the lowest rank beats a heap


class Tables(NamedTuple):
    """What the kernel knows of a tokenizer."""

    byte_ids: np.ndarray  # (256,) int64, the id of each byte
    first: np.ndarray  # (65536,) int64, rank << 32 | new id of each two bytes
    pairs: np.ndarray  # (2**n, 2) int64 open addressing: left << 32 | right, rank << 32 | new id


class Cache(NamedTuple):
    """Encoded pre-tokens; one cache serves one call at a time."""

    slots: np.ndarray  # (2**n, 4) uint64: bytes 0-7, bytes 8-14 and length, two words of ids
    arena: np.ndarray  # (ids,) int32 of pre-tokens with more than four
    used: np.ndarray  # (2,) int64: slots, ids in the arena


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


def new_cache(slots: int = 1 << 19) -> Cache:
    """Return an empty cache of ``slots`` (a power of two) slots of 32 bytes."""
    return Cache(
        np.zeros((slots, 4), dtype=np.uint64),
        np.empty(4 * slots + 16, dtype=np.int32),
        np.zeros(2, dtype=np.int64),
    )


def encode(
    data: np.ndarray,
    offsets: np.ndarray,
    split: int,
    known: Tables,
    cache: Cache,
    end: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Encode rows of ``pretokens.utf8``; ``split`` is a code, ``end`` an id to put after each row.

    Returns ids (n,) int32 and offsets (rows + 1,) int64.
    """
    ids = np.empty(len(data) + len(offsets), dtype=np.int32)
    bounds = np.zeros(len(offsets), dtype=np.int64)
    _encode(
        data,
        windows(data),
        offsets,
        classes(),
        split,
        known.byte_ids,
        known.first,
        known.pairs,
        cache.slots,
        cache.arena,
        cache.used,
        -1 if end is None else end,
        ids,
        bounds,
    )
    return ids[: bounds[-1]], bounds


@kernel
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


@kernel
def _merge_of(pairs: np.ndarray, left: int, right: int) -> int:
    """rank << 32 | new id of a pair, else _NO_MERGE."""
    slot = _place(pairs, left << 32 | right)
    return pairs[slot, 1] if pairs[slot, 0] >= 0 else _NO_MERGE


@kernel
def _fill(first: np.ndarray, byte_ids: np.ndarray, pairs: np.ndarray) -> None:
    for two in range(len(first)):
        first[two] = _merge_of(pairs, byte_ids[two >> 8], byte_ids[two & 255])


@kernel
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


@kernel
def _lift(heap: np.ndarray, used: int, item: int) -> None:
    """Put ``item`` into a binary heap of ``used`` items, the smallest first."""
    place = used
    while place > 0 and heap[(place - 1) >> 1] > item:
        heap[place] = heap[(place - 1) >> 1]
        place = (place - 1) >> 1
    heap[place] = item


@kernel
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


@kernel
def _merge_by_heap(pairs: np.ndarray, ids: np.ndarray, merges: np.ndarray, length: int) -> int:
    """As ``_merge_by_scan``, in O(n log n); ``merges`` (length,) ends in _NO_MERGE."""
    before = np.arange(-1, length - 1)
    after = np.arange(1, length + 1)
    heap = np.empty(3 * length, dtype=np.int64)  # rank << 32 | position, some of them outdated
    used = 0
    for index in range(length - 1):
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


@kernel
def _merge(
    data: np.ndarray,
    start: int,
    length: int,
    byte_ids: np.ndarray,
    first: np.ndarray,
    pairs: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
    used: int,
) -> int:
    """Encode one pre-token without the cache into ``out`` from ``used`` on; return the ids' end."""
    if length > _SCAN:
        scratch = np.empty((2, length), dtype=np.int64)
    ids, merges = scratch[0], scratch[1]
    for index in range(length - 1):
        here, following = wide(data[start + index]), wide(data[start + index + 1])
        ids[index] = byte_ids[here]
        merges[index] = first[here << 8 | following]
    ids[length - 1] = byte_ids[data[start + length - 1]]
    merges[length - 1] = _NO_MERGE
    if length <= _SCAN:
        length = _merge_by_scan(pairs, ids, merges, length)
    else:
        length = _merge_by_heap(pairs, ids, merges, length)
    for index in range(length):
        out[used + index] = ids[index]
    return used + length


@kernel
def _encode(
    data: np.ndarray,
    words: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    split: int,
    byte_ids: np.ndarray,
    first: np.ndarray,
    pairs: np.ndarray,
    slots: np.ndarray,
    arena: np.ndarray,
    cached: np.ndarray,
    end_id: int,
    out: np.ndarray,
    bounds: np.ndarray,
) -> None:
    scratch = np.empty((2, _SCAN), dtype=np.int64)
    last = np.uint64(len(slots) - 1)
    used = 0
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        while start < stop:
            begin = start
            start = end_of_pretoken(data, begin, stop, table, split)
            length = start - begin
            if length > _SHORT:
                used = _merge(data, begin, length, byte_ids, first, pairs, scratch, out, used)
                continue
            low = words[begin] & MASKS[min(length, 8)]
            high = words[begin + 8] & MASKS[max(length - 8, 0)] | np.uint64(length) << np.uint64(56)
            slot = ((low ^ high * _MIX) * _MIX >> np.uint64(32)) & last
            while slots[slot, 1] != 0 and (slots[slot, 0] != low or slots[slot, 1] != high):
                slot = (slot + np.uint64(1)) & last
            if slots[slot, 1] != 0:
                one, two = slots[slot, 2], slots[slot, 3]
                count = wide(one & np.uint64(15))
                if count <= 4:
                    out[used] = wide(one >> np.uint64(4) & _ID)
                    out[used + 1] = wide(one >> np.uint64(32) & _ID)
                    out[used + 2] = wide(two & _ID)
                    out[used + 3] = wide(two >> np.uint64(28) & _ID)
                else:
                    for index in range(count):
                        out[used + index] = arena[wide(two) + index]
                used += count
                continue
            begun = used
            used = _merge(data, begin, length, byte_ids, first, pairs, scratch, out, used)
            if cached[0] * 2 > len(slots) or cached[1] + _SHORT > len(arena):
                slots[:] = 0  # full: start anew, so that the cache follows the text
                cached[:] = 0
                slot = ((low ^ high * _MIX) * _MIX >> np.uint64(32)) & last
            count = used - begun
            one, two = np.uint64(count), np.uint64(cached[1])
            if count <= 4:
                two = np.uint64(0)
                one |= np.uint64(out[begun]) << np.uint64(4)
                if count > 1:
                    one |= np.uint64(out[begun + 1]) << np.uint64(32)
                if count > 2:
                    two = np.uint64(out[begun + 2])
                if count > 3:
                    two |= np.uint64(out[begun + 3]) << np.uint64(28)
            else:
                for index in range(count):
                    arena[cached[1] + index] = out[begun + index]
                cached[1] += count
            slots[slot, 0], slots[slot, 1] = low, high
            slots[slot, 2], slots[slot, 3] = one, two
            cached[0] += 1
        if end_id >= 0:
            out[used] = end_id
            used += 1
        bounds[row + 1] = used
