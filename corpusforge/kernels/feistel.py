"""A keyed order of [0, n) in O(1) memory: balanced Feistel network with cycle walking.

The network permutes the smallest even number of bits that covers n. An image outside [0, n) is
permuted again until it falls inside, which keeps the map a bijection (Black and Rogaway 2002,
"Ciphers with Arbitrary Finite Domains"). Any position is evaluated alone, in either direction.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from corpusforge.kernels.jit import kernel

ROUNDS = 8  # with 4, orders of fewer than 64 rows are visibly uneven over seeds

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_WORD = (1 << 64) - 1

_MIX_FIRST = np.uint64(_FIRST)
_MIX_SECOND = np.uint64(_SECOND)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ONE = np.uint64(1)

GOLDEN = np.uint64(_GOLDEN)  # step of the counter of SplitMix64


def splitmix64(state: int) -> int:
    """Output of SplitMix64 for ``state`` (Steele, Lea, Flood 2014), both modulo 2^64."""
    z = (state + _GOLDEN) & _WORD
    z = ((z ^ (z >> 30)) * _FIRST) & _WORD
    z = ((z ^ (z >> 27)) * _SECOND) & _WORD
    return z ^ (z >> 31)


@lru_cache(maxsize=64)
def key_schedule(seed: int, epoch: int) -> np.ndarray:
    """Round keys uint64 [ROUNDS]: splitmix64 chained over seed, epoch and round."""
    key = splitmix64(splitmix64(seed) ^ epoch)
    keys = np.array([splitmix64(key ^ number) for number in range(ROUNDS)], dtype=np.uint64)
    keys.flags.writeable = False  # shared by all callers
    return keys


def permute(positions: np.ndarray, n: int, seed: int, epoch: int) -> np.ndarray:
    """Rows int64 [m] at ``positions`` int64 [m] of this epoch's order; both are in [0, n)."""
    return _walk(positions, n, _half(n), key_schedule(seed, epoch), True)


def invert(rows: np.ndarray, n: int, seed: int, epoch: int) -> np.ndarray:
    """Positions int64 [m] at which ``rows`` int64 [m] stand: ``permute(invert(rows)) == rows``."""
    return _walk(rows, n, _half(n), key_schedule(seed, epoch), False)


def _half(n: int) -> int:
    """Bits of one half of the network over [0, n)."""
    return max(1, (max(n - 1, 1).bit_length() + 1) // 2)


@kernel
def finalize(z: np.uint64) -> np.uint64:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014) on a uint64 counter."""
    z = (z ^ (z >> _S30)) * _MIX_FIRST
    z = (z ^ (z >> _S27)) * _MIX_SECOND
    return z ^ (z >> _S31)


@kernel
def _walk(start: np.ndarray, n: int, half: int, keys: np.ndarray, forward: bool) -> np.ndarray:
    out = np.empty(len(start), dtype=np.int64)
    bits, end = np.uint64(half), np.uint64(n)
    mask = (_ONE << bits) - _ONE
    for i in range(len(start)):
        x = np.uint64(start[i])
        while True:
            left, right = x >> bits, x & mask
            if forward:
                for r in range(len(keys)):
                    left, right = right, left ^ (finalize(right ^ keys[r]) & mask)
            else:
                for r in range(len(keys) - 1, -1, -1):
                    left, right = right ^ (finalize(left ^ keys[r]) & mask), left
            x = (left << bits) | right
            if x < end:
                break
        out[i] = np.int64(x)
    return out
