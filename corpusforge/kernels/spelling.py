"""What ids spell: whether they give a text back, and how many words a text has."""

from __future__ import annotations

import numpy as np

from corpusforge.kernels.jit import inlined, kernel
from corpusforge.kernels.pretokens import SPACE, classes, flags_at


@kernel
def spells(
    ids: np.ndarray,
    bounds: np.ndarray,
    pieces: np.ndarray,
    cuts: np.ndarray,
    data: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Tell of each row whether the bytes of its ids are its text: (rows,) bool.

    ``ids`` and ``bounds`` (rows + 1,) int64 are from ``encode``; token t spells
    ``pieces[cuts[t] : cuts[t + 1]]``; ``data`` and ``offsets`` are from ``pretokens.utf8``.
    """
    same = np.ones(len(offsets) - 1, dtype=np.bool_)
    for row in range(len(same)):
        at, stop = offsets[row], offsets[row + 1]
        for index in range(bounds[row], bounds[row + 1]):
            token = ids[index]
            for place in range(cuts[token], cuts[token + 1]):
                if at >= stop or data[at] != pieces[place]:
                    same[row] = False
                    break
                at += 1
            if not same[row]:
                break
        if at != stop:
            same[row] = False
    return same


def words_of(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return how many words, runs without white space, each row has: (rows,) int64."""
    out = np.zeros(len(offsets) - 1, dtype=np.int64)
    _words(data, offsets, classes(), out)
    return out


@inlined
def _is_space(data: np.ndarray, at: int, table: np.ndarray) -> int:
    """Whether white space is at ``at``, plus twice its length in bytes."""
    if data[at] < 0x80:
        return 3 if data[at] == 0x20 or 0x09 <= data[at] <= 0x0D else 2
    found = flags_at(data, at, table)
    return (found >> 8) << 1 | (1 if found & SPACE else 0)


@kernel
def _words(data: np.ndarray, offsets: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    for row in range(len(out)):
        at, inside = offsets[row], False
        while at < offsets[row + 1]:
            found = _is_space(data, at, table)
            if found & 1:
                inside = False
            elif not inside:
                inside = True
                out[row] += 1
            at += found >> 1
