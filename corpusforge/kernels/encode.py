"""Encoding with a byte-level BPE: cut, look up, merge, from Arrow buffers to ids in one pass.

A pre-token is found in a cache by its own bytes, so the cache cannot be wrong: one of at most 15
bytes by these as the key, a longer one by a hash and then its bytes. What is new is merged
(``ranks``). Cutting, asking for slots and reading them are loops of their own over a block of
pre-tokens, so that the processor waits for many slots at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from corpusforge.kernels.jit import inlined, kernel
from corpusforge.kernels.pretokens import (
    MASKS,
    PAD,
    classes,
    end_of_pretoken,
    hash_of,
    wide,
    windows,
)
from corpusforge.kernels.ranks import ROWS, Tables, merge_bytes

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_ID = np.uint64((1 << 28) - 1)  # four ids of 28 bits stand in a cache slot
_SHORT = 15  # bytes of a pre-token that is its own key
_LONG = 255  # bytes of a pre-token that the cache holds
_BLOCK = 256  # pre-tokens cut, then looked up
_LOW, _HIGH, _PLACE = 0, 1, 2  # rows of a block
_LENGTH, _SHIFT, _COUNT = np.uint64(56), np.uint64(32), np.uint64(255)


class Cache(NamedTuple):
    """Encoded pre-tokens; one cache serves one call at a time."""

    slots: np.ndarray  # (2**n, 4) uint64: bytes 0-7 or hash, bytes 8-14 and length, two of ids
    arena: np.ndarray  # (ids,) int32 of pre-tokens that are long or have more than four
    texts: np.ndarray  # (bytes,) uint8 of long pre-tokens
    used: np.ndarray  # (3,) int64: slots, ids in the arena, bytes in the texts


def new_cache(slots: int = 1 << 20) -> Cache:
    """Return an empty cache of ``slots`` (a power of two) slots of 32 bytes."""
    return Cache(
        np.zeros((slots, 4), dtype=np.uint64),
        np.empty(4 * slots + 2 * _LONG, dtype=np.int32),
        np.empty(16 * slots + 2 * _LONG + PAD, dtype=np.uint8),
        np.zeros(3, dtype=np.int64),
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
        windows(cache.texts),
        cache.used,
        -1 if end is None else end,
        ids,
        bounds,
    )
    return ids[: bounds[-1]], bounds


@inlined
def _cut(
    data: np.ndarray,
    words: np.ndarray,
    start: int,
    stop: int,
    table: np.ndarray,
    split: int,
    ends: np.ndarray,
    keys: np.ndarray,
    slots: np.ndarray,
) -> int:
    """Cut a block from ``start``: ``ends`` and ``keys``; return the number of pre-tokens."""
    last = np.uint64(len(slots) - 1)
    cut = 0
    position = start
    while position < stop and cut < _BLOCK:
        position = end_of_pretoken(data, words, position, stop, table, split)
        ends[cut] = position
        cut += 1
    begin = start
    for index in range(cut):
        length = ends[index] - begin
        if length <= _SHORT:
            low = words[begin] & MASKS[min(length, 8)]
            high = words[begin + 8] & MASKS[max(length - 8, 0)]
        else:
            low, high = hash_of(words, begin, length), np.uint64(0)
        high |= np.uint64(min(length, _LONG)) << _LENGTH
        keys[_LOW, index], keys[_HIGH, index] = low, high
        keys[_PLACE, index] = ((low ^ high * _MIX) * _MIX >> _SHIFT) & last
        begin = ends[index]
    asked = np.uint64(0)
    for index in range(cut):
        asked |= slots[keys[_PLACE, index], 1]
    keys[_PLACE, _BLOCK] = asked  # so that the loop is not left out
    return cut


@inlined
def _equal(words: np.ndarray, one: int, others: np.ndarray, two: int, length: int) -> bool:
    done = 0
    while done < length:
        if (words[one + done] ^ others[two + done]) & MASKS[min(length - done, 8)]:
            return False
        done += 8
    return True


@inlined
def _slot_of(
    slots: np.ndarray,
    place: np.uint64,
    low: np.uint64,
    high: np.uint64,
    words: np.ndarray,
    begin: int,
    length: int,
    texts: np.ndarray,
) -> np.uint64:
    """Slot of a pre-token, or the empty one where it belongs."""
    last = np.uint64(len(slots) - 1)
    while slots[place, 1] != 0:
        if slots[place, 0] == low and slots[place, 1] == high:
            if length <= _SHORT:
                break
            if _equal(words, begin, texts, wide(slots[place, 3]), length):
                break
        place = (place + np.uint64(1)) & last
    return place


@inlined
def _keep(
    slots: np.ndarray,
    place: np.uint64,
    words: np.ndarray,
    begin: int,
    length: int,
    arena: np.ndarray,
    texts: np.ndarray,
    cached: np.ndarray,
    out: np.ndarray,
    begun: int,
    used: int,
) -> None:
    """Fill a slot whose key is set with ids out[begun:used]."""
    count = used - begun
    if length <= _SHORT and count <= 4:
        one, two = np.uint64(count) | np.uint64(out[begun]) << np.uint64(8), np.uint64(0)
        if count > 1:
            one |= np.uint64(out[begun + 1]) << np.uint64(36)
        if count > 2:
            two = np.uint64(out[begun + 2])
        if count > 3:
            two |= np.uint64(out[begun + 3]) << np.uint64(28)
    else:
        one, two = np.uint64(count) | np.uint64(cached[1]) << np.uint64(8), np.uint64(cached[2])
        for index in range(count):
            arena[cached[1] + index] = out[begun + index]
        cached[1] += count
        if length > _SHORT:
            done = 0
            while done < length:
                texts[cached[2] + done] = words[begin + done]
                done += 8
            cached[2] += length
    slots[place, 2], slots[place, 3] = one, two
    cached[0] += 1


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
    texts: np.ndarray,
    cached: np.ndarray,
    end_id: int,
    out: np.ndarray,
    bounds: np.ndarray,
) -> None:
    room = np.empty((ROWS, _LONG), dtype=np.int64)
    ends = np.empty(_BLOCK, dtype=np.int64)
    keys = np.empty((3, _BLOCK + 1), dtype=np.uint64)
    used = 0
    for row in range(len(offsets) - 1):
        begin, stop = offsets[row], offsets[row + 1]
        while begin < stop:
            cut = _cut(data, words, begin, stop, table, split, ends, keys, slots)
            for index in range(cut):
                end = ends[index]
                length = end - begin
                low, high = keys[_LOW, index], keys[_HIGH, index]
                place = keys[_PLACE, index]
                if length <= _LONG:
                    place = _slot_of(slots, place, low, high, words, begin, length, texts)
                    if slots[place, 1] != 0:
                        one, two = slots[place, 2], slots[place, 3]
                        count = wide(one & _COUNT)
                        if length <= _SHORT and count <= 4:
                            out[used] = wide(one >> np.uint64(8) & _ID)
                            out[used + 1] = wide(one >> np.uint64(36))
                            out[used + 2] = wide(two & _ID)
                            out[used + 3] = wide(two >> np.uint64(28))
                        else:
                            at = wide(one >> np.uint64(8))
                            for number in range(count):
                                out[used + number] = arena[at + number]
                        used += count
                        begin = end
                        continue
                elif length > room.shape[1]:
                    room = np.empty((ROWS, length), dtype=np.int64)
                begun = used
                used = merge_bytes(data, begin, length, byte_ids, first, pairs, room, out, used)
                if length <= _LONG:
                    full = cached[0] * 2 > len(slots) or cached[1] + _LONG > len(arena)
                    if full or cached[2] + _LONG + 8 > len(texts):
                        slots[:] = 0  # start anew, so that the cache follows the text
                        cached[:] = 0
                        place = keys[_PLACE, index]
                    slots[place, 0], slots[place, 1] = low, high
                    _keep(
                        slots, place, words, begin, length, arena, texts, cached, out, begun, used
                    )
                begin = end
        if end_id >= 0:
            out[used] = end_id
            used += 1
        bounds[row + 1] = used
