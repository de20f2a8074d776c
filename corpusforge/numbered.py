"""Documents by number: what deduplication asks of them, read forward only.

Numbers count the documents with text, those of earlier corpora first, then those of the run in the
order (source, offset, ordinal). A stretch of them lies in one file (of a unit, of an index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge.schema import DOCUMENT, SIGNATURE, TWIN
from corpusforge.shard import read_batches

I64 = npt.NDArray[np.int64]

# Names in the signals of a run, by the names that are used here.
SIGNALS = {"rank": "dedup_rank", "tie": "dedup_tie"}

FIELDS = {
    field.name: field
    for field in (
        DOCUMENT.field("id").with_nullable(True),
        SIGNATURE.field("dedup_rank").with_name("rank"),
        SIGNATURE.field("dedup_tie").with_name("tie"),
        *(SIGNATURE.field(name) for name in ("exact", "sketch", "shingles", "bands")),
        *TWIN,  # of documents of an earlier corpus that went: what stayed for them
        pa.field("survivor", pa.bool_()),  # of an earlier corpus: whether it stayed
        pa.field("went_exact", pa.bool_()),
    )
}

Read = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Stretch:
    """Documents [first, first + rows); ``read`` yields named columns, without those it lacks."""

    first: int
    rows: int
    read: Read

    @property
    def end(self) -> int:
        """The number after the last one."""
        return self.first + self.rows


def of_unit(root: str, unit: str, first: int, rows: int) -> Stretch:
    """The documents of a unit of the run in ``root``, from its signals."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        there = [name for name in names if name in FIELDS and name not in EARLIER]
        stored = [SIGNALS.get(name, name) for name in there]
        for batch in read_batches(root, f"signals/{unit}.parquet", stored):
            yield batch.rename_columns(there)

    return Stretch(first, rows, read)


EARLIER = ("survivor", "went_exact", *(field.name for field in TWIN))


class Forward:
    """Takes rows of ``columns`` by ascending numbers."""

    def __init__(self, stretches: Sequence[Stretch], columns: Sequence[str]) -> None:
        self.schema = pa.schema([FIELDS[name] for name in columns])
        self._left = list(stretches)
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._batch: pa.Table = self.schema.empty_table()
        self._start = self._next = 0  # numbers of the first row held, and of the next to be read

    def take(self, numbers: I64) -> pa.Table:
        """Return a row for each of ``numbers``, which ascend, also over earlier calls."""
        parts, done = [self.schema.empty_table()], 0
        while done < len(numbers):
            while numbers[done] >= self._start + len(self._batch):
                self._advance(int(numbers[done]))
            upto = int(np.searchsorted(numbers, self._start + len(self._batch)))
            parts.append(self._batch.take(pa.array(numbers[done:upto] - self._start)))
            done = upto
        return pa.concat_tables(parts).combine_chunks()

    def _advance(self, number: int) -> None:
        """Read the next batch, leaving out stretches that end before ``number``."""
        batch = next(self._batches, None) if self._batches is not None else None
        if batch is None:
            while self._left and self._left[0].end <= number:
                self._left.pop(0)
            if not self._left:
                raise ValueError(f"there is no document {number}")
            stretch = self._left.pop(0)
            self._batches, self._next = stretch.read(self.schema.names), stretch.first
            batch = next(self._batches, None)
            if batch is None:
                raise ValueError(f"document {number} is missing")
        self._start, self._next = self._next, self._next + batch.num_rows
        columns = [
            batch.column(field.name).cast(field.type)
            if field.name in batch.schema.names
            else pa.nulls(batch.num_rows, field.type)
            for field in self.schema
        ]
        self._batch = pa.table(columns, schema=self.schema)
