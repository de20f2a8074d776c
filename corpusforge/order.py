"""The order in which a run reads the rows of one or several streams, by formula in O(1) memory.

A position counts rows since the start of the run, over all ranks. Which stream it reads follows
from the shares, which row of the stream from the stream's own counter: each epoch of a stream has
its own Feistel order. Nothing is drawn, so any position is known alone and none needs a history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from corpusforge.errors import UsageError
from corpusforge.kernels.feistel import invert, permute

_BITS = 24
WHOLE = 1 << _BITS  # a share is an integer of 2^24: exact in int64 up to position 2^39
LAST = (1 << 39) - 1
_GOLDEN = 10_368_889  # WHOLE / golden ratio


def shares(weights: Sequence[float]) -> tuple[int, ...]:
    """Share (of 2^24) of each stream in what the streams before it leave; the last takes all."""
    left = np.cumsum(weights[::-1])[::-1].tolist()
    parts = [round(WHOLE * weight / rest) for weight, rest in zip(weights, left, strict=True)]
    return (*(min(max(part, 1), WHOLE - 1) for part in parts[:-1]), WHOLE)


@dataclass(frozen=True)
class Order:
    """Stream s is the rows [bounds[s], bounds[s + 1]), read in share ``shares[s]``."""

    bounds: tuple[int, ...]
    shares: tuple[int, ...]
    seed: int
    block: int = 1  # rows that are read together: blocks in Feistel order, then the rows of each

    def at(self, position: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and their epochs, int64 [count] each, at ``position`` and on.

        Raises UsageError for positions that are negative or over 2^39.
        """
        if not 0 <= position <= LAST - count:
            raise UsageError(f"position {position}", expected=f"0 to {LAST - count} rows")
        rows, epochs = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        for stream, places, start in self._streams(position, count):
            first, last = self.bounds[stream : stream + 2]
            size, stop = last - first, start + len(places)
            for epoch in range(start // size, (stop - 1) // size + 1):
                low, high = max(start, epoch * size), min(stop, (epoch + 1) * size)
                here = places[low - start : high - start]
                local = np.arange(low - epoch * size, high - epoch * size)
                rows[here] = self._shuffle(permute, local, size, epoch) + first
                epochs[here] = epoch
        return rows, epochs

    def read(self, position: int) -> list[int]:
        """Rows of each stream that were read before ``position``."""
        counts, left = [], position
        for stream, share in enumerate(self.shares):
            counts.append(left * share + _phase(stream) >> _BITS)
            left -= counts[-1]
        return counts

    def _shuffle(
        self,
        way: Callable[[np.ndarray, int, int, int], np.ndarray],
        numbers: np.ndarray,
        size: int,
        epoch: int,
    ) -> np.ndarray:
        """Permute or invert ``numbers`` in the order of an epoch of a stream of ``size`` rows.

        The rows that fill no block come last.
        """
        if self.block == 1:
            return way(numbers, size, self.seed, epoch)
        blocks = size // self.block
        out = np.empty(len(numbers), dtype=np.int64)
        at = numbers // self.block
        for number in np.unique(at).tolist():
            here, inside = at == number, numbers[at == number] - number * self.block
            if number == blocks:
                key, place, width = 0, blocks, size - blocks * self.block
            else:
                place = int(way(np.array([number]), blocks, self.seed, epoch)[0])
                key, width = 1 + (number if way is invert else place), self.block
            inside = way(inside, width, self.seed, (epoch + 1) << 40 | key)
            out[here] = inside + place * self.block
        return out

    def _streams(self, position: int, count: int) -> Iterator[tuple[int, np.ndarray, int]]:
        """Yield each stream that is read, its places in [0, count), its counter at the first.

        Stream s of share w takes place g of what is left where floor((g + 1) w + p) is over
        floor(g w + p). The phases p are spread evenly: with equal ones, many small streams would
        all be late, and the last stream would have the rows of all of them.
        """
        places, start = np.arange(count), position
        for stream, share in enumerate(self.shares):
            if share == WHOLE:
                if len(places):
                    yield stream, places, start
                return
            passed = np.arange(start, start + len(places) + 1) * share
            before = passed + _phase(stream) >> _BITS
            taken = before[1:] > before[:-1]
            if taken.any():
                yield stream, places[taken], int(before[0])
            places, start = places[~taken], start - int(before[0])

    def readings(self, rows: np.ndarray, end: int) -> list[tuple[int, int]]:
        """(epoch, position) of each reading of ``rows`` (int64) before position ``end``."""
        found = []
        for stream, (first, last) in enumerate(pairwise(self.bounds)):
            mine, size, epoch = rows[(rows >= first) & (rows < last)] - first, last - first, 0
            while len(mine) and self._position(stream, epoch * size) < end:
                counters = self._shuffle(invert, mine, size, epoch) + epoch * size
                positions = [self._position(stream, counter) for counter in counters.tolist()]
                found += [(epoch, position) for position in positions if position < end]
                epoch += 1
        return sorted(found)

    def _position(self, stream: int, counter: int) -> int:
        """Position at which a stream's counter is ``counter`` and read: `_streams` inverted."""
        last = stream == len(self.shares) - 1
        phase = 0 if last else _phase(stream)
        position = -((phase - (counter + 1) * WHOLE) // self.shares[stream]) - 1
        for before in reversed(range(stream)):
            free = WHOLE - self.shares[before]
            position = (position * WHOLE + _phase(before)) // free
        return position


def _phase(stream: int) -> int:
    return stream * _GOLDEN % WHOLE
