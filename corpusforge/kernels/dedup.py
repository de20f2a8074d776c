"""What crosses the shuffle of deduplication: packed keys in, exact pairs and star edges out.

A mapper packs the keys of many documents into blobs, one or more for each range of keys; a reducer
gets all blobs of a range. A blob is an Arrow IPC stream of at most BLOB_BYTES, sorted by key, of
KEYED rows, with the version of the definition in its metadata. ``number`` is the place of a
document in the whole input; (rank, tie, number) is the order of ``priority``.
No result depends on the order of documents or blobs, on how they are split or on the ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import RunError
from corpusforge.kernels import shared_keys
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.minhash import I64, U8, U64, VERSION

BLOB_BYTES = 10 << 20

ORDER = [pa.field("rank", pa.uint64()), pa.field("tie", pa.uint64())]
NUMBERED = [*ORDER, pa.field("number", pa.int64())]
KEYED = {
    "exact": pa.schema([pa.field("key", pa.binary(16)), *NUMBERED]),
    "near": pa.schema([pa.field("key", pa.uint64()), *NUMBERED]),
}
WIDTH = {kind: sum(f.type.bit_width // 8 for f in schema) for kind, schema in KEYED.items()}

PAIRS = pa.schema([("worse", pa.int64()), ("better", pa.int64())])
EDGES = pa.schema([("better", pa.int64()), ("worse", pa.int64()), ("bands", pa.int32())])

Mask = npt.NDArray[np.bool_]


def pack(
    kind: str, documents: pa.RecordBatch | pa.Table, ranges: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob) of the keys of n documents; rows without a key are left out.

    ``documents`` has NUMBERED and, of ``kind`` exact, ``exact`` binary(16); of ``kind`` near,
    ``bands`` binary: the little-endian 64-bit keys of a document, as many for each. The range of a
    key is floor(key * ranges / 2^bits).
    """
    yield from _cut(kind, *sorted_keys(kind, documents), ranges)


def sorted_keys(
    kind: str, documents: pa.RecordBatch | pa.Table, repeated: bool = False
) -> tuple[U64, pa.RecordBatch]:
    """Return the upper 64 bits of the keys of documents, sorted, and their KEYED rows.

    With ``repeated``, only of those that occur more than once.
    """
    column = documents.column("exact" if kind == "exact" else "bands")
    there = np.flatnonzero(np.asarray(column.is_valid()))
    if kind == "exact":
        keys, tops = column, halves(column.take(pa.array(there)))[0]
        order = _sorted(tops, repeated)
        tops, rows = tops[order], pa.array(there[order])
        found = keys.take(rows)
    else:
        table = matrix(column.drop_null()).view("<u8").astype(np.uint64)
        keys = table.ravel()
        order = _sorted(keys, repeated)
        tops, rows = keys[order], pa.array(there[order // max(table.shape[1], 1)])
        found = pa.array(tops)
    columns = [found, *(documents.column(field.name).take(rows) for field in NUMBERED)]
    columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return tops, pa.record_batch(columns, schema=KEYED[kind])


def _sorted(keys: U64, repeated: bool) -> I64:
    if not repeated:
        return np.argsort(keys)
    once, twice = (shared_keys.table(len(keys)) for _ in range(2))
    shared_keys.note(keys, once, twice)
    may = np.zeros(len(keys), np.bool_)
    shared_keys.shared(keys, np.arange(len(keys)), twice, may)
    some = np.flatnonzero(may)
    order = some[np.argsort(keys[some])]
    return order[_repeated(keys[order])]


def exact_pairs(tables: Iterable[pa.Table], new: int = 0) -> tuple[pa.Table, int]:
    """Return PAIRS of a range, by ``worse``, and the size of its largest group.

    Every document has a pair with the best one of the same key. Those below ``new`` are of an
    earlier corpus: they never go.
    """
    table = _joined("exact", tables)
    high, low = halves(table["key"])
    order = np.argsort(high)
    order = order[_repeated(high[order])]
    order = order[np.lexsort((low[order], high[order]))]
    starts = _starts(high[order]) | _starts(low[order])
    better, worse, largest = _stars(table, order, starts, new)
    order = np.argsort(worse)
    return pa.table([worse[order], better[order]], schema=PAIRS), largest


def bucket_edges(tables: Iterable[pa.Table], new: int = 0) -> tuple[pa.Table, int]:
    """Return EDGES of a range, by (better, worse), and the size of its largest bucket.

    They are the distinct star edges, with the bands that gave each: the best document of a bucket
    (of equal keys) has an edge to every other one in it, but for those below ``new``.
    """
    table = _joined("near", tables)
    keys = table["key"].to_numpy()
    order = np.argsort(keys)
    order = order[_repeated(keys[order])]
    better, worse, largest = _stars(table, order, _starts(keys[order]), new)
    order = np.lexsort((worse, better))
    better, worse = better[order], worse[order]
    first = np.flatnonzero(_starts(better) | _starts(worse))
    bands = np.diff(np.append(first, len(better))).astype(np.int32)
    return pa.table([better[first], worse[first], bands], schema=EDGES), largest


def halves(keys: pa.Array | pa.ChunkedArray) -> tuple[U64, U64]:
    """Return the upper and lower 64 bits, (n,) each, of binary(16) keys without nulls."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    if not len(keys):
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint64)
    words = np.frombuffer(keys.buffers()[1], dtype=">u8")
    words = words[2 * keys.offset : 2 * (keys.offset + len(keys))].astype(np.uint64)
    return np.ascontiguousarray(words[::2]), np.ascontiguousarray(words[1::2])


def matrix(rows: pa.BinaryArray | pa.ChunkedArray) -> U8:
    """Return equally long binary values without nulls as a read-only matrix: (n, bytes of each).

    Raises ValueError if their lengths differ.
    """
    lengths = pc.min_max(pc.binary_length(rows)).as_py()
    if lengths["min"] != lengths["max"] or rows.null_count:
        raise ValueError(f"values of {lengths['min']} to {lengths['max']} bytes are no matrix")
    if not len(rows):
        return np.zeros((0, 0), dtype=np.uint8)
    joined = rows.cast(pa.large_binary())  # the values of many chunks may pass 2 GiB
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.combine_chunks()
    _, offsets, data = joined.buffers()
    start = int(np.frombuffer(offsets, dtype=np.int64)[joined.offset])
    values = np.frombuffer(data, dtype=np.uint8)[start : start + len(joined) * lengths["max"]]
    values.setflags(write=False)
    return values.reshape(len(joined), lengths["max"])


def _cut(kind: str, tops: U64, batch: pa.RecordBatch, ranges: int) -> Iterator[tuple[int, bytes]]:
    """Cut KEYED rows, sorted by ``tops`` (the upper 64 bits of their keys), into blobs."""
    batch = batch.replace_schema_metadata({"kind": kind, "version": VERSION})
    homes = ((tops >> np.uint64(32)) * np.uint64(ranges)) >> np.uint64(32)
    most = BLOB_BYTES // WIDTH[kind] - 32
    bounds = np.append(np.flatnonzero(_starts(homes)), len(homes))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        for start in range(low, high, most):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch.slice(start, min(most, high - start)))
            yield int(homes[low]), sink.getvalue().to_pybytes()


def unpack(kind: str, blob: bytes) -> pa.Table:
    """Return the KEYED rows of a blob. Raises RunError for one of another kind or version."""
    table = pa.ipc.open_stream(blob).read_all()
    found = table.schema.metadata
    if found != {b"kind": kind.encode(), b"version": VERSION.encode()}:
        raise RunError(
            f"a deduplication blob was packed as {found}",
            expected=f"{kind} of {VERSION}",
            remedy="run again with --fresh",
        )
    return table.replace_schema_metadata(None)


def _joined(kind: str, tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([KEYED[kind].empty_table(), *tables]).combine_chunks()


def _starts(values: npt.NDArray[Any]) -> Mask:
    """Return where a value differs from the one before it: (n,)."""
    starts = np.ones(len(values), dtype=np.bool_)
    starts[1:] = values[1:] != values[:-1]
    return starts


def _repeated(values: npt.NDArray[Any]) -> Mask:
    """Return which of the sorted ``values`` occur more than once: (n,)."""
    starts = _starts(values)
    alone: Mask = starts & np.append(starts[1:], True)
    return ~alone


def _stars(table: pa.Table, order: I64, starts: Mask, new: int) -> tuple[I64, I64, int]:
    """Return the numbers (best, other) of every other new document of each group.

    ``order`` lists rows group by group; ``starts`` is true where one begins. Also returns the size
    of the largest group.
    """
    better, worse = np.empty(len(order), dtype=np.int64), np.empty(len(order), dtype=np.int64)
    rank, tie, number = (table[field.name].to_numpy().copy() for field in NUMBERED)
    count, largest = _fill_stars(order, starts, rank, tie, number, new, better, worse)
    return better[:count], worse[:count], largest


@kernel
def _fill_stars(
    order: I64,
    starts: Mask,
    rank: U64,
    tie: U64,
    number: I64,
    new: int,
    better: I64,
    worse: I64,
) -> tuple[int, int]:
    count, first, largest = 0, 0, 0
    while first < len(order):
        best, last = order[first], first + 1
        while last < len(order) and not starts[last]:
            row = order[last]
            if rank[row] < rank[best] or (
                rank[row] == rank[best]
                and (tie[row] < tie[best] or (tie[row] == tie[best] and number[row] < number[best]))
            ):
                best = row
            last += 1
        for place in range(first, last):
            row = order[place]
            if number[row] != number[best] and number[row] >= new:
                better[count], worse[count] = number[best], number[row]
                count += 1
        largest = max(largest, last - first)
        first = last
    return count, largest
