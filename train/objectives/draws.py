"""Random numbers by counter: those of a row are a function of (seed, epoch, row) alone.

So masks survive a restart and any number of ranks. Philox 4x64 (Salmon et al. 2011, "Parallel
random numbers: as easy as 1, 2, 3") of numpy, whose raw stream is promised to stay.
"""

from __future__ import annotations

import numpy as np

_WORD = (1 << 64) - 1


def draws(seed: int, epochs: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Return uint64 [B, count] for ``rows`` int64 [B] in their ``epochs`` int64 [B]."""
    out = np.empty((len(rows), count), dtype=np.uint64)
    for place, (epoch, row) in enumerate(zip(epochs.tolist(), rows.tolist(), strict=True)):
        counter = np.random.Philox(key=seed & _WORD, counter=[0, 0, row, epoch])
        out[place] = counter.random_raw(count)
    return out


def uniform(raw: np.ndarray) -> np.ndarray:
    """Turn uint64 into float64 in [0, 1), of 53 bits each."""
    return (raw >> np.uint64(11)) * 2.0**-53


def below(raw: np.ndarray, limit: int) -> np.ndarray:
    """Turn uint64 into int64 in [0, limit)."""
    return (raw % np.uint64(limit)).astype(np.int64)
