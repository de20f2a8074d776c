"""Sort more records than fit in memory: sorted runs on disk, merged block by block.

A record is a row of a numpy structured array. Runs lie in a folder of their own, raw, through
fsspec, and go with ``remove``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusforge import storage
from corpusforge.shard import AtomicFile, Shard, join

SEARCHED = 1 << 16  # bytes of a file that bisection reads at a time
MEMORY = 48 << 20  # bytes of records held; sorting and merging take about three times as much
Records = npt.NDArray[Any]


def sort(records: Records, keys: Sequence[str]) -> Records:
    """Return ``records`` in the order of ``keys``, the first one first."""
    return records[np.lexsort([records[key] for key in reversed(keys)])]


class Sorter:
    """Takes records in any order, gives them back sorted by ``keys``, as often as asked.

    Without a ``folder`` all stay in memory.
    """

    def __init__(
        self, dtype: Any, keys: Sequence[str], folder: str | None, memory: int = MEMORY
    ) -> None:
        self.dtype, self.keys = np.dtype(dtype), tuple(keys)
        self.folder, self.memory = folder and storage.near(folder), memory
        self.count = 0
        self._runs: list[str] = []
        self._held: list[Records] = []
        self._bytes = 0

    def add(self, records: Records) -> None:
        """Take records; they are copied to disk where memory is full."""
        self.count += len(records)
        self._held.append(records)
        self._bytes += records.nbytes
        if self.folder is not None and self._bytes > self.memory:
            file = AtomicFile(join(self.folder, f"run-{len(self._runs):05d}"))
            file.write(self._take().view(np.uint8))
            file.commit()
            self._runs.append(file.path)

    def _take(self) -> Records:
        merged = sort(np.concatenate([np.empty(0, self.dtype), *self._held]), self.keys)
        self._held, self._bytes = [], 0
        return merged

    def blocks(self) -> Iterator[Records]:
        """Yield all records in order, in blocks."""
        last = self._take()
        self._held, self._bytes = [last], last.nbytes
        each = max(self.memory // (len(self._runs) + 1) // self.dtype.itemsize, 256)
        inside = (last[at : at + each] for at in range(0, len(last), each))
        runs = [*(_read(run, self.dtype, each) for run in self._runs), inside]
        yield from merge(runs, self.dtype, self.keys)

    def remove(self) -> None:
        """Delete what lies on disk."""
        self._held = []
        if self._runs and self.folder is not None:
            storage.remove(self.folder)
        self._runs = []


def write_sorted(root: str, name: str, sorter: Sorter) -> Shard:
    """Write all records of ``sorter`` to a raw file under ``root``, and remove what it holds."""
    file = AtomicFile(join(root, name))
    for block in sorter.blocks():
        file.write(np.ascontiguousarray(block).view(np.uint8))
    file.commit()
    sorter.remove()
    return Shard(name, sorter.count, file.bytes, file.sha256.hexdigest())


def read_sorted(root: str, name: str, dtype: np.dtype[Any]) -> Iterator[Records]:
    """Yield the records of such a file, in blocks."""
    yield from _read(join(root, name), dtype, MEMORY // 16 // dtype.itemsize)


def between(root: str, name: str, dtype: np.dtype[Any], first: int, end: int) -> Records:
    """Return the records of such a file whose first field, int64, is in [first, end).

    The file must be sorted by it; it is searched by bisection.
    """
    path = join(root, name)
    fs, plain = storage.file_system(path)
    with storage.errors_of(path), fs.open(plain, "rb", block_size=SEARCHED) as file:
        count = file.seek(0, 2) // dtype.itemsize

        def at_least(bound: int) -> int:
            low, high = 0, count
            while low < high:
                middle = (low + high) // 2
                file.seek(middle * dtype.itemsize)
                smaller = int(np.frombuffer(file.read(8), "<i8")[0]) < bound
                low, high = (middle + 1, high) if smaller else (low, middle)
            return low

        start, stop = at_least(first), at_least(end)
        file.seek(start * dtype.itemsize)
        return np.frombuffer(file.read((stop - start) * dtype.itemsize), dtype)


def _read(path: str, dtype: np.dtype[Any], count: int) -> Iterator[Records]:
    with storage.open_read(path) as file:
        while data := file.read(count * dtype.itemsize):
            yield np.frombuffer(data, dtype)


def merge(
    runs: Iterable[Iterator[Records]], dtype: np.dtype[Any], keys: Sequence[str]
) -> Iterator[Records]:
    """Yield the records of sorted ``runs``, each in blocks, in one order, in blocks."""
    left = list(runs)
    heads = [np.empty(0, dtype) for _ in left]
    while True:
        for place, run in enumerate(left):
            while not len(heads[place]):
                block = next(run, None)
                if block is None:
                    break
                heads[place] = block
        places = [place for place, head in enumerate(heads) if len(head)]
        left, heads = [left[p] for p in places], [heads[p] for p in places]
        if not heads:
            return
        if len(heads) == 1:
            yield heads[0]
            heads = [heads[0][:0]]
            continue
        # What is not after any head's last record cannot be preceded by what is not yet read.
        bound = min(tuple(head[-1][key] for key in keys) for head in heads)
        cuts = [_until(head, keys, bound) for head in heads]
        yield sort(np.concatenate([h[:c] for h, c in zip(heads, cuts, strict=True)]), keys)
        heads = [h[c:] for h, c in zip(heads, cuts, strict=True)]


def _until(head: Records, keys: Sequence[str], bound: tuple[Any, ...]) -> int:
    """Return how many records of the sorted ``head`` are not after ``bound``."""
    low, high = 0, len(head)
    for key, value in zip(keys, bound, strict=True):
        column = head[key][low:high]
        start = int(np.searchsorted(column, value, "left"))
        stop = int(np.searchsorted(column, value, "right"))
        if start == stop:  # no record is equal so far
            return low + start
        low, high = low + start, low + stop
    return high
