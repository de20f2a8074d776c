"""How far a text can be compressed: the size of an LZ4 block of it, counted and not written.

A library's compressor finds other matches in another version; this one is fixed. The format is that
of LZ4 1.x (lz4/doc/lz4_Block_format.md): copies of 4 bytes and more within 64 KiB, a token of one
byte and an offset of two for each; the search is greedy, by the last place of the next 4 bytes.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import kernel

_LEAST, _WINDOW, _TAIL = 4, 65535, 12  # bytes of a copy; its distance; no copy begins in the tail
_BITS = 14
_PRIME, _LOW, _SHIFT = np.uint64(2654435761), np.uint64(0xFFFFFFFF), np.uint64(32 - _BITS)


def places() -> np.ndarray:
    """Return an empty table of places for ``block_size``: (16384,) int32."""
    return np.full(1 << _BITS, -1, np.int32)


@kernel
def block_size(data: np.ndarray, start: int, stop: int, places: np.ndarray) -> int:
    """Return the bytes of an LZ4 block of data[start:stop] (uint8); 1 if there are none.

    ``places`` may hold what texts before ``start`` left there. Linear: each byte is looked at by
    the search, or copied, once.
    """
    size, literal, index = 0, start, start
    last = stop - _TAIL
    while index < last:
        block = _four(data, index)
        slot = np.int64((block * _PRIME & _LOW) >> _SHIFT)
        other = places[slot]
        places[slot] = index
        if other < start or index - other > _WINDOW or _four(data, other) != block:
            index += 1
            continue
        end = index + _LEAST
        while end < stop - 5 and data[end] == data[other + end - index]:  # 5 last: literals
            end += 1
        size += 3 + _more(index - literal, 15) + index - literal + _more(end - index - _LEAST, 15)
        index = literal = end
    return size + 1 + _more(stop - literal, 15) + stop - literal


@kernel
def _four(data: np.ndarray, at: int) -> np.uint64:
    block = np.uint64(0)
    for step in range(4):  # becomes one load
        block |= np.uint64(data[at + step]) << np.uint64(8 * step)
    return block


@kernel
def _more(length: int, held: int) -> int:
    """Bytes that a length needs beside the ``held`` that its half of the token can say."""
    return 0 if length < held else (length - held) // 255 + 1
