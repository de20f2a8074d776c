"""What crosses the shuffle of deduplication: packed keys in, exact groups and star edges out.

A mapper packs the keys of many documents into blobs, one or more for each range of keys; a reducer
gets all blobs of a range. A blob is an Arrow IPC stream of at most BLOB_BYTES, sorted by key, with
the columns key, tokens int64 and id binary(16), and the version of the definition in its metadata.
Of two documents the better has more tokens, or as many and the smaller id: a total order.
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
from corpusforge.kernels.jit import kernel
from corpusforge.kernels.minhash import I64, U8, U64, VERSION

BLOB_BYTES = 10 << 20

GROUPS = pa.schema([("id", pa.binary(16)), ("duplicate_of", pa.binary(16))])
EDGES = pa.schema([("better", pa.binary(16)), ("worse", pa.binary(16)), ("bands", pa.int32())])

Mask = npt.NDArray[np.bool_]


def exact_blobs(
    ids: pa.FixedSizeBinaryArray,
    tokens: pa.Int64Array,
    exact: pa.FixedSizeBinaryArray,
    ranges: int,
) -> list[tuple[int, bytes]]:
    """Pack the exact keys of n documents as (range, blob); rows of null ``exact`` are left out.

    The range of a key is floor(key * ranges / 2^128).
    """
    there = np.flatnonzero(exact.is_valid())
    high, _ = halves(exact.take(pa.array(there)))
    order = np.argsort(high)
    rows = pa.array(there[order])
    columns = [exact.take(rows), tokens.take(rows), ids.take(rows)]
    return list(_pack("exact", high[order], columns, ranges))


def exact_groups(blobs: Iterable[bytes]) -> pa.Table:
    """Return GROUPS, sorted by id: every document of a range with a better one of the same key."""
    table = _unpack("exact", blobs)
    high, low = halves(table["key"])
    order = np.argsort(high)
    order = order[_repeated(high[order])]
    order = order[np.lexsort((low[order], high[order]))]
    starts = _starts(high[order]) | _starts(low[order])
    better, worse = _stars(table, order, starts)
    ids = table["id"]
    groups = pa.table([ids.take(worse), ids.take(better)], schema=GROUPS)
    return groups.sort_by("id")


def band_blobs(
    ids: pa.FixedSizeBinaryArray, tokens: pa.Int64Array, bands: pa.BinaryArray, ranges: int
) -> list[tuple[int, bytes]]:
    """Pack the band keys of n documents as (range, blob); rows of null ``bands`` are left out.

    ``bands`` holds the little-endian 64-bit keys of a document, as many for each. The range of a
    key is floor(key * ranges / 2^64).
    """
    there = np.flatnonzero(bands.is_valid())
    table = matrix(bands.drop_null()).view("<u8").astype(np.uint64)
    keys = table.ravel()
    order = np.argsort(keys)
    rows = pa.array(there[order // max(table.shape[1], 1)])
    columns = [pa.array(keys[order]), tokens.take(rows), ids.take(rows)]
    return list(_pack("bands", keys[order], columns, ranges))


def bucket_edges(blobs: Iterable[bytes]) -> pa.Table:
    """Return EDGES, sorted: the distinct star edges of a range, with the bands that gave each.

    The best document of a bucket (of equal keys) has an edge to every other one in it.
    """
    table = _unpack("bands", blobs)
    keys = table["key"].to_numpy()
    order = np.argsort(keys)
    order = order[_repeated(keys[order])]
    better, worse = _stars(table, order, _starts(keys[order]))
    stars = pa.table({"better": table["id"].take(better), "worse": table["id"].take(worse)})
    edges = stars.group_by(["better", "worse"], use_threads=False).aggregate([([], "count_all")])
    edges = edges.rename_columns(EDGES.names).cast(EDGES)
    return edges.sort_by([("better", "ascending"), ("worse", "ascending")])


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


def _pack(kind: str, tops: U64, columns: list[Any], ranges: int) -> Iterator[tuple[int, bytes]]:
    """Cut ``columns``, sorted by ``tops`` (the upper 64 bits of their keys), into blobs."""
    batch = pa.record_batch(columns, names=["key", "tokens", "id"])
    batch = batch.replace_schema_metadata({"kind": kind, "version": VERSION})
    homes = ((tops >> np.uint64(32)) * np.uint64(ranges)) >> np.uint64(32)
    most = BLOB_BYTES // sum(column.type.bit_width // 8 for column in columns) - 32
    bounds = np.append(np.flatnonzero(_starts(homes)), len(homes))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        for start in range(low, high, most):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch.slice(start, min(most, high - start)))
            yield int(homes[low]), sink.getvalue().to_pybytes()


def _unpack(kind: str, blobs: Iterable[bytes]) -> pa.Table:
    key = pa.binary(16) if kind == "exact" else pa.uint64()
    schema = pa.schema([("key", key), ("tokens", pa.int64()), ("id", pa.binary(16))])
    tables = [schema.empty_table()]
    for blob in blobs:
        table = pa.ipc.open_stream(blob).read_all()
        found = table.schema.metadata
        if found != {b"kind": kind.encode(), b"version": VERSION.encode()}:
            raise RunError(
                f"a deduplication blob was packed as {found}",
                expected=f"{kind} of {VERSION}",
                remedy="run again with --fresh",
            )
        tables.append(table.replace_schema_metadata(None))
    return pa.concat_tables(tables).combine_chunks()


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


def _stars(table: pa.Table, order: I64, starts: Mask) -> tuple[pa.Array, pa.Array]:
    """Return the rows (best, other) for every other document of each group.

    ``order`` lists rows group by group; ``starts`` is true where one begins.
    """
    high, low = halves(table["id"])
    better, worse = np.empty(len(order), dtype=np.int64), np.empty(len(order), dtype=np.int64)
    tokens = table["tokens"].to_numpy().copy()
    count = _fill_stars(order, starts, tokens, high, low, better, worse)
    return pa.array(better[:count]), pa.array(worse[:count])


@kernel
def _fill_stars(
    order: I64, starts: Mask, tokens: I64, high: U64, low: U64, better: I64, worse: I64
) -> int:
    count, first = 0, 0
    while first < len(order):
        best, last = order[first], first + 1
        while last < len(order) and not starts[last]:
            row = order[last]
            if tokens[row] > tokens[best] or (
                tokens[row] == tokens[best]
                and (high[row] < high[best] or (high[row] == high[best] and low[row] < low[best]))
            ):
                best = row
            last += 1
        for place in range(first, last):
            row = order[place]
            if high[row] != high[best] or low[row] != low[best]:
                better[count], worse[count] = best, row
                count += 1
        first = last
    return count
