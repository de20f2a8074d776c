"""Words between white space, as ``str.split`` gives them: punctuation stays part of a word.

dolma, DCLM and NeMo Curator count these.
"""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.repetition import hash_span
from corpusforge.kernels.words import LETTER, SPACE, STOP, code_point

# Bits of what a word holds.
HAS_LETTER, HAS_SYMBOL, IS_STOP, LIKE_STOP = (1 << bit for bit in range(4))

_ELLIPSIS, _HASH = 0x2026, 0x23
_STOP_KEYS = np.array(
    sorted(int.from_bytes(word.encode().ljust(8, b"\0"), "little") for word in STOP), np.int64
)


@kernel
def scan_white_words(
    data: np.ndarray, start: int, stop: int, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split data[start:stop] (uint8) at white space; ``classes`` are ``words.text_classes``.

    Returns
    -------
    hashes : (words,) uint64
    spans : (words, 2) int32
        First byte and end byte.
    lengths : (words,) int32
        Characters.
    holds : (words,) uint8
        HAS_LETTER; HAS_SYMBOL: ``#`` or U+2026; IS_STOP: one of the, be, to, of, and, that, have,
        with; LIKE_STOP: the same in lower case.
    """
    most = (stop - start + 1) // 2 + 1
    hashes = np.empty(most, np.uint64)
    spans = np.empty((most, 2), np.int32)
    lengths = np.empty(most, np.int32)
    holds = np.empty(most, np.uint8)
    words, begin, length, seen = 0, -1, 0, 0
    index = start
    while index <= stop:
        space, size, point, kind = True, 1, 0, 0
        if index < stop:  # the end counts as white space
            point, size = code_point(data, index, stop)
            kind = int(classes[point])
            space = kind & SPACE != 0
        if space:
            if begin >= 0:
                if 2 <= index - begin <= 4:
                    seen |= _stop_bits(data, begin, index)
                hashes[words] = hash_span(data, begin, index)
                spans[words, 0], spans[words, 1] = begin, index
                lengths[words], holds[words] = length, seen
                words += 1
                begin, length, seen = -1, 0, 0
        else:
            if begin < 0:
                begin = index
            length += 1
            if kind & LETTER != 0:
                seen |= HAS_LETTER
            elif point in (_HASH, _ELLIPSIS):
                seen |= HAS_SYMBOL
        index += size
    return hashes[:words], spans[:words], lengths[:words], holds[:words]


@kernel
def _stop_bits(data: np.ndarray, begin: int, end: int) -> int:
    exact, lower = 0, 0
    for index in range(begin, end):
        byte = int(data[index])
        exact |= byte << (8 * (index - begin))
        lower |= (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) << (8 * (index - begin))
    bits = 0
    for key in _STOP_KEYS:
        bits |= IS_STOP if key == exact else 0
        bits |= LIKE_STOP if key == lower else 0
    return bits
