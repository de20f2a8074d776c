"""Batches of items of similar length, in an order that is a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..objectives.draws import draws

POOL = 50  # batches that are sorted by length together


def batches(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Places of the items of each batch; every item once, the last batch may be smaller.

    Items are shuffled, sorted by length within pools of ``POOL`` batches, cut, and the batches
    shuffled again.
    """
    order = shuffled(len(lengths), seed, 2 * epoch)
    found: list[list[int]] = []
    for start in range(0, len(order), batch * POOL):
        pool = sorted(order[start : start + batch * POOL], key=lambda place: lengths[place])
        found += [pool[at : at + batch] for at in range(0, len(pool), batch)]
    return [found[place] for place in shuffled(len(found), seed, 2 * epoch + 1)]


def shuffled(number: int, seed: int, stream: int) -> list[int]:
    """Return 0 ... number - 1 in an order drawn by (seed, stream)."""
    keys = draws(seed, np.array([stream]), np.zeros(1, dtype=np.int64), number)[0]
    order: list[int] = keys.argsort(kind="stable").tolist()
    return order
