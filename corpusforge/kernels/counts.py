"""Counts of pre-tokens: of a batch, packed by range of a hash to cross a shuffle, and merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from corpusforge.kernels.jit import kernel
from corpusforge.kernels.pretokens import (
    classes,
    code_of,
    end_of_pretoken,
    hash_of,
    same,
    utf8,
    windows,
)

COUNTS = pa.schema(
    [
        pa.field("word", pa.binary(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


class Counted(NamedTuple):
    """Counts of a batch and the number of pre-tokens left out because they were too long."""

    table: pa.Table
    dropped: int


def count_batch(text: pa.Array, split: str, max_word_bytes: int) -> Counted:
    """Count the pre-tokens of ``text`` (string, rows) that have at most ``max_word_bytes`` bytes.

    Returns COUNTS in order of first occurrence, each word once. Raises SpecError for an unknown
    ``split``.
    """
    data, offsets = utf8(text)
    found, dropped = _count(data, windows(data), offsets, classes(), code_of(split), max_word_bytes)
    bounds = np.zeros(len(found) + 1, dtype=np.int32)
    np.cumsum(found[:, 1], out=bounds[1:])
    words = np.empty(bounds[-1], dtype=np.uint8)
    _gather(data, found, bounds, words)
    column = pa.Array.from_buffers(
        pa.binary(), len(found), [None, pa.py_buffer(bounds), pa.py_buffer(words)]
    )
    counts = pa.array(np.ascontiguousarray(found[:, 2]))
    return Counted(pa.table([column, counts], schema=COUNTS), int(dropped))


def pack(table: pa.Table, ranges: int) -> list[tuple[int, bytes]]:
    """Cut COUNTS by range of the words' hash into Arrow IPC blobs, as (range, blob), in order.

    A word's range depends on its bytes and ``ranges`` only. Empty ranges are left out.
    """
    table = table.combine_chunks()
    if not table.num_rows:
        return []
    data, offsets = utf8(table.column("word").chunk(0))
    which = np.empty(table.num_rows, dtype=np.int64)
    _ranges(windows(data), offsets, ranges, which)
    order = np.argsort(which, kind="stable")
    table = table.take(pa.array(order))
    bounds = np.searchsorted(which[order], np.arange(ranges + 1))
    found = []
    for number in range(ranges):
        low, high = int(bounds[number]), int(bounds[number + 1])
        if high > low:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, COUNTS) as stream:
                stream.write_table(table.slice(low, high - low).combine_chunks())
            found.append((number, sink.getvalue().to_pybytes()))
    return found


def merge(blobs: Iterable[bytes]) -> pa.Table:
    """Sum the counts of packed blobs; COUNTS sorted by word, whatever the order of the blobs."""
    return add([pa.ipc.open_stream(blob).read_all() for blob in blobs])


def add(tables: Sequence[pa.Table]) -> pa.Table:
    """Sum tables of COUNTS; COUNTS sorted by word, whatever their order."""
    if not tables:
        return COUNTS.empty_table()
    grouped = pa.concat_tables(tables).group_by("word", use_threads=False)
    summed = grouped.aggregate([("count", "sum")]).rename_columns(["word", "count"])
    return summed.sort_by("word").cast(COUNTS)


@kernel
def _count(
    data: np.ndarray,
    words: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    split: int,
    max_bytes: int,
) -> tuple[np.ndarray, int]:
    """Start in ``data``, length, count and hash (distinct, 4) int64, and the number dropped."""
    size = 1 << 16
    slots = np.full(size, -1, dtype=np.int32)  # open addressing: hash -> number of the word
    found = np.empty((size // 2, 4), dtype=np.int64)  # start, length, count, hash
    distinct = 0
    dropped = 0
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        while start < stop:
            begin = start
            start = end_of_pretoken(data, words, begin, stop, table, split)
            length = start - begin
            if length > max_bytes:
                dropped += 1
                continue
            key = np.int64(hash_of(words, begin, length) >> np.uint64(1))
            slot = key & (size - 1)
            word = slots[slot]
            while word >= 0 and not (
                found[word, 3] == key
                and found[word, 1] == length
                and same(words, found[word, 0], begin, length)
            ):
                slot = (slot + 1) & (size - 1)
                word = slots[slot]
            if word >= 0:
                found[word, 2] += 1
                continue
            slots[slot] = distinct
            found[distinct, 0] = begin
            found[distinct, 1] = length
            found[distinct, 2] = 1
            found[distinct, 3] = key
            distinct += 1
            if distinct == size // 2:
                size *= 2
                found = np.concatenate((found, found))
                slots = np.full(size, -1, dtype=np.int32)
                for number in range(distinct):
                    slot = found[number, 3] & (size - 1)
                    while slots[slot] >= 0:
                        slot = (slot + 1) & (size - 1)
                    slots[slot] = number
    return found[:distinct], dropped


@kernel
def _gather(data: np.ndarray, found: np.ndarray, bounds: np.ndarray, out: np.ndarray) -> None:
    for word in range(len(found)):
        for index in range(bounds[word + 1] - bounds[word]):
            out[bounds[word] + index] = data[found[word, 0] + index]


@kernel
def _ranges(words: np.ndarray, offsets: np.ndarray, ranges: int, out: np.ndarray) -> None:
    for row in range(len(out)):
        value = hash_of(words, offsets[row], offsets[row + 1] - offsets[row])
        out[row] = np.int64((value >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32))
