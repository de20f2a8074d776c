"""Seeds of torch's generator: what is drawn is a function of (seed, step, slice)."""

from __future__ import annotations


def key(seed: int, number: int) -> int:
    """One 64-bit seed of two numbers below 2^32, distinct for distinct pairs."""
    return (seed << 32 | number) & (1 << 64) - 1
