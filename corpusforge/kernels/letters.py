"""Runs of ASCII letters, eight bytes at a time, in one 64-bit word (SWAR)."""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import inlined

_TOP = np.uint64(0x8080808080808080)
_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
_FOLD = np.uint64(0x2020202020202020)
_FROM_A = np.uint64(0x1F1F1F1F1F1F1F1F)  # 0x80 - "a": adding it sets the top bit from "a" on
_PAST_Z = np.uint64(0x0505050505050505)  # 0x80 - "z" - 1
# (bit 8k) * _PLACES has k in its highest three bits.
_PLACES = np.uint64(sum(place << (61 - 8 * place) for place in range(8)))
_ONE, _SEVEN, _HIGHEST = np.uint64(1), np.uint64(7), np.uint64(61)


@inlined
def letters_of(word: np.uint64) -> int:
    """Number of ASCII letters that the bytes of ``word`` (little end first) begin with: 0 to 8."""
    folded = (word | _FOLD) & _LOW
    others = ((folded + _FROM_A) & ~(folded + _PAST_Z) & ~word & _TOP) ^ _TOP
    if others == 0:
        return 8
    lowest = (others & (~others + _ONE)) >> _SEVEN
    return int(np.int64((lowest * _PLACES) >> _HIGHEST))


@inlined
def end_of_letters(words: np.ndarray, start: int, stop: int) -> int:
    """End of the run of ASCII letters from ``start``; ``words`` is from ``pretokens.windows``."""
    position = start
    while position < stop:
        found = letters_of(words[position])
        position += found
        if found < 8:
            break
    return min(position, stop)
